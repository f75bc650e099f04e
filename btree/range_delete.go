package btree

import (
	"bytes"
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// DeleteRange is a machine that removes the keys from one up to another; buckets among them stay. In a round it takes keys off a
// leaf, and the subtrees behind it that the range covers, unread if what is above them says that there is no bucket in them.
// All is under a savepoint that an error or Abort goes back to, and between rounds the tree is sound.
//
//	start --> room -> find -> old -> (cut) -> plan -> apply -> (drop) --> ended
//	            ^                                                |
//	            +------------------the next leaf-----------------+
type DeleteRange struct {
	w    *Writer
	root types.PageID
	from []byte // keys below were dealt with
	to   []byte
	open bool // there is no upper end

	state  rangeState
	save   int
	room   pager.MakeRoom
	path   path
	slots  []int
	larges []Entry // of the slots
	old    extents
	pages  []types.PageID // their extents
	cut    rangeCut
	change rebalance
	gone   Drop       // of what was cut off
	after  rangeState // that it is freed
}

type rangeState uint8

const (
	rangeStart rangeState = iota // work
	rangeRoom                    // await: pages are being spilled
	rangeFind                    // await: nodes of the path
	rangeOld                     // await: lists of large values' extents
	rangeTake                    // work: take off subtrees
	rangePlan                    // await: neighbours
	rangeApply                   // work
	rangeDrop                    // await: nodes of the subtrees
	rangeEnded                   // end
)

// rangeLarges bounds how many large values go in a round.
const rangeLarges = 64

// Start readies the machine to remove the keys >= from and < to; a nil to has no end. Both stay unchanged until the end. Root 0 is the
// root bucket.
func (d *DeleteRange) Start(w *Writer, root types.PageID, from, to []byte) {
	*d = DeleteRange{w: w, root: root, from: slices.Clone(from), to: to, open: to == nil}
}

// Step goes on with removing.
func (d *DeleteRange) Step() (types.IOResult[struct{}], error) {
	if d.state == rangeStart {
		if err := d.w.begin(); err != nil {
			return types.Fail[struct{}](err)
		}
		d.root = d.w.Source().rootOr(d.root)
		d.save = d.w.Savepoint()
		d.next()
		if d.root == 0 || !d.open && bytes.Compare(d.from, d.to) >= 0 {
			d.state = rangeEnded
		}
	}
	for d.state != rangeEnded {
		pending, err := d.round()
		switch {
		case err != nil:
			return types.Fail[struct{}](d.Abort(err))
		case pending != nil:
			return types.Wait[struct{}](pending)
		}
	}
	d.w.Release(d.save)
	d.w.end()
	return types.Done(struct{}{})
}

// next begins a round.
func (d *DeleteRange) next() {
	d.state = rangeRoom
	d.room.Start(d.w.tx)
	d.path.reset()
	d.slots, d.larges, d.pages = d.slots[:0], d.larges[:0], d.pages[:0]
}

// round does one state's work.
func (d *DeleteRange) round() (pending *io.Completion, err error) {
	src := d.w.Source()
	switch d.state {
	case rangeRoom:
		if pending, err = stepOf(d.room.Step()); pending != nil || err != nil {
			return pending, err
		}
		d.state = rangeFind

	case rangeFind:
		if pending, err = d.path.descend(src, d.root, d.from); pending != nil || err != nil {
			return pending, err
		}
		d.cut.top = -1
		if d.choose() {
			d.cut.find(d)
		}
		d.state = rangeOld
		d.old.start(Entry{})

	case rangeOld:
		for {
			if pending, err = d.old.step(src); pending != nil || err != nil {
				return pending, err
			}
			d.pages = append(d.pages, d.old.list...)
			if len(d.larges) == 0 {
				break
			}
			d.old.start(d.larges[0])
			d.larges = d.larges[1:]
		}
		if err := freeable(src, d.pages); err != nil {
			return nil, err
		}
		if d.state = rangeTake; d.cut.top < 0 {
			d.change.start(d.w, &d.path, d.slots)
			d.state = rangePlan
		}

	case rangeTake:
		if err := spared(src, d.pages, &d.path); err != nil {
			return nil, err
		}
		d.take()
		d.state = rangePlan

	case rangePlan:
		if pending, err = d.change.step(src); pending != nil || err != nil {
			return pending, err
		}
		if err = d.change.spared(src, d.pages); err != nil {
			return nil, err
		}
		d.state = rangeApply

	case rangeApply:
		d.apply()

	case rangeDrop:
		if pending, err = stepOf(d.gone.Step()); pending != nil || err != nil {
			return pending, err
		}
		d.state = d.after

	default:
		panic(invariant.Failf("btree: DeleteRange stepped in state %d", d.state))
	}
	return nil, nil
}

// choose picks the slots of the leaf that go in this round. It reports whether none behind them is left for another.
func (d *DeleteRange) choose() (all bool) {
	leaf := d.path.last()
	n := leaf.node()
	for i := leaf.index; i < n.count(); i++ {
		if !d.within(n.stored(i)) {
			break
		}
		if len(d.larges) == rangeLarges {
			return false
		}
		switch n.kind(i) {
		case KindBucket:
			continue
		case KindLarge:
			d.larges = append(d.larges, n.entry(i))
		}
		d.slots = append(d.slots, i)
	}
	return true
}

// take removes the keys and the subtrees behind the leaf. It can't fail.
func (d *DeleteRange) take() {
	d.free()
	d.gone.Start(d.w, 0)
	d.gone.nested = true
	d.cut.apply(d, &d.gone)
	d.slots = d.slots[:0]
	d.change.start(d.w, &d.path, nil)
	d.change.upward = true
}

// free gives up the extents of the large values that go.
func (d *DeleteRange) free() {
	for _, id := range d.pages {
		d.w.tx.Free(id)
	}
	d.pages = d.pages[:0]
}

// apply removes the keys, unless take has done so, sets right what is too empty, and goes on to the next leaf. It can't fail.
func (d *DeleteRange) apply() {
	d.free()
	took := d.cut.top >= 0
	next, more := d.cut.high, d.cut.bounded
	if !took {
		n := d.path.last().node()
		next, more = n.high()
		if count := len(d.slots); count > 0 {
			if last := d.slots[count-1]; last+1 < n.count() && d.within(n.stored(last+1)) {
				next, more = n.stored(last+1), true // cut short by its large values
			}
		}
	}
	d.from = append(d.from[:0], next...)
	if took || len(d.slots) > 0 {
		d.change.apply()
		d.w.restructured()
	}
	d.next()
	if !more || !d.within(d.from) {
		d.state = rangeEnded
	}
	if took {
		d.after, d.state = d.state, rangeDrop
	}
}

// within reports whether a key is below the upper end.
func (d *DeleteRange) within(key []byte) bool { return d.open || bytes.Compare(key, d.to) < 0 }

// Abort takes back what the rounds did.
func (d *DeleteRange) Abort(cause error) error {
	switch d.state {
	case rangeStart, rangeEnded:
		return cause
	case rangeRoom:
		cause = d.room.Abort(cause)
	case rangeFind:
		cause = d.path.abort(cause)
	case rangeOld:
		cause = d.old.abort(cause)
	case rangePlan:
		cause = d.change.abort(cause)
	case rangeDrop:
		cause = d.gone.Abort(cause)
	}
	d.state = rangeEnded
	d.w.RollbackTo(d.save)
	d.w.end()
	return cause
}
