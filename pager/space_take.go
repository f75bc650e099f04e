package pager

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// reserveWindow is how many bits takeReserved looks at, behind the first free block, for a run of the full length.
const reserveWindow = 4096

// take takes one run of exactly want blocks, if there is one and so many are not reserved. The search starts at near,
// or, if that is 0, where the last one ended, and goes round.
func (s *space) take(want uint32, near types.Block) (types.Run, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if want == 0 || s.free-s.reserved < uint64(want) {
		return types.Run{}, false
	}
	from := near
	if from == 0 || from >= s.length {
		from = s.cursor
	}
	run, ok := s.search(want, from)
	if !ok {
		return types.Run{}, false
	}
	s.mark(run)
	if near == 0 {
		s.cursor = run.End()
	}
	return run, true
}

// takeSparing is take for what a transaction writes ahead of its commit: it leaves the spare alone, which is for transactions that
// give space back.
func (s *space) takeSparing(want uint32) (types.Run, bool) {
	if free, reserved := s.available(); free-reserved < uint64(want)+spareBlocks {
		return types.Run{}, false
	}
	return s.take(want, 0)
}

// takeBelow takes the lowest run of want blocks that ends at or before limit, if there is one and so many are not reserved.
func (s *space) takeBelow(limit types.Block, want uint32) (types.Run, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if want == 0 || s.free-s.reserved < uint64(want) {
		return types.Run{}, false
	}
	per := s.geometry.chunk
	for i := 0; i < len(s.groups) && types.Block(i)*per < limit; i++ {
		to := int(min(limit-types.Block(i)*per, per))
		if run, ok := s.searchGroup(i, int(want), 0, to); ok {
			s.mark(run)
			return run, true
		}
	}
	return types.Run{}, false
}

// takeReserved takes 1 to want blocks out of the reservation: a run that is as long as a short search finds. It is false
// only when nothing is reserved.
func (s *space) takeReserved(want uint32) (types.Run, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if want == 0 || s.reserved == 0 {
		return types.Run{}, false
	}
	want = uint32(min(uint64(want), s.reserved))
	first, ok := s.search(1, s.cursor)
	if !ok {
		panic(invariant.Failf("pager: %d blocks are reserved, %d free, and none is found", s.reserved, s.free))
	}
	run := s.widest(first, int(want))
	s.mark(run)
	s.cursor = run.End()
	s.reserved -= uint64(run.Count)
	return run, true
}

// takeExact takes this very run, if all of it is free and so many blocks are not reserved. run may be nonsense.
func (s *space) takeExact(run types.Run) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, from, to := s.locate(run)
	if g == nil || s.free-s.reserved < uint64(run.Count) || nextSet(g.busy, from, to) != to {
		return false
	}
	s.mark(run)
	return true
}

// mark takes the free blocks of a run.
func (s *space) mark(run types.Run) {
	g, from, to := s.locate(run)
	if g.taken == nil {
		g.taken = make([]uint64, len(g.busy))
	}
	fillBits(g.busy, from, to)
	fillBits(g.taken, from, to)
	g.free -= to - from
	s.free -= uint64(to - from)
}

// search finds a run of want free blocks at or behind from, or else anywhere.
func (s *space) search(want uint32, from types.Block) (types.Run, bool) {
	per := s.geometry.chunk
	start := 0
	if from < s.length {
		start = int(from / per)
		if run, ok := s.searchGroup(start, int(want), int(from%per), int(per)); ok {
			return run, true
		}
		start++
	}
	for i := start; i < len(s.groups); i++ {
		if run, ok := s.searchGroup(i, int(want), 0, int(per)); ok {
			return run, true
		}
	}
	for i := 0; i < start; i++ {
		if run, ok := s.searchGroup(i, int(want), 0, int(per)); ok {
			return run, true
		}
	}
	return types.Run{}, false
}

// searchGroup finds the first run of want free blocks in bits [from, to) of a group.
func (s *space) searchGroup(i, want, from, to int) (types.Run, bool) {
	g := &s.groups[i]
	if g.free < want || g.longest < want {
		return types.Run{}, false
	}
	longest := 0
	for at := nextClear(g.busy, from, to); at < to; {
		end := nextSet(g.busy, at, min(at+want, to))
		if end-at == want {
			return types.Run{First: types.Block(i)*s.geometry.chunk + types.Block(at), Count: uint32(want)}, true
		}
		longest = max(longest, end-at)
		at = nextClear(g.busy, end, to)
	}
	if from == 0 && to == len(g.busy)*64 {
		g.longest = longest
	}
	return types.Run{}, false
}

// widest returns the longest run of up to want free blocks among those that start near first, in its group.
func (s *space) widest(first types.Run, want int) types.Run {
	g, start, _ := s.locate(first)
	size := len(g.busy) * 64
	best := first
	for at := start; at < min(start+reserveWindow, size); {
		end := nextSet(g.busy, at, min(at+want, size))
		if n := uint32(end - at); n > best.Count || at == start {
			best = types.Run{First: first.First + types.Block(at-start), Count: n}
		}
		if int(best.Count) == want {
			break
		}
		at = nextClear(g.busy, end, size)
	}
	return best
}
