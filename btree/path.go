package btree

import (
	"fmt"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// path leads from a root to a leaf: at each level a node, and which of its slots was taken. Along it every node is checked
// to lie where its parent says.
type path struct {
	steps []pathStep
	found bool        // descend has come to a leaf with the key
	room  [4]pathStep // memory for steps, enough for most trees: a path costs no allocation
	load  load
}

// pathStep is a node on a path.
type pathStep struct {
	page  pager.Page
	index int // the child that the path goes on to; in the leaf, what search said
}

func (s *pathStep) node() node { return node(s.page.Data) }

// reset empties the path and keeps its memory.
func (p *path) reset() {
	clear(p.steps)
	p.steps = p.steps[:0]
}

// leaf returns the last step.
func (p *path) last() *pathStep { return &p.steps[len(p.steps)-1] }

// complete reports whether the path has come to a leaf.
func (p *path) complete() bool { return len(p.steps) > 0 && p.last().node().leaf() }

// next returns the page that the path goes on to.
func (p *path) next(root types.PageID) types.PageID {
	if len(p.steps) == 0 {
		return root
	}
	s := p.last()
	return s.node().child(s.index)
}

// push appends a page after checking that it lies where its parent says.
func (p *path) push(s Source, pg pager.Page, index int) error {
	if err := p.fits(s, pg); err != nil {
		return err
	}
	if p.steps == nil {
		p.steps = p.room[:0]
	}
	p.steps = append(p.steps, pathStep{page: pg, index: index})
	return nil
}

// fits checks that a page is what the last step's index leads to.
func (p *path) fits(s Source, pg pager.Page) error {
	n := node(pg.Data)
	if len(p.steps) == 0 {
		if f := n.fences(); f.bounded || len(f.low) > 0 {
			return s.corrupt(pg.ID, "a root with fences")
		}
		return nil
	}
	parent := p.last()
	return fitsUnder(s, parent.page, parent.index, pg)
}

// fitsUnder checks that a page is what child index of a parent has to be.
func fitsUnder(s Source, parent pager.Page, index int, pg pager.Page) error {
	n, up := node(pg.Data), node(parent.Data)
	if n.level() != up.level()-1 {
		return s.corrupt(pg.ID, fmt.Sprintf("level %d below page %d of level %d", n.level(), parent.ID, up.level()))
	}
	if !up.bounds(index, n.fences()) {
		return s.corrupt(pg.ID, fmt.Sprintf("fences are not those of child %d of page %d", index, parent.ID))
	}
	return nil
}

// beside takes the path to the leaf on one side of its own, if both have the same parent, that leaf is in memory and sound, and
// it has entries: to the first of them with step 1, to the last with -1. Else the path is as it was.
func (p *path) beside(s Source, step int) bool {
	depth := len(p.steps) - 2
	if depth < 0 {
		return false
	}
	parent := &p.steps[depth]
	i, up := parent.index+step, parent.node()
	if i < 0 || i >= up.count() {
		return false
	}
	id := up.child(i)
	pg, ok := s.findPage(id)
	if !ok {
		return false
	}
	n := node(pg.Data)
	if n.count() == 0 || n.level() != up.level()-1 || !up.bounds(i, n.fences()) {
		return false
	}
	parent.index = i
	slot := 0
	if step < 0 {
		slot = n.count() - 1
	}
	p.steps[depth+1] = pathStep{page: pg, index: slot}
	s.ahead(up, i+step, step)
	return true
}

// descend goes on down to the leaf that holds key.
func (p *path) descend(s Source, root types.PageID, key []byte) (pending *io.Completion, err error) {
	for !p.complete() {
		pg, pending, err := p.load.step(s, p.next(root))
		if pending != nil || err != nil {
			return pending, err
		}
		n, index := node(pg.Data), 0
		if n.leaf() {
			index, p.found = n.search(key)
		} else {
			index = n.childIndex(key)
		}
		if err := p.push(s, pg, index); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// abort leaves a read that is under way.
func (p *path) abort(cause error) error { return p.load.abort(cause) }
