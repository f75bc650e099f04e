package btree

import (
	"bytes"
	"encoding/binary"

	"github.com/pawldb/pawl/internal/prefetch"
	"github.com/pawldb/pawl/types"
)

// Leaf is the leaf that a cursor over a reader's tree is in: an immutable image, whose entries can be read one after the other
// without moving the cursor. It is good for as long as it is held.
type Leaf struct {
	n  node
	id types.PageID
}

// Leaf returns the leaf that the cursor is in, and the slot of its entry there. The cursor is at an entry of a reader's tree.
func (c *Cursor) Leaf() (l Leaf, slot int) {
	at := c.path.last()
	return Leaf{at.node(), at.page.ID}, at.index
}

// Ahead tells the processor that the entries of a reader's tree from the cursor's on are about to be read, in the direction of step:
// 1 or -1. The cursor is at an entry.
func (c *Cursor) Ahead(step int) {
	depth := len(c.path.steps) - 1
	prefetch.Bytes(c.path.steps[depth].page.Data)
	if depth > 0 {
		parent := &c.path.steps[depth-1]
		c.src.ahead(parent.node(), parent.index+step, step)
	}
}

// Jump moves the cursor to the entry in another slot of its leaf.
func (c *Cursor) Jump(slot int) {
	c.path.last().index = slot
	c.take()
}

// Page returns the leaf's page.
func (l Leaf) Page() types.PageID { return l.id }

// Count returns the number of entries.
func (l Leaf) Count() int { return l.n.count() }

// Below returns how many of the entries have keys below key, which may lie anywhere.
func (l Leaf) Below(key []byte) int {
	switch high, bounded := l.n.high(); {
	case bounded && bytes.Compare(high, key) <= 0:
		return l.n.count()
	case bytes.Compare(key, l.n.low()) <= 0:
		return 0
	}
	i, _ := l.n.search(key)
	return i
}

// Pair returns the key in a slot with its value, if the leaf has that: else the kind says what there is. The slices are of the
// image.
func (l Leaf) Pair(slot int) (key, value []byte, kind Kind) {
	n := l.n
	at := binary.LittleEndian.Uint64(n[nodeHeader+slotSize*slot:])
	off := int(at >> (8 * slotCellOff) & 0xffff)
	end := off + int(at>>(8*slotKeyOff))
	key, tail := n[off:end:end], n[end:]
	kind = Kind(tail[0])
	if kind != KindValue {
		return key, nil, kind
	}
	size, skip := int(tail[1]), 2
	if size >= 0x80 {
		long, width := binary.Uvarint(tail[1:])
		size, skip = int(long), 1+width
	}
	return key, tail[skip : skip+size : skip+size], kind
}
