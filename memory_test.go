package pawl

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
)

// heapWatch samples the heap every 10 ms until it is stopped, and what is live in it when it is told to look.
type heapWatch struct {
	stop  chan struct{}
	over  sync.WaitGroup
	peak  uint64 // bytes of live and not yet collected objects
	live  uint64 // bytes that the collector has found live
	looks int
}

// look collects and notes what is live, at 1 in so many calls. What a collection finds by itself would not do: it counts what is
// made while it runs, which on a busy machine is any amount. Here the one who makes it waits.
func (h *heapWatch) look(every uint64) {
	if h.looks++; effort.Long() || uint64(h.looks)%every != 0 {
		return
	}
	h.live = max(h.live, liveBytes())
}

// liveBytes collects, and returns what is live.
func liveBytes() uint64 {
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

func watchHeap() *heapWatch {
	runtime.GC()
	h := &heapWatch{stop: make(chan struct{})}
	h.over.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			h.peak = max(h.peak, m.HeapAlloc)
			select {
			case <-tick.C:
			case <-h.stop:
				return
			}
		}
	})
	return h
}

// end stops sampling and returns the peak in bytes: of the whole heap with -long, and else of what is live. How much garbage there
// is beside that depends on how busy the machine is.
func (h *heapWatch) end() uint64 {
	close(h.stop)
	h.over.Wait()
	if effort.Long() {
		return h.peak
	}
	return h.live
}

// scattered returns the key and the value of number i: keys come in an order that looks random, and never twice.
func scattered(i uint64, key, value []byte) {
	x := i * 0x9E3779B97F4A7C15
	x ^= x >> 32
	x *= 0xD6E8FEB86659FD93 // odd, so that this, too, is one to one
	binary.BigEndian.PutUint64(key, x)
	binary.BigEndian.PutUint64(key[8:], i)
	fillValue(key, value)
}

// fillValue makes the value that belongs to a key.
func fillValue(key, value []byte) {
	x := binary.LittleEndian.Uint64(key) | 1
	for at := 0; at+8 <= len(value); at += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(value[at:], x)
	}
}

// TestTransactionLargerThanMemory writes one transaction many times the cache's size, in random key order, and reads it all
// back: memory stays within bounds, and the files within 3 times the data.
func TestTransactionLargerThanMemory(t *testing.T) {
	n, cache := uint64(64<<10), int64(4<<20)
	switch {
	case effort.Long():
		n, cache = 1<<20, 16<<20
	case testing.Short():
		n, cache = 16<<10, 1<<20
	}
	const size = 1024
	bound, scanBound := uint64(cache+48<<20), uint64(cache+32<<20)
	if !effort.Long() {
		bound, scanBound = uint64(cache+5<<20), uint64(cache+5<<20)
	}
	if before := liveBytes(); !effort.Long() { // what other tests have left
		bound, scanBound = bound+before, scanBound+before
	}
	path := filepath.Join(t.TempDir(), "db")
	db, err := Open(path, &Options{CacheSize: cache})
	require.NoError(t, err)
	defer func() { _ = db.Close() }()

	heap, began := watchHeap(), time.Now()
	require.NoError(t, db.Update(func(tx *Tx) error {
		var key [16]byte
		var value [size]byte
		b, err := tx.CreateBucket([]byte("data"))
		require.NoError(t, err)
		for i := range n {
			scattered(i, key[:], value[:])
			if err := b.Put(key[:], value[:]); err != nil {
				return err
			}
			heap.look(n / 32)
		}
		return nil
	}))
	peak, took := heap.end(), time.Since(began)
	files := int64(0)
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		files += info.Size()
	}
	t.Logf("%d MiB in one transaction: %v, heap at most %.1f MiB, files %.2f times the data",
		n*size>>20, took.Round(time.Millisecond), float64(peak)/(1<<20), float64(files)/float64(n*size))
	require.Less(t, peak, bound)
	require.LessOrEqual(t, files, int64(3*n*size))

	scan := func(what string, bound uint64) {
		heap, began := watchHeap(), time.Now()
		seen := uint64(0)
		require.NoError(t, db.View(func(tx *Tx) error {
			var want [size]byte
			for k, v := range tx.Bucket([]byte("data")).All() {
				fillValue(k, want[:])
				if !bytes.Equal(want[:], v) {
					t.Fatalf("key %x has another value", k)
				}
				seen++
				heap.look(n / 32)
			}
			return tx.Err()
		}))
		require.Equal(t, n, seen)
		peak := heap.end()
		t.Logf("scan %s: %v, heap at most %.1f MiB", what, time.Since(began).Round(time.Millisecond), float64(peak)/(1<<20))
		require.Less(t, peak, bound)
	}
	scan("behind the commit", bound)
	heap = watchHeap()
	for op := db.Async().Checkpoint(Complete); ; heap.look(8) {
		res, err := op.Step()
		require.NoError(t, err)
		if res.Pending == nil {
			break
		}
		require.NoError(t, op.Wait(t.Context()))
	}
	peak = heap.end()
	t.Logf("checkpoint: heap at most %.1f MiB", float64(peak)/(1<<20))
	require.Less(t, peak, bound)
	require.NoError(t, db.Close())

	db, err = Open(path, &Options{CacheSize: cache})
	require.NoError(t, err)
	scan("of a database that was just opened", scanBound)
	require.NoError(t, db.View(func(tx *Tx) error {
		report, err := tx.Check(t.Context())
		require.NoError(t, err)
		require.Empty(t, report.Problems)
		return nil
	}))
}
