package btree

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Cursor is a machine that moves over a tree's entries in the order of keys. A move is armed with First, Last, Seek, Next or
// Prev, and stepped to its end.
//
//	armed --> down --> settle --an entry--------------> ended: true
//	           ^         |  \---none on this side-----> ended: false, the cursor is where it was
//	           +---------+
//	           |         | the next leaf
//	           +--ahead<-+ (it, and some behind it, have to be read)
//
// Next at the last entry ends with false and stays there, so that Prev then gives the last but one; likewise at the first.
// After a Seek that finds nothing Prev gives the last entry. A cursor that was not moved yet takes Next for First and Prev
// for Last.
//
// Over a transaction's own tree the cursor notices changes, and goes on from its key: if that was deleted, Next gives the
// key behind it, and Prev the one before.
type Cursor struct {
	src  Source
	tree types.PageID // as it was given; 0: the root bucket's
	root types.PageID // where that is

	state cursorState
	move  cursorMove
	seen  uint64 // mutations when the path was made

	path  path
	ahead readAhead
	lost  bool // the path does not lead to key
	known bool // key is a position
	back  bool // settle goes backward
	side  bool // on the way to a neighbour: down its near side

	key    []byte // current position
	target []byte // of Seek
	buf    [2][]byte
	entry  Entry
	on     bool // at an entry
}

type cursorState uint8

const (
	cursorIdle   cursorState = iota // not armed
	cursorArmed                     // work: how to get there
	cursorDown                      // await: nodes down to a leaf
	cursorSettle                    // work: the entry there, or the way to the next leaf
	cursorAhead                     // await: the next leaf, and some behind it
)

type cursorMove uint8

const (
	moveFirst cursorMove = iota
	moveLast
	moveSeek
	moveNext
	movePrev
)

// Start readies the cursor for the tree at root, 0 for the root bucket's. It is at no entry.
func (c *Cursor) Start(src Source, root types.PageID) {
	*c = Cursor{src: src, tree: root, path: path{steps: c.path.steps[:0]}, buf: c.buf}
	c.path.reset()
}

// Retarget has the cursor of a transaction go on, from its key, in the tree at another root: another tree took the place of
// the one that it was started on.
func (c *Cursor) Retarget(root types.PageID) {
	if c.tree == root {
		return
	}
	if c.state != cursorIdle {
		panic(invariant.Failf("btree: Cursor retargeted in state %d", c.state))
	}
	c.tree, c.lost = root, true
}

// First arms the cursor to move to the first entry.
func (c *Cursor) First() { c.arm(moveFirst) }

// Last arms the cursor to move to the last entry.
func (c *Cursor) Last() { c.arm(moveLast) }

// Seek arms the cursor to move to the first entry whose key is not below key, which stays unchanged until the end.
func (c *Cursor) Seek(key []byte) {
	c.arm(moveSeek)
	c.target = key
}

// Next arms the cursor to move to the next entry.
func (c *Cursor) Next() { c.arm(moveNext) }

// Prev arms the cursor to move to the entry before.
func (c *Cursor) Prev() { c.arm(movePrev) }

// arm sets the machine going.
func (c *Cursor) arm(move cursorMove) {
	if c.state != cursorIdle {
		panic(invariant.Failf("btree: Cursor armed in state %d", c.state))
	}
	c.move, c.state = move, cursorArmed
}

// Key returns the key of the entry that the cursor is at: of a reader's source a slice of an immutable image, valid for as
// long as it is held; of a transaction's the cursor's own memory, until the next move.
func (c *Cursor) Key() []byte { return c.key[:len(c.key):len(c.key)] }

// Entry returns the entry that the cursor is at, as it was when the cursor came there.
func (c *Cursor) Entry() Entry { return c.entry }

// On reports whether the cursor is at an entry.
func (c *Cursor) On() bool { return c.on }

// TryNext moves to the next entry if what leads there is in memory and the tree has not changed; else it does nothing and ok is
// false: Next tells. It does not wait and does not allocate.
func (c *Cursor) TryNext() (ok bool) { return c.try(1) }

// TryPrev is TryNext in the other direction.
func (c *Cursor) TryPrev() (ok bool) { return c.try(-1) }

// try moves by one slot, in the leaf or to the leaf beside it below the same parent.
func (c *Cursor) try(step int) (ok bool) {
	if c.state != cursorIdle || !c.on || c.lost || c.seen != c.src.mutations() {
		return false
	}
	leaf := c.path.last()
	if i := leaf.index + step; i >= 0 && i < leaf.node().count() {
		leaf.index = i
	} else if !c.path.beside(c.src, step) {
		return false
	}
	c.take()
	return true
}

