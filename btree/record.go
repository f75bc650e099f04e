package btree

import (
	"bytes"

	"github.com/pawldb/pawl/pager"
)

// What a transaction's first change of a leaf has changed is known here, and a commit that is told need not look for it; see
// pager.Tx.Record. Of nodes that are changed more than once, and of interior ones, it looks.

// inserted tells that the entry in slot i was put into a leaf, the rest of whose cells stayed where they are.
func (w *Writer) inserted(leaf *pathStep, i int) {
	n, slot := leaf.node(), nodeHeader+slotSize*i
	w.record(leaf,
		pager.Change{At: slot, Len: slotSize},
		pager.Change{At: slot + slotSize, Len: n.gapStart() - slot - slotSize, From: slot},
		pager.Change{At: n.cellOff(i), Len: n.cellSize(i)})
}

// searchFrom is the length from which on what has changed of a value is left to a search: much in the midst of it may be as it was.
const searchFrom = 256

// replaced tells that slot i of a leaf has another value, of the same length. was is the leaf as it was.
func (w *Writer) replaced(leaf *pathStep, was node, i int) {
	n := leaf.node()
	from, to := n.cellOff(i)+n.storedLen(i), n.cellOff(i)+n.cellSize(i)
	for from < to && n[from] == was[from] {
		from++
	}
	for from < to && n[to-1] == was[to-1] {
		to--
	}
	if to-from < searchFrom {
		w.record(leaf, pager.Change{At: from, Len: to - from})
	}
}

// removed tells that slot i was taken out of a leaf, with its cell, which was at off and took size bytes.
func (w *Writer) removed(leaf *pathStep, i, off, size int) {
	n, slot := leaf.node(), nodeHeader+slotSize*i
	if off >= n.gapEnd() { // it stays, dead
		size = 0
	}
	w.record(leaf,
		pager.Change{At: slot, Len: n.gapStart() - slot, From: slot + slotSize},
		pager.Change{At: n.gapStart(), Len: slotSize},
		pager.Change{At: off, Len: size})
}

// rebuild makes a step's node one with other items, in place of those that it had. Nothing of f and items is a part of a page that can
// be edited.
func (w *Writer) rebuild(s *pathStep, level int, f fences, items []item) node {
	was, first := node(s.page.Data), s.page.Image != nil
	n := build(w.edit(s), level, f, items)
	if !first || level > 0 || was.level() > 0 {
		return n
	}
	w.mem.changes = append(w.mem.changes[:0], pager.Change{At: pager.PageHeaderSize, Len: n.gapStart() - pager.PageHeaderSize})
	w.zeroed(n.gapStart(), min(was.gapStart(), n.gapEnd()))
	w.zeroed(max(was.gapEnd(), n.gapStart()), n.gapEnd())
	for i := n.count() - 1; i >= 0; i-- { // as the cells lie
		c := pager.Change{At: n.cellOff(i), Len: n.cellSize(i)}
		if it := &items[i]; len(it.of) > 0 && &it.of[0] == &was[0] {
			c.From = it.at
		}
		w.moved(c)
	}
	if at := n.fencesOff(); at != was.fencesOff() || !bytes.Equal(n[at:], was[at:]) {
		w.mem.changes = append(w.mem.changes, pager.Change{At: at, Len: len(n) - at})
	}
	w.tx.Record(s.page.ID, w.mem.changes)
	return n
}

// zeroed adds the change of bytes that are in the gap now.
func (w *Writer) zeroed(from, to int) {
	if from < to {
		w.mem.changes = append(w.mem.changes, pager.Change{At: from, Len: to - from})
	}
}

// moved adds the change of a cell, to those before it if they came along with it.
func (w *Writer) moved(c pager.Change) {
	if c.From == c.At {
		return
	}
	last := &w.mem.changes[len(w.mem.changes)-1]
	if c.From > 0 && last.From > 0 && last.At+last.Len == c.At && last.From+last.Len == c.From {
		last.Len += c.Len
		return
	}
	w.mem.changes = append(w.mem.changes, c)
}

// record tells what was changed of a leaf.
func (w *Writer) record(leaf *pathStep, changes ...pager.Change) {
	w.mem.changes = append(w.mem.changes[:0], changes...) // what is passed on escapes
	w.tx.Record(leaf.page.ID, w.mem.changes)
}
