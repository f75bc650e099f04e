package pawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// used returns the bytes that all files of a memory hold.
func used(t testing.TB, m *io.Memory) int64 {
	n := int64(0)
	for _, name := range m.Names() {
		content, err := m.Bytes(name)
		require.NoError(t, err)
		n += int64(len(content))
	}
	return n
}

// put stores one key in a commit of its own.
func put(db *DB, key string, value []byte) error {
	return db.Update(func(tx *Tx) error { return tx.Root().Put(b(key), value) })
}

// fill makes commits until the disk, or MaxSize, is full, and returns the keys of those that were acknowledged. It is full when
// a commit fails for the third time: behind a first failure a checkpoint makes room out of the log.
func fill(t *testing.T, db *DB, size int) (keys []string) {
	t.Helper()
	for i := range 100_000 {
		key := fmt.Sprintf("fill%06d", i)
		err := put(db, key, bytes.Repeat([]byte{byte(i)}, size))
		for again := 0; err != nil; again++ {
			require.ErrorIs(t, err, ErrFull)
			require.NotErrorIs(t, err, ErrCommitUnknown)
			require.NotErrorIs(t, err, ErrFailed)
			if again == 2 {
				return keys
			}
			err = put(db, key, bytes.Repeat([]byte{byte(i)}, size))
		}
		keys = append(keys, key)
	}
	t.Fatal("the disk never got full")
	return nil
}

// holds fails the test unless the database has these keys behind "fill", each with a value of that size, and no others.
func holds(t *testing.T, db *DB, keys []string, size int) {
	t.Helper()
	require.NoError(t, db.View(func(tx *Tx) error {
		i := 0
		for k, v := range tx.Root().Prefix(b("fill")) {
			require.Less(t, i, len(keys), "%s is there, and was not acknowledged", k)
			require.Equal(t, keys[i], string(k))
			require.Len(t, v, size)
			require.NotEmpty(t, v)
			require.Equal(t, bytes.Repeat(v[:1], size), v)
			i++
		}
		require.Equal(t, len(keys), i)
		report, err := tx.Check(tx.Context())
		require.NoError(t, err)
		return report.Err()
	}))
}

// On a full disk a commit fails alone and by name; reads go on; deleting works, and makes room; and when there is space again
// the database goes on as if nothing had been. Nothing that was acknowledged is lost, and nothing else is there.
func TestFullDisk(t *testing.T) {
	for _, size := range []int{40, 3000, 30_000, 1_500_000} {
		for _, limit := range []string{"disk", "MaxSize"} {
			for _, checkpoint := range []int64{64 << 10, 64 << 20} {
				t.Run(fmt.Sprintf("%s, values of %d bytes, checkpoints at %d", limit, size, checkpoint), func(t *testing.T) {
					room := int64(1<<20 + 6*size)
					m := io.NewMemory(io.MemoryConfig{RealTime: true})
					o := &Options{IO: m, CheckpointBytes: checkpoint}
					if limit == "MaxSize" {
						o.MaxSize = room
					} else {
						m.SetCapacity(room)
					}
					testFullDisk(t, m, o, size, func() {
						if limit == "disk" {
							m.SetCapacity(4 * room)
						}
					})
				})
			}
		}
	}
}

func testFullDisk(t *testing.T, m *io.Memory, o *Options, size int, more func()) {
	db, err := Open("db", o)
	require.NoError(t, err)
	keys := fill(t, db, size)
	require.NotEmpty(t, keys)
	holds(t, db, keys, size)
	for range 3 { // it stays full, and fails alone
		require.ErrorIs(t, put(db, "big", make([]byte, 2<<20+6*size)), ErrFull)
	}
	require.NoError(t, db.View(func(tx *Tx) error {
		_, err := tx.Root().Get(b("big"))
		require.ErrorIs(t, err, ErrNotFound)
		return nil
	}))
	require.NoError(t, db.Stats().Failed)

	// Deleting is possible, one key at a time, from either end, and behind a checkpoint too.
	for i, n := 0, len(keys); len(keys) > n/3; i++ {
		if i == 1 {
			_, err = db.Checkpoint(context.Background(), Passive)
			require.NoError(t, err)
		}
		gone := keys[0]
		if i%2 == 0 {
			gone, keys = keys[len(keys)-1], keys[:len(keys)-1]
		} else {
			keys = keys[1:]
		}
		err := db.Update(func(tx *Tx) error { return tx.Root().Delete(b(gone)) })
		require.NoError(t, err, "%d of %d keys left", len(keys)+1, n)
	}
	holds(t, db, keys, size)
	_, err = db.Checkpoint(context.Background(), Truncate)
	require.NoError(t, err)
	if o.MaxSize > 0 {
		require.LessOrEqual(t, used(t, m), o.MaxSize)
	}

	// What was deleted is room for what comes.
	again := fill(t, db, size)
	keys = append(keys[:0], again...) // they begin at 0 again: those that were left are replaced
	holds(t, db, sortedUnion(keys, presentKeys(t, db)), size)
	keys = presentKeys(t, db)

	after := m.Crash(nil)
	more()
	if o.MaxSize == 0 {
		for range 20 {
			require.NoError(t, put(db, "later", bytes.Repeat(b("x"), size)))
		}
	}
	require.NoError(t, db.Close())
	db, err = Open("db", o)
	require.NoError(t, err)
	holds(t, db, keys, size)
	require.NoError(t, db.Close())

	// A power cut while the disk was full.
	crashed := *o
	crashed.IO = after
	db, err = Open("db", &crashed)
	require.NoError(t, err)
	holds(t, db, keys, size)
	require.NoError(t, db.Close())
}

