package pager

import "github.com/pawldb/pawl/types"

// shrink decides what a truncating checkpoint does behind its first attempt, so that the file becomes about as short as what
// is live allows. It does no I/O: the attempts that it asks for do.
//
// The place of a page is only in the map. To move one is to write the same bytes into a lower free block and to give
// the next generation's map the new place: a checkpoint whose changed pages are, beside those in the log, some that
// lie too high. Map nodes that lie too high are written again likewise. A round is one such attempt, of bounded size.
//
//	extents --round, round ...--> all --round, round ...--> (all again, while that helps) --> cut --> over
//
// Each pass goes through the map once, in the order of page ids, and a round goes on where the last one stopped. Extents
// come first, while there are long holes. The places that a round leaves are free once its generation is published and
// no reader is on an older one, so what shortens the file is an attempt behind the last round.
//
// Rounds move what lies behind end: where the file could end if all that is live were packed, with some room for the map
// nodes that each round writes again, or else the last block that can't be moved. That is one that somebody has taken,
// or that is in the generation of a reader who was there when the checkpoint began, and still is: he is not expected
// to leave soon. Readers that came later do not count; if they stay, what they hold is not cut off this time.
type shrink struct {
	p       *Pager
	mark    uint64 // snapshots published before this one are those of readers that were there at the beginning
	closing bool

	phase shrinkPhase
	pass  int
	next  types.PageID // at which the next round goes on; 0: the pass begins
	end   types.Block  // planned, in this pass
	last  types.Block  // end of the last live block when the pass began
	cuts  int
	moved int // blocks, pages' and map nodes'
}

type shrinkPhase uint8

const (
	shrinkMove shrinkPhase = iota // the next attempt is a round
	shrinkCut                     // it only cuts
	shrinkOver
)

const (
	shrinkPasses = 4 // over the map: extents alone, then everything, and again
	shrinkCuts   = 3 // attempts that wait for readers that came meanwhile

	// A planned end leaves room for the map nodes that a round writes again: 1/64 of what is live, and some blocks.
	shrinkSlackPart = 64
	shrinkSlackMin  = 8

	// It must be worth it: a round costs two syncs. Close, which has been asked for nothing, moves pages only if the file
	// gets shorter by 1 MiB and by an eighth: a move reads and writes a block, and the database is opened again with
	// pages in an order that is less like their ids'.
	shrinkGainPart  = 64
	shrinkGainMin   = 8
	shrinkCloseMin  = 1 << 20
	shrinkClosePart = 8
)

// start readies the decisions. Readers from here on are not waited for.
func (s *shrink) start(p *Pager, closing bool) {
	*s = shrink{p: p, closing: closing}
	p.mu.Lock()
	now := p.published.Load()
	p.publish(now.Seq, now.Globals)
	s.mark = p.publications
	p.mu.Unlock()
}

// shape looks at the file as it is now.
func (s *shrink) shape() spaceShape {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snapshots = p.readers.live(p.snapshots, &p.published)
	held := map[types.Generation]bool{}
	for _, snap := range p.snapshots {
		// The pager's own have no number: a transaction moves on to the newest generation with its next operation.
		if snap.n != 0 && snap.n < s.mark && snap.gen != p.gen {
			held[snap.gen.number] = true
		}
	}
	clear(p.snapshots)
	return p.space.shape(func(g types.Generation) bool { return held[g] })
}

// plan decides on the next attempt: a round if phase is shrinkMove behind it, none if it is shrinkOver.
func (s *shrink) plan() {
	sh := s.shape()
	if s.phase == shrinkMove && s.next == 0 {
		stuck := s.pass > 1 && sh.last >= s.last // the last pass has not helped
		s.end, s.last = sh.packed(s.p.pageSize), sh.last
		if s.pass == shrinkPasses || stuck || !s.worth(sh) {
			s.phase = shrinkCut
		}
	}
	if s.phase == shrinkCut {
		tail := s.p.space.tail()
		waits := shorter(sh.blocks, max(sh.last, sh.packedFor(s.p.pageSize, sh.live+sh.reserved)))
		if s.cuts == shrinkCuts || !shorter(sh.blocks, tail) && !waits || s.closing && s.moved == 0 {
			s.phase = shrinkOver
		}
		s.cuts++
	}
}

// took notes that an attempt that was asked for is done.
func (s *shrink) took(m *moves) {
	if m == nil {
		return
	}
	s.moved += m.blocks
	s.pass, s.next = m.pass, m.next
	if m.ended {
		s.pass, s.next = m.pass+1, 0
	}
	if m.starved || m.blocks == 0 {
		s.phase = shrinkCut
	}
}

// worth reports whether the pass to come would make the file shorter by as much as it must.
func (s *shrink) worth(sh spaceShape) bool {
	if sh.last <= s.end {
		return false
	}
	if s.closing {
		gain := int64(sh.last-s.end) * int64(s.p.pageSize)
		return gain > shrinkCloseMin && sh.last-s.end > sh.last/shrinkClosePart
	}
	return shorter(sh.last, s.end)
}

// shorter reports whether cutting a file of so many blocks to another length is worth a generation.
func shorter(blocks, end types.Block) bool {
	return end < blocks && blocks-end >= max(shrinkGainMin, blocks/shrinkGainPart)
}

// packed returns where the file could end if everything were moved down that can be.
func (sh *spaceShape) packed(pageSize int) types.Block {
	slack := sh.live/shrinkSlackPart + shrinkSlackMin
	return max(sh.packedFor(pageSize, sh.live+sh.reserved+slack), sh.stuck)
}

// packedFor returns the length of the shortest file with so many blocks for use, at most that of the file.
func (sh *spaceShape) packedFor(pageSize int, blocks uint64) types.Block {
	g := geometryOf(pageSize)
	n, ok := g.longer(g.shortest(), blocks)
	if !ok {
		return sh.blocks
	}
	return min(n, sh.blocks)
}
