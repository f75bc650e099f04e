package pawl

import (
	"context"
	"runtime/debug"
	"sync/atomic"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/pager"
)

// Tx is a transaction: a snapshot of all buckets, and for a write transaction what it has changed. Goroutines may share a read
// transaction; a write transaction belongs to one at a time.
type Tx struct {
	db        *DB
	reader    pager.Reader
	w         *writeTx // nil in a read transaction
	ctx       context.Context
	swallowed atomic.Pointer[error] // the first that a loop or cursor could not return
	state     atomic.Int32          // slow operations under way; txClosed is added when it ends
	managed   bool
	root      Bucket
	first     firstBucket
	handed    *handed // with Options.Debug
}

// txClosed in the state means that the transaction has ended.
const txClosed = 1 << 30

// writeTx is what only a write transaction has.
type writeTx struct {
	tx         *pager.Tx
	w          *btree.Writer
	durability Durability
	onCommit   []func()
	saves      []*Savepoint // open, outermost first
	busy       atomic.Bool
	epoch      uint64 // counts what can make a bucket's handle stale
	seq        uint64 // of its commit
	began      int64  // by the IO's clock

	pages    pager.Tx     // tx
	tree     btree.Writer // w
	commitOp commitOp     // of Update

	*machines
}

// machines are those of whichever operation has entered a write transaction, and what drives them in the blocking methods. They
// go on from one transaction to the next, with their memory.
type machines struct {
	memory  btree.Memory
	put     btree.Put
	del     btree.Delete
	find    btree.Find
	putOp   putOp
	delOp   delOp
	entryOp entryOp
	valueOp valueOp
	buf     []byte // of PutReader
}

// machines returns those of the transaction before, or new ones.
func (db *DB) machines() *machines {
	if m := db.spare.Swap(nil); m != nil {
		return m
	}
	return new(machines)
}

// leaveMachines leaves those of a transaction that nobody can enter any more to the next one, without what they worked on.
func (db *DB) leaveMachines(w *writeTx) {
	m := w.machines
	w.machines = nil
	w.tree.Leave()
	m.put.Clear()
	m.del.Clear()
	m.find = btree.Find{}
	m.putOp, m.delOp, m.entryOp, m.valueOp, m.buf = putOp{}, delOp{}, entryOp{}, valueOp{}, nil
	db.spare.Store(m)
}

// txStack is where a transaction was begun.
type txStack struct {
	stack  string
	opened int64
}

// txKey is the key of the transaction in its Context.
type txKey struct{ db *DB }

// Begin begins a transaction, which the caller ends with Commit or Rollback. Only one write transaction is open at a time:
// Begin(true) waits for its turn. An open read transaction keeps what it can see from being reused; end it soon.
func (db *DB) Begin(writable bool) (*Tx, error) {
	return db.BeginContext(context.Background(), writable)
}

// BeginContext is Begin, given up when ctx ends. The transaction's own waits end with ctx too.
func (db *DB) BeginContext(ctx context.Context, writable bool) (*Tx, error) {
	if writable {
		return db.beginWrite(ctx)
	}
	return db.beginRead(ctx)
}

// debugBegin keeps where a transaction was begun.
func (db *DB) debugBegin(tx *Tx) {
	if db.opts.Debug {
		tx.handed = new(handed)
		db.stacks.Store(tx, txStack{string(debug.Stack()), db.io.Now()})
	}
}

// Writable reports whether the transaction may change anything.
func (tx *Tx) Writable() bool { return tx.w != nil }

// Seq returns the newest commit that a read transaction sees, or the number that a write transaction's commit will have.
func (tx *Tx) Seq() uint64 {
	if tx.w != nil {
		return tx.w.seq
	}
	return uint64(tx.reader.Seq())
}

// Context returns a context that carries the transaction: beginning a write transaction of the same database with it is
// ErrTxNested, where it would wait for itself forever. It ends with the context that the transaction was begun with.
func (tx *Tx) Context() context.Context {
	if tx.w == nil {
		return tx.ctx
	}
	return context.WithValue(tx.ctx, txKey{tx.db}, tx)
}

// Size returns the bytes of the pages that are in use, in the transaction's view.
func (tx *Tx) Size() int64 {
	g := tx.reader.Globals
	if tx.w != nil {
		return int64(tx.w.tx.Globals().Pages) * int64(tx.db.p.PageSize())
	}
	return int64(g().Pages) * int64(tx.db.p.PageSize())
}

// Err returns the first error that a loop over keys or a cursor met and could not return. View returns it unless its
// function failed, and Commit refuses.
func (tx *Tx) Err() error {
	if err := tx.swallowed.Load(); err != nil {
		return *err
	}
	return nil
}

// swallow keeps an error that has no other way out.
func (tx *Tx) swallow(err error) { tx.swallowed.CompareAndSwap(nil, &err) }

// open returns ErrTxClosed if the transaction has ended.
func (tx *Tx) open() error {
	if tx.state.Load() >= txClosed {
		return ErrTxClosed
	}
	return nil
}

// enter begins an operation that may wait. What it reads is kept until exit, even if another goroutine ends the transaction.
// A write transaction has one at a time.
func (tx *Tx) enter() error {
	if err := tx.open(); err != nil {
		return err
	}
	if tx.w != nil && !tx.w.busy.CompareAndSwap(false, true) {
		return ErrTxBusy
	}
	if tx.state.Add(1) > txClosed {
		tx.exit()
		return ErrTxClosed
	}
	return nil
}

// exit ends what enter began. The last one out of a closed read transaction ends its registration.
func (tx *Tx) exit() {
	left := tx.state.Add(-1)
	if tx.w != nil {
		tx.w.busy.Store(false)
		return
	}
	if left == txClosed {
		tx.release()
	}
}

