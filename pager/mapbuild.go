package pager

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// mapChange is a new entry of a map node: of level 0, where a page lies now; above, where a node does.
type mapChange struct {
	index uint64    // of the page, or of the node in its level
	run   types.Run // Count: of blocks at level 0, of free ids above; First 0: empty
	sum   uint64
	refer bool // the run was there before the checkpoint: it becomes part of the generation with this entry
}

// mapBuild writes the changed nodes of the next generation's map, level by level from the bottom, each node a copy of the last
// generation's with the changed entries. It belongs to an attempt, which steps it.
//
//	begin level --> load some old nodes --> make new ones, place, write --> more nodes, or the next level
type mapBuild struct {
	a       *attempt
	level   int
	height  int                    // of the new map
	changes []mapChange            // of this level, ascending
	again   [mapLevelsMax][]uint64 // nodes, by level and ascending, that are written again whether they change or not
	at      int                    // next change
	ups     []mapChange            // of the level above, collected
	batch   []mapNodeMake
	asked   bool
	images  [][]byte
	places  []placed
	root    types.Block
	sum     uint64
	done    bool
	rootGet mapNodeGet // where the map grows
}

// mapNodeMake is a node that is being made.
type mapNodeMake struct {
	index    uint64
	from, to int // its changes
	get      mapNodeGet
	have     bool
	old      mapNodeAt
	data     []byte // nil: it has become empty
}

// mapBatch is how many nodes are loaded and written at once.
const mapBatch = 32

// start readies the build with the pages' changes.
func (b *mapBuild) start(a *attempt, changes []mapChange) {
	*b = mapBuild{a: a, changes: changes}
	b.height = max(mapHeightFor(a.p.fanout(), a.globals.NextPage), a.from.height)
	if a.globals.Pages == 0 {
		b.height = 0
	}
	b.root, b.sum = a.from.root, a.from.sum
}

// step builds until it has to wait. nil without an error: done.
func (b *mapBuild) step() (*io.Completion, error) {
	a := b.a
	for !b.done {
		switch {
		case b.level == max(b.height, a.from.height):
			b.finish()
		case b.at == len(b.changes) && len(b.again[b.level]) == 0 && len(b.batch) == 0:
			if wait, err := b.nextLevel(); wait != nil || err != nil {
				return wait, err
			}
		case len(b.batch) == 0:
			b.gather()
		default:
			if wait, err := b.load(); wait != nil || err != nil {
				return wait, err
			}
			if wait, err := b.place(); wait != nil || err != nil {
				return wait, err
			}
		}
	}
	return nil, nil
}

// gather picks the next nodes.
func (b *mapBuild) gather() {
	a := b.a
	fanout := a.p.fanout()
	again := &b.again[b.level]
	for (b.at < len(b.changes) || len(*again) > 0) && len(b.batch) < mapBatch {
		var index uint64
		if b.at < len(b.changes) {
			index = b.changes[b.at].index / fanout
		}
		if len(*again) > 0 && (b.at == len(b.changes) || (*again)[0] <= index) {
			index, *again = (*again)[0], (*again)[1:]
		}
		from := b.at
		for b.at < len(b.changes) && b.changes[b.at].index/fanout == index {
			b.at++
		}
		m := mapNodeMake{index: index, from: from, to: b.at}
		m.get.start(a.p, a.from, b.level, index)
		b.batch = append(b.batch, m)
	}
}

