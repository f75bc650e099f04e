package btree

import (
	"bytes"
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// DeleteRange is a machine that removes the keys from one up to another; buckets among them stay. It takes a leaf a round,
// under a savepoint that an error or Abort goes back to.
//
//	start --> room -> find -> old -> plan -> apply --> ended
//	            ^                              |
//	            +-------the next leaf----------+
type DeleteRange struct {
	w    *Writer
	root types.PageID
	from []byte // keys below were dealt with
	to   []byte
	open bool // there is no upper end

	state   rangeState
	save    int
	deleted int64
	room    pager.MakeRoom
	path    path
	slots   []int
	larges  []Entry // of the slots
	old     extents
	pages   []types.PageID // their extents
	change  rebalance
}

type rangeState uint8

const (
	rangeStart rangeState = iota // work
	rangeRoom                    // await: pages are being spilled
	rangeFind                    // await: nodes of the path
	rangeOld                     // await: lists of large values' extents
	rangePlan                    // await: neighbours
	rangeApply                   // work
	rangeEnded                   // end
)

// rangeLarges bounds how many large values go in a round.
const rangeLarges = 64

// Start readies the machine to remove the keys >= from and < to; a nil to has no end. Both stay unchanged until the end. Root 0 is the
// root bucket.
func (d *DeleteRange) Start(w *Writer, root types.PageID, from, to []byte) {
	*d = DeleteRange{w: w, root: root, from: slices.Clone(from), to: to, open: to == nil}
}

// Step ends with the number of keys that were removed.
func (d *DeleteRange) Step() (types.IOResult[int64], error) {
	if d.state == rangeStart {
		if err := d.w.begin(); err != nil {
			return types.Fail[int64](err)
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
			return types.Fail[int64](d.Abort(err))
		case pending != nil:
			return types.Wait[int64](pending)
		}
	}
	d.w.Release(d.save)
	d.w.end()
	return types.Done(d.deleted)
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
		d.choose()
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
		d.change.start(d.w, &d.path, d.slots)
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

	default:
		panic(invariant.Failf("btree: DeleteRange stepped in state %d", d.state))
	}
	return nil, nil
}

// choose picks the slots of the leaf that go in this round.
func (d *DeleteRange) choose() {
	leaf := d.path.last()
	n := leaf.node()
	for i := leaf.index; i < n.count() && len(d.larges) < rangeLarges; i++ {
		if !d.open && bytes.Compare(n.stored(i), d.to) >= 0 {
			break
		}
		switch n.kind(i) {
		case KindBucket:
			continue
		case KindLarge:
			d.larges = append(d.larges, n.entry(i))
		}
		d.slots = append(d.slots, i)
	}
}

// apply removes them, and goes on to the next leaf. It can't fail.
func (d *DeleteRange) apply() {
	n := d.path.last().node()
	next, more := n.high()
	if count := len(d.slots); count > 0 {
		if last := d.slots[count-1]; last+1 < n.count() && d.within(n.stored(last+1)) {
			next, more = n.stored(last+1), true // cut short by its large values
		}
	}
	d.from = append(d.from[:0], next...)
	d.deleted += int64(len(d.slots))
	for _, id := range d.pages {
		d.w.tx.Free(id)
	}
	if len(d.slots) > 0 {
		d.change.apply()
		d.w.restructured()
	}
	if !more || !d.within(d.from) {
		d.state = rangeEnded
		return
	}
	d.next()
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
	}
	d.state = rangeEnded
	d.w.RollbackTo(d.save)
	d.w.end()
	return cause
}