// presentKeys returns the keys behind "fill".
func presentKeys(t *testing.T, db *DB) (keys []string) {
	require.NoError(t, db.View(func(tx *Tx) error {
		for k := range tx.Root().Prefix(b("fill")) {
			keys = append(keys, string(k))
		}
		return nil
	}))
	return keys
}

// sortedUnion returns the keys of both, which are sorted, once each.
func sortedUnion(a, b []string) (all []string) {
	for len(a)+len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			all, a = append(all, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			all, b = append(all, b[0]), b[1:]
		default:
			all, a, b = append(all, a[0]), a[1:], b[1:]
		}
	}
	return all
}

// One operation that finds the disk full, at any growth of any file, fails alone or works; behind it, with space again, the
// database goes on.
func TestDiskFullAtEachGrowth(t *testing.T) {
	big := bytes.Repeat(b("v"), 900_000)
	for name, op := range map[string]func(db *DB) error{
		"first commit": func(db *DB) error { return put(db, "new", b("v")) },
		"many keys": func(db *DB) error {
			return db.Update(func(tx *Tx) error {
				for i := range 3000 {
					if err := tx.Root().Put(fmt.Appendf(nil, "new%d", i), bytes.Repeat(b("v"), 200)); err != nil {
						return err
					}
				}
				return nil
			})
		},
		"spill": func(db *DB) error { // the cache has 64 pages
			return db.Update(func(tx *Tx) error {
				for i := range 400 {
					if err := tx.Root().Put(fmt.Appendf(nil, "new%d", i), bytes.Repeat(b("v"), 1000)); err != nil {
						return err
					}
				}
				return nil
			})
		},
		"large value": func(db *DB) error { return put(db, "new", big) },
		"stream": func(db *DB) error {
			return db.Update(func(tx *Tx) error {
				_, err := tx.Root().PutReader(b("new"), strings.NewReader(strings.Repeat("v", 3<<20)))
				return err
			})
		},
		"checkpoint behind a commit": func(db *DB) error {
			if err := put(db, "new", bytes.Repeat(b("v"), 2000)); err != nil {
				return err
			}
			_, err := db.Checkpoint(context.Background(), Truncate)
			return err
		},
		"copy": func(db *DB) error {
			return db.View(func(tx *Tx) error {
				_, err := tx.CopyFile(context.Background(), "copy")
				return err
			})
		},
		"savepoint": func(db *DB) error {
			return db.Update(func(tx *Tx) error {
				err := tx.Try(func() error { return tx.Root().Put(b("new"), big) })
				if err != nil {
					require.NoError(t, tx.Root().Delete(b("new")), "the transaction is usable behind it")
				}
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for fault := 0; ; fault++ {
				if !fullAtGrowth(t, op, fault) {
					require.Positive(t, fault, "nothing grew")
					return
				}
			}
		})
	}
}

// fullAtGrowth runs op on a disk that is full from growth number fault on, and reports whether it got that far.
func fullAtGrowth(t *testing.T, op func(*DB) error, fault int) (reached bool) {
	m := io.NewMemory(io.MemoryConfig{RealTime: true})
	o := &Options{IO: m, CacheSize: 1}
	db, err := Open("db", o)
	require.NoError(t, err)
	commits(t, db, 0, 20)
	require.NoError(t, db.Close()) // so that the first commit behind makes a log
	db, err = Open("db", o)
	require.NoError(t, err)

	ends := map[string]int64{} // of files, as far as is known here
	for _, name := range m.Names() {
		content, err := m.Bytes(name)
		require.NoError(t, err)
		ends[name] = int64(len(content))
	}
	grown := 0
	m.SetFault(func(op *io.Op) error {
		end := op.Offset + op.Length
		switch {
		case op.Name() == "open" && op.File != "db" && ends[op.File] == 0: // a new name takes space too
		case (op.Name() == "write" || op.Name() == "truncate") && end > ends[op.File]:
		default:
			return nil
		}
		if grown++; grown > fault {
			reached = true
			return io.ErrNoSpace
		}
		ends[op.File] = max(ends[op.File], end)
		return nil
	})
	err = op(db)
	m.SetFault(nil)
	what := fmt.Sprintf("fault at growth %d: %v", fault, err)
	if reached && err != nil {
		require.True(t, errors.Is(err, ErrFull) || errors.Is(err, io.ErrNoSpace), what)
		require.NotErrorIs(t, err, ErrCommitUnknown, what)
	}
	if !reached {
		require.NoError(t, err, what)
	}
	require.NoError(t, db.Stats().Failed, what)
	require.NotContains(t, strings.Join(m.Names(), " "), ".new-", what)
	count := func(db *DB) (old, others int) {
		require.NoError(t, db.View(func(tx *Tx) error {
			for k := range tx.Root().All() {
				if strings.HasPrefix(string(k), "new") {
					others++
				} else {
					old++
				}
			}
			report, err := tx.Check(tx.Context())
			require.NoError(t, err, what)
			return report.Err()
		}), what)
		return old, others
	}
	old, others := count(db)
	require.Equal(t, 20, old, what)
	if errors.Is(err, ErrFull) { // of a commit; a checkpoint may follow one that is done
		require.LessOrEqual(t, others, 1, what)
	}
	if slices.Contains(m.Names(), "copy") {
		require.NoError(t, err, "a copy that failed leaves nothing")
		m.Remove(new(io.Completion), "copy")
	}
	require.NoError(t, op(db), "with space again; "+what)
	require.NoError(t, put(db, "new", b("last")), what)
	_, others = count(db)
	require.NoError(t, db.Close(), what)
	db, err = Open("db", o)
	require.NoError(t, err, what)
	old, now := count(db)
	require.Equal(t, 20, old, what)
	require.Equal(t, others, now, what)
	require.NoError(t, db.Close(), what)
	return reached
}
