package btree

import (
	"bytes"
	"slices"
)

// rangeCut says which subtrees behind a path a range covers whole. They are taken off unread; the nodes on the path below go on
// to where the last of them ended.
//
//	before        [ a | c | e | g ]                range [b5, g): all of d, e and f goes
//	             /      |      \    \
//	    [ a | b ]   [ c | d ] [ e | f ]  [ g ... ]
//	        ^ path
//
//	after         [ a | g ]
//	             /        \
//	    [ a | b ]          [ g ... ]               b has the keys up to b5, and the fences [b, g)
type rangeCut struct {
	top     int    // depth of the highest node that loses children; below 0: none does
	counts  []int  // by depth: how many of the children behind the one that the path takes go
	high    []byte // the high fence of the nodes on the path below top, from then on
	bounded bool
	scratch []byte
}

// find looks how far the range goes on behind a leaf whose slots in the range are all among those that go.
func (c *rangeCut) find(d *DeleteRange) {
	steps := d.path.steps
	c.top, c.counts = -1, append(c.counts[:0], make([]int, len(steps))...)
	high, bounded := d.path.last().node().high()
	for depth := len(steps) - 2; depth >= 0 && bounded && d.within(high); depth-- {
		n, index := steps[depth].node(), steps[depth].index
		count := 0
		for index+count+1 < n.count() && c.covered(d, n, index+count+1) {
			count++
		}
		if count > 0 {
			end, ok := n.upper(index+count, &c.scratch)
			if !c.fits(d, depth, end, ok) {
				return
			}
			c.top, c.counts[depth] = depth, count
			c.high, c.bounded = append(c.high[:0], end...), ok
			high, bounded = c.high, ok
		}
		if index+count+1 < n.count() {
			return
		}
	}
}

// covered reports whether the range has all of a child, and there are no buckets below, which stay.
func (c *rangeCut) covered(d *DeleteRange, n node, i int) bool {
	if n.below(i).Has(KindBucket) {
		return false
	}
	end, bounded := n.upper(i, &c.scratch)
	return d.open || bounded && bytes.Compare(end, d.to) <= 0
}

// fits reports whether the nodes below a depth have room for another high fence: it may be longer, and less of the keys may be
// what the fences share.
func (c *rangeCut) fits(d *DeleteRange, depth int, high []byte, bounded bool) bool {
	for at := depth + 1; at < len(d.path.steps); at++ {
		step := &d.path.steps[at]
		n := step.node()
		f := fences{low: n.low(), high: high, bounded: bounded}
		used := f.size()
		if n.leaf() {
			used += usedWithout(n, d.slots) - n.fences().size()
		} else {
			for i := range step.index + 1 {
				used += slotSize + n.cellSize(i)
			}
			used += step.index * (n.prefixLen() - f.prefixLen())
		}
		if used > n.capacity() {
			return false
		}
	}
	return true
}

// apply takes the subtrees off, and the leaf's slots, and hands the subtrees to a machine that frees them. It can't fail.
func (c *rangeCut) apply(d *DeleteRange, gone *Drop) {
	w, last := d.w, len(d.path.steps)-1
	for depth := c.top; depth <= last; depth++ {
		step := &d.path.steps[depth]
		n, free := w.stable(step)
		f := n.fences()
		if depth > c.top {
			f.high, f.bounded = c.high, c.bounded
		}
		w.mem.items, w.mem.arena = n.appendItems(w.mem.items[:0], w.mem.arena[:0])
		if depth == last {
			w.mem.items = without(w.mem.items, 0, d.slots)
		} else {
			from, to := step.index+1, step.index+1+c.counts[depth]
			for i := from; i < to; i++ {
				gone.pushNode(n.child(i), n.level()-1, n.below(i))
			}
			w.mem.items = slices.Delete(w.mem.items, from, to)
		}
		w.rebuild(step, n.level(), f, w.mem.items)
		free()
	}
	w.restructured()
}
