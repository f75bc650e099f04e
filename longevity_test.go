package pawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdio "io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
)

// A reader that stays open for 10,000 commits, and for all the checkpoints meanwhile, goes on to see its snapshot; file and log
// stay within bounds, and what it held comes back when it ends.
func TestReaderAcrossManyCommits(t *testing.T) {
	const keys, checkpoint, segment = 4000, 256 << 10, 512 << 10
	commits := 10_000
	if effort.Short() {
		commits = 1000
	}
	db := memory(t, &Options{CheckpointBytes: checkpoint, CacheSize: 1 << 20})
	rng := rand.New(rand.NewPCG(1, 2))
	key := func(i int) []byte { return fmt.Appendf(nil, "key%05d", i) }
	value := func(i, version int) []byte { return fmt.Appendf(nil, "%d %0200d", version, i) }
	require.NoError(t, db.Update(func(tx *Tx) error {
		for i := range keys {
			if err := tx.Root().Put(key(i), value(i, 0)); err != nil {
				return err
			}
		}
		return nil
	}))
	_, err := db.Checkpoint(t.Context(), Truncate)
	require.NoError(t, err)
	live := db.Stats().LiveBytes
	for i := range 20 { // a part of the log that only the reader needs later
		require.NoError(t, db.Update(func(tx *Tx) error { return tx.Root().Put(key(100*i), value(100*i, 0)) }))
	}
	reader, err := db.Begin(false)
	require.NoError(t, err)
	look := func(i int) {
		v, err := reader.Root().Get(key(i))
		require.NoError(t, err)
		require.Equal(t, value(i, 0), v)
	}
	versions := make([]int, keys)
	var file, log int64
	for n := range commits {
		require.NoError(t, db.Update(func(tx *Tx) error {
			for range 5 {
				i := rng.IntN(keys)
				versions[i] = n + 1
				if err := tx.Root().Put(key(i), value(i, versions[i])); err != nil {
					return err
				}
			}
			return nil
		}))
		look(rng.IntN(keys))
		s := db.Stats()
		file, log = max(file, s.FileBytes), max(log, s.LogBytes)
	}
	for i := range keys {
		look(i)
	}
	s := db.Stats()
	t.Logf("%d commits, %d KiB of log, %d checkpoints; live %d KiB; file at most %d KiB, log %d KiB; the reader holds %d KiB",
		s.Commits, s.LogWrites>>10, s.Checkpoints, live>>10, file>>10, log>>10, s.Readers[0].Held>>10)
	require.Greater(t, s.Checkpoints, s.LogWrites/checkpoint/4)
	require.LessOrEqual(t, s.Checkpoints, 2*s.LogWrites/checkpoint+10, "checkpoints that the reader made superfluous")
	require.Len(t, s.Readers, 1)
	require.LessOrEqual(t, file, 5*live, "pages of the reader, of the newest checkpoint, of the next one, with reserves")
	require.LessOrEqual(t, log, int64(2*checkpoint+6*segment), "the log, the reader's window, and segments in part")
	require.NoError(t, reader.Rollback())
	_, err = db.Checkpoint(t.Context(), Truncate)
	require.NoError(t, err)
	s = db.Stats()
	t.Logf("behind it: file %d KiB, held %d KiB, log %d KiB", s.FileBytes>>10, s.HeldBytes>>10, s.LogBytes>>10)
	require.LessOrEqual(t, s.FileBytes, live+live/2)
	require.NoError(t, db.View(func(tx *Tx) error {
		for i, version := range versions {
			v, err := tx.Root().Get(key(i))
			require.NoError(t, err)
			require.Equal(t, value(i, version), v)
		}
		return nil
	}))
}

