package pager

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// Snapshot is the state that a reader sees: all commits up to Seq, read through a generation. It is immutable and published
// as one pointer.
type Snapshot struct {
	Seq     types.Seq
	Globals Globals // as of Seq
	gen     *generation
	n       uint64 // publication number; grows, also where Seq falls back after a failure of the log
	expired bool   // stands in a slot for a snapshot whose reader holds too much: see expire.go
}

// registry knows the snapshots that someone reads. Readers register and leave without a lock; reclaimers find out what
// nobody can come to read any more. The order of the steps makes it safe:
//
//	reader     load published -> store it in a slot -> load the floor: above the snapshot's number? again, with a newer one
//	reclaimer  raise the floor to the number of published -> scan the slots -> act
//
// Either the reader sees the raised floor, or its slot was stored before the scan. What is newer than the published
// snapshot that a reclaimer loaded is not for it to judge.
type registry struct {
	floor atomic.Uint64 // no reader starts on a snapshot with a lower number
	hint  atomic.Pointer[readerBlock]
	first *readerBlock

	// mu orders scans and acquireAt: what a holder hands on to a second slot must be seen in one of the two.
	mu sync.Mutex
}

// readerBlock is some of the slots; blocks are never taken away.
type readerBlock struct {
	slots [64]readerSlot
	high  atomic.Int32 // slots that were ever taken, from the front: the others need not be looked at
	index int
	next  atomic.Pointer[readerBlock]
}

// readerSlot is one registered reader. It fills a cache line, so that readers do not slow each other down.
type readerSlot struct {
	snapshot atomic.Pointer[Snapshot] // nil: free
	opened   atomic.Int64             // the IO's clock when the reader started, or was first seen; 0: it was not yet
	block    *readerBlock
	reads    atomic.Int32 // operations that may have I/O under way through the snapshot
	expires  atomic.Bool  // the reader may be ended for what it holds; set by its owner
	_        [64 - 32]byte
}

// newRegistry returns a registry without readers.
func newRegistry() *registry {
	r := &registry{first: newReaderBlock(0)}
	r.hint.Store(r.first)
	return r
}

func newReaderBlock(index int) *readerBlock {
	b := &readerBlock{index: index}
	for i := range b.slots {
		b.slots[i].block = b
	}
	return b
}

// acquire registers a reader of the newest published snapshot, in the slot near if that is free. The slot is given back with
// release, once.
func (r *registry) acquire(published *atomic.Pointer[Snapshot], near *readerSlot) (*readerSlot, *Snapshot) {
	snap := published.Load()
	slot := near
	if slot == nil || !slot.claim(snap) {
		slot = r.claim(snap)
	}
	for r.floor.Load() > snap.n {
		snap = published.Load() // its number is at least the floor that was just seen
		slot.snapshot.Store(snap)
	}
	return slot, snap
}

// acquireAt registers one more reader of snap, for a caller that already holds a slot with it, and goes on holding it
// until acquireAt has returned.
func (r *registry) acquireAt(snap *Snapshot) *readerSlot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.claim(snap)
}

// claim puts snap into a free slot, near the front.
func (r *registry) claim(snap *Snapshot) *readerSlot {
	start := r.hint.Load()
	for b := start; b != nil; b = b.next.Load() {
		if slot := b.claim(snap); slot != nil {
			if b != start {
				r.hint.Store(b)
			}
			return slot
		}
	}
	last := r.first // the hint may have moved past blocks with free slots
	for {
		if slot := last.claim(snap); slot != nil {
			r.hint.Store(last)
			return slot
		}
		next := last.next.Load()
		if next == nil {
			last.next.CompareAndSwap(nil, newReaderBlock(last.index+1))
			next = last.next.Load()
		}
		last = next
	}
}

// claim puts snap into the first free slot of b, or returns nil.
func (b *readerBlock) claim(snap *Snapshot) *readerSlot {
	for i := range b.slots {
		slot := &b.slots[i]
		if slot.snapshot.Load() != nil {
			continue
		}
		for high := b.high.Load(); int(high) <= i; high = b.high.Load() {
			b.high.CompareAndSwap(high, int32(i)+1) // before the slot is taken: whoever does not see it sees no snapshot
		}
		if slot.claim(snap) {
			return slot
		}
	}
	return nil
}

// claim puts snap into the slot if that is free. Whoever had it may have been seen on its way out: that time goes here, not at the
// release, behind which it could still be noted.
func (s *readerSlot) claim(snap *Snapshot) bool {
	if s.snapshot.Load() != nil || !s.snapshot.CompareAndSwap(nil, snap) {
		return false
	}
	if s.opened.Load() != 0 {
		s.opened.Store(0)
	}
	return true
}

// release gives a slot back. A slot is released once.
func (r *registry) release(slot *readerSlot) {
	b := slot.block // a neighbour's fields are not touched once the slot is free
	if slot.expires.Load() {
		slot.expires.Store(false)
	}
	if slot.snapshot.Swap(nil) == nil {
		panic(invariant.Failf("pager: reader released twice"))
	}
	if b.index < r.hint.Load().index {
		r.hint.Store(b)
	}
}

// live puts into dst[:0] the snapshots that are read or can come to be read, ascending by Seq: the published one and
// those in slots, each once. Of snapshots with a lower number than the published one, what is not among them is dead.
func (r *registry) live(dst []*Snapshot, published *atomic.Pointer[Snapshot]) []*Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	newest := published.Load()
	if r.floor.Load() < newest.n {
		r.floor.Store(newest.n)
	}
	dst = append(dst[:0], newest)
	for b := r.first; b != nil; b = b.next.Load() {
		for i := range b.high.Load() {
			if snap := b.slots[i].snapshot.Load(); snap != nil && snap != gone {
				dst = append(dst, snap)
			}
		}
	}
	slices.SortFunc(dst, func(a, b *Snapshot) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.n, b.n))
	})
	return slices.Compact(dst)
}

// each calls visit for every registered reader: its snapshot, and when it started, or was first seen, by the IO's clock, which
// says now; 0, if now is. Readers that come or go meanwhile may be missed. A holder with two slots is two readers.
func (r *registry) each(now int64, visit func(snap *Snapshot, opened int64)) {
	for b := r.first; b != nil; b = b.next.Load() {
		for i := range b.high.Load() {
			slot := &b.slots[i]
			if snap := slot.snapshot.Load(); snap != nil && snap != gone {
				visit(snap, slot.seen(now))
			}
		}
	}
}

// see notes the time for readers that were not seen yet. Looking at the clock is a good part of what a short read costs, so they
// don't do it themselves.
func (r *registry) see(now int64) {
	for b := r.first; b != nil; b = b.next.Load() {
		for i := range b.high.Load() {
			if slot := &b.slots[i]; slot.snapshot.Load() != nil {
				slot.seen(now)
			}
		}
	}
}

// seen returns when the slot's reader was first seen, which is now at the latest. One that comes meanwhile may get the time of the one
// before, which has hardly gone.
func (s *readerSlot) seen(now int64) int64 {
	if opened := s.opened.Load(); opened != 0 || now == 0 {
		return opened
	}
	s.opened.CompareAndSwap(0, now)
	return now
}
