package pawl

import (
	"bytes"

	"github.com/pawldb/pawl/btree"
)

// What a loop over a bucket does with the entries at a cursor. In a read transaction a leaf is an immutable image: the loop
// runs over its slots, as far as the bound, and moves the cursor once for all of them. In a write transaction the loop's body
// may change the tree, so each entry is a move of its own.

// visitUp hands the loop the entry that the cursor is at, and in a read transaction those behind it in the leaf, with keys below
// to; nil has no end. Buckets come with a nil value if they are asked for. It reports whether the loop goes on behind the entry that
// the cursor is at then.
func (c *Cursor) visitUp(to []byte, buckets bool, yield func(key, value []byte) bool) bool {
	tx := c.b.tx
	if tx.w != nil {
		return (to == nil || bytes.Compare(c.c.Key(), to) < 0) && c.visit(buckets, yield)
	}
	leaf, i := c.c.Leaf()
	end := leaf.Count()
	if to != nil {
		end = leaf.Below(to)
	}
	for ; i < end && tx.open() == nil; i++ {
		key, value, kind := leaf.Pair(i)
		if kind != btree.KindValue || tx.handed != nil {
			if !c.visitSlot(leaf, i, buckets, yield) {
				return false
			}
		} else if !yield(key, value) {
			return false
		}
	}
	if i < end {
		return true // closed by the loop: the next move tells
	}
	if end < leaf.Count() {
		return false
	}
	c.c.Jump(end - 1)
	return true
}

// visitDown is visitUp in the other direction, for keys that are not below from.
func (c *Cursor) visitDown(from []byte, yield func(key, value []byte) bool) bool {
	tx := c.b.tx
	if tx.w != nil {
		return bytes.Compare(c.c.Key(), from) >= 0 && c.visit(false, yield)
	}
	leaf, i := c.c.Leaf()
	end := leaf.Below(from)
	for ; i >= end && tx.open() == nil; i-- {
		key, value, kind := leaf.Pair(i)
		if kind != btree.KindValue || tx.handed != nil {
			if !c.visitSlot(leaf, i, false, yield) {
				return false
			}
		} else if !yield(key, value) {
			return false
		}
	}
	if i >= end {
		return true
	}
	if end > 0 {
		return false
	}
	c.c.Jump(0)
	return true
}

// visitSlot hands the loop what is in a slot of the leaf. It reports whether the loop goes on.
func (c *Cursor) visitSlot(leaf btree.Leaf, slot int, buckets bool, yield func(key, value []byte) bool) bool {
	key, value, kind := leaf.Pair(slot)
	switch kind {
	case btree.KindBucket:
		if !buckets {
			return true
		}
	case btree.KindLarge:
		c.c.Jump(slot)
		return c.visit(buckets, yield)
	}
	if tx := c.b.tx; tx.handed != nil {
		tx.hand(leaf.Page(), key)
		tx.hand(leaf.Page(), value)
	}
	return yield(key, value)
}

// visit hands the loop the entry that the cursor is at. It reports whether the loop goes on.
func (c *Cursor) visit(buckets bool, yield func(key, value []byte) bool) bool {
	if c.c.Entry().Kind == btree.KindBucket && !buckets {
		return true
	}
	key, value := c.current()
	return key != nil && yield(key, value)
}