// load gets the old nodes of the batch; their reads overlap.
func (b *mapBuild) load() (*io.Completion, error) {
	if b.asked {
		return nil, nil
	}
	var wait *io.Completion
	for i := range b.batch {
		m := &b.batch[i]
		if m.have {
			continue
		}
		res, err := m.get.Step()
		if err != nil {
			return nil, err
		}
		if res.Pending != nil {
			wait = res.Pending
			continue
		}
		m.have, m.old = true, res.Value
	}
	if wait != nil {
		return wait, nil
	}
	b.asked = true
	for i := range b.batch {
		if err := b.make(&b.batch[i]); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// giveUp takes the blocks of a page, or of a node if page is 0, out of the new generation. That the old one has them, and
// nobody else gave them up, is only what the file says: bitmaps and map can contradict each other.
func (b *mapBuild) giveUp(run types.Run, page types.PageID) error {
	a := b.a
	problem := ""
	for at := run.First; at < run.End() && problem == ""; at++ {
		switch {
		case a.p.space.geometry.isFixed(at):
			problem = "a home of a bitmap, or a meta block"
		case !a.from.used.has(at):
			problem = "free in the bitmaps"
		case !a.used.made.has(at):
			problem = "another page's too"
		}
		if problem != "" {
			return &types.CorruptError{
				File: a.p.name, Page: page, Offset: a.p.offset(at), Detail: fmt.Sprintf("the map leads to block %d, which is %s", at, problem),
			}
		}
	}
	a.used.clear(run)
	return nil
}

// make applies a node's changes to a copy of the old one, and notes which blocks the new generation has and no longer has.
func (b *mapBuild) make(m *mapNodeMake) error {
	a := b.a
	fanout := a.p.fanout()
	if m.old.node != nil {
		m.data = slices.Clone(m.old.node)
		if err := b.giveUp(types.Run{First: m.old.block, Count: 1}, 0); err != nil {
			return err
		}
	} else {
		m.data = newMapNode(a.p.pageSize, b.level, m.index)
	}
	for _, c := range b.changes[m.from:m.to] {
		entry := int(c.index % fanout)
		if b.level > 0 {
			setMapChild(m.data, entry, c.run.First, c.run.Count, c.sum)
			continue
		}
		old, _ := mapRun(m.data, entry)
		if old == c.run && old.Count > 0 {
			continue
		}
		if old.Count > 0 {
			if err := b.giveUp(old, types.PageID(c.index)); err != nil {
				return err
			}
		}
		if c.refer {
			a.used.set(c.run)
		}
		setMapRun(m.data, entry, c.run, c.sum)
	}
	if mapEmpty(m.data) {
		m.data = nil
	}
	return nil
}

// place writes the batch's new nodes and collects what the level above has to change.
func (b *mapBuild) place() (*io.Completion, error) {
	a := b.a
	if b.images == nil {
		b.images, b.places = make([][]byte, 0, mapBatch), b.places[:0]
		for i := range b.batch {
			if b.batch[i].data != nil {
				b.images = append(b.images, b.batch[i].data)
			}
		}
	}
	for len(b.places) < len(b.images) {
		if wait := a.pipe.room(); wait != nil {
			return wait, nil
		}
		if err := a.pipe.failed(); err != nil {
			return nil, err
		}
		b.places = a.place(b.images[len(b.places):], b.places)
	}
	n := 0
	for i := range b.batch {
		m := &b.batch[i]
		up := mapChange{index: m.index}
		if m.data != nil {
			at := b.places[n]
			n++
			up.run = types.Run{First: at.block, Count: mapFree(m.data, b.level, m.index, a.globals.NextPage)}
			up.sum = at.sum
		}
		b.ups = append(b.ups, up)
	}
	b.batch, b.images, b.asked = b.batch[:0], nil, false
	return nil, nil
}

// nextLevel goes on with the nodes above. Where the map has grown, the old root becomes the first child there, changed or not.
func (b *mapBuild) nextLevel() (*io.Completion, error) {
	from := b.a.from
	if b.level+1 == from.height && b.height > from.height && from.root != 0 && (len(b.ups) == 0 || b.ups[0].index != 0) {
		if b.rootGet.p == nil {
			b.rootGet.start(b.a.p, from, b.level, 0)
		}
		res, err := b.rootGet.Step()
		if err != nil || res.Pending != nil {
			return res.Pending, err
		}
		free := mapFree(res.Value.node, b.level, 0, b.a.globals.NextPage)
		root := mapChange{run: types.Run{First: from.root, Count: free}, sum: from.sum}
		b.ups = append([]mapChange{root}, b.ups...)
	}
	b.level++
	b.changes, b.ups, b.at = b.ups, nil, 0
	return nil, nil
}

// finish takes the root from the last changes.
func (b *mapBuild) finish() {
	b.done = true
	for _, c := range b.changes {
		if c.index == 0 {
			b.root, b.sum = c.run.First, c.sum
		}
	}
	if b.root == 0 {
		b.sum, b.height = 0, 0
	} else {
		b.height = max(b.height, b.a.from.height)
	}
}

// abort leaves reads that are under way.
func (b *mapBuild) abort(cause error) {
	for i := range b.batch {
		if !b.batch[i].have {
			_ = b.batch[i].get.Abort(cause)
		}
	}
	if b.rootGet.p != nil {
		_ = b.rootGet.Abort(cause)
	}
}
