package pager

import (
	"errors"
	"fmt"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// MapReport is what a CheckMap found.
type MapReport struct {
	Generation types.Generation
	Pages      uint64      // page ids in use by the generation
	Nodes      uint64      // of the map
	Blocks     types.Block // of the file
	Used       uint64      // blocks of pages and map nodes
	Problems   []error     // *types.CorruptError, the first mapProblems of them
	More       bool        // there were more
}

// mapProblems bounds how many problems are kept.
const mapProblems = 100

// CheckMap is a machine that goes through the map of a reader's generation: every node is sound, counts agree, no two runs
// overlap, and what the map uses is what the bitmaps say is in use. It reads no pages: the trees' check does. Its memory
// is one bit a block, and one map node a level.
type CheckMap struct {
	p      *Pager
	gen    *generation
	todo   []mapCheckItem
	get    mapNodeGet
	busy   bool
	used   *blockSetEdit
	report MapReport
}

// mapCheckItem is a node that is to be looked at.
type mapCheckItem struct {
	level int
	index uint64
	free  uint32 // what its parent says of it
	top   bool
}

// Start readies the machine. The reader stays open until its end.
func (c *CheckMap) Start(r *Reader) {
	gen := r.snap.gen
	*c = CheckMap{p: r.p, gen: gen, report: MapReport{Generation: gen.number, Blocks: gen.blocks}}
	c.used = newBlockSet(r.p.pageSize).edit()
	c.used.resize(gen.blocks)
	geometry := geometryOf(r.p.pageSize)
	for _, run := range geometry.homesIn(0, gen.blocks) {
		c.used.set(run)
	}
	if gen.root != 0 {
		c.todo = append(c.todo, mapCheckItem{level: gen.height - 1, top: true})
	}
}

// Step ends with what was found. Errors other than damage end it.
func (c *CheckMap) Step() (types.IOResult[MapReport], error) {
	for len(c.todo) > 0 {
		pending, err := c.next()
		if err != nil {
			return types.Fail[MapReport](err)
		}
		if pending != nil {
			return types.Wait[MapReport](pending)
		}
	}
	c.compare()
	return types.Done(c.report)
}

// next looks at one node.
func (c *CheckMap) next() (*io.Completion, error) {
	item := c.todo[len(c.todo)-1]
	if !c.busy {
		c.get.start(c.p, c.gen, item.level, item.index)
		c.busy = true
	}
	res, err := c.get.Step()
	if res.Pending != nil {
		return res.Pending, nil
	}
	c.busy = false
	c.todo = c.todo[:len(c.todo)-1]
	switch {
	case errors.Is(err, types.ErrCorrupt):
		c.problem(err)
	case err != nil:
		return nil, err
	case res.Value.node != nil:
		c.look(item, res.Value)
	}
	return nil, nil
}

// look takes what a node says.
func (c *CheckMap) look(item mapCheckItem, at mapNodeAt) {
	c.report.Nodes++
	c.mark(0, types.Run{First: at.block, Count: 1}, at.block)
	next := c.gen.globals.NextPage
	if free := mapFree(at.node, item.level, item.index, next); !item.top && free < item.free {
		c.problem(c.corrupt(0, at.block, fmt.Sprintf("map node has %d free page ids, the one above says %d", free, item.free)))
	}
	fanout := c.p.fanout()
	for entry := range int(fanout) {
		index := item.index*fanout + uint64(entry)
		if item.level > 0 {
			if child, free, _ := mapChild(at.node, entry); child != 0 {
				c.todo = append(c.todo, mapCheckItem{level: item.level - 1, index: index, free: free})
			}
			continue
		}
		run, _ := mapRun(at.node, entry)
		switch id := types.PageID(index); {
		case run.Count == 0:
		case id == 0 || id >= next:
			c.problem(c.corrupt(id, at.block, fmt.Sprintf("map has page %d, ids are below %d", id, next)))
		default:
			c.report.Pages++
			c.mark(id, run, at.block)
		}
	}
}

// mark notes that a run is in use.
func (c *CheckMap) mark(id types.PageID, run types.Run, node types.Block) {
	for b := run.First; b < run.End(); b++ {
		if b >= c.gen.blocks || c.used.made.has(b) {
			c.problem(c.corrupt(id, node, fmt.Sprintf("block %d is used twice, or lies behind the end", b)))
			return
		}
		c.used.set(types.Run{First: b, Count: 1})
		c.report.Used++
	}
}

// compare holds the map against the bitmaps and the globals.
func (c *CheckMap) compare() {
	if len(c.report.Problems) > 0 {
		return // they are the cause
	}
	if want := c.gen.globals.Pages; c.report.Pages != want {
		c.problem(c.corrupt(0, 0, fmt.Sprintf("map has %d pages, %d are in use", c.report.Pages, want)))
	}
	if c.gen.used == nil {
		return // a read-only open has no bitmaps
	}
	for b := range c.gen.blocks {
		if inMap, inBitmap := c.used.made.has(b), c.gen.used.has(b); inMap != inBitmap {
			c.problem(c.corrupt(0, b, fmt.Sprintf("block %d: used by the map %v, by the bitmaps %v", b, inMap, inBitmap)))
		}
	}
}

// corrupt returns an error about a block.
func (c *CheckMap) corrupt(id types.PageID, at types.Block, detail string) error {
	return &types.CorruptError{File: c.p.name, Offset: c.p.offset(at), Page: id, Detail: detail}
}

// problem keeps damage.
func (c *CheckMap) problem(err error) {
	if len(c.report.Problems) == mapProblems {
		c.report.More = true
		return
	}
	c.report.Problems = append(c.report.Problems, err)
}

// Abort leaves the read.
func (c *CheckMap) Abort(cause error) error {
	if c.busy {
		c.busy = false
		return c.get.Abort(cause)
	}
	return cause
}