// So many buckets that what leads to them is a tree of some levels.
func TestManyBuckets(t *testing.T) {
	buckets := 10_000
	if effort.Short() {
		buckets = 2000
	}
	db := memory(t, &Options{PageSize: 1024, CacheSize: 1, CheckpointBytes: 1 << 20})
	name := func(i int) []byte { return fmt.Appendf(nil, "bucket%05d", i*7919%buckets) }
	for from := 0; from < buckets; from += 1000 {
		require.NoError(t, db.Update(func(tx *Tx) error {
			for i := from; i < from+1000; i++ {
				at, err := tx.CreateBucket(name(i))
				if err != nil {
					return err
				}
				if err := at.Put(b("key"), name(i)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	verify := func(want int) {
		require.NoError(t, db.View(func(tx *Tx) error {
			n := 0
			for name, bucket := range tx.Root().Buckets() {
				v, err := bucket.Get(b("key"))
				require.NoError(t, err)
				require.Equal(t, string(name), string(v))
				n++
			}
			require.Equal(t, want, n)
			report, err := tx.Check(t.Context())
			require.NoError(t, err)
			require.NoError(t, report.Err())
			require.EqualValues(t, want+1, report.Trees)
			return nil
		}))
	}
	verify(buckets)
	require.NoError(t, db.Update(func(tx *Tx) error {
		for i := range buckets / 2 {
			if err := tx.DeleteBucket(name(2 * i)); err != nil {
				return err
			}
		}
		return nil
	}))
	verify(buckets / 2)
}

// Buckets in buckets in buckets, 100 deep: made, read, moved, copied, compacted and dropped as one.
func TestDeepBuckets(t *testing.T) {
	const depth = 100
	db := memory(t, nil)
	var path [][]byte
	for i := range depth {
		path = append(path, fmt.Appendf(nil, "level%d", i))
	}
	require.NoError(t, db.Update(func(tx *Tx) error {
		if _, err := tx.CreateBucketIfNotExists(path...); err != nil {
			return err
		}
		for i := range depth {
			at := tx.Bucket(path[:i+1]...)
			require.NoError(t, at.Put(b("key"), path[i]))
			require.NoError(t, at.SetSequence(uint64(i)))
		}
		return nil
	}))
	verify := func(db *DB, path [][]byte) {
		require.NoError(t, db.View(func(tx *Tx) error {
			at := tx.Root()
			for i, name := range path {
				at = at.Bucket(name)
				v, err := at.Get(b("key"))
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("level%d", depth-len(path)+i), string(v))
				require.EqualValues(t, depth-len(path)+i, at.Sequence())
			}
			report, err := tx.Check(t.Context())
			require.NoError(t, err)
			require.NoError(t, report.Err())
			require.EqualValues(t, len(path)+1, report.Trees)
			return nil
		}))
	}
	verify(db, path)
	compact := memory(t, nil)
	require.NoError(t, Compact(t.Context(), compact, db))
	verify(compact, path)
	pages := func() (n int64) {
		require.NoError(t, db.View(func(tx *Tx) error { n = tx.Size(); return nil }))
		return n
	}
	before := pages()
	require.NoError(t, db.Update(func(tx *Tx) error {
		if err := tx.MoveBucket(path[:depth/2], [][]byte{b("moved")}); err != nil {
			return err
		}
		return tx.DeleteBucket(path[0])
	}))
	verify(db, append([][]byte{b("moved")}, path[depth/2:]...))
	require.NoError(t, db.Update(func(tx *Tx) error { return tx.DeleteBucket(b("moved")) }))
	require.Less(t, pages(), before/20)
}

// A value much larger than memory's share goes in from a reader and comes out by one; with an error on the way there is
// nothing of it, and its space can be used again.
func TestValueLargerThanMemory(t *testing.T) {
	size := int64(64 << 20)
	switch {
	case effort.Long():
		size = 1 << 30
	case effort.Short():
		size = 24 << 20
	}
	const cache, bound = 4 << 20, 16 << 20
	live := new(liveHeap)
	content := func() stdio.Reader {
		return stdio.TeeReader(stdio.LimitReader(rand.NewChaCha8([32]byte{3}), size), live)
	}
	path := filepath.Join(t.TempDir(), "db")
	db, err := Open(path, &Options{CacheSize: cache})
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	oops := errors.New("oops")
	require.ErrorIs(t, db.Update(func(tx *Tx) error {
		n, err := tx.Root().PutReader(b("value"), content())
		require.NoError(t, err)
		require.Equal(t, size, n)
		return oops
	}), oops)
	require.NoError(t, db.Update(func(tx *Tx) error {
		_, err := tx.Root().PutReader(b("value"), content())
		return err
	}))
	length := db.Stats().FileBytes
	require.LessOrEqual(t, length, size+size/8, "the space of the value that was rolled back is used again")
	require.NoError(t, db.Close())
	db, err = Open(path, &Options{CacheSize: cache})
	require.NoError(t, err)
	require.NoError(t, db.View(func(tx *Tx) error {
		r, err := tx.Root().Reader(b("value"))
		require.NoError(t, err)
		require.Equal(t, size, r.Size())
		sameStream(t, content(), r)
		return nil
	}))
	require.NoError(t, db.Update(func(tx *Tx) error { return tx.Root().Delete(b("value")) }))
	_, err = db.Checkpoint(context.Background(), Truncate)
	require.NoError(t, err)
	t.Logf("a value of %d MiB: live heap at most %.1f MiB, file %d MiB, %d KiB behind it",
		size>>20, float64(live.peak)/(1<<20), length>>20, db.Stats().FileBytes>>10)
	require.Less(t, live.peak, uint64(bound))
	require.LessOrEqual(t, db.Stats().FileBytes, int64(1<<20))
}

// sameStream compares two streams, to the end.
func sameStream(t *testing.T, want, got stdio.Reader) {
	var a, b [256 << 10]byte
	for at := int64(0); ; {
		n, err := stdio.ReadFull(want, a[:])
		m, errGot := stdio.ReadFull(got, b[:])
		require.True(t, bytes.Equal(a[:n], b[:m]), "of the %d bytes behind offset %d", n, at)
		require.Equal(t, err, errGot)
		if at += int64(n); err != nil {
			return
		}
	}
}

// liveHeap looks, for every 16 MiB that are written to it, how much memory is in use when what nobody uses is collected.
type liveHeap struct {
	left int
	peak uint64
}

func (h *liveHeap) Write(p []byte) (int, error) {
	if h.left -= len(p); h.left < 0 {
		h.left = 16 << 20
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.peak = max(h.peak, m.HeapAlloc)
	}
	return len(p), nil
}
