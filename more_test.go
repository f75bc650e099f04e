package pawl

import (
	"bytes"
	"context"
	"fmt"
	stdio "io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
)

// fillTree makes nested buckets with values of many sizes, and returns them by path.
func fillTree(t testing.TB, db *DB) map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string][]byte{}
	require.NoError(t, db.Update(func(tx *Tx) error {
		for i := range 400 {
			path := [][]byte{}
			for range i % 4 {
				path = append(path, fmt.Appendf(nil, "bucket%d", rng.IntN(3)))
			}
			at := tx.Root()
			if len(path) > 0 {
				var err error
				at, err = tx.CreateBucketIfNotExists(path...)
				require.NoError(t, err)
			}
			n := rng.IntN(300)
			if i%50 == 0 {
				n = 3_000_000
			}
			v := bytes.Repeat([]byte{byte(i)}, n)
			key := fmt.Appendf(nil, "key%d", i)
			require.NoError(t, at.Put(key, v))
			want[fmt.Sprintf("%s/%s", path, key)] = v
		}
		return tx.Bucket(b("bucket1")).SetSequence(42)
	}))
	return want
}

// readTree reads all of a bucket and those below.
func readTree(t testing.TB, at *Bucket, path [][]byte, got map[string][]byte) {
	for k, v := range at.All() {
		got[fmt.Sprintf("%s/%s", path, k)] = v
	}
	for name, below := range at.Buckets() {
		readTree(t, below, append(path[:len(path):len(path)], name), got)
	}
}

// sameTree compares a database with what was put in.
func sameTree(t testing.TB, db *DB, want map[string][]byte) {
	t.Helper()
	require.NoError(t, db.View(func(tx *Tx) error {
		got := map[string][]byte{}
		readTree(t, tx.Root(), nil, got)
		require.Len(t, got, len(want))
		for k, v := range want {
			require.True(t, bytes.Equal(v, got[k]), k)
		}
		require.EqualValues(t, 42, tx.Bucket(b("bucket1")).Sequence())
		report, err := tx.Check(tx.Context())
		require.NoError(t, err)
		require.NoError(t, report.Err())
		require.EqualValues(t, len(want), report.Keys)
		return nil
	}))
}

// On the platform's files: reopened, copied, streamed and compacted, a database has the same content.
func TestFilesCopiesAndCompact(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	db, err := Open(path, nil)
	require.NoError(t, err)
	want := fillTree(t, db)
	sameTree(t, db, want)
	require.NoError(t, db.Close())
	_, err = os.Stat(path + "-wal")
	require.ErrorIs(t, err, os.ErrNotExist, "after a clean close the main file alone is complete")

	db, err = Open(path, &Options{MustExist: true})
	require.NoError(t, err)
	sameTree(t, db, want)
	var stream bytes.Buffer
	require.NoError(t, db.View(func(tx *Tx) error {
		n, err := tx.WriteTo(&stream)
		require.NoError(t, err)
		require.EqualValues(t, stream.Len(), n)
		_, err = tx.CopyFile(context.Background(), path+".copy")
		require.NoError(t, err)
		_, err = tx.CopyFile(context.Background(), path+".copy")
		require.ErrorIs(t, err, os.ErrExist)
		return nil
	}))
	require.NoError(t, os.WriteFile(path+".stream", stream.Bytes(), 0o600))
	compact, err := Open(path+".compact", nil)
	require.NoError(t, err)
	require.NoError(t, Compact(context.Background(), compact, db))
	sameTree(t, compact, want)
	require.ErrorIs(t, Compact(context.Background(), compact, db), ErrOptions)
	require.NoError(t, compact.Close())
	require.NoError(t, db.Close())
	for _, name := range []string{".copy", ".stream", ".compact"} {
		other, err := Open(path+name, &Options{ReadOnly: name == ".copy"})
		require.NoError(t, err, name)
		sameTree(t, other, want)
		require.NoError(t, other.Close())
	}
}

func TestGetMany(t *testing.T) {
	db := memory(t, &Options{CacheSize: 1 << 18})
	const n = 5000
	require.NoError(t, db.Update(func(tx *Tx) error {
		for i := range n {
			size := 100
			if i%500 == 7 {
				size = 100_000
			}
			if err := tx.Root().Put(fmt.Appendf(nil, "%05d", i), bytes.Repeat([]byte{byte(i)}, size)); err != nil {
				return err
			}
		}
		_, err := tx.CreateBucket(b("bucket"))
		return err
	}))
	check := func(tx *Tx) error {
		var keys [][]byte
		for i := range n + 100 { // the last are absent
			keys = append(keys, fmt.Appendf(nil, "%05d", (i*7919)%(n+100)))
		}
		vals := make([][]byte, len(keys))
		require.NoError(t, tx.Root().GetMany(keys, vals))
		for i, key := range keys {
			v, err := tx.Root().Get(key)
			if vals[i] == nil {
				require.ErrorIs(t, err, ErrNotFound)
				continue
			}
			require.NoError(t, err)
			require.True(t, bytes.Equal(v, vals[i]))
		}
		require.ErrorIs(t, tx.Root().GetMany([][]byte{b("bucket")}, make([][]byte, 1)), ErrIsBucket)
		require.ErrorIs(t, tx.Root().GetMany(keys, nil), ErrOptions)
		return nil
	}
	require.NoError(t, db.View(check))
	require.NoError(t, db.Update(check))
}

