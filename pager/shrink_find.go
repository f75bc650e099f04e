package pager

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

const (
	movesMax      = 4096     // pages and extents of a round
	movesBytesMax = 16 << 20 // bytes of them
	movesFew      = 64       // a round that finds no room for more is the last one
)

// moves is the part of an attempt that moves pages down. It finds them in the map of the generation that the attempt
// starts from, takes blocks for them and for the map nodes above, and copies them: shrink_move.go. A page that the log
// has changed is left out: it gets a new place anyway.
type moves struct {
	a       *attempt
	end     types.Block // what ends behind this block is moved
	pass    int         // 0: extents alone
	first   types.PageID
	changed []types.PageID // ascending

	scan    mapScan
	node    scanned
	counted [mapLevelsMax]uint64 // of each level, the last node that blocks are reserved for, plus 1

	list    []move                 // by page
	nodes   [mapLevelsMax][]uint64 // map nodes that lie too high, by level
	blocks  int                    // of the pages, and of those nodes
	extra   uint64                 // reserved for map nodes, beside what the interval has
	next    types.PageID           // at which the pass goes on; good once the attempt is done
	ended   bool                   // the pass has come to the end of the map
	short   bool                   // there is no room for more
	starved bool                   // nor will there be behind the round

	copies moveCopies
}

// move is a page or an extent that gets another place.
type move struct {
	id       types.PageID
	from, to types.Run
	sum      uint64
}

// newMoves returns the part, for a round of s.
func newMoves(s *shrink) *moves { return &moves{end: s.end, pass: s.pass, first: s.next} }

// start readies the part, with what the attempt places anyway.
func (m *moves) start(a *attempt, changed []types.PageID) {
	m.a, m.changed, m.next = a, changed, m.first
	m.scan.start(a.p, a.from, uint64(m.first)/a.p.fanout())
}

// find looks for what to move until it has to wait. nil without an error: done.
func (m *moves) find() (*io.Completion, error) {
	for {
		res, err := m.scan.Step()
		if err != nil || res.Pending != nil {
			return res.Pending, err
		}
		if m.node = res.Value; m.node.node == nil {
			if m.pass > 0 || len(m.list) > 0 {
				m.ended = true
				return nil, nil
			}
			m.pass, m.next, m.first = 1, 0, 0 // there were no extents to move
			m.scan.start(m.a.p, m.a.from, 0)
			continue
		}
		full, err := m.look()
		if err != nil {
			return nil, err
		}
		if full {
			m.starved = m.short && len(m.list) < movesFew
			return nil, m.scan.Abort(nil)
		}
	}
}

// look takes what a map node says. It reports whether the round is full: the next one goes on at m.next.
func (m *moves) look() (full bool, err error) {
	fanout := m.a.p.fanout()
	n := &m.node
	if m.pass > 0 && n.block >= m.end && !m.addNode(n.level, n.index) {
		return true, nil
	}
	if n.level > 0 {
		return false, nil
	}
	for entry := range int(fanout) {
		id := types.PageID(n.index*fanout + uint64(entry))
		if run, sum := mapRun(n.node, entry); id >= m.first && m.wants(id, run) {
			if err := m.check(id, run); err != nil {
				return false, err
			}
			if !m.add(id, run, sum) {
				m.next = id
				return true, nil
			}
		}
	}
	m.next = types.PageID((n.index + 1) * fanout)
	return false, nil
}

// wants reports whether a page is to be moved.
func (m *moves) wants(id types.PageID, run types.Run) bool {
	if run.Count == 0 || run.End() <= m.end || run.Count == 1 && m.pass == 0 {
		return false
	}
	_, changed := slices.BinarySearch(m.changed, id)
	return !changed
}

