package pager

import (
	"math/bits"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// grow says that the file has become longer: blocks is a valid length, as lengthFor returns. New blocks are free but
// for the homes among them, which the next generation's block set must contain: see homesIn.
func (s *space) grow(blocks types.Block) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extend(blocks)
	s.mustHold()
}

// homesIn returns, ascending, the homes and meta blocks in [from, to): what a block set gains when it grows from one
// length to the other, and what it loses when it is cut.
func (s *space) homesIn(from, to types.Block) []types.Run { return s.geometry.homesIn(from, to) }

// lengthFor returns the smallest length at which the file has more free blocks than now by at least more, and a free run
// of at least run blocks (0: whatever). It is false if no file can be so long, or have such a run.
func (s *space) lengthFor(more uint64, run uint32) (types.Block, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &s.geometry
	if run > g.maxRun() {
		return 0, false
	}
	n, ok := g.longer(s.length, more)
	if !ok || run == 0 {
		return n, ok
	}
	last := len(s.groups) - 1
	start := types.Block(last)*g.chunk + types.Block(lastSet(s.groups[last].busy, 0, s.end(last))+1)
	for group := uint64(last); ; group++ {
		if group > uint64(last) {
			start = types.Block(group)*g.chunk + types.Block(g.fixed(group))
		}
		end := start + types.Block(run)
		if end > g.max {
			return 0, false
		}
		if end <= types.Block(group+1)*g.chunk {
			return max(n, end), true
		}
	}
}

// end returns how many blocks of a group are in the file.
func (s *space) end(group int) int {
	return int(min(s.length-types.Block(group)*s.geometry.chunk, s.geometry.chunk))
}

// tail returns the smallest length to which the file can be cut: all blocks behind it are free, or are homes of groups
// that go as a whole, and enough free ones remain for what is reserved.
func (s *space) tail() types.Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &s.geometry
	n := g.shortest()
	for i := len(s.groups) - 1; i >= 0; i-- {
		if s.end(i)-g.fixed(uint64(i)) != s.groups[i].free {
			n = types.Block(i)*g.chunk + types.Block(lastSet(s.groups[i].busy, 0, s.end(i))+1)
			break
		}
	}
	if left := s.free - g.usable(n, s.length); left < s.reserved {
		n, _ = g.longer(n, s.reserved-left) // not longer than the file: it has these blocks
	}
	return n
}

// cut makes the file shorter: from here no block from n on is taken. The file is truncated after that, and after
// a generation that is not longer is durable; a caller who fails grows again. It returns false, and nothing
// has changed, if n is not shorter or something behind it is not free, since what tail said has been overtaken.
func (s *space) cut(n types.Block) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &s.geometry
	if !g.isLength(n) || n >= s.length {
		return false
	}
	keep := int(g.groups(n))
	gone := g.usable(n, s.length)
	if s.free-s.reserved < gone || s.freeFrom(n) != gone {
		return false
	}
	s.free -= gone
	clear(s.groups[keep:])
	s.groups = s.groups[:keep]
	s.length = n
	last := &s.groups[keep-1]
	end := s.end(keep - 1)
	fillBits(last.busy, end, int(g.chunk))
	last.free = int(g.chunk) - onesIn(last.busy)
	last.longest = last.free
	if s.cursor >= n {
		s.cursor = 0
	}
	s.mustHold()
	return true
}

// freeFrom returns how many blocks from n on are free.
func (s *space) freeFrom(n types.Block) uint64 {
	group := int((n - 1) / s.geometry.chunk)
	from := int(n - types.Block(group)*s.geometry.chunk)
	free := s.end(group) - from - countBits(s.groups[group].busy, from, s.end(group))
	for _, g := range s.groups[group+1:] {
		free += g.free
	}
	return uint64(free)
}

// mustHold runs check where such checks are enabled.
func (s *space) mustHold() {
	if invariant.Enabled {
		s.checkLocked()
	}
}

// check panics unless what is kept agrees with what follows from the taken marks and the live generations.
func (s *space) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkLocked()
}

func (s *space) checkLocked() {
	var free, leaving uint64
	for i := range s.groups {
		g := &s.groups[i]
		held := s.heldBits(i)
		groupFree := 0
		for w, busy := range g.busy {
			if lost := held[w] &^ busy; lost != 0 {
				panic(invariant.Failf("pager: blocks %064b of word %d of group %d are held and free", lost, w, i))
			}
			leaving += uint64(bits.OnesCount64(busy &^ held[w]))
			groupFree += 64 - bits.OnesCount64(busy)
		}
		if groupFree != g.free {
			panic(invariant.Failf("pager: group %d counts %d free blocks, its bits say %d", i, g.free, groupFree))
		}
		for at := nextClear(g.busy, 0, len(g.busy)*64); at < len(g.busy)*64; {
			end := nextSet(g.busy, at, len(g.busy)*64)
			if end-at > g.longest {
				panic(invariant.Failf("pager: group %d has a free run of %d, %d was the longest", i, end-at, g.longest))
			}
			at = nextClear(g.busy, end, len(g.busy)*64)
		}
		free += uint64(groupFree)
	}
	if free != s.free || leaving != s.leaving || s.reserved > s.free {
		panic(invariant.Failf("pager: %d free blocks counted as %d, %d leaving as %d, %d reserved",
			free, s.free, leaving, s.leaving, s.reserved))
	}
	if uint64(len(s.groups)) != s.geometry.groups(s.length) || !s.geometry.isLength(s.length) {
		panic(invariant.Failf("pager: %d groups for %d blocks", len(s.groups), s.length))
	}
}

// heldBits returns the blocks of a group that are not free, from scratch: taken, of a generation, homes, behind the file.
func (s *space) heldBits(i int) []uint64 {
	g := &s.groups[i]
	held := make([]uint64, len(g.busy))
	copy(held, g.taken)
	for _, l := range s.live {
		if i < len(l.used.chunks) {
			for w, word := range l.used.chunks[i].words {
				held[w] |= word
			}
		}
	}
	held[0] |= s.geometry.fixedMask(uint64(i))
	if g.taken != nil && g.taken[0]&s.geometry.fixedMask(uint64(i)) != 0 {
		panic(invariant.Failf("pager: homes of group %d are taken", i))
	}
	fillBits(held, s.end(i), len(held)*64)
	return held
}

// lengthWithin returns the largest length at or below n that a file can have, if it is above the present one: the rest of a
// file that was made longer by a growth that was cut short does not count.
func (s *space) lengthWithin(n types.Block) (types.Block, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n > s.length && !s.geometry.isLength(n) {
		n--
	}
	return n, n > s.length
}
