package btree

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// Writer is the one write transaction as the trees see it. One goroutine at a time uses it.
type Writer struct {
	tx        *pager.Tx
	mutations uint64
	busy      bool

	// The leaf that was changed last, if nothing but leaves' contents was changed since: keys between its fences belong
	// into it.
	hotRoot, hotLeaf types.PageID
	hotSlot          int // where the last key was inserted in it

	mem *Memory
}

// NewWriter returns the writer of a transaction.
func NewWriter(tx *pager.Tx) *Writer {
	w := new(Writer)
	w.Start(tx, nil)
	return w
}

// Start makes w, which is the zero value, the writer of a transaction. memory is what an earlier writer has left, or nil.
func (w *Writer) Start(tx *pager.Tx, memory *Memory) {
	if memory == nil {
		memory = new(Memory)
	}
	w.tx, w.mem = tx, memory
}

// Memory is working memory of a writer, for one at a time. It has nothing of what that did.
type Memory struct {
	spare [][]byte // page-sized
	items []item
	arena []byte
	sep   []byte

	changes []pager.Change // that are being recorded
}

// keptArena is how many bytes of items a writer leaves to the next one.
const keptArena = 256 << 10

// Leave ends the writer, whose machines have ended: its memory is ready for the next.
func (w *Writer) Leave() {
	m := w.mem
	w.mem = nil
	if len(m.items) > 0 {
		clear(m.items[:cap(m.items)])
		m.items = m.items[:0]
	}
	if cap(m.arena) > keptArena {
		m.items, m.arena = nil, nil
	}
}

// Source returns the source that sees the transaction's changes.
func (w *Writer) Source() Source { return Source{writer: w} }

// Tx returns the transaction.
func (w *Writer) Tx() *pager.Tx { return w.tx }

// Mutations returns a number that grows whenever a tree of the transaction changes.
func (w *Writer) Mutations() uint64 { return w.mutations }

// Busy reports whether a machine that changes the transaction's trees has been stepped and has not ended.
func (w *Writer) Busy() bool { return w.busy }

// Savepoint begins a part of the transaction that can be taken back, and returns its depth.
func (w *Writer) Savepoint() int { return w.tx.Savepoint() }

// RollbackTo takes back everything since the savepoint of that depth, and ends it and those inside it.
func (w *Writer) RollbackTo(depth int) {
	w.tx.RollbackTo(depth)
	w.restructured()
}

// Release ends the savepoint of that depth, and those inside it, and keeps what was done.
func (w *Writer) Release(depth int) { w.tx.Release(depth) }

// begin makes a machine the one that changes the trees.
func (w *Writer) begin() error {
	if w.busy {
		return ErrBusy
	}
	w.busy = true
	return nil
}

// end lets the next machine begin.
func (w *Writer) end() {
	if !w.busy {
		panic(invariant.Failf("btree: a change ends that never began"))
	}
	w.busy = false
}

// changed notes that a leaf's contents changed.
func (w *Writer) changed(root, leaf types.PageID) {
	w.mutations++
	w.hotRoot, w.hotLeaf = root, leaf
}

// restructured notes that nodes came, went or changed their fences.
func (w *Writer) restructured() {
	w.mutations++
	w.hotRoot, w.hotLeaf = 0, 0
}

// hot returns the leaf that was changed last, if key belongs into it and it is in memory.
func (w *Writer) hot(root types.PageID, key []byte) (pg pager.Page, ok bool) {
	if root == 0 || root != w.hotRoot {
		return pager.Page{}, false
	}
	pg, ok = w.tx.Find(w.hotLeaf)
	if !ok || pg.Image != nil || !node(pg.Data).fences().hold(key) {
		return pager.Page{}, false
	}
	return pg, true
}

// edit returns a step's node to change. The step has it from then on.
func (w *Writer) edit(s *pathStep) node {
	buf := w.tx.Edit(s.page)
	s.page = pager.Page{ID: s.page.ID, Data: buf}
	return node(buf)
}

// borrow returns memory of a page's size until giveBack.
func (w *Writer) borrow() []byte {
	if last := len(w.mem.spare) - 1; last >= 0 {
		buf := w.mem.spare[last]
		w.mem.spare = w.mem.spare[:last]
		return buf
	}
	return make([]byte, w.tx.Pager().PageSize())
}

// giveBack takes borrowed memory.
func (w *Writer) giveBack(buf []byte) { w.mem.spare = append(w.mem.spare, buf) }
