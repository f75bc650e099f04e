package pawl

import "github.com/pawldb/pawl/btree"

// Cursor moves over the entries of a bucket in the order of keys; buckets among them show with a nil value. It belongs to one
// goroutine and is good until its transaction ends. An error ends in (nil, nil): Err returns it, and so do View and Commit.
//
// Past the last entry Next goes on to return nil, and Prev then gives the last but one. In a write transaction a cursor
// notices every change: after its key was deleted, Next gives the following one.
type Cursor struct {
	b      *Bucket
	c      btree.Cursor
	op     moveOp // of the blocking methods
	err    error
	init   bool
	moving bool // a move is under way
	adrift bool // a move came to nothing, so that there is no next entry
}

// Cursor returns a cursor that is at no entry yet.
func (b *Bucket) Cursor() *Cursor { return &Cursor{b: b} }

// Err returns the first error that the cursor met.
func (c *Cursor) Err() error { return c.err }

// First moves to the first entry and returns it, or nil if there is none.
func (c *Cursor) First() (key, value []byte) { return c.step(toFirst, nil) }

// Last moves to the last entry and returns it, or nil if there is none.
func (c *Cursor) Last() (key, value []byte) { return c.step(toLast, nil) }

// Seek moves to the first entry whose key is not below key and returns it, or nil if there is none.
func (c *Cursor) Seek(key []byte) (k, value []byte) { return c.step(toKey, key) }

// Next moves to the next entry and returns it, or nil if there is none. Of a cursor that is nowhere yet it is First.
func (c *Cursor) Next() (key, value []byte) {
	if c.quick() && c.c.TryNext() {
		return c.current()
	}
	return c.step(toNext, nil)
}

// Prev moves to the entry before and returns it, or nil if there is none. Of a cursor that is nowhere yet it is Last.
func (c *Cursor) Prev() (key, value []byte) {
	if c.quick() && c.c.TryPrev() {
		return c.current()
	}
	return c.step(toPrev, nil)
}

// Delete removes the entry that the cursor is at. ErrIsBucket: it is a bucket; ErrCursor: it is at none.
func (c *Cursor) Delete() error {
	if c.err != nil {
		return c.err
	}
	_, err := runTx(c.b.tx, "delete", newDelOp(c.b, c, nil))
	return err
}

// quick reports whether the cursor may be able to move within its leaf.
func (c *Cursor) quick() bool {
	return c.b.tx.w == nil && c.init && !c.moving && c.err == nil && c.b.tx.open() == nil
}

// prepare starts the cursor on the bucket's tree, which is ready, or moves it there.
func (c *Cursor) prepare() error {
	if c.err != nil {
		return c.err
	}
	if !c.init {
		c.c.Start(c.b.tx.source(), c.b.root)
		c.init = true
	}
	c.c.Retarget(c.b.root)
	return nil
}

// fail keeps an error here and in the transaction.
func (c *Cursor) fail(err error) {
	c.err = err
	c.b.tx.swallow(err)
}

// run moves the cursor. If value is set it returns the entry.
func (c *Cursor) run(move cursorMove, key []byte, value bool) Entry {
	if c.err != nil {
		return Entry{}
	}
	o := &c.op
	if c.moving { // under way in steps: the error is this one's
		o = new(moveOp)
	}
	o.start(c, move, key, value)
	e, err := runTx(c.b.tx, "cursor", &o.txOp)
	if err != nil {
		c.fail(err)
	}
	return e
}

// step moves the cursor and returns where it led.
func (c *Cursor) step(move cursorMove, key []byte) (k, value []byte) {
	e := c.run(move, key, true)
	return e.Key, e.Value
}

// to moves the cursor, and reports whether it is at an entry. Its value is not read.
func (c *Cursor) to(move cursorMove, key []byte) bool {
	c.run(move, key, false)
	return c.err == nil && c.c.On()
}

// current returns the entry that the cursor is at.
func (c *Cursor) current() (key, value []byte) {
	e := c.c.Entry()
	if e.Kind != btree.KindLarge {
		at := c.entry(e)
		return at.Key, at.Value
	}
	key = c.key()
	value, err := c.b.tx.readLarge(e.Large)
	if err != nil {
		c.fail(err)
		return nil, nil
	}
	return key, value
}
