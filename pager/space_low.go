package pager

import (
	"math/bits"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// spaceShape says how the blocks lie that a file must have. Homes and meta blocks, which come with the length, do not count.
// Nor do blocks that only a generation between the newest and the held ones has: its readers will soon be gone.
type spaceShape struct {
	blocks   types.Block // length of the file
	live     uint64      // blocks in the newest generation, or stuck
	reserved uint64
	stuck    types.Block // end of the last block that is taken, or in a held generation: no move makes it free
	last     types.Block // end of the last live block; the shortest file's length if there is none
}

// shape looks at every block once. held tells which of the live generations below the newest are held by readers who
// are not expected to leave.
func (s *space) shape(held func(types.Generation) bool) spaceShape {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := spaceShape{blocks: s.length, reserved: s.reserved, last: s.geometry.shortest()}
	newest := s.live[len(s.live)-1].used
	var pinning []*blockSet
	for _, l := range s.live[:len(s.live)-1] {
		if held(l.number) {
			pinning = append(pinning, l.used)
		}
	}
	for i := range s.groups {
		g := &s.groups[i]
		for w := range g.busy {
			stuck := uint64(0)
			if g.taken != nil {
				stuck = g.taken[w]
			}
			for _, used := range pinning {
				stuck |= used.word(i, w)
			}
			live := stuck | newest.word(i, w)
			if w == 0 {
				fixed := s.geometry.fixedMask(uint64(i))
				stuck, live = stuck&^fixed, live&^fixed
			}
			first := types.Block(i)*s.geometry.chunk + types.Block(w)*64
			if stuck != 0 {
				sh.stuck = first + types.Block(bits.Len64(stuck))
			}
			if live != 0 {
				sh.live += uint64(bits.OnesCount64(live))
				sh.last = first + types.Block(bits.Len64(live))
			}
		}
	}
	return sh
}

// word returns 64 blocks of a chunk, none of them in the set behind its end.
func (s *blockSet) word(chunk, word int) uint64 {
	if chunk >= len(s.chunks) {
		return 0
	}
	return s.chunks[chunk].words[word]
}

// takeReservedLow takes 1 to want blocks out of the reservation: the lowest free block, and those that follow it. It is
// false only when nothing is reserved.
func (s *space) takeReservedLow(want uint32) (types.Run, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if want == 0 || s.reserved == 0 {
		return types.Run{}, false
	}
	run, ok := s.search(1, 0)
	if !ok {
		panic(invariant.Failf("pager: %d blocks are reserved, %d free, and none is found", s.reserved, s.free))
	}
	g, from, _ := s.locate(run)
	to := min(from+int(min(uint64(want), s.reserved)), len(g.busy)*64)
	run.Count = uint32(nextSet(g.busy, from, to) - from)
	s.mark(run)
	s.reserved -= uint64(run.Count)
	return run, true
}
