package pager

import (
	"math/bits"
	"slices"
	"sync"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// space says who may write which block. A block is free if nobody has taken it and no live generation has it.
//
//	      take, takeBelow, takeReserved, takeExact
//	free ------------------------------------------> taken
//	 ^  ^                                              |  |
//	 |  +-----------release, no live one has it--------+  | a new generation has it: adopt
//	 |                                                    v
//	 |                                          taken and in a generation
//	 |                                                    | release
//	 |   drop of the last generation that has it          v
//	 +--------------------------------------------- in a generation
//
// Who takes a block may write it, and gives it up only when all I/O on it is retired and no reference in the log that
// recovery or a reader would use names it. Homes and meta blocks are never free, nor taken.
//
// A reservation promises blocks without saying which: free never falls below reserved. Only takeReserved uses it up.
//
// The methods may be called from any goroutine and never wait.
type space struct {
	geometry bitmapGeometry

	// onFree is told of blocks that are about to be free, before anyone can take them, with no lock held: what is
	// cached under their numbers must go. Set before the first use; may be nil.
	onFree func(types.Run)

	mu       sync.Mutex
	length   types.Block // of the file
	live     []spaceGeneration
	groups   []spaceGroup
	free     uint64
	reserved uint64
	leaving  uint64      // blocks on their way to free: onFree is being told, or they are waiting
	late     []types.Run // under reads that were given up and are not retired
	waiting  []types.Run // blocks that only such a read keeps from being free
	cursor   types.Block
	others   [][]uint64 // scratch of exclusive
}

// spaceGeneration is a generation that readers, or crashes, may come back to.
type spaceGeneration struct {
	number types.Generation
	used   *blockSet
}

// spaceGroup is the blocks that one bitmap describes.
type spaceGroup struct {
	busy    []uint64 // taken, in a live generation, leaving, a home, or behind the end of the file
	taken   []uint64 // nil until the first is taken
	free    int      // clear bits of busy
	longest int      // no run of clear bits is longer
}

// newSpace returns the space of a file whose one live generation is gen.
func newSpace(pageSize int, gen types.Generation, used *blockSet) *space {
	s := &space{geometry: geometryOf(pageSize), live: []spaceGeneration{{gen, used}}}
	s.extend(used.blocks())
	for i, c := range used.chunks {
		g := &s.groups[i]
		for w, word := range c.words {
			g.busy[w] |= word
		}
		free := len(g.busy)*64 - onesIn(g.busy)
		s.free -= uint64(g.free - free)
		g.free, g.longest = free, free
	}
	s.mustHold()
	return s
}

// extend makes the file longer; the new blocks are free but for homes.
func (s *space) extend(blocks types.Block) {
	if !s.geometry.isLength(blocks) || blocks < s.length {
		panic(invariant.Failf("pager: file of %d blocks grown to %d", s.length, blocks))
	}
	per := s.geometry.chunk
	for s.length < blocks {
		i := int(s.length / per)
		from, to := int(s.length%per), int(min(blocks-types.Block(i)*per, per))
		if i == len(s.groups) {
			s.groups = append(s.groups, spaceGroup{busy: make([]uint64, per/64)})
			fillBits(s.groups[i].busy, 0, int(per))
			from = s.geometry.fixed(uint64(i))
		}
		wipeBits(s.groups[i].busy, from, to)
		s.freed(&s.groups[i], to-from)
		s.length = types.Block(i)*per + types.Block(to)
	}
}

// freed counts blocks of g that have become free.
func (s *space) freed(g *spaceGroup, n int) {
	g.free += n
	g.longest = g.free
	s.free += uint64(n)
}

// reserve promises n blocks to the caller, if there are so many.
func (s *space) reserve(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free-s.reserved < n {
		return false
	}
	s.reserved += n
	return true
}

// unreserve gives back n blocks of what was reserved.
func (s *space) unreserve(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.reserved {
		panic(invariant.Failf("pager: %d blocks unreserved of %d", n, s.reserved))
	}
	s.reserved -= n
}

// available returns how many blocks are free, the reserved ones included, and how many are reserved.
func (s *space) available() (free, reserved uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free, s.reserved
}

// blocks returns the length of the file.
func (s *space) blocks() types.Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.length
}

// release gives up blocks that were taken. Those that no live generation has are free from here.
func (s *space) release(run types.Run) {
	var few [4]types.Run // no allocation where no more pieces are freed
	runs := s.untake(few[:0], run)
	if s.onFree == nil {
		return // freed at once
	}
	s.settle(runs)
}

// untake takes the taken mark off run and returns the pieces that are to be free, or frees them if nobody is to be told.
func (s *space) untake(runs []types.Run, run types.Run) []types.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, from, to := s.locate(run)
	if g == nil || g.taken == nil || countBits(g.taken, from, to) != to-from {
		panic(invariant.Failf("pager: release of blocks %d+%d, which are not all taken", run.First, run.Count))
	}
	wipeBits(g.taken, from, to)
	group := int(run.First / s.geometry.chunk)
	for w := from / 64; w*64 < to; w++ {
		gone := rangeMask(w, from, to)
		for i := range s.live {
			if chunks := s.live[i].used.chunks; group < len(chunks) {
				gone &^= chunks[group].words[w]
			}
		}
		runs = s.leave(runs, group, w, gone)
	}
	return runs
}

