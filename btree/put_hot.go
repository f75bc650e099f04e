package btree

import "github.com/pawldb/pawl/types"

// PutHot stores a value under key as a Put does, if the leaf that was changed last has the key between its fences and room for it.
// Keys that come in order, or close together, skip the descent by it, and all that a Put does so that it can wait: PutHot never
// does. done is false if it has done nothing, and a Put is to. Else stored says whether it stored the value, and old of which kind
// was there.
func (w *Writer) PutHot(root types.PageID, key, value []byte, over Kinds) (stored bool, old Kind, done bool) {
	if w.busy {
		return false, KindNone, false
	}
	return w.putHot(root, key, value, over)
}

// putHot is PutHot for a machine that has begun.
func (w *Writer) putHot(root types.PageID, key, value []byte, over Kinds) (stored bool, old Kind, done bool) {
	pageSize := w.tx.Pager().PageSize()
	if len(key) == 0 || len(key) > MaxKeySize(pageSize) || len(value) > MaxInline(pageSize, len(key)) || w.tx.NeedsRoom() {
		return false, KindNone, false
	}
	pg, ok := w.hot(w.Source().rootOr(root), key)
	if !ok {
		return false, KindNone, false
	}
	e := Entry{Kind: KindValue, Value: value}
	n := node(pg.Data)
	i, found := n.search(key)
	if found {
		old = n.kind(i)
	}
	switch {
	case found && old != KindValue: // it has pages of its own
		return false, old, false
	case !over.Has(old):
		return false, old, true
	case found && !n.fitsReplaced(i, &e), !found && !n.fitsEntry(key, &e):
		return false, old, false
	}
	w.tx.Adds()
	w.place(w.hotRoot, &pathStep{page: pg, index: i}, key, &e, found)
	return true, old, true
}

// place puts an entry that fits into a leaf at the step's slot: in place of the one that is found there, or in front of it.
func (w *Writer) place(root types.PageID, leaf *pathStep, key []byte, e *Entry, found bool) {
	spare := w.borrow()
	first, was := leaf.page.Image != nil, leaf.node()
	n := w.edit(leaf)
	if found {
		n.replaceEntry(leaf.index, key, e, spare)
	} else {
		n.insertEntry(leaf.index, key, e, spare)
	}
	w.giveBack(spare)
	n.assert()
	switch {
	case !first: // it has changed more than that
	case found && n.cellSize(leaf.index) == was.cellSize(leaf.index):
		w.replaced(leaf, was, leaf.index)
	case !found && n.gapEnd() == was.gapEnd()-n.cellSize(leaf.index): // else cells were moved together
		w.inserted(leaf, leaf.index)
	}
	w.changed(root, leaf.page.ID)
	w.hotSlot = leaf.index
}
