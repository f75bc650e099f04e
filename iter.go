package pawl

import (
	"iter"
	"slices"

	"github.com/pawldb/pawl/btree"
)

// All returns the keys and values, ascending. Buckets are left out, here and in the other iterators. An error ends the loop:
// Tx.Err, View and Commit return it.
func (b *Bucket) All() iter.Seq2[[]byte, []byte] { return b.Range(nil, nil) }

// Backward returns the keys and values, descending.
func (b *Bucket) Backward() iter.Seq2[[]byte, []byte] { return b.RangeBackward(nil, nil) }

// Range returns the keys >= from and < to with their values, ascending. nil has no end on its side.
func (b *Bucket) Range(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		c := Cursor{b: b}
		for on := c.start(toKey, from, 1); on; on = c.forward() {
			if !c.visitUp(to, false, yield) {
				return
			}
		}
	}
}

// RangeBackward returns the keys >= from and < to with their values, descending. nil has no end on its side.
func (b *Bucket) RangeBackward(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		c := Cursor{b: b}
		on := false
		if to == nil {
			on = c.start(toLast, nil, -1)
		} else {
			c.start(toKey, to, -1)
			on = c.err == nil && c.backward()
		}
		for ; on; on = c.backward() {
			if !c.visitDown(from, yield) {
				return
			}
		}
	}
}

// Prefix returns the keys that begin with p, with their values, ascending.
func (b *Bucket) Prefix(p []byte) iter.Seq2[[]byte, []byte] { return b.Range(p, prefixEnd(p)) }

// PrefixBackward returns the keys that begin with p, with their values, descending.
func (b *Bucket) PrefixBackward(p []byte) iter.Seq2[[]byte, []byte] {
	return b.RangeBackward(p, prefixEnd(p))
}

// prefixEnd returns the first key behind all that begin with p, nil if there is none.
func prefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xff {
			end := slices.Clone(p[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// ForEach calls fn for every entry, ascending; for a bucket with a nil value. fn's error ends it and is returned.
func (b *Bucket) ForEach(fn func(key, value []byte) error) (err error) {
	c := Cursor{b: b}
	visit := func(key, value []byte) bool {
		err = fn(key, value)
		return err == nil
	}
	for on := c.start(toFirst, nil, 1); on; on = c.forward() {
		if !c.visitUp(nil, true, visit) {
			break
		}
	}
	if err == nil {
		err = c.err
	}
	return err
}

// Buckets returns the buckets in b with their names, ascending.
func (b *Bucket) Buckets() iter.Seq2[[]byte, *Bucket] {
	return func(yield func(name []byte, bucket *Bucket) bool) {
		c := Cursor{b: b}
		for on := c.to(toFirst, nil); on; on = c.forward() {
			if c.c.Entry().Kind != btree.KindBucket {
				continue
			}
			name := copyOf(c.c.Key())
			if !yield(name, b.Bucket(name)) {
				return
			}
		}
	}
}

// start moves the cursor to where a loop begins. What the loop will read in a read transaction is on its way then.
func (c *Cursor) start(move cursorMove, key []byte, step int) (on bool) {
	on = c.to(move, key)
	if on && c.b.tx.w == nil {
		c.c.Ahead(step)
	}
	return on
}

// forward moves to the next entry.
func (c *Cursor) forward() bool { return c.quick() && c.c.TryNext() || c.to(toNext, nil) }

// backward moves to the entry before.
func (c *Cursor) backward() bool { return c.quick() && c.c.TryPrev() || c.to(toPrev, nil) }
