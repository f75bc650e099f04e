package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Workload is work that is measured.
type Workload struct {
	Name    string // as -workloads has it
	Unit    string // what is counted, in the plural
	What    string // one line for the table's legend
	Latency string // what p50 and p99 are of
	Fill    bool   // the store holds all keys before the measurement
	Durable bool   // it waits for the disk, so the raw figure says something
	Run     func(*world) (Result, error)
}

// workloads are all there are, in the order of the table.
var workloads = []Workload{
	commitOne, commitMany, batchSorted, batchRandom, overwriteRandom, overwriteSorted, load, getEach, getInOne, scan,
}

// batchSize is the keys of one transaction where there are many.
const batchSize = 1000

// world is what a workload runs in.
type world struct {
	store    Store
	keys     int           // numbers 0 to keys-1
	duration time.Duration // of workloads without an end of their own
	versions []uint64      // the last acknowledged of each key; 0: the key is absent
	commits  atomic.Uint64 // begun; the number of one is the version that it puts
}

// newWorld returns a world with no key in the store.
func newWorld(store Store, keys int, duration time.Duration) *world {
	return &world{store: store, keys: keys, duration: duration, versions: make([]uint64, keys)}
}

// batch is what a write transaction puts. Stores may keep keys and values until the transaction ends, so each has a
// place of its own; the places are used again by the next transaction.
type batch struct {
	w    *world
	keys []byte
	vals []byte
}

// newBatch returns a batch for up to n keys a transaction.
func (w *world) newBatch(n int) *batch {
	return &batch{w: w, keys: make([]byte, n*keySize), vals: make([]byte, n*valueSize)}
}

// commit puts a new version of each of the keys in one transaction, in the order given. A number may come twice.
func (b *batch) commit(numbers []int) error {
	version := b.w.commits.Add(1)
	err := b.w.store.Update(func(tx Writer) error {
		for at, i := range numbers {
			key := b.keys[at*keySize : (at+1)*keySize]
			value := b.vals[at*valueSize : (at+1)*valueSize]
			fillKey(key, i)
			fillValue(value, key, version)
			if err := tx.Put(key, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, i := range numbers {
		b.w.versions[i] = version
	}
	return nil
}

// fill puts all keys that are absent, ascending.
func (w *world) fill() error {
	b, order := w.newBatch(batchSize), sortedOrder(w.keys)
	for len(order) > 0 {
		n := min(batchSize, len(order))
		if err := b.commit(order[:n]); err != nil {
			return fmt.Errorf("filling: %w", err)
		}
		order = order[n:]
	}
	return nil
}

// verify reads every key and compares it with what was acknowledged, and looks for keys that were not.
func (w *world) verify() error {
	return w.store.View(func(tx Reader) error {
		present := 0
		key := make([]byte, keySize)
		for i, want := range w.versions {
			fillKey(key, i)
			value, err := tx.Get(key)
			if errors.Is(err, errAbsent) && want == 0 {
				continue
			}
			if err != nil {
				return fmt.Errorf("key %x: %w", key, err)
			}
			present++
			if got, err := checkValue(key, value); err != nil || got != want {
				return errors.Join(err, fmt.Errorf("key %x has version %d, acknowledged was %d", key, got, want))
			}
		}
		count := 0
		err := tx.Scan(func(_, _ []byte) error { count++; return nil })
		if err == nil && count != present {
			err = fmt.Errorf("a scan finds %d keys, there are %d", count, present)
		}
		return err
	})
}

// inParallel runs fn on n goroutines and measures from the start of the first to the end of the last.
func inParallel(n int, fn func(g int, r *recorder) error) (Result, error) {
	all, errs := make([]recorder, n), make([]error, n)
	var wg sync.WaitGroup
	began := time.Now()
	for g := range n {
		wg.Go(func() { errs[g] = fn(g, &all[g]) })
	}
	wg.Wait()
	return summarize(all, time.Since(began)), errors.Join(errs...)
}
