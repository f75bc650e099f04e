package btree

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// DeleteResult says what a delete found and did.
type DeleteResult struct {
	Deleted bool
	Old     Entry // what was there; of a value only the kind
}

// Delete is a machine that removes a key. Everything before apply gathers and changes nothing.
//
//	start -> room -> find -> old -> plan -> apply
//	                  |       |      +-- neighbours of nodes that get too empty
//	                  |       +-- the extents of a large value
//	                  +-- the path to the leaf
type Delete struct {
	w      *Writer
	root   types.PageID
	key    []byte
	only   Kinds
	nested bool // inside of a machine that has begun

	state  deleteState
	room   pager.MakeRoom
	path   path
	entry  Entry // what is there
	gone   bool  // it is to go
	old    extents
	change rebalance
	slot   [1]int
}

type deleteState uint8

const (
	deleteStart deleteState = iota // work
	deleteRoom                     // await: pages are being spilled
	deleteFind                     // await: nodes of the path
	deleteOld                      // await: the list of a large value's extents
	deletePlan                     // await: neighbours
	deleteEnded                    // end
)

// Start readies the machine to remove key from the tree at root, if what is there is of a kind in only. key stays unchanged
// until the end. A value's extents are freed; a bucket's tree is not, see DropBucket. Root 0 is the root bucket.
func (d *Delete) Start(w *Writer, root types.PageID, key []byte, only Kinds) {
	*d = Delete{w: w, root: root, key: key, only: only, path: path{steps: d.path.steps[:0]}}
}

// Step goes on with removing.
func (d *Delete) Step() (types.IOResult[DeleteResult], error) {
	if d.state == deleteStart {
		if !d.nested {
			if err := d.w.begin(); err != nil {
				return types.Fail[DeleteResult](err)
			}
		}
		d.root = d.w.Source().rootOr(d.root)
		d.room.Start(d.w.tx)
		d.state = deleteRoom
	}
	for {
		pending, err := d.gather()
		switch {
		case err != nil:
			return types.Fail[DeleteResult](d.Abort(err))
		case pending != nil:
			return types.Wait[DeleteResult](pending)
		case d.state == deleteEnded:
			d.apply()
			d.end()
			return types.Done(DeleteResult{Deleted: d.gone, Old: d.entry})
		}
	}
}

// gather does one state's work. deleteEnded means that all is there.
func (d *Delete) gather() (pending *io.Completion, err error) {
	src := d.w.Source()
	switch d.state {
	case deleteRoom:
		if pending, err = stepOf(d.room.Step()); pending != nil || err != nil {
			return pending, err
		}
		d.state = deleteFind

	case deleteFind:
		if d.root == 0 {
			d.state = deleteEnded
			return nil, nil
		}
		if pending, err = d.path.descend(src, d.root, d.key); pending != nil || err != nil {
			return pending, err
		}
		d.state = deleteEnded
		leaf := d.path.last()
		if i, found := leaf.node().search(d.key); found {
			d.entry, d.slot[0] = leaf.node().entry(i), i
			d.entry.Value = nil
			if d.gone = d.only.Has(d.entry.Kind); d.gone {
				d.old.start(d.entry)
				d.change.start(d.w, &d.path, d.slot[:])
				d.state = deleteOld
			}
		}

	case deleteOld:
		if pending, err = d.old.step(src); pending != nil || err != nil {
			return pending, err
		}
		d.state = deletePlan

	case deletePlan:
		if pending, err = d.change.step(src); pending != nil || err != nil {
			return pending, err
		}
		if err = d.change.spared(src, d.old.list); err != nil {
			return nil, err
		}
		d.state = deleteEnded

	default:
		panic(invariant.Failf("btree: Delete stepped in state %d", d.state))
	}
	return nil, nil
}

// apply removes the key. It can't fail.
func (d *Delete) apply() {
	if !d.gone {
		return
	}
	d.old.free(d.w)
	leaf := d.path.last().page.ID
	if d.change.apply() {
		d.w.restructured()
		return
	}
	d.w.changed(d.root, leaf)
	d.w.hotSlot = -2 // no key was inserted there last
}

// end lets the next machine begin.
func (d *Delete) end() {
	if !d.nested {
		d.w.end()
	}
}

// Abort leaves the transaction as it was.
func (d *Delete) Abort(cause error) error {
	switch d.state {
	case deleteStart, deleteEnded:
		return cause
	case deleteRoom:
		cause = d.room.Abort(cause)
	case deleteFind:
		cause = d.path.abort(cause)
	case deleteOld:
		cause = d.old.abort(cause)
	case deletePlan:
		cause = d.change.abort(cause)
	}
	d.state = deleteEnded
	d.end()
	return cause
}