// Step ends with whether the cursor is at an entry now.
func (c *Cursor) Step() (types.IOResult[bool], error) {
	for {
		if c.state != cursorIdle && c.state != cursorArmed && c.seen != c.src.mutations() {
			c.path.abort(nil)
			c.lost, c.state = true, cursorArmed // the transaction changed the tree while the move waited
		}
		switch c.state {
		case cursorArmed:
			if c.root = c.src.rootOr(c.tree); c.root == 0 {
				return c.none()
			}
			c.aim()

		case cursorDown:
			pending, err := c.down()
			switch {
			case err != nil:
				return types.Fail[bool](c.Abort(err))
			case pending != nil:
				return types.Wait[bool](pending)
			}
			c.state = cursorSettle

		case cursorSettle:
			leaf := c.path.last()
			if i := leaf.index; i >= 0 && i < leaf.node().count() {
				c.take()
				c.state = cursorIdle
				return types.Done(true)
			}
			if !c.turn() {
				return c.none()
			}
			if c.state = cursorDown; c.ahead.begin(c.src, &c.path, c.back) {
				c.state = cursorAhead
			}

		case cursorAhead:
			pending, err := c.ahead.step(c.src)
			switch {
			case err != nil:
				return types.Fail[bool](c.Abort(err))
			case pending != nil:
				return types.Wait[bool](pending)
			}
			c.state = cursorDown

		default:
			panic(invariant.Failf("btree: Cursor stepped in state %d", c.state))
		}
	}
}

// aim decides where the move begins: from where the path is, or from the root.
func (c *Cursor) aim() {
	c.back = c.move == moveLast || c.move == movePrev
	relative := c.move == moveNext || c.move == movePrev
	if relative && c.known && !c.lost && c.seen == c.src.mutations() {
		if c.move == moveNext {
			c.path.last().index++
		} else {
			c.path.last().index--
		}
		c.state = cursorSettle
		return
	}
	c.path.reset()
	c.ahead.drop()
	c.ahead.size = 0
	c.seen, c.lost, c.side = c.src.mutations(), true, false
	c.state = cursorDown
}

// down goes on to a leaf.
func (c *Cursor) down() (*io.Completion, error) {
	for !c.path.complete() {
		id := c.path.next(c.root)
		pg, ok := c.ahead.take(id)
		var pending *io.Completion
		var err error
		if !ok {
			pg, pending, err = c.path.load.step(c.src, id)
		}
		if pending != nil || err != nil {
			return pending, err
		}
		if c.seen != c.src.mutations() {
			return nil, nil // Step begins again
		}
		if err := c.path.push(c.src, pg, c.toward(node(pg.Data))); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// toward returns which slot the way down takes in a node. In a leaf that may be one beside its entries.
func (c *Cursor) toward(n node) int {
	var key []byte
	switch {
	case c.side || c.move == moveFirst || c.move == moveLast || !c.known && c.move != moveSeek:
		if c.back {
			return n.count() - 1
		}
		return 0
	case c.move == moveSeek:
		key = c.target
	default:
		key = c.key
	}
	if !n.leaf() {
		return n.childIndex(key)
	}
	i, found := n.search(key)
	switch {
	case c.move == moveNext && found:
		return i + 1
	case c.move == movePrev:
		return i - 1
	}
	return i
}

// turn goes up to the first node that has another child in the move's direction, and takes that. It reports whether there is
// one; if not, the path is as it was.
func (c *Cursor) turn() bool {
	step := 1
	if c.back {
		step = -1
	}
	for depth := len(c.path.steps) - 2; depth >= 0; depth-- {
		s := &c.path.steps[depth]
		if i := s.index + step; i >= 0 && i < s.node().count() {
			s.index = i
			clear(c.path.steps[depth+1:])
			c.path.steps = c.path.steps[:depth+1]
			c.side = true
			return true
		}
	}
	return false
}

// take makes the leaf's slot the cursor's position.
func (c *Cursor) take() {
	leaf := c.path.last()
	n := leaf.node()
	c.key = n.stored(leaf.index)
	c.entry = n.entry(leaf.index)
	c.entry.Shared, c.entry.Page = leaf.page.Image != nil, leaf.page.ID
	if c.src.writer != nil {
		c.buf[0] = append(c.buf[0][:0], c.key...)
		c.key = c.buf[0]
	}
	c.known, c.on, c.lost, c.side = true, true, false, false
}

// none ends a move that found nothing. A relative move leaves the position, Seek makes its key one.
func (c *Cursor) none() (types.IOResult[bool], error) {
	c.state, c.lost, c.side, c.on = cursorIdle, true, false, false
	c.entry = Entry{}
	switch c.move {
	case moveSeek:
		c.buf[1] = append(c.buf[1][:0], c.target...)
		c.key, c.known = c.buf[1], true
	case moveFirst, moveLast:
		c.known = false
	}
	return types.Done(false)
}

// Abort ends the move. The cursor is where it was, at no entry.
func (c *Cursor) Abort(cause error) error {
	if c.state == cursorIdle {
		return cause
	}
	c.state, c.lost, c.side, c.on = cursorIdle, true, false, false
	return c.path.abort(c.ahead.abort(cause))
}