// leave sends the blocks of a word on their way to free: they are added to runs, or free at once if nobody is to be told.
func (s *space) leave(runs []types.Run, group, word int, gone uint64) []types.Run {
	if gone == 0 {
		return runs
	}
	if s.onFree == nil {
		g := &s.groups[group]
		g.busy[word] &^= gone
		s.freed(g, bits.OnesCount64(gone))
		return runs
	}
	one := [1]uint64{gone}
	base := types.Block(group)*s.geometry.chunk + types.Block(word)*64
	for at := nextSet(one[:], 0, 64); at < 64; {
		end := nextClear(one[:], at, 64)
		s.leaving += uint64(end - at)
		run := types.Run{First: base + types.Block(at), Count: uint32(end - at)}
		if n := len(runs); n > 0 && runs[n-1].End() == run.First {
			runs[n-1].Count += run.Count
		} else {
			runs = append(runs, run)
		}
		at = nextSet(one[:], end, 64)
	}
	return runs
}

// settle tells onFree of blocks that leave, and then makes them free, once no late read is under way there.
func (s *space) settle(runs []types.Run) {
	for _, run := range runs {
		s.onFree(run)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, run := range runs {
		s.freeOrWait(run)
	}
}

// locate returns the group of a run and its bits there, or nil if the run is not inside one group of the file.
func (s *space) locate(run types.Run) (g *spaceGroup, from, to int) {
	per := s.geometry.chunk
	if run.Count == 0 || run.First >= s.length || types.Block(run.Count) > s.length-run.First {
		return nil, 0, 0
	}
	group := run.First / per
	if (run.End()-1)/per != group {
		return nil, 0, 0
	}
	from = int(run.First % per)
	return &s.groups[group], from, from + int(run.Count)
}

// adopt makes a new durable generation live. Its blocks are taken, or in a live generation, or homes; that they are
// in it now keeps them when their takers release them. Costs what differs from the generation before.
func (s *space) adopt(gen types.Generation, used *blockSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := s.live[len(s.live)-1]
	if gen <= newest.number || used.blocks() > s.length {
		panic(invariant.Failf("pager: generation %d of %d blocks adopted after %d, in a file of %d blocks",
			gen, used.blocks(), newest.number, s.length))
	}
	for _, i := range changedChunks(newest.used, used) {
		if i >= len(used.chunks) {
			break
		}
		for w, word := range used.chunks[i].words {
			if stray := word &^ s.groups[i].busy[w]; stray != 0 {
				panic(invariant.Failf("pager: generation %d has blocks near %d that nobody took",
					gen, i*int(s.geometry.chunk)+w*64))
			}
		}
	}
	s.live = append(s.live, spaceGeneration{gen, used})
	s.mustHold()
}

// drop takes a generation that was superseded out of the live ones: no reader has it any more. Blocks that only it had
// are free from here. Costs what differs from the generations beside it.
func (s *space) drop(gen types.Generation) {
	runs := s.detach(gen)
	if s.onFree != nil {
		s.settle(runs)
	}
}

// detach takes gen out of the live generations and sends the blocks that only it had on their way.
func (s *space) detach(gen types.Generation) []types.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.mustFind(gen)
	if k == len(s.live)-1 {
		panic(invariant.Failf("pager: newest generation %d dropped", gen))
	}
	var runs []types.Run
	s.exclusive(k, func(group, word int, only uint64) {
		runs = s.leave(runs, group, word, only)
	})
	s.live = slices.Delete(s.live, k, k+1)
	s.mustHold()
	return runs
}

// heldBy returns how many blocks only this generation keeps from being free. Costs what differs from its neighbours.
func (s *space) heldBy(gen types.Generation) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	s.exclusive(s.mustFind(gen), func(_, _ int, only uint64) { n += bits.OnesCount64(only) })
	return uint64(n)
}

// mustFind returns the index of a live generation.
func (s *space) mustFind(gen types.Generation) int {
	k := slices.IndexFunc(s.live, func(l spaceGeneration) bool { return l.number == gen })
	if k < 0 {
		panic(invariant.Failf("pager: generation %d is not live", gen))
	}
	return k
}

// exclusive calls visit for each word with blocks that live generation k has and nothing else keeps: nobody has taken
// them, no other live generation has them, and they are not homes. Chunks that it shares are not looked at.
func (s *space) exclusive(k int, visit func(group, word int, only uint64)) {
	for i, c := range s.live[k].used.chunks {
		if i >= len(s.groups) {
			break // cut off since: only homes were there
		}
		if !s.gatherOthers(k, i) {
			continue
		}
		g := &s.groups[i]
		for w, only := range c.words {
			if g.taken != nil {
				only &^= g.taken[w]
			}
			for _, words := range s.others {
				only &^= words[w]
			}
			if w == 0 {
				only &^= s.geometry.fixedMask(uint64(i))
			}
			if only != 0 {
				visit(i, w, only)
			}
		}
	}
	clear(s.others)
}

// gatherOthers puts the bits that live generations but k have in a group into s.others, or returns false if one of them
// shares the chunk with k.
func (s *space) gatherOthers(k, group int) bool {
	s.others = s.others[:0]
	mine := s.live[k].used.chunks[group]
	for j := range s.live {
		if chunks := s.live[j].used.chunks; j != k && group < len(chunks) {
			if chunks[group] == mine {
				return false
			}
			s.others = append(s.others, chunks[group].words)
		}
	}
	return true
}
