package btree

import (
	"encoding/binary"
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
)

// bias says where a node that overflows is cut.
type bias uint8

const (
	cutMiddle bias = iota // halves
	cutAfter              // keys come in ascending order: what is before the new key stays together
	cutBefore             // in descending order: what is behind it
)

// cutSizes are what the two nodes come to if items are cut in front of one, and how long the separator is.
type cutSizes struct{ left, right, separator int }

// cuts calls fn for each place where items, which lie between the fences, can be cut.
func cuts(level int, f fences, items []item, fn func(at int, s cutSizes)) {
	prefix := f.prefixLen() // both nodes' prefixes are at least as long
	size := func(i int) int {
		cell := slotSize + len(items[i].tail)
		if level == 0 {
			return cell + len(items[i].key)
		}
		if i > 0 {
			cell += len(items[i].key) - prefix
		}
		return cell
	}
	total := 0
	for i := range items {
		total += size(i)
	}
	before := 0
	for at := 1; at < len(items); at++ {
		before += size(at - 1)
		s := cutSizes{left: len(f.low) + before, right: len(f.high) + total - before}
		if level == 0 {
			s.separator = separatorLen(items[at-1].key, items[at].key)
		} else {
			s.separator = len(items[at].key)
			s.right -= s.separator - prefix // it moves up
		}
		s.left += s.separator
		s.right += s.separator
		fn(at, s)
	}
}

// chooseCut returns where to cut items, the new one of which is at slot added, so that both nodes fit: in front of which
// item. Near the middle the shortest separator wins. It returns 0 if there is no such place.
func chooseCut(pageSize, level int, f fences, items []item, added int, b bias) int {
	capacity := pageSize - nodeHeader
	want := 0
	switch {
	case b == cutAfter && added == len(items)-1:
		want = added
	case b == cutAfter:
		want = added + 1
	case b == cutBefore:
		want = max(added, 1)
	}
	best, near := capacity+1, 0
	cuts(level, f, items, func(at int, s cutSizes) {
		worse := max(s.left, s.right)
		best = min(best, worse)
		switch { // a node without a fence may be too full for one: then the next item goes over, too
		case worse > capacity:
		case b == cutAfter && at <= want, b == cutBefore && at >= want && near == 0:
			near = at
		}
	})
	if near > 0 {
		return near
	}
	limit, cut, shortest := min(best+capacity/16, capacity), 0, 1<<30
	cuts(level, f, items, func(at int, s cutSizes) {
		if max(s.left, s.right) <= limit && s.separator < shortest {
			cut, shortest = at, s.separator
		}
	})
	return cut
}

// separator returns what tells the two sides of a cut apart, in memory of the writer's that the next call uses again.
func (w *Writer) separator(level int, items []item, cut int) []byte {
	key := items[cut].key
	if level == 0 {
		key = key[:separatorLen(items[cut-1].key, key)]
	}
	w.mem.sep = append(w.mem.sep[:0], key...)
	return w.mem.sep
}

// sides returns the fences on both sides of a separator.
func (f fences) sides(separator []byte) (left, right fences) {
	return fences{low: f.low, high: separator, bounded: true}, fences{low: separator, high: f.high, bounded: f.bounded}
}

// stable returns the node's bytes such that editing the page does not change them; free gives the memory back.
func (w *Writer) stable(s *pathStep) (n node, free func()) {
	if s.page.Image != nil {
		return s.node(), func() {}
	}
	buf := w.borrow()
	copy(buf, s.page.Data)
	return node(buf), func() { w.giveBack(buf) }
}

