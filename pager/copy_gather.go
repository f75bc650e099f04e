package pager

import (
	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// copyBatch is how many pages, or map nodes, a copy looks up at once.
const copyBatch = 32

// copySums is the part of a copy that computes the checksums of the pages that the log has: the meta block at the
// start of the stream depends on them.
type copySums struct {
	plan    *copyPlan
	r       *Reader
	entries []wal.Entry
	at      int
	batch   []copyPageGet
}

// copyPageGet is a page that is wanted, for the change or the overlay with a number.
type copyPageGet struct {
	get  Get
	to   int
	over bool
	data []byte
}

// start readies the part with what the snapshot finds in the log.
func (s *copySums) start(plan *copyPlan, r *Reader, entries []wal.Entry) {
	*s = copySums{plan: plan, r: r, entries: entries}
	plan.changes[0] = make([]copyChange, len(entries))
	for i, e := range entries {
		plan.changes[0][i].index = uint64(e.Page)
	}
}

// step ends, with nil and nil, when all checksums are there.
func (s *copySums) step() (*io.Completion, error) {
	for s.at < len(s.entries) || len(s.batch) > 0 {
		if len(s.batch) == 0 {
			for ; s.at < len(s.entries) && len(s.batch) < copyBatch; s.at++ {
				if k := s.entries[s.at].Kind; k != wal.KindFreed && k != wal.KindReference {
					s.batch = append(s.batch, copyPageGet{to: s.at})
					s.batch[len(s.batch)-1].get.Start(s.r, s.entries[s.at].Page)
				}
			}
		}
		if wait, err := stepGets(s.batch); wait != nil || err != nil {
			return wait, err
		}
		for i := range s.batch {
			s.plan.changes[0][s.batch[i].to].sum = xxhash.Sum64(s.batch[i].data)
		}
		clear(s.batch)
		s.batch = s.batch[:0]
	}
	return nil, nil
}

// abort leaves reads that are under way.
func (s *copySums) abort(cause error) { abortGets(s.batch, cause) }

// stepGets steps all that are not over, and ends with nil and nil when they are.
func stepGets(batch []copyPageGet) (*io.Completion, error) {
	var wait *io.Completion
	for i := range batch {
		g := &batch[i]
		if g.over {
			continue
		}
		res, err := g.get.Step()
		if err != nil {
			g.over = true
			return nil, err
		}
		if res.Pending != nil {
			wait = res.Pending
			continue
		}
		g.over, g.data = true, res.Value.Data
	}
	return wait, nil
}

// abortGets leaves reads that are under way.
func abortGets(batch []copyPageGet, cause error) {
	for i := range batch {
		if !batch[i].over {
			_ = batch[i].get.Abort(cause)
		}
	}
}

// copyNodeGet is a map node that is wanted.
type copyNodeGet struct {
	get      mapNodeGet
	level    int
	index    uint64
	from, to int // its changes
	over     bool
	found    mapNodeAt
}

// stepNodes is stepGets for map nodes.
func stepNodes(batch []copyNodeGet) (*io.Completion, error) {
	var wait *io.Completion
	for i := range batch {
		g := &batch[i]
		if g.over {
			continue
		}
		res, err := g.get.Step()
		if err != nil {
			g.over = true
			return nil, err
		}
		if res.Pending != nil {
			wait = res.Pending
			continue
		}
		g.over, g.found = true, res.Value
	}
	return wait, nil
}

// abortNodes leaves reads that are under way.
func abortNodes(batch []copyNodeGet, cause error) {
	for i := range batch {
		if !batch[i].over {
			_ = batch[i].get.Abort(cause)
		}
	}
}

// copyMap is the part of a copy that finds places for what has changed and for the map nodes above, level by level
// from the bottom. Nodes are made here for their checksums, and once more when the stream gets to them.
type copyMap struct {
	plan    *copyPlan
	entries []wal.Entry // of level 0
	level   int
	at      int // next change of the level
	batch   []copyNodeGet
}

// start readies the part.
func (m *copyMap) start(plan *copyPlan, entries []wal.Entry) {
	*m = copyMap{plan: plan, entries: entries}
}

// step ends, with nil and nil, when the root is placed.
func (m *copyMap) step() (*io.Completion, error) {
	l := m.plan
	for m.level < l.height {
		if len(m.batch) == 0 {
			m.gather()
		}
		if wait, err := stepNodes(m.batch); wait != nil || err != nil {
			return wait, err
		}
		for i := range m.batch {
			g := &m.batch[i]
			if g.from < 0 {
				m.keepRoot(g)
				continue
			}
			changes := l.changes[m.level][g.from:g.to]
			if m.level == 0 {
				if err := l.placePages(g.found.node, m.entries[g.from:g.to], changes); err != nil {
					return nil, err
				}
			}
			if err := l.placeNode(g.found, m.level, g.index, changes); err != nil {
				return nil, err
			}
		}
		clear(m.batch)
		m.batch = m.batch[:0]
		if m.at == len(l.changes[m.level]) && !m.wantsRoot() {
			m.level, m.at = m.level+1, 0
		}
	}
	return nil, nil
}

// gather begins to look for the next nodes with changes. When there are no more, the old root is the last.
func (m *copyMap) gather() {
	l := m.plan
	fanout := l.p.fanout()
	changes := l.changes[m.level]
	for m.at < len(changes) && len(m.batch) < copyBatch {
		from, index := m.at, changes[m.at].index/fanout
		for m.at < len(changes) && changes[m.at].index/fanout == index {
			m.at++
		}
		m.add(index, from, m.at)
	}
	if len(m.batch) == 0 && m.wantsRoot() {
		m.add(0, -1, -1)
	}
}

func (m *copyMap) add(index uint64, from, to int) {
	m.batch = append(m.batch, copyNodeGet{level: m.level, index: index, from: from, to: to})
	m.batch[len(m.batch)-1].get.start(m.plan.p, m.plan.gen, m.level, index)
}

// wantsRoot reports whether the map grows above a root that is not changed: it becomes a child.
func (m *copyMap) wantsRoot() bool {
	l := m.plan
	ups := l.changes[m.level+1]
	return m.level+1 == l.gen.height && l.height > l.gen.height && (len(ups) == 0 || ups[0].index != 0)
}

// keepRoot makes the unchanged old root the first child of the node above.
func (m *copyMap) keepRoot(g *copyNodeGet) {
	l := m.plan
	free := mapFree(g.found.node, m.level, 0, l.globals.NextPage)
	root := copyChange{place: types.Run{First: l.gen.root, Count: free}.Pack(), sum: l.gen.sum}
	l.changes[m.level+1] = append([]copyChange{root}, l.changes[m.level+1]...)
}

// abort leaves reads that are under way.
func (m *copyMap) abort(cause error) { abortNodes(m.batch, cause) }