// enterWrite is enter for an operation that changes something.
func (tx *Tx) enterWrite() error {
	if err := tx.open(); err != nil {
		return err
	}
	if tx.w == nil {
		if tx.db.opts.ReadOnly {
			return ErrReadOnly
		}
		return ErrTxReadOnly
	}
	return tx.enter()
}

// finish ends the transaction. It reports whether it was open.
func (tx *Tx) finish() bool {
	for {
		s := tx.state.Load()
		if s >= txClosed {
			return false
		}
		if tx.state.CompareAndSwap(s, s+txClosed) {
			if tx.w != nil {
				tx.w.tx.Rollback() // of what the commit did not take
				tx.db.writer.CompareAndSwap(tx, nil)
				tx.ended()
			} else if s == 0 {
				tx.release()
			}
			return true
		}
	}
}

// release ends a read transaction's registration. The reader itself stays as it is: whoever still looks at it finds memory.
func (tx *Tx) release() {
	r := tx.reader
	r.Close()
	tx.ended()
}

// ended tells who waits for the transaction.
func (tx *Tx) ended() {
	defer tx.verify()
	if tx.db.opts.Debug {
		tx.db.stacks.Delete(tx)
	}
	tx.db.signalEnd()
}

// Rollback ends the transaction and leaves nothing of what it changed. It is the way to end a read transaction. Of a
// transaction that has ended it returns ErrTxClosed, which a deferred Rollback may ignore.
func (tx *Tx) Rollback() error {
	if tx.managed {
		return ErrTxManaged
	}
	if err := tx.open(); err != nil {
		return err
	}
	if tx.w != nil {
		if !tx.w.busy.CompareAndSwap(false, true) {
			return ErrTxBusy
		}
		defer tx.w.busy.Store(false)
	}
	if !tx.finish() {
		return ErrTxClosed
	}
	return nil
}

// Commit makes what the transaction changed durable, as its durability says, and ends it. A transaction that changed nothing
// waits, as its own durability says, for the commit that it is based on: a Full one until that is on stable storage, even if it
// is a Relaxed one. A read transaction can't be committed: ErrTxReadOnly.
//
// After any error but ErrCommitUnknown nothing of the transaction is anywhere. The transaction has ended after every error but
// ErrTxBusy, ErrTxManaged and ErrTxReadOnly, which change nothing. The context counts until the commit is handed to the log;
// from there Commit waits for the outcome.
func (tx *Tx) Commit() error {
	if tx.managed {
		return ErrTxManaged
	}
	return tx.commit()
}

// OnCommit has fn called when the transaction has been committed, as its durability says, in the order of the calls; by Commit
// before it returns, for CommitAsync then or on a goroutine of its own. A rollback forgets it. In a read transaction nothing is ever
// called.
func (tx *Tx) OnCommit(fn func()) {
	if tx.w != nil {
		tx.w.onCommit = append(tx.w.onCommit, fn)
	}
}

// SetDurability sets when the transaction's commit is done. In a read transaction it has no effect.
func (tx *Tx) SetDurability(d Durability) {
	if tx.w != nil && d <= Relaxed {
		tx.w.durability = d
	}
}

// Try calls fn in a savepoint: if fn returns an error or panics, what it changed is taken back, and the transaction goes on
// as it was before. It returns fn's error. Savepoints nest. It needs no I/O.
func (tx *Tx) Try(fn func() error) error {
	s, err := tx.beginSavepoint()
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // a panic, or Goexit; an error means that the savepoint, or the transaction, ended inside
			_ = s.Rollback()
		}
	}()
	err = fn()
	done = true
	if err == nil {
		return s.Release()
	}
	if oops := s.Rollback(); oops != nil && oops != ErrSavepointEnded {
		return oops // the transaction ended inside
	}
	return err
}

// source returns where the transaction's pages come from.
func (tx *Tx) source() btree.Source {
	if tx.w != nil {
		return tx.w.w.Source()
	}
	return btree.FromReader(&tx.reader)
}

// epoch returns a number that changes when a bucket's handle may have become stale.
func (tx *Tx) epoch() uint64 {
	if tx.w != nil {
		return tx.w.epoch
	}
	return 0
}

// PendingCommit is a commit that was handed on, and whose outcome is still to come.
type PendingCommit struct {
	done chan struct{}
	err  error
}

// Done returns a channel that is closed when the outcome is known.
func (p *PendingCommit) Done() <-chan struct{} { return p.done }

// Wait returns the outcome, as Commit would, or ctx's error if that ends first; the commit goes on then.
func (p *PendingCommit) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CommitAsync is Commit without waiting for the disk: when it returns, the commit is in the log's queue, in order, and the
// next write transaction can begin. The outcome comes with the PendingCommit. What has to be done before the commit is promised
// anything it waits for: growing a file that has no room, and syncing large values and pages that were written ahead.
func (tx *Tx) CommitAsync() *PendingCommit {
	p := &PendingCommit{done: make(chan struct{})}
	finish := func(err error) {
		p.err = err
		close(p.done)
	}
	c := &commitOp{tx: tx, asked: true}
	res, err := c.Step()
	for err == nil && res.Pending != nil && !c.Queued() { // blocks, log space: before the promise
		if err = tx.db.io.Wait(tx.ctx, res.Pending); err == nil {
			err = res.Pending.Err()
		}
		if err != nil {
			err = c.Abort(err)
			break
		}
		res, err = c.Step()
	}
	if err != nil || res.Pending == nil {
		finish(err)
		return p
	}
	go func() {
		_, err := run(context.WithoutCancel(tx.ctx), tx.db, "commit", c)
		finish(err)
	}()
	return p
}
