package pawl

import (
	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/types"
)

// cursorMove says where a cursor goes.
type cursorMove uint8

const (
	toFirst cursorMove = iota
	toLast
	toKey
	toNext
	toPrev
)

// Entry is where a cursor of Async has come to. Key is nil if there is no entry. Of a bucket Value is nil.
type Entry struct{ Key, Value []byte }

// moveOp is the operation of a cursor's moves.
type moveOp struct {
	txOp[Entry]
	at moveTask
}

// start readies it.
func (o *moveOp) start(c *Cursor, move cursorMove, key []byte, value bool) {
	o.at = moveTask{c: c, move: move, key: key, value: value}
	o.txOp = txOp[Entry]{tx: c.b.tx, b: c.b, task: &o.at}
}

// newMoveOp returns one that ends with the entry.
func newMoveOp(c *Cursor, move cursorMove, key []byte) *txOp[Entry] {
	o := new(moveOp)
	o.start(c, move, key, true)
	return &o.txOp
}

// moveTask is its task.
//
//	move --a large value is asked for--> large --> ended
//	  \--else--> ended
type moveTask struct {
	c     *Cursor
	move  cursorMove
	key   []byte // toKey
	value bool   // asked for

	large types.Stepper[[]byte] // large
}

func (t *moveTask) begin() error {
	c := t.c
	switch {
	case c.moving:
		return ErrTxBusy
	case c.adrift && t.move >= toNext:
		return ErrCursor
	}
	if err := c.prepare(); err != nil {
		return err
	}
	c.moving, c.adrift = true, true
	switch t.move {
	case toFirst:
		c.c.First()
	case toLast:
		c.c.Last()
	case toKey:
		c.c.Seek(t.key)
	case toNext:
		c.c.Next()
	case toPrev:
		c.c.Prev()
	}
	return nil
}

// Step goes on with the move.
func (t *moveTask) Step() (types.IOResult[Entry], error) {
	c := t.c
	if t.large == nil {
		res, err := c.c.Step()
		switch {
		case err != nil:
			c.moving = false
			return types.Fail[Entry](err)
		case res.Pending != nil:
			return types.Wait[Entry](res.Pending)
		case !res.Value || !t.value:
			return t.end(Entry{})
		}
		e := c.c.Entry()
		if e.Kind != btree.KindLarge {
			return t.end(c.entry(e))
		}
		t.large = c.b.tx.newLarge(e.Large, nil)
	}
	res, err := t.large.Step()
	switch {
	case err != nil:
		c.moving = false
		return types.Fail[Entry](err)
	case res.Pending != nil:
		return types.Wait[Entry](res.Pending)
	}
	return t.end(Entry{c.key(), res.Value})
}

// end ends the move.
func (t *moveTask) end(e Entry) (types.IOResult[Entry], error) {
	t.c.moving, t.c.adrift = false, false
	return types.Done(e)
}

// Abort ends the move; the cursor is at no entry.
func (t *moveTask) Abort(cause error) error {
	t.c.moving = false
	if t.large != nil {
		return t.large.Abort(cause)
	}
	return t.c.c.Abort(cause)
}

// key returns the key that the cursor is at.
func (c *Cursor) key() []byte {
	if c.b.tx.w != nil {
		return copyOf(c.c.Key())
	}
	return c.b.tx.hand(c.c.Entry().Page, c.c.Key())
}

// entry returns the entry that the cursor is at, which is not large.
func (c *Cursor) entry(e btree.Entry) Entry {
	if e.Kind == btree.KindBucket {
		return Entry{Key: c.key()}
	}
	return Entry{c.key(), c.b.tx.valueOf(e)}
}
