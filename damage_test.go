package pawl

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
)

var damageSeed = flag.Uint64("damage-seed", 1, "which bit of each byte TestDamage flips, and which bytes if not all")

// damaged is a small database as a crash left it: a checkpoint, and commits behind it in the log.
type damaged struct {
	disk   *io.Memory
	states []map[string][]byte // by commit: values by path and key
}

const damageName = "test.pawl"

// newDamaged makes the database: nested buckets, values from nothing to several extents' blocks, deletes.
func newDamaged(t *testing.T, pageSize int) *damaged {
	d := &damaged{states: []map[string][]byte{{}}}
	disk := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := Open(damageName, &Options{IO: disk, PageSize: pageSize})
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(uint64(pageSize), 1))
	for commit := range 14 {
		state := maps.Clone(d.states[commit])
		require.NoError(t, db.Update(func(tx *Tx) error {
			for i := range 12 {
				path := []string{"", "a", "a/b", "c"}[rng.IntN(4)]
				at := tx.Root()
				if path != "" {
					at, err = tx.CreateBucketIfNotExists(splitPath(path)...)
					require.NoError(t, err)
				}
				key := fmt.Sprintf("key%03d", rng.IntN(60))
				if i%5 == 4 {
					require.NoError(t, at.Delete([]byte(key)))
					delete(state, path+"/"+key)
					continue
				}
				value := bytes.Repeat([]byte{byte('A' + commit)}, []int{0, 20, 90, 300, 5000}[rng.IntN(5)])
				require.NoError(t, at.Put([]byte(key), value))
				state[path+"/"+key] = value
			}
			return nil
		}))
		d.states = append(d.states, state)
		if commit == 4 || commit == 8 {
			_, err := db.Checkpoint(t.Context(), Complete)
			require.NoError(t, err)
		}
	}
	d.disk = disk.Crash(nil)
	require.NoError(t, db.Close())
	return d
}

func splitPath(path string) (names [][]byte) {
	for _, name := range strings.Split(path, "/") {
		names = append(names, []byte(name))
	}
	return names
}

// named reports whether an error says where the damage is.
func named(err error) bool {
	var damage *CorruptError
	return errors.As(err, &damage) && damage.File != "" && strings.Contains(err.Error(), " at offset ")
}

// openError returns what is wrong with an error that Open has returned for a damaged file, or nil.
func openError(err error) error {
	switch {
	case named(err), errors.Is(err, ErrVersion), errors.Is(err, ErrNotDatabase), errors.Is(err, ErrLogMismatch):
		if !strings.Contains(err.Error(), damageName) {
			return fmt.Errorf("the error does not name the file: %w", err)
		}
		return nil
	}
	return err
}

// read compares all that a transaction can read with what was committed, and returns how many reads failed with a named
// error.
func (d *damaged) read(tx *Tx, want map[string][]byte) (failed int, err error) {
	seen := map[string][]byte{}
	for _, path := range []string{"", "a", "a/b", "c"} {
		at := tx.Root()
		if path != "" {
			at = tx.Bucket(splitPath(path)...)
		}
		got := 0
		cur := at.Cursor()
		for k, v := cur.First(); k != nil; k, v = cur.Next() {
			if v != nil {
				seen[path+"/"+string(k)] = v
				got++
			}
		}
		whole := cur.Err() == nil
		if !whole && !named(cur.Err()) {
			return 0, fmt.Errorf("scan of %q: %w", path, cur.Err())
		}
		for name, value := range want {
			key, ok := strings.CutPrefix(name, path+"/")
			if !ok || strings.Contains(key, "/") {
				continue
			}
			if got--; whole && seen[name] == nil {
				return 0, fmt.Errorf("scan of %q misses %q", path, key)
			}
			v, err := at.Get([]byte(key))
			switch {
			case err == nil && !bytes.Equal(v, value):
				return 0, fmt.Errorf("%s has another value", name)
			case err != nil && !named(err):
				return 0, fmt.Errorf("%s: %w", name, err)
			case err != nil:
				failed++
			}
		}
		if got > 0 {
			return 0, fmt.Errorf("scan of %q found %d keys too many", path, got)
		}
	}
	for name, v := range seen {
		if !bytes.Equal(want[name], v) {
			return 0, fmt.Errorf("a scan found %s with another value", name)
		}
	}
	return failed, nil
}

// damageCounts counts what came of the flips.
type damageCounts struct{ whole, lost, refused, partly atomic.Int64 }

// try opens a disk, one bit of which was flipped in a file, reads all, goes on with it, and reads all again from a new open.
func (d *damaged) try(t *testing.T, disk *io.Memory, file string, o Options, n *damageCounts) error {
	o.IO = disk
	db, err := Open(damageName, &o)
	if err != nil {
		n.refused.Add(1)
		return openError(err)
	}
	want, err := d.readAll(t, db, file, n)
	if err == nil && !o.ReadOnly {
		want, err = goOn(t, db, want)
	}
	if e := db.Close(); err == nil && e != nil && !named(e) {
		err = fmt.Errorf("close: %w", e)
	}
	if err != nil || o.ReadOnly {
		return err
	}
	return d.again(t, disk, o, want)
}

