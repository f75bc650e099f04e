package pawl

import (
	"fmt"
	"time"

	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// commit is Commit for managed transactions too.
func (tx *Tx) commit() error {
	_, err := run(tx.ctx, tx.db, "commit", &commitOp{tx: tx})
	return err
}

// commitManaged is commit for the one who manages the transaction, once.
func (tx *Tx) commitManaged() error {
	o := &tx.w.commitOp
	o.tx = tx
	_, err := run(tx.ctx, tx.db, "commit", o)
	return err
}

// commitOp is the machine of Commit. It ends the transaction, whatever comes of it, with its first step.
type commitOp struct {
	tx    *Tx
	asked bool // by a caller, who must not end a managed transaction

	c     pager.Commit
	begun bool
	began int64
}

// Step goes on with the commit.
func (o *commitOp) Step() (types.IOResult[struct{}], error) {
	if !o.begun {
		if o.asked && o.tx.managed {
			return types.Fail[struct{}](ErrTxManaged)
		}
		if err := o.tx.beginCommit(&o.c); err != nil {
			return types.Fail[struct{}](err)
		}
		o.begun, o.began = true, o.tx.db.commitClock()
	}
	res, err := o.c.Step()
	if err != nil || res.Pending == nil {
		err = o.tx.committed(&o.c, o.began, err)
	}
	return res, err
}

// Queued reports whether the commit is with the log.
func (o *commitOp) Queued() bool { return o.begun && o.c.Queued() }

// Abort rolls the transaction back, or, if the log has the commit, no longer waits for it: it goes on with whoever waits for
// the log next, the background work at the latest.
func (o *commitOp) Abort(cause error) error {
	db := o.tx.db
	err := o.tx.committed(&o.c, o.began, o.c.Abort(cause))
	if o.Queued() {
		db.abandoned.Store(true)
		if o.tx.w.durability == Relaxed {
			db.relaxed.Store(true)
		}
		db.wake.ring()
	}
	return err
}

// beginCommit checks that the transaction can be committed, and readies the machine.
func (tx *Tx) beginCommit(c *pager.Commit) error {
	if err := tx.open(); err != nil {
		return err
	}
	if tx.w == nil {
		return ErrTxReadOnly
	}
	tx.verify() // before anything of it is stored
	if !tx.w.busy.CompareAndSwap(false, true) {
		return ErrTxBusy
	}
	if err := tx.Err(); err != nil {
		tx.finish()
		tx.w.busy.Store(false)
		return fmt.Errorf("not committed: %w", err)
	}
	tx.state.Add(txClosed)
	if len(tx.w.saves) > 0 {
		tx.keep(tx.w.saves[0].at)
		tx.w.saves = nil
	}
	tx.db.leaveMachines(tx.w)
	c.Start(tx.w.tx, tx.w.durability == Relaxed)
	return nil
}

// commitClock returns the time, if an event is to tell how long a commit took.
func (db *DB) commitClock() int64 {
	if db.opts.OnEvent == nil {
		return 0
	}
	return db.io.Now()
}

// committed ends the transaction with the outcome of its commit. The event of one that changed nothing tells of the commit that
// it was based on, which has happened by then; its own number is that of the next commit.
func (tx *Tx) committed(c *pager.Commit, began int64, err error) error {
	db := tx.db
	db.writer.CompareAndSwap(tx, nil)
	tx.ended()
	if db.opts.OnEvent != nil {
		took := time.Duration(db.io.Now() - began)
		db.event(Event{Kind: EventCommit, Seq: uint64(c.Seq()), Duration: took, Err: err})
	}
	if err != nil {
		return err
	}
	if tx.w.durability == Relaxed && !db.relaxed.Swap(true) {
		db.wake.ring()
	}
	if db.backlog() >= db.opts.CheckpointBytes {
		db.wake.ring()
	}
	for _, fn := range tx.w.onCommit {
		fn()
	}
	return nil
}