// check returns an error if a run can't be a page's, whatever the checksums say.
func (m *moves) check(id types.PageID, run types.Run) error {
	a := m.a
	detail := ""
	if !a.p.isExtent(run) {
		detail = fmt.Sprintf("run of %d blocks is longer than any page", run.Count)
	}
	for b := run.First; b < run.End() && detail == ""; b++ {
		if !a.from.used.has(b) {
			detail = fmt.Sprintf("block %d is free in the bitmaps", b)
		}
	}
	if detail == "" {
		return nil
	}
	return &types.CorruptError{File: a.p.name, Offset: a.p.offset(m.node.block), Page: id, Detail: detail}
}

// add takes blocks for a page, if there are lower ones, and for the map nodes above. False: the round is full.
func (m *moves) add(id types.PageID, run types.Run, sum uint64) bool {
	p := m.a.p
	size := int(run.Count)
	if len(m.list) == movesMax || m.blocks > 0 && (m.blocks+size)*p.pageSize > movesBytesMax {
		return false
	}
	above := m.above(0, uint64(id)/p.fanout())
	if !m.room(uint64(size) + above) {
		return false
	}
	to, ok := p.space.takeBelow(run.First, run.Count)
	if !ok {
		return true // it stays
	}
	if !p.space.reserve(above) {
		p.space.release(to)
		m.short = true
		return false
	}
	m.count(0, uint64(id)/p.fanout(), above)
	m.a.used.set(to)
	m.list = append(m.list, move{id, run, to, sum})
	m.blocks += size
	return true
}

// addNode makes the attempt write a map node again. False: the round is full.
func (m *moves) addNode(level int, index uint64) bool {
	above := m.above(level, index)
	if above > 0 && (!m.room(above) || !m.a.p.space.reserve(above)) {
		m.short = true
		return false
	}
	m.count(level, index, above)
	m.nodes[level] = append(m.nodes[level], index)
	m.blocks++
	return true
}

// room reports whether n blocks more can be taken without the next small transaction having to make the file longer.
func (m *moves) room(n uint64) bool {
	free, reserved := m.a.p.space.available()
	m.short = m.short || free-reserved < n+spareBlocks
	return !m.short
}

// above returns for how many map nodes, the one named and those above, blocks are not reserved yet. Nodes come in
// ascending order on each level, those above first.
func (m *moves) above(level int, index uint64) uint64 {
	n := uint64(0)
	for ; level < m.height() && m.counted[level] != index+1; level++ {
		n++
		index /= m.a.p.fanout()
	}
	return n
}

// count notes that blocks are reserved for n map nodes.
func (m *moves) count(level int, index, n uint64) {
	for range n {
		m.counted[level] = index + 1
		level, index = level+1, index/m.a.p.fanout()
	}
	m.extra += n
	m.a.left += n
}

// height returns how many levels the next generation's map can have.
func (m *moves) height() int {
	return max(mapHeightFor(m.a.p.fanout(), m.a.globals.NextPage), m.a.from.height)
}

// any reports whether the round moves something.
func (m *moves) any() bool { return m != nil && m.blocks > 0 }

// changes returns what the map has to take in: that of the log, and the moves, by page.
func (m *moves) changes(changed []mapChange) []mapChange {
	if m == nil || len(m.list) == 0 {
		return changed
	}
	all := make([]mapChange, 0, len(changed)+len(m.list))
	for i := range m.list {
		v := &m.list[i]
		for len(changed) > 0 && changed[0].index < uint64(v.id) {
			all, changed = append(all, changed[0]), changed[1:]
		}
		if len(changed) > 0 && changed[0].index == uint64(v.id) {
			panic(invariant.Failf("pager: page %d is moved, and changed by the log", v.id))
		}
		all = append(all, mapChange{index: uint64(v.id), run: v.to, sum: v.sum})
	}
	return append(all, changed...)
}

// release gives up the new places: a generation has them, or nobody.
func (m *moves) release() {
	if m == nil {
		return
	}
	for i := range m.list {
		m.a.p.space.release(m.list[i].to)
	}
}
