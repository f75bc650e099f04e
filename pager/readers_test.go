package pager

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/pawldb/pawl/types"
)

func registryForTest(seqs ...types.Seq) (*registry, *atomic.Pointer[Snapshot], func(types.Seq) *Snapshot) {
	published := new(atomic.Pointer[Snapshot])
	n := uint64(0)
	publish := func(s types.Seq) *Snapshot {
		n++
		snap := &Snapshot{Seq: s, n: n}
		published.Store(snap)
		return snap
	}
	for _, s := range seqs {
		publish(s)
	}
	return newRegistry(), published, publish
}

func snapshotsForTest(list []*Snapshot) string {
	var words []string
	for _, s := range list {
		words = append(words, fmt.Sprintf("%d.%d", s.Seq, s.n))
	}
	return strings.Join(words, " ")
}

func TestRegistryLive(t *testing.T) {
	r, published, publish := registryForTest(1)
	expect := func(want string) {
		t.Helper()
		if got := snapshotsForTest(r.live(nil, published)); got != want {
			t.Errorf("live %q, want %q", got, want)
		}
	}
	expect("1.1")
	a, snap := r.acquire(published, nil)
	if snap.Seq != 1 {
		t.Errorf("acquired %d", snap.Seq)
	}
	b, _ := r.acquire(published, nil)
	publish(5)
	expect("1.1 5.2")
	c := r.acquireAt(snap)
	r.release(a)
	r.release(b)
	expect("1.1 5.2")
	r.release(c)
	expect("5.2")

	d, _ := r.acquire(published, nil)
	publish(5) // another generation
	publish(3) // fallen back
	expect("3.4 5.2")
	e, low := r.acquire(published, nil)
	if low.Seq != 3 {
		t.Errorf("acquired %d after falling back", low.Seq)
	}
	seen := 0
	d.opened.Store(77)
	r.each(0, func(s *Snapshot, opened int64) {
		seen++
		if (opened == 77) != (s.Seq == 5) {
			t.Errorf("seq %d opened at %d", s.Seq, opened)
		}
	})
	if seen != 2 {
		t.Errorf("%d readers seen", seen)
	}
	r.release(d)
	r.release(e)
	expect("3.4")
	e.seen(78) // by a report that came upon it on its way out
	if f, _ := r.acquire(published, e); f != e || f.opened.Load() != 0 {
		t.Error("a new reader has the old one's time")
	}
}

func TestRegistryFloorTurnsReadersAway(t *testing.T) {
	r, published, publish := registryForTest(1)
	old := published.Load()
	publish(2)
	r.live(nil, published)
	stale := new(atomic.Pointer[Snapshot])
	stale.Store(old)
	// A reader that loaded the pointer before the reclaimer looked finds the floor above it. The pointer that it loads
	// again is the newer one; here that is arranged by a publisher in between.
	done := make(chan *Snapshot)
	go func() {
		_, snap := r.acquire(stale, nil)
		done <- snap
	}()
	stale.Store(published.Load())
	if snap := <-done; snap.Seq != 2 {
		t.Errorf("a reader got seq %d, which is dead", snap.Seq)
	}
}

func TestRegistryGrowsAndReusesSlots(t *testing.T) {
	r, published, publish := registryForTest(1)
	var slots []*readerSlot
	for i := range 200 {
		publish(types.Seq(i + 2))
		slot, _ := r.acquire(published, nil)
		slots = append(slots, slot)
	}
	if got := len(r.live(nil, published)); got != 200 {
		t.Errorf("%d live, want 200", got)
	}
	blocks := func() (n int) {
		for b := r.first; b != nil; b = b.next.Load() {
			n++
		}
		return n
	}
	if blocks() != 4 {
		t.Errorf("%d blocks for 200 readers", blocks())
	}
	for _, i := range []int{150, 3, 70} {
		r.release(slots[i])
		again, _ := r.acquire(published, nil)
		if again != slots[i] {
			t.Errorf("slot %d was not used again", i)
		}
	}
	for _, slot := range slots {
		r.release(slot)
	}
	for range 200 {
		r.acquire(published, nil)
	}
	if blocks() != 4 {
		t.Errorf("%d blocks after reuse", blocks())
	}
	if size := unsafe.Sizeof(readerSlot{}); size != 64 {
		t.Errorf("a slot has %d bytes", size)
	}
}

func TestRegistryReleasesOnce(t *testing.T) {
	r, published, _ := registryForTest(1)
	slot, _ := r.acquire(published, nil)
	r.release(slot)
	defer func() {
		if recover() == nil {
			t.Error("released twice without a panic")
		}
	}()
	r.release(slot)
}

func TestRegistryAllocatesNothing(t *testing.T) {
	r, published, _ := registryForTest(1)
	if n := testing.AllocsPerRun(100, func() {
		slot, _ := r.acquire(published, nil)
		r.release(slot)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Readers, readers that hand their snapshot on to a second slot, a publisher and two reclaimers. Whatever a reclaimer did not
// find live is marked dead; no reader may hold a snapshot that is marked.
func TestRegistryStress(t *testing.T) {
	const commits = 20000
	var dead [commits + 2]atomic.Bool // by publication
	r, published, publish := registryForTest(1)
	var group sync.WaitGroup
	var stop atomic.Bool
	var reads atomic.Int64
	check := func(snap *Snapshot) {
		if dead[snap.n].Load() {
			t.Errorf("reader holds publication %d, which is dead", snap.n)
		}
	}
	reader := func() {
		defer group.Done()
		for n := 0; !stop.Load() || n < 100; n++ {
			slot, snap := r.acquire(published, nil)
			check(snap)
			if n%2 == 0 {
				second := r.acquireAt(snap)
				r.release(slot)
				slot = second
				check(snap)
			}
			check(snap)
			r.release(slot)
			reads.Add(1)
		}
	}
	reclaimer := func() {
		defer group.Done()
		var live []*Snapshot
		below := uint64(1)
		for !stop.Load() {
			before := published.Load().n
			live = r.live(live, published)
			alive := make(map[uint64]bool)
			for _, s := range live {
				alive[s.n] = true
			}
			for n := below; n < before; n++ {
				if !alive[n] {
					dead[n].Store(true)
					if n == below {
						below++
					}
				}
			}
			if live[len(live)-1].n < before {
				t.Errorf("the newest of the live is %d, %d was published", live[len(live)-1].n, before)
			}
		}
	}
	group.Add(5)
	go reader()
	go reader()
	go reader()
	go reclaimer()
	go reclaimer()
	for i := range commits {
		publish(types.Seq(i + 2))
	}
	stop.Store(true)
	group.Wait()
	if reads.Load() < 300 {
		t.Errorf("%d reads", reads.Load())
	}
}

func BenchmarkRegistry(b *testing.B) {
	r, published, _ := registryForTest(1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			slot, _ := r.acquire(published, nil)
			r.release(slot)
		}
	})
}
