package pawl

import (
	"slices"

	"github.com/pawldb/pawl/btree"
)

// Cursor moves over the entries of a bucket in the order of keys; buckets among them show with a nil value. It belongs to one
// goroutine and is good until its transaction ends. An error ends in (nil, nil): Err returns it, and so do View and Commit.
//
// Past the last entry Next goes on to return nil, and Prev then gives the last but one. In a write transaction a cursor
// notices every change: after its key was deleted, Next gives the following one.
type Cursor struct {
	b    *Bucket
	c    btree.Cursor
	err  error
	init bool
}

// Cursor returns a cursor that is at no entry yet.
func (b *Bucket) Cursor() *Cursor { return &Cursor{b: b} }

// Err returns the first error that the cursor met.
func (c *Cursor) Err() error { return c.err }

// First moves to the first entry and returns it, or nil if there is none.
func (c *Cursor) First() (key, value []byte) {
	if !c.ready() {
		return nil, nil
	}
	c.c.First()
	return c.step()
}

// Last moves to the last entry and returns it, or nil if there is none.
func (c *Cursor) Last() (key, value []byte) {
	if !c.ready() {
		return nil, nil
	}
	c.c.Last()
	return c.step()
}

// Seek moves to the first entry whose key is not below key and returns it, or nil if there is none.
func (c *Cursor) Seek(key []byte) (k, value []byte) {
	if !c.ready() {
		return nil, nil
	}
	c.c.Seek(key)
	return c.step()
}

// Next moves to the next entry and returns it, or nil if there is none. Of a cursor that is nowhere yet it is First.
func (c *Cursor) Next() (key, value []byte) {
	if !c.ready() {
		return nil, nil
	}
	if c.b.tx.w == nil && c.c.TryNext() {
		return c.current()
	}
	c.c.Next()
	return c.step()
}

// Prev moves to the entry before and returns it, or nil if there is none. Of a cursor that is nowhere yet it is Last.
func (c *Cursor) Prev() (key, value []byte) {
	if !c.ready() {
		return nil, nil
	}
	if c.b.tx.w == nil && c.c.TryPrev() {
		return c.current()
	}
	c.c.Prev()
	return c.step()
}

// Delete removes the entry that the cursor is at. ErrIsBucket: it is a bucket; ErrCursor: it is at none.
func (c *Cursor) Delete() error {
	if !c.ready() {
		return c.err
	}
	if !c.c.On() {
		return ErrCursor
	}
	return c.b.Delete(slices.Clone(c.c.Key()))
}

// ready starts the cursor on the bucket's tree.
func (c *Cursor) ready() bool {
	if c.err != nil {
		return false
	}
	err := c.b.tx.open()
	if err == nil {
		err = c.b.ready()
	}
	if err != nil {
		c.fail(err)
		return false
	}
	if !c.init {
		c.c.Start(c.b.tx.source(), c.b.root)
		c.init = true
	}
	c.c.Retarget(c.b.root)
	return true
}

// fail keeps an error here and in the transaction.
func (c *Cursor) fail(err error) {
	c.err = err
	c.b.tx.swallow(err)
}

// move steps the cursor to the end of a move, and reports whether it is at an entry.
func (c *Cursor) move() bool {
	tx := c.b.tx
	if err := tx.enter(); err != nil {
		c.c.Abort(err)
		c.fail(err)
		return false
	}
	defer tx.exit()
	on, err := run(tx.ctx, tx.db, "cursor", &c.c)
	if err != nil {
		c.fail(err)
	}
	return on && err == nil
}

// step ends a move and returns where it led.
func (c *Cursor) step() (key, value []byte) {
	if !c.move() {
		return nil, nil
	}
	return c.current()
}

// current returns the entry that the cursor is at.
func (c *Cursor) current() (key, value []byte) {
	key, e := c.c.Key(), c.c.Entry()
	if c.b.tx.w != nil {
		key = slices.Clone(key)
	}
	value, err := c.value(e)
	if err != nil {
		c.fail(err)
		return nil, nil
	}
	return key, value
}

// value returns the value of an entry, nil of a bucket.
func (c *Cursor) value(e btree.Entry) ([]byte, error) {
	switch {
	case e.Kind == btree.KindBucket:
		return nil, nil
	case e.Kind == btree.KindLarge:
		return c.b.tx.readLarge(e.Large)
	case !e.Shared:
		return append(make([]byte, 0, len(e.Value)), e.Value...), nil
	}
	return e.Value, nil
}
