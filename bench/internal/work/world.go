package work

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
)

// World is what a workload runs in.
type World struct {
	Store      engines.Store
	Open       func() (engines.Store, error) // opens it again
	Files      func() (int64, error)         // bytes of the store's files
	Keys       int                           // numbers 0 to Keys-1
	Duration   time.Duration                 // of workloads without an end of their own
	Limit      time.Duration                 // of those with one, if they have many transactions; 0: none
	Goroutines int                           // in place of a workload's own count; 0: that
	Seed       int                           // the round: keys are drawn anew in each

	size     int             // bytes of a value
	copies   bool            // the store copies what is put
	loose    bool            // goroutines read what others write: what is newer than acknowledged is right too
	fixed    bool            // every key is there and has version 1, and nothing changes that
	floors   []atomic.Uint64 // the least version that a key can have; 0: the key is absent
	commits  atomic.Uint64   // begun; the number of one is the version that it puts
	inFlight []slot          // one a goroutine that writes
	put      atomic.Int64    // bytes of keys and values, and of keys that were deleted
}

// NewWorld returns a world with no key in the store. A fixed world keeps no versions: its store is filled once and
// only read from then on.
func NewWorld(keys int, size int, fixed bool) *World {
	w := &World{Keys: keys, size: size, fixed: fixed}
	if !fixed {
		w.floors = make([]atomic.Uint64, keys)
	}
	return w
}

// Copies says that the store copies what is put.
func (w *World) Copies() { w.copies = true }

// slot is where a goroutine says which commit it may be busy with: none that began before is.
type slot struct {
	since atomic.Uint64 // plus 1; 0: it is at no commit
	_     [56]byte      // on a cache line of its own
}

// writers says how many goroutines write, each any key.
func (w *World) writers(n int) { w.inFlight, w.loose = make([]slot, n), true }

// oldest returns the least version that may be on its way while the commit of version v begins.
func (w *World) oldest(v uint64) uint64 {
	for i := range w.inFlight {
		if since := w.inFlight[i].since.Load(); since > 0 {
			v = min(v, since)
		}
	}
	return v
}

// acknowledged notes that a key was put. While several goroutines write one key, the last to be acknowledged need not be
// the last in the store: but none is older than the oldest that was on its way when the newest began.
func (w *World) acknowledged(i int, oldest uint64) {
	for {
		old := w.floors[i].Load()
		if old >= oldest || w.floors[i].CompareAndSwap(old, oldest) {
			return
		}
	}
}

// floor returns the least version that key i can have from now on; 0: it is absent.
func (w *World) floor(i int) uint64 {
	if w.fixed {
		return 1
	}
	return w.floors[i].Load()
}

// check verifies a value of key i; floor is what it was before the read began.
func (w *World) check(i int, key, value []byte, floor uint64) error {
	version, err := checkValue(key, value, w.size)
	if err == nil && (version < floor || version > w.newest() || !w.loose && version != floor) {
		err = fmt.Errorf("key %x, number %d, has version %d, acknowledged was %d", key, i, version, floor)
	}
	return err
}

// TakeOver says that the store holds all keys as Fill has put them in a fixed world.
func (w *World) TakeOver() {
	for i := range w.floors {
		w.floors[i].Store(1)
	}
	w.commits.Store(1)
}

// newest returns the highest version that there can be.
func (w *World) newest() uint64 {
	if w.fixed {
		return 1
	}
	return w.commits.Load()
}

// Floors returns what each key was last set to; 0: it is absent.
func (w *World) Floors() []uint64 {
	all := make([]uint64, w.Keys)
	for i := range all {
		all[i] = w.floor(i)
	}
	return all
}

// SetFloors takes over what another process has told by Floors.
func (w *World) SetFloors(all []uint64) {
	for i, floor := range all {
		w.floors[i].Store(floor)
		w.commits.Store(max(w.commits.Load(), floor))
	}
}

// Logical returns the bytes of keys and values that were put, and of keys that were deleted, so far.
func (w *World) Logical() int64 { return w.put.Load() }

// batchSize is the keys of one transaction where there are many.
const batchSize = 1000

// Fill puts all keys that are absent, ascending.
func (w *World) Fill() error {
	n := max(min(batchSize, batchSize*ValueSize/w.size), 1)
	b, order := w.newBatch(n), sortedOrder(w.Keys)
	for len(order) > 0 {
		part := order[:min(n, len(order))]
		if err := b.commit(part); err != nil {
			return fmt.Errorf("filling: %w", err)
		}
		order = order[len(part):]
	}
	return nil
}

// verifiedGets is how many keys Verify asks for one by one.
const verifiedGets = 10_000

// Verify reads every pair by a scan and compares it with what was acknowledged, looks for keys that were not, and gets
// some keys one by one.
func (w *World) Verify() error {
	return w.Store.View(func(tx engines.Reader) error {
		return errors.Join(w.verifyScan(tx), w.verifyGets(tx))
	})
}

func (w *World) verifyScan(tx engines.Reader) error {
	present, count := 0, 0
	for i := range w.Keys {
		if w.floor(i) > 0 {
			present++
		}
	}
	err := tx.Scan(func(key, value []byte) error {
		i, ok := numberOf(key, w.Keys)
		if !ok || w.floor(i) == 0 {
			return fmt.Errorf("key %x should not be there", key)
		}
		count++
		return w.check(i, key, value, w.floor(i))
	})
	if err == nil && count != present {
		err = fmt.Errorf("a scan finds %d keys, there are %d", count, present)
	}
	return err
}

func (w *World) verifyGets(tx engines.Reader) error {
	key := make([]byte, KeySize)
	for i := 0; i < w.Keys; i += (w.Keys + verifiedGets - 1) / verifiedGets {
		FillKey(key, i)
		value, err := tx.Get(key)
		floor := w.floor(i)
		if errors.Is(err, engines.ErrAbsent) && floor == 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("key %x: %w", key, err)
		}
		if floor == 0 {
			return fmt.Errorf("key %x should not be there", key)
		}
		if err := w.check(i, key, value, floor); err != nil {
			return err
		}
	}
	return nil
}