// splitInsert splits the node at a depth of the path, which has no room for it, with it in front of slot at.
// The root's contents go into two new pages, and the root becomes their parent.
func (w *Writer) splitInsert(p *path, depth, at int, it item, b bias) {
	step := &p.steps[depth]
	old, free := w.stable(step)
	defer free()
	level, f := old.level(), old.fences()
	w.mem.items, w.mem.arena = old.appendItems(w.mem.items[:0], w.mem.arena[:0])
	it.key = slices.Clone(it.key) // the separator's memory is used again
	items := slices.Insert(w.mem.items, at, it)
	w.mem.items = items
	cut := chooseCut(len(old), level, f, items, at, b)
	if cut == 0 {
		panic(invariant.Failf("btree: page %d of %d items can't be split", step.page.ID, len(items)))
	}
	separator := w.separator(level, items, cut)
	left, right := f.sides(separator)
	rightID, buf := w.tx.New()
	build(buf, level, right, items[cut:])
	leftPaged, rightPaged := pagedItems(level, items[:cut]), pagedItems(level, items[cut:])
	if depth > 0 {
		w.rebuild(step, level, left, items[:cut])
		w.setBelow(&p.steps[depth-1], p.steps[depth-1].index, leftPaged)
		w.insertChild(p, depth-1, separator, packChild(rightID, rightPaged))
		return
	}
	leftID, buf := w.tx.New()
	build(buf, level, left, items[:cut])
	var tails [2][interiorTail]byte
	binary.LittleEndian.PutUint64(tails[0][:], packChild(leftID, leftPaged))
	binary.LittleEndian.PutUint64(tails[1][:], packChild(rightID, rightPaged))
	w.rebuild(step, level+1, fences{}, []item{{tail: tails[0][:]}, {key: separator, tail: tails[1][:]}})
}

// setBelow changes what an interior node says may lie below a child, if it says something else.
func (w *Writer) setBelow(step *pathStep, i int, below Kinds) {
	if step.node().below(i) != below {
		w.edit(step).setBelow(i, below)
	}
}

// addBelow makes all nodes of a path down to a leaf say that there may be an entry of that kind below.
func (w *Writer) addBelow(p *path, kind Kind) {
	for depth := len(p.steps) - 2; depth >= 0; depth-- {
		step := &p.steps[depth]
		w.setBelow(step, step.index, step.node().below(step.index)|KindsOf(kind))
	}
}

// insertChild puts a packed child behind the one that the path takes at a depth.
func (w *Writer) insertChild(p *path, depth int, separator []byte, child uint64) {
	step := &p.steps[depth]
	at := step.index + 1
	if step.node().fitsChild(separator) {
		spare := w.borrow()
		n := w.edit(step)
		n.insertChild(at, separator, child, spare)
		n.assert()
		w.giveBack(spare)
		return
	}
	var tail [interiorTail]byte
	binary.LittleEndian.PutUint64(tail[:], child)
	b := cutMiddle
	if at == step.node().count() && !step.node().bounded() {
		b = cutAfter
	}
	w.splitInsert(p, depth, at, item{key: separator, tail: tail[:]}, b)
}

// fitsSeparator reports whether slot i > 0 of an interior node can have another separator.
func (n node) fitsSeparator(i int, separator []byte) bool {
	return n.free()+n.storedLen(i) >= len(separator)-n.prefixLen()
}

// replaceSeparator gives slot i > 0 of an interior node another separator.
func (n node) replaceSeparator(i int, separator, spare []byte) {
	child := packChild(n.child(i), n.below(i))
	n.remove(i)
	n.insertChild(i, separator, child, spare)
	n.assert()
}

// redistribute cuts the items of two neighbours, children at-1 and at of the node at a depth, anew, if that can be done so
// that neither comes to more than limit and the parent has room for the new separator. It reports whether it did. f is from
// the left one's low fence to the right one's high fence; items are no part of pages that can be edited.
func (w *Writer) redistribute(p *path, depth, at int, left, right *pathStep, f fences, items []item, limit int) bool {
	parent := &p.steps[depth]
	level := left.node().level()
	cut := chooseCut(len(left.page.Data), level, f, items, 0, cutMiddle)
	if cut == 0 {
		return false
	}
	fits := false
	cuts(level, f, items, func(i int, s cutSizes) { fits = fits || i == cut && max(s.left, s.right) <= limit })
	separator := w.separator(level, items, cut)
	if !fits || !parent.node().fitsSeparator(at, separator) {
		return false
	}
	lf, rf := f.sides(separator)
	w.rebuild(left, level, lf, items[:cut])
	w.rebuild(right, level, rf, items[cut:])
	spare := w.borrow()
	w.edit(parent).replaceSeparator(at, separator, spare)
	w.giveBack(spare)
	w.setBelow(parent, at-1, pagedItems(level, items[:cut]))
	w.setBelow(parent, at, pagedItems(level, items[cut:]))
	return true
}
