package btree

import (
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// walk is a machine that goes through the nodes of a tree, parents before their children, children in order.
type walk struct {
	src  Source
	root types.PageID
	path path
	up   bool // the subtree of the last step is done
	over bool
}

// start readies the walk of the tree at root.
func (k *walk) start(src Source, root types.PageID) {
	*k = walk{src: src, root: root, over: root == 0, path: path{steps: k.path.steps[:0]}}
}

// step ends with the next node; ok is false behind the last. After an error the walk can go on: skip leaves the page out.
func (k *walk) step() (pg pager.Page, ok bool, pending *io.Completion, err error) {
	for !k.over {
		steps := k.path.steps
		if len(steps) > 0 && (k.up || steps[len(steps)-1].node().leaf()) {
			k.climb()
			continue
		}
		pg, pending, err := k.path.load.step(k.src, k.path.next(k.root))
		if pending != nil || err != nil {
			return pager.Page{}, false, pending, err
		}
		if err := k.path.push(k.src, pg, 0); err != nil {
			return pager.Page{}, false, nil, err
		}
		return pg, true, nil, nil
	}
	return pager.Page{}, false, nil, nil
}

// climb leaves the last step for its next sibling, or for what is above.
func (k *walk) climb() {
	k.path.steps = k.path.steps[:len(k.path.steps)-1]
	k.skip()
}

// skip goes on behind the child that the last step leads to.
func (k *walk) skip() {
	if len(k.path.steps) == 0 {
		k.over = true
		return
	}
	s := k.path.last()
	s.index++
	k.up = s.index == s.node().count()
}

// abort leaves a read.
func (k *walk) abort(cause error) error { return k.path.abort(cause) }
