package pager

import (
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// A read that was given up may go on until it is retired. Whoever had it read a snapshot, or a transaction's own blocks, and
// can be gone before that. Blocks under such a late read stay on their way to free until it is over, so that nobody writes
// there meanwhile.
//
//	in use --release, drop--> leaving --no late read--------> free
//	                             |                              ^
//	                             +--late read--> waiting --over-+

// lateRead notes that a read of run was given up and is not retired. run is in use.
func (s *space) lateRead(run types.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, run)
}

// lateReadOver notes that a read of run, of which lateRead was told, is retired.
func (s *space) lateReadOver(run types.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.late, run)
	if i < 0 {
		panic(invariant.Failf("pager: no late read of blocks %d+%d is known", run.First, run.Count))
	}
	s.late = slices.Delete(s.late, i, i+1)
	waiting := s.waiting
	s.waiting = nil
	for _, run := range waiting {
		s.freeOrWait(run)
	}
}

// freeOrWait makes blocks that leave free, but for those under a late read. The caller holds the lock.
func (s *space) freeOrWait(run types.Run) {
	for _, l := range s.late {
		first, end := max(l.First, run.First), min(l.End(), run.End())
		if first >= end {
			continue
		}
		s.waiting = append(s.waiting, types.Run{First: first, Count: uint32(end - first)})
		if run.First < first {
			s.freeOrWait(types.Run{First: run.First, Count: uint32(first - run.First)})
		}
		if end < run.End() {
			s.freeOrWait(types.Run{First: end, Count: uint32(run.End() - end)})
		}
		return
	}
	g, from, to := s.locate(run)
	wipeBits(g.busy, from, to)
	s.freed(g, to-from)
	s.leaving -= uint64(run.Count)
}
