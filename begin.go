package pawl

import (
	"context"
	"errors"
	"time"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// beginRead begins a read transaction. It waits for nothing.
func (db *DB) beginRead(ctx context.Context) (*Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tx := db.newReadTx(ctx)
	tx.db, tx.ctx, tx.root.tx = db, ctx, tx
	if db.closing.Load() { // looked at after registering: Close sees one of the two
		tx.finish()
		return nil, ErrClosed
	}
	db.debugBegin(tx)
	return tx, nil
}

// beginWrite waits for the writer's turn.
func (db *DB) beginWrite(ctx context.Context) (*Tx, error) {
	return run(ctx, db, "begin", newBeginWrite(db, ctx))
}

// newBeginWrite returns the machine that begins a write transaction, in one piece of memory with that.
func newBeginWrite(db *DB, ctx context.Context) *beginOp {
	made := new(struct {
		beginOp
		tx Tx
		w  writeTx
	})
	made.beginOp = beginOp{db: db, ctx: ctx, writable: true, tx: &made.tx, w: &made.w}
	return &made.beginOp
}

type beginState uint8

const (
	beginStart beginState = iota // work
	beginStall                   // await: a checkpoint, since the log has got too long
	beginTurn                    // await: the writer's turn
	beginEnded                   // end
)

// beginOp is the machine of Begin. A read transaction is there at once.
//
//	start --the log is too long--> stall --> turn --> ended
//	  \--else--> turn
type beginOp struct {
	db       *DB
	ctx      context.Context
	writable bool

	state beginState
	began int64 // stall
	stall types.StateMachine[CheckpointResult]
	pages pager.Begin
	turn  types.StateMachine[*pager.Tx] // pages

	tx *Tx      // memory for the transaction, if it is a write transaction
	w  *writeTx // likewise
}

func (*beginOp) tolerates() {}

// Step goes on with beginning.
func (b *beginOp) Step() (types.IOResult[*Tx], error) {
	for {
		switch b.state {
		case beginStart:
			if !b.writable {
				tx, err := b.db.beginRead(b.ctx)
				return types.IOResult[*Tx]{Value: tx}, err
			}
			if err := b.mayWrite(); err != nil {
				return types.Fail[*Tx](err)
			}
			b.aim()

		case beginStall:
			res, err := b.stall.Step()
			if res.Pending != nil {
				return types.Wait[*Tx](res.Pending)
			}
			b.stalled(err) // the checkpoint's error is not the transaction's
			b.await()

		case beginTurn:
			res, err := b.turn.Step()
			switch {
			case errors.Is(err, io.ErrClosed) && b.db.closing.Load():
				return types.Fail[*Tx](ErrClosed)
			case err != nil:
				return types.Fail[*Tx](err)
			case res.Pending != nil:
				return types.Wait[*Tx](res.Pending)
			}
			b.state = beginEnded
			return b.begun(res.Value)

		default:
			panic(invariant.Failf("pawl: beginOp stepped in state %d", b.state))
		}
	}
}

// mayWrite returns why no write transaction can begin.
func (b *beginOp) mayWrite() error {
	switch db := b.db; {
	case db.closing.Load():
		return ErrClosed
	case db.opts.ReadOnly:
		return ErrReadOnly
	case b.ctx.Value(txKey{db}) != nil:
		return ErrTxNested
	}
	return nil
}

// aim makes the writer wait for a checkpoint if far too much waits for one, because the disk can't keep up; or if there is little
// room and the disk was full when there last was, because a checkpoint makes room out of what the log and the file have: where
// all is moved already, one that makes the file shorter, so that the log can get longer.
func (b *beginOp) aim() {
	used, mode := b.db.backlog(), Passive
	if used < 2*b.db.opts.CheckpointBytes {
		if !b.db.needsRoom() {
			b.await()
			return
		}
		if used == 0 {
			mode = Truncate
		}
	}
	b.began = b.db.io.Now()
	b.stall = types.NewStateMachine[CheckpointResult](&checkpointOp{db: b.db, mode: mode})
	b.state = beginStall
}

// stalled tells of the wait.
func (b *beginOp) stalled(err error) {
	b.db.event(Event{Kind: EventStall, Duration: time.Duration(b.db.io.Now() - b.began), Err: err})
}

// await goes on to the writer's turn.
func (b *beginOp) await() {
	b.pages.StartIn(b.db.p, &b.w.pages)
	b.turn = types.NewStateMachine[*pager.Tx](&b.pages)
	b.state = beginTurn
}

// begun makes the transaction.
func (b *beginOp) begun(ptx *pager.Tx) (types.IOResult[*Tx], error) {
	db := b.db
	tx, w := b.tx, b.w
	w.machines = db.machines()
	w.tree.Start(ptx, &w.memory)
	w.tx, w.w, w.durability, w.seq = ptx, &w.tree, db.opts.Durability, uint64(ptx.Seq())
	w.began = db.io.Now()
	tx.db, tx.ctx, tx.w = db, b.ctx, w
	tx.root.tx = tx
	db.writer.Store(tx)
	if db.closing.Load() {
		tx.finish()
		return types.Fail[*Tx](ErrClosed)
	}
	db.debugBegin(tx)
	return types.Done(tx)
}

// Abort leaves the queue.
func (b *beginOp) Abort(cause error) error {
	switch b.state {
	case beginStall:
		cause = b.stall.Abort(cause)
		b.stalled(cause)
	case beginTurn:
		cause = b.turn.Abort(cause)
	}
	b.state = beginEnded
	return cause
}
