package btree

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// Drop is a machine that frees a tree with all that is below it: nodes, large values, nested buckets. It takes a page a
// round, depth first, under a savepoint that an error or Abort goes back to. Leaves that lead to nothing more, as the nodes
// above them say, go with those, unread.
//
//	start --> room -> page -> apply --> ended
//	            ^               |
//	            +--more to do---+
type Drop struct {
	w      *Writer
	nested bool // inside of a machine that has begun

	state dropState
	save  int
	stack []dropItem
	room  pager.MakeRoom
	load  load
	old   extents
	plain []types.PageID // leaves that lead to nothing more
}

// dropItem is a page that is to go.
type dropItem struct {
	entry Entry        // a large value, or
	id    types.PageID // a node
	level int          // that it has to have; -1: any
}

type dropState uint8

const (
	dropStart dropState = iota // work
	dropRoom                   // await: pages are being spilled
	dropNode                   // await: a node
	dropLarge                  // await: the list of a large value's extents
	dropEnded                  // end
)

// Start readies the machine to free the tree at root. What leads to it is not touched. Root 0 is an empty tree.
func (d *Drop) Start(w *Writer, root types.PageID) {
	*d = Drop{w: w, stack: d.stack[:0], plain: d.plain[:0]}
	if root != 0 {
		d.stack = append(d.stack, dropItem{id: root, level: -1})
	}
}

// Step goes on with freeing.
func (d *Drop) Step() (types.IOResult[struct{}], error) {
	if d.state == dropStart {
		if !d.nested {
			if err := d.w.begin(); err != nil {
				return types.Fail[struct{}](err)
			}
		}
		d.save = d.w.Savepoint()
		d.room.Start(d.w.tx)
		d.state = dropRoom
		if err := d.freePlain(d.w.Source()); err != nil {
			return types.Fail[struct{}](d.Abort(err))
		}
		d.next()
	}
	for d.state != dropEnded {
		pending, err := d.round()
		switch {
		case err != nil:
			return types.Fail[struct{}](d.Abort(err))
		case pending != nil:
			return types.Wait[struct{}](pending)
		}
	}
	d.w.Release(d.save)
	d.w.restructured()
	if !d.nested {
		d.w.end()
	}
	return types.Done(struct{}{})
}

// next begins a round.
func (d *Drop) next() {
	if len(d.stack) == 0 {
		d.state = dropEnded
		return
	}
	d.state = dropRoom
	d.room.Start(d.w.tx)
}

// round does one state's work.
func (d *Drop) round() (pending *io.Completion, err error) {
	src, top := d.w.Source(), d.stack[len(d.stack)-1]
	switch d.state {
	case dropRoom:
		if pending, err = stepOf(d.room.Step()); pending != nil || err != nil {
			return pending, err
		}
		d.state = dropNode
		if top.id == 0 {
			d.old.start(top.entry)
			d.state = dropLarge
		}

	case dropNode:
		pg, pending, err := d.load.step(src, top.id)
		if pending != nil || err != nil {
			return pending, err
		}
		if n := node(pg.Data); top.level >= 0 && n.level() != top.level {
			return nil, src.corrupt(pg.ID, fmt.Sprintf("level %d, %d expected", n.level(), top.level))
		}
		d.stack = d.stack[:len(d.stack)-1]
		d.push(node(pg.Data))
		d.plain = append(d.plain, pg.ID)
		if err := d.freePlain(src); err != nil {
			return nil, err
		}
		d.next()

	case dropLarge:
		if pending, err = d.old.step(src); pending != nil || err != nil {
			return pending, err
		}
		d.stack = d.stack[:len(d.stack)-1]
		d.old.free(d.w)
		d.next()

	default:
		panic(invariant.Failf("btree: Drop stepped in state %d", d.state))
	}
	return nil, nil
}

// push notes what a node leads to.
func (d *Drop) push(n node) {
	for i := range n.count() {
		if !n.leaf() {
			d.pushNode(n.child(i), n.level()-1, n.below(i))
			continue
		}
		switch e := n.entry(i); e.Kind {
		case KindLarge:
			d.stack = append(d.stack, dropItem{entry: e})
		case KindBucket:
			d.stack = append(d.stack, dropItem{id: e.Bucket.Root, level: -1})
		}
	}
}

// pushNode notes a node of a level, and what may lie below.
func (d *Drop) pushNode(id types.PageID, level int, below Kinds) {
	if level == 0 && below == 0 {
		d.plain = append(d.plain, id)
		return
	}
	d.stack = append(d.stack, dropItem{id: id, level: level})
}

// freePlain frees the leaves that lead to nothing more.
func (d *Drop) freePlain(src Source) error {
	slices.Sort(d.plain)
	if bad, ok := d.w.tx.CanFreeAll(d.plain); !ok {
		return src.corrupt(bad, "a page of a tree that is free, or in it twice")
	}
	d.w.tx.FreeAll(d.plain)
	d.plain = d.plain[:0]
	return nil
}

// Abort takes back what the rounds did.
func (d *Drop) Abort(cause error) error {
	switch d.state {
	case dropStart, dropEnded:
		return cause
	case dropRoom:
		cause = d.room.Abort(cause)
	case dropNode:
		cause = d.load.abort(cause)
	case dropLarge:
		cause = d.old.abort(cause)
	}
	d.state = dropEnded
	d.w.RollbackTo(d.save)
	if !d.nested {
		d.w.end()
	}
	return cause
}
