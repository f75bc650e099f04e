package btree

import (
	"encoding/binary"

	"github.com/pawldb/pawl/internal/invariant"
)

// insert makes room for a cell of size bytes in front of slot i and returns it, zero, for the caller to fill: key bytes that
// the cell stores first, whose part behind the prefix is behind. It fits: slotSize + size <= free. spare is memory of a
// page's size, used if the cells have to move together.
func (n node) insert(i, stored, size int, behind, spare []byte) []byte {
	if n.free() < slotSize+size || i > n.count() {
		panic(invariant.Failf("btree: cell of %d bytes at slot %d of %d, %d bytes free", size, i, n.count(), n.free()))
	}
	if n.gapEnd()-n.gapStart() < slotSize+size {
		n.compact(spare)
	}
	start, end, count := n.gapStart(), n.gapEnd()-size, n.count()
	slot := nodeHeader + slotSize*i
	copy(n[slot+slotSize:start+slotSize], n[slot:start])
	n.setSlots(count + 1)
	n.setGap(start+slotSize, end)
	binary.LittleEndian.PutUint32(n[slot:], head4(behind))
	n.putU16(slot+slotCellOff, end)
	n.putU16(slot+slotKeyOff, stored)
	return n[end : end+size]
}

// insertEntry puts a key in front of slot i of a leaf.
func (n node) insertEntry(i int, key []byte, e *Entry, spare []byte) {
	cell := n.insert(i, len(key), len(key)+e.tailSize(), key[n.prefixLen():], spare)
	putEntry(cell, key, e)
}

// putEntry fills a leaf's cell.
func putEntry(cell, key []byte, e *Entry) {
	out := e.tailHead(append(cell[:0], key...))
	out = append(out, e.Value...)
	if len(out) != len(cell) {
		panic(invariant.Failf("btree: cell of %d bytes filled with %d", len(cell), len(out)))
	}
}

// insertChild puts a packed child behind a separator, a whole key, in front of slot i > 0 of an interior node.
func (n node) insertChild(i int, separator []byte, child uint64, spare []byte) {
	behind := separator[n.prefixLen():]
	cell := n.insert(i, len(behind), len(behind)+interiorTail, behind, spare)
	copy(cell, behind)
	binary.LittleEndian.PutUint64(cell[len(behind):], child)
}

// fitsEntry reports whether a leaf has room for a new cell.
func (n node) fitsEntry(key []byte, e *Entry) bool {
	return n.free() >= slotSize+len(key)+e.tailSize()
}

// fitsChild reports whether an interior node has room for a new child.
func (n node) fitsChild(separator []byte) bool {
	return n.free() >= slotSize+len(separator)-n.prefixLen()+interiorTail
}

// remove takes slot i and its cell out.
func (n node) remove(i int) {
	off, size := n.cellOff(i), n.cellSize(i)
	slot, start := nodeHeader+slotSize*i, n.gapStart()
	copy(n[slot:], n[slot+slotSize:start])
	clear(n[start-slotSize : start])
	n.setSlots(n.count() - 1)
	end := n.gapEnd()
	if off == end {
		clear(n[off : off+size])
		end += size
	} else {
		n.putU16(nodeDeadOff, n.dead()+size)
	}
	if n.count() == 0 { // nothing of what lies there is in use
		end = n.fencesOff()
		clear(n[nodeHeader:end])
		n.putU16(nodeDeadOff, 0)
	}
	n.setGap(start-slotSize, end)
}

// fitsReplaced reports whether slot i of a leaf can hold another entry.
func (n node) fitsReplaced(i int, e *Entry) bool {
	return n.free()+n.cellSize(i) >= n.storedLen(i)+e.tailSize()
}

// replaceEntry puts another entry under the key of slot i of a leaf.
func (n node) replaceEntry(i int, key []byte, e *Entry, spare []byte) {
	if size := len(key) + e.tailSize(); size == n.cellSize(i) {
		off := n.cellOff(i)
		putEntry(n[off:off+size], key, e)
		return
	}
	n.remove(i)
	n.insertEntry(i, key, e, spare)
}

// compact moves the cells together, so that all free bytes are in the gap.
func (n node) compact(spare []byte) {
	old := node(spare[:len(n)])
	copy(old, n)
	end := n.fencesOff()
	clear(n[n.gapStart():end])
	for i := range n.count() {
		size := old.cellSize(i)
		end -= size
		off := old.cellOff(i)
		copy(n[end:], old[off:off+size])
		n.putU16(nodeHeader+slotSize*i+slotCellOff, end)
	}
	n.putU16(nodeDeadOff, 0)
	n.setGap(n.gapStart(), end)
}

// item is a cell on its way from one node to another: the whole key, and what stands behind it. An interior node's first
// item has the key that the low fence is.
type item struct {
	key, tail []byte
	of        node // a leaf that has the cell, and
	at        int  // where it begins there
}

// pagedItems returns what items of a node of that level lead to that has pages of its own; see node.paged.
func pagedItems(level int, items []item) Kinds {
	var k Kinds
	for i := range items {
		if level == 0 {
			k |= KindsOf(Kind(items[i].tail[0]))
		} else {
			_, below := unpackChild(binary.LittleEndian.Uint64(items[i].tail))
			k |= below
		}
	}
	return k & paged()
}

// appendItems appends the node's items. Keys are slices of n, or of arena, which is returned longer.
func (n node) appendItems(dst []item, arena []byte) ([]item, []byte) {
	for i := range n.count() {
		key, of, at := n.stored(i), n, n.cellOff(i)
		if !n.leaf() {
			of, at = nil, 0
			from := len(arena)
			arena = n.appendKey(arena, i)
			key = arena[from:len(arena):len(arena)]
		}
		dst = append(dst, item{key: key, tail: n.tail(i), of: of, at: at})
	}
	return dst, arena
}

// itemsSize returns what used comes to if a node of that level between those fences holds the items.
func itemsSize(level int, f fences, items []item) int {
	size := f.size()
	prefix := f.prefixLen()
	for i, it := range items {
		size += slotSize + len(it.tail)
		switch {
		case level == 0:
			size += len(it.key)
		case i > 0:
			size += len(it.key) - prefix
		}
	}
	return size
}

// build makes buf, a page of the pager, a node with those items. Nothing of f and items is a part of buf.
func build(buf []byte, level int, f fences, items []item) node {
	n := reset(buf, level, f)
	for i, it := range items {
		var stored, behind []byte
		if level == 0 || i > 0 {
			stored, behind = it.key, it.key[n.prefixLen():]
		}
		if level > 0 {
			stored = behind
		}
		cell := n.insert(i, len(stored), len(stored)+len(it.tail), behind, nil)
		copy(cell[copy(cell, stored):], it.tail)
	}
	n.assert()
	return n
}

// assert panics if a node that was changed here is none any more.
func (n node) assert() {
	if invariant.Enabled {
		if problem := checkNode(n); problem != "" {
			panic(invariant.Failf("btree: page made unsound: %s", problem))
		}
	}
}