// readAll reads all, checks that the check finds what reads do, and returns what was to be read.
func (d *damaged) readAll(t *testing.T, db *DB, file string, n *damageCounts) (map[string][]byte, error) {
	s := db.Stats()
	newest := uint64(len(d.states) - 1)
	switch {
	case s.Seq == newest && s.Dropped == "":
		n.whole.Add(1)
	case s.Seq == newest-1 && file != damageName && strings.Contains(s.Dropped, fmt.Sprintf("from commit %d at offset", newest)):
		n.lost.Add(1)
	default:
		return nil, fmt.Errorf("found commit %d of %d, dropped %q", s.Seq, newest, s.Dropped)
	}
	want := d.states[s.Seq]
	tx, err := db.Begin(false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	failed, err := d.read(tx, want)
	if err != nil {
		return nil, err
	}
	report, err := tx.Check(t.Context())
	switch {
	case err != nil && !named(err):
		return nil, fmt.Errorf("check: %w", err)
	case failed > 0 && err == nil && len(report.Problems) == 0:
		return nil, fmt.Errorf("%d reads failed, and the check finds nothing", failed)
	case failed > 0:
		n.partly.Add(1)
	}
	return want, nil
}

// goOn commits something more, makes a checkpoint, and returns what the database has to hold then.
func goOn(t *testing.T, db *DB, want map[string][]byte) (map[string][]byte, error) {
	err := db.Update(func(tx *Tx) error { return tx.Root().Put([]byte("new"), []byte("value")) })
	if err != nil && !named(err) {
		return nil, fmt.Errorf("a commit behind it: %w", err)
	}
	if err == nil {
		want = maps.Clone(want)
		want["/new"] = []byte("value")
	}
	if _, err := db.Checkpoint(t.Context(), Complete); err != nil && !named(err) {
		return nil, fmt.Errorf("a checkpoint behind it: %w", err)
	}
	return want, nil
}

// again opens the database once more, after it was closed, and reads all. What was damaged may still be, but nothing else is.
func (d *damaged) again(t *testing.T, disk *io.Memory, o Options, want map[string][]byte) error {
	o.IO = disk
	db, err := Open(damageName, &o)
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	err = db.View(func(tx *Tx) error {
		_, err := d.read(tx, want)
		return err
	})
	if err != nil && !named(err) {
		err = fmt.Errorf("read again: %w", err)
	} else {
		err = nil
	}
	if e := db.Close(); err == nil && e != nil && !named(e) {
		err = fmt.Errorf("close again: %w", e)
	}
	return err
}

// TestDamage flips one bit of each byte of a small database and its log. Whatever is read then is what was committed, or an
// error that says where the damage is; but the newest group of the log may vanish, whole, and Stats says so.
func TestDamage(t *testing.T) {
	stride := 101
	if testing.Short() {
		stride = 1009
	}
	if effort.Long() {
		stride = 1
	}
	for _, pageSize := range []int{512, 4096} {
		d := newDamaged(t, pageSize)
		for _, file := range []string{damageName, damageName + "-wal"} {
			for _, readOnly := range []bool{false, true} {
				if readOnly {
					stride *= 7
				}
				t.Run(fmt.Sprintf("page=%d/%s/ro=%v", pageSize, file, readOnly), func(t *testing.T) {
					d.flipAll(t, file, stride, Options{ReadOnly: readOnly})
				})
				if readOnly {
					stride /= 7
				}
			}
		}
	}
}

// writtenBytes returns the offsets of all bytes in sectors that are not zero.
func writtenBytes(content []byte) (offsets []int) {
	const sector = 512
	for at := 0; at < len(content); at += sector {
		s := content[at:min(at+sector, len(content))]
		if bytes.Count(s, []byte{0}) == len(s) {
			continue
		}
		for i := range s {
			offsets = append(offsets, at+i)
		}
	}
	return offsets
}

// flipAll flips a bit in every stride-th byte of a file.
func (d *damaged) flipAll(t *testing.T, file string, stride int, o Options) {
	t.Parallel()
	var n damageCounts
	whole, err := d.disk.Bytes(file)
	require.NoError(t, err)
	content := slices.Clone(whole)
	written := writtenBytes(content)
	for i := int(*damageSeed) % stride; i < len(written); i += stride {
		at := written[i]
		bit := byte(1) << ((uint64(at)*7 + *damageSeed) % 8)
		content[at] ^= bit
		disk := d.disk.Crash(nil)
		disk.SetBytes(file, content)
		content[at] ^= bit
		if err := d.try(t, disk, file, o, &n); err != nil {
			t.Errorf("byte %d, bit %#x: %v", at, bit, err)
		}
	}
	t.Logf("%d bytes: %d whole, %d of them with reads that fail, %d without the newest group, %d not opened",
		len(written)/stride, n.whole.Load(), n.partly.Load(), n.lost.Load(), n.refused.Load())
	require.Positive(t, n.whole.Load())
	if len(written)/stride < 500 {
		return // too few to meet everything
	}
	require.Positive(t, n.refused.Load())
	if file == damageName {
		require.Positive(t, n.partly.Load())
	} else {
		require.Positive(t, n.lost.Load())
	}
}
