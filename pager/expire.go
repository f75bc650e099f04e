package pager

import (
	"fmt"

	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// A reader of an older generation keeps blocks and log from being used again. Config.MaxHeldBytes ends readers that keep too
// much. Readers of one generation hold the same things, so they are judged, and ended, together: what counts is what
// would be free without them.
//
//	                        judge             no read is under way
//	slot: its snapshot --------------> expired copy --------------> gone --Close--> free
//	      the reader reads             what it held is held         nothing is held
//	                                   \----------- next operation: ErrSnapshotExpired -----------/
//
// A reader finds out by looking into its slot, at each operation. One that goes beyond memory counts itself into the slot's
// reads first and then looks: either it sees that it has expired, or who ends it sees the count and leaves the
// registration to the last of them, which has its I/O retired by then. So no block or segment is used again under a
// read, and what a reader returns is right or an error.

// gone stands in the slot of a reader that was ended and holds nothing any more.
var gone = &Snapshot{expired: true}

// Err returns an error that matches types.ErrSnapshotExpired once the reader was ended for what it held, and nil before. It
// stays to be closed.
func (r *Reader) Err() error {
	if r.slot.snapshot.Load() == r.snap {
		return nil
	}
	return expiredError(r.snap)
}

func expiredError(s *Snapshot) error {
	return fmt.Errorf("%w: its reader of commit %d held more than the limit", types.ErrSnapshotExpired, s.Seq)
}

// hold keeps what the reader of snap holds until unhold, and reports whether it still holds it. I/O through a snapshot is
// submitted, and joined, under a hold only, which ends when that is retired.
func (p *Pager) hold(slot *readerSlot, snap *Snapshot) bool {
	slot.reads.Add(1)
	if slot.snapshot.Load() == snap {
		return true
	}
	p.unhold(slot)
	return false
}

// unhold ends a hold. The last one of a reader that has expired gives up what that held. No lock is held.
func (p *Pager) unhold(slot *readerSlot) {
	if slot.reads.Add(-1) == 0 && slot.letGo() {
		p.reap()
	}
}

// letGo ends the registration of an expired reader that has no read under way. It reports whether it was this call.
func (s *readerSlot) letGo() bool {
	snap := s.snapshot.Load()
	return snap != nil && snap != gone && snap.expired && s.reads.Load() == 0 && s.snapshot.CompareAndSwap(snap, gone)
}

// expire ends the readers of a generation that may be ended. It reports whether one of them holds nothing any more; the
// others have reads under way.
func (r *registry) expire(gen *generation) bool {
	r.mu.Lock() // no slot is taken for an operation of the pager's own meanwhile
	defer r.mu.Unlock()
	ended := false
	for b := r.first; b != nil; b = b.next.Load() {
		for i := range b.slots {
			slot := &b.slots[i]
			snap := slot.snapshot.Load()
			if snap == nil || snap.gen != gen || !slot.expires.Load() {
				continue
			}
			if !snap.expired {
				// The slot may have gone to another reader of the same snapshot, never to another one's.
				last := *snap
				last.expired = true
				if !slot.snapshot.CompareAndSwap(snap, &last) {
					continue
				}
			}
			if slot.letGo() {
				ended = true
			}
		}
	}
	return ended
}

// expireOver ends readers that keep more than MaxHeldBytes from being used again, those of one generation. It reports whether
// something has come free by that: the caller, who holds p.mu, reaps again.
func (p *Pager) expireOver() bool {
	limit := p.cfg.MaxHeldBytes
	if limit <= 0 || len(p.live) < 2 {
		return false
	}
	p.snapshots = p.readers.live(p.snapshots, &p.published)
	defer func() { clear(p.snapshots) }()
	for _, gen := range p.live {
		if gen == p.gen {
			continue
		}
		if blocks, log := p.heldAlone(gen); p.bytes(blocks)+log > limit && p.readers.expire(gen) {
			return true
		}
	}
	return false
}

// bytes returns the bytes of a number of blocks.
func (p *Pager) bytes(blocks uint64) int64 { return int64(blocks) * int64(p.pageSize) }

// heldAlone returns how many blocks, and bytes of the log, would be free if nobody read through gen, which is not the newest
// generation. The caller holds p.mu and has filled p.snapshots.
func (p *Pager) heldAlone(gen *generation) (blocks uint64, log int64) {
	blocks = p.space.heldBy(gen.number)
	for _, y := range p.log.Layers() {
		if y >= gen.number && y < p.gen.number && p.layerNeededBy(gen, y) {
			blocks += p.space.takenBeside(gen.number, p.log.References(y))
		}
	}
	var mine, others []wal.Window
	for _, s := range p.snapshots {
		if w := (wal.Window{After: s.gen.covered, Through: s.Seq}); s.gen == gen {
			mine = append(mine, w)
		} else {
			others = append(others, w)
		}
	}
	return blocks, p.log.HeldBy(mine, others, p.gen.covered, p.meta.Log)
}

// layerNeededBy reports whether snapshots of gen, and no others, may look into the log's layer behind generation y.
func (p *Pager) layerNeededBy(gen *generation, y types.Generation) bool {
	needed := false
	for _, s := range p.snapshots {
		if s.gen.number <= y && s.Seq > p.covered[y] {
			if s.gen != gen {
				return false
			}
			needed = true
		}
	}
	return needed
}

// takenBeside returns how many blocks of runs, all of which are taken, are in no live generation but gen.
func (s *space) takenBeside(gen types.Generation, runs []types.Run) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := uint64(0)
	for _, run := range runs {
		for b := run.First; b < run.End(); b++ {
			kept := false
			for i := range s.live {
				kept = kept || s.live[i].number != gen && s.live[i].used.has(b)
			}
			if !kept {
				n++
			}
		}
	}
	return n
}