// A reader of a value is an io.Reader as the standard library expects it, over values of any length.
func TestValueReader(t *testing.T) {
	db := memory(t, nil)
	for _, size := range []int{0, 1, 500, 5000, 1 << 20, 3_500_000} {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(i * 7 / 5)
		}
		require.NoError(t, db.Update(func(tx *Tx) error {
			n, err := tx.Root().PutReader(b("k"), iotest.HalfReader(bytes.NewReader(value)))
			require.NoError(t, err)
			require.EqualValues(t, size, n)
			return nil
		}))
		require.NoError(t, db.View(func(tx *Tx) error {
			r, err := tx.Root().Reader(b("k"))
			require.NoError(t, err)
			require.EqualValues(t, size, r.Size())
			if size <= 5000 {
				return iotest.TestReader(r, value)
			}
			got, err := stdio.ReadAll(r)
			require.NoError(t, err)
			require.True(t, bytes.Equal(value, got))
			part := make([]byte, 1000)
			_, err = r.ReadAt(part, int64(size-700))
			require.ErrorIs(t, err, stdio.EOF)
			require.True(t, bytes.Equal(value[size-700:], part[:700]))
			return nil
		}))
	}
	oops := fmt.Errorf("oops")
	require.NoError(t, db.Update(func(tx *Tx) error {
		before := tx.Size()
		long := stdio.MultiReader(bytes.NewReader(make([]byte, 4<<20)), iotest.ErrReader(oops))
		_, err := tx.Root().PutReader(b("other"), long)
		require.ErrorIs(t, err, oops)
		require.Equal(t, before, tx.Size(), "nothing is left of it")
		return nil
	}))
}

// What the documentation promises of allocations.
func TestAllocations(t *testing.T) {
	db := memory(t, nil)
	require.NoError(t, db.Update(func(tx *Tx) error {
		for i := range 2000 {
			if err := tx.Root().Put(fmt.Appendf(nil, "%05d", i), bytes.Repeat(b("v"), 100)); err != nil {
				return err
			}
		}
		return nil
	}))
	require.LessOrEqual(t, unsafe.Sizeof(Tx{}), uintptr(288), "with its first handle, which is no allocation of its own then")
	key, dst := b("01000"), make([]byte, 0, 200)
	require.NoError(t, db.View(func(tx *Tx) error {
		root := tx.Root()
		allocs := func(what string, want float64, fn func()) {
			fn()
			require.Equal(t, want, testing.AllocsPerRun(500, fn), what)
		}
		allocs("Get", 0, func() { _, _ = root.Get(key) })
		absent := b("x")
		allocs("Get of an absent key", 0, func() { _, _ = root.Get(absent) })
		allocs("GetAppend", 0, func() { dst, _ = root.GetAppend(dst[:0], key) })
		allocs("Has", 0, func() { _, _ = root.Has(key) })
		c := root.Cursor()
		for range 3 { // its memory grows to what a path needs
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
			}
		}
		c.First()
		allocs("Cursor.Next", 0, func() { c.Next() })
		c.Last()
		allocs("Cursor.Prev", 0, func() { c.Prev() })
		return nil
	}))
	view := func() { _ = db.View(func(tx *Tx) error { return nil }) }
	view()
	if !effort.UnderRace { // under it sync.Pool loses some
		require.Zero(t, testing.AllocsPerRun(500, view), "View")
	}
}

// Relaxed commits are visible at once and reach the disk within the interval; the log moves into the file by itself.
func TestBackground(t *testing.T) {
	checkpoints := make(chan Event, 100)
	db := memory(t, &Options{
		Durability: Relaxed, SyncInterval: time.Millisecond, CheckpointBytes: 1 << 18,
		OnEvent: func(e Event) {
			if e.Kind == EventCheckpoint {
				select {
				case checkpoints <- e:
				default:
				}
			}
		},
	})
	for i := range 300 {
		require.NoError(t, db.Update(func(tx *Tx) error {
			return tx.Root().Put(fmt.Appendf(nil, "%d", i), bytes.Repeat([]byte{1}, 900))
		}))
		require.NoError(t, db.View(func(tx *Tx) error {
			has, err := tx.Root().Has(fmt.Appendf(nil, "%d", i))
			require.True(t, has)
			return err
		}))
	}
	require.NoError(t, (<-checkpoints).Err)
	for db.p.Log().Durable() != db.p.Snapshot().Seq {
		time.Sleep(time.Millisecond)
	}
}
