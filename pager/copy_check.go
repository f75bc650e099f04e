package pager

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// copyCheck is the part of a copy that verifies what comes from the database's file as it goes by. A block is
// believed if what it says that it is, a page with an id or a map node with an index, is what the snapshot's map, or
// a reference in the log, has at this place, and its checksum is the one that the map has. So the map is looked up
// once a page, not gone through once for every part of the file, and memory does not depend on the size of the file:
// pages lie in the order of their ids for the most part, and then a node of level 0 is read once for some hundred
// pages. At the worst it is a read of a map node for each page, many at once.
//
// The other way round, a page of the map may lie in a block that the bitmaps call free: the nodes that are looked up
// must lie in blocks in use, and in the end all pages of the snapshot must have been seen.
type copyCheck struct {
	plan *copyPlan
	w    *copyWindow

	ahead []copyNodeGet // lookups of nodes that blocks of the window seem to need
	want  []copyNodeKey // needs that were not looked up yet
	nodes map[copyNodeKey]mapNodeAt
	get   copyNodeGet // a node that was not looked up ahead
	miss  bool

	i      int // next block of the window
	pages  uint64
	extent copyExtent // begun and not over, maybe in an earlier window
}

// copyNodeKey names a map node.
type copyNodeKey struct {
	level int
	index uint64
}

// copyExtent is an extent that is going by.
type copyExtent struct {
	id   types.PageID
	run  types.Run
	sum  uint64
	left int // blocks
	hash xxhash.Digest
}

// copyDamage is damage in a block whose owner has to be found for the error.
type copyDamage struct {
	block  types.Block
	sum    uint64 // of what lies there
	detail string // for a block that has no owner
}

// Error makes copyDamage an error; callers never see it.
func (d *copyDamage) Error() string { return d.detail }

// start readies the part for a window whose bytes are there.
func (c *copyCheck) start(w *copyWindow) {
	c.w, c.i = w, 0
	c.nodes = make(map[copyNodeKey]mapNodeAt, 4)
	c.want = c.want[:0]
	var last copyNodeKey
	for i, what := range w.what {
		if what != copySource {
			continue
		}
		// What looks like a page may be the middle of an extent: then a node is read in vain.
		if key, ok := c.needs(c.block(i)); ok && (len(c.want) == 0 || key != last) {
			c.want, last = append(c.want, key), key
		}
	}
}

// block returns the bytes of a block of the window.
func (c *copyCheck) block(i int) []byte {
	size := c.plan.p.pageSize
	return c.w.buf[i*size:][:size]
}

// needs returns the map node that leads to what a block says that it is; false if it says nothing, or no node does.
func (c *copyCheck) needs(data []byte) (copyNodeKey, bool) {
	l := c.plan
	switch kind := pageKind(data); {
	case kind == PageKindNode || kind == PageKindExtent:
		id := pageID(data)
		if id == 0 || id >= l.globals.NextPage {
			return copyNodeKey{}, false
		}
		if _, changed := l.changeOf(id); changed {
			return copyNodeKey{}, false
		}
		return copyNodeKey{0, uint64(id) / l.p.fanout()}, true
	case string(data[:mapLevelOff]) == mapMagic:
		level := int(data[mapLevelOff])
		return copyNodeKey{level + 1, mapNodeIndex(data) / l.p.fanout()}, level+1 < l.gen.height
	}
	return copyNodeKey{}, false
}

// mapNodeIndex returns the index that a node names.
func mapNodeIndex(data []byte) uint64 { return binary.LittleEndian.Uint64(data[mapIndexOff:]) }

// lookAhead gets the map nodes that the window seems to need, some at once. One that fails is looked for again when
// it is needed indeed.
func (c *copyCheck) lookAhead() *io.Completion {
	for len(c.want)+len(c.ahead) > 0 {
		if len(c.ahead) == 0 {
			n := min(len(c.want), copyBatch)
			for _, key := range c.want[:n] {
				c.ahead = append(c.ahead, copyNodeGet{level: key.level, index: key.index})
				c.ahead[len(c.ahead)-1].get.start(c.plan.p, c.plan.gen, key.level, key.index)
			}
			c.want = c.want[n:]
		}
		var wait *io.Completion
		for i := range c.ahead {
			g := &c.ahead[i]
			if g.over {
				continue
			}
			res, err := g.get.Step()
			switch {
			case err != nil:
				g.over = true
			case res.Pending != nil:
				wait = res.Pending
			default:
				g.over = true
				c.nodes[copyNodeKey{g.level, g.index}] = res.Value
			}
		}
		if wait != nil {
			return wait
		}
		clear(c.ahead)
		c.ahead = c.ahead[:0]
	}
	return nil
}

// step verifies the window. nil without an error: it is as it should be.
func (c *copyCheck) step() (*io.Completion, error) {
	for c.i < c.w.count {
		if c.extent.left > 0 {
			if err := c.goOn(); err != nil {
				return nil, err
			}
			c.i++
			continue
		}
		if c.w.what[c.i] == copySource {
			if wait, err := c.begin(); wait != nil || err != nil {
				return wait, err
			}
		}
		c.i++
	}
	return nil, nil
}

// begin verifies a block with which a page or a map node begins.
func (c *copyCheck) begin() (*io.Completion, error) {
	data := c.block(c.i)
	var node mapNodeAt
	if key, ok := c.needs(data); ok {
		var wait *io.Completion
		var err error
		if node, wait, err = c.node(key); wait != nil || err != nil {
			return wait, err
		}
	}
	if string(data[:mapLevelOff]) == mapMagic {
		return nil, c.checkNode(data, node.node)
	}
	return nil, c.checkPage(data, node.node)
}

// node returns a map node of the generation, which must lie in a block that is copied.
func (c *copyCheck) node(key copyNodeKey) (mapNodeAt, *io.Completion, error) {
	found, ok := c.nodes[key]
	if !ok {
		if !c.miss {
			c.miss = true
			c.get.get.start(c.plan.p, c.plan.gen, key.level, key.index)
		}
		res, err := c.get.get.Step()
		if err != nil {
			c.miss = false
			return mapNodeAt{}, nil, err
		}
		if res.Pending != nil {
			return mapNodeAt{}, res.Pending, nil
		}
		c.miss = false
		found = res.Value
		c.nodes[key] = found
	}
	if found.node != nil && !c.plan.used.has(found.block) {
		return mapNodeAt{}, nil, c.corrupt(found.block, 0,
			"map node %d of level %d lies in a block that the bitmaps call free", key.index, key.level)
	}
	return found, nil, nil
}

// here returns the block that is looked at.
func (c *copyCheck) here() types.Block { return c.w.first + types.Block(c.i) }

// corrupt returns an error about a block of the database's file.
func (c *copyCheck) corrupt(b types.Block, id types.PageID, format string, args ...any) error {
	p := c.plan.p
	return &types.CorruptError{File: p.name, Offset: p.offset(b), Page: id, Detail: fmt.Sprintf(format, args...)}
}

// damaged returns that the block does not hold what leads to it says, whatever that is.
func (c *copyCheck) damaged(data []byte) error {
	return &copyDamage{
		block: c.here(), sum: xxhash.Sum64(data), detail: "the block is in use, but neither map nor log leads to it",
	}
}

// checkNode verifies a map node that the copy takes over. above is its parent, nil for the root.
func (c *copyCheck) checkNode(data, above []byte) error {
	gen := c.plan.gen
	level, index := int(data[mapLevelOff]), mapNodeIndex(data)
	block, sum := gen.root, gen.sum
	switch {
	case above != nil:
		block, _, sum = mapChild(above, int(index%c.plan.p.fanout()))
	case level != gen.height-1 || index != 0:
		return c.damaged(data)
	}
	if block != c.here() {
		return c.damaged(data)
	}
	return decodeMapNode(data, level, index, sum, gen.blocks, c.plan.p.name, c.plan.p.offset(block))
}

// checkPage verifies a page, or the first block of an extent. leaf is the generation's map node for the id that it
// names, nil if the page's place is in the log, or nowhere.
func (c *copyCheck) checkPage(data, leaf []byte) error {
	l := c.plan
	id := pageID(data)
	var run types.Run
	var sum uint64
	if change, changed := l.changeOf(id); changed {
		run, sum = types.UnpackRun(change.place), change.sum
	} else if leaf != nil {
		run, sum = mapRun(leaf, int(uint64(id)%l.p.fanout()))
	}
	if run.Count == 0 || run.First != c.here() {
		return c.damaged(data)
	}
	c.pages++
	offset := l.p.offset(run.First)
	if run.Count == 1 {
		return verifyPage(data, run, id, l.seq, sum, l.p.name, offset)
	}
	if !l.p.isExtent(run) {
		return c.corrupt(run.First, id, "run of %d blocks is longer than any page", run.Count)
	}
	c.extent = copyExtent{id: id, run: run, sum: sum, left: int(run.Count)}
	c.extent.hash.Reset()
	if problem := pageProblem(data, run, id, l.seq); problem != "" {
		return c.corrupt(run.First, id, "%s", problem)
	}
	return c.goOn()
}

// goOn takes the next block of an extent, and verifies it with the last.
func (c *copyCheck) goOn() error {
	e := &c.extent
	if c.w.what[c.i] != copySource || c.here() != e.run.End()-types.Block(e.left) {
		return c.corrupt(e.run.First, e.id, "block %d of its run is used otherwise", c.here())
	}
	_, _ = e.hash.Write(c.block(c.i)) // never fails
	if e.left--; e.left > 0 {
		return nil
	}
	if got := e.hash.Sum64(); got != e.sum {
		return c.corrupt(e.run.First, e.id, "checksum %016x, %016x expected", got, e.sum)
	}
	return nil
}

// end verifies, behind the last window, that nothing is missing.
func (c *copyCheck) end() error {
	l := c.plan
	if c.extent.left > 0 {
		return c.corrupt(c.extent.run.First, c.extent.id, "its run goes on behind the last block in use")
	}
	if n := c.pages + l.pages; n != l.globals.Pages {
		return c.corrupt(0, 0, "%d pages are in use, %d of them are found", l.globals.Pages, n)
	}
	return nil
}

// abort leaves reads that are under way.
func (c *copyCheck) abort(cause error) {
	abortNodes(c.ahead, cause)
	if c.miss {
		_ = c.get.get.Abort(cause)
	}
}
