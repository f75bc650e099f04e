package pawl

import (
	"context"
	stdio "io"

	"github.com/pawldb/pawl/types"
)

// Async makes the operations of a database in a form that their caller steps: one goroutine can have any number of them under
// way, in any order, and none blocks it. Its methods return at once, with an Op, or, where nothing can have to be waited
// for, with the outcome. The blocking methods run the same machines.
//
//	get := db.Async().Get(tx.Root(), key)
//	for {
//		res, err := get.Step()
//		if err != nil || res.Pending == nil {
//			return res.Value, err
//		}
//		... // step something else; get can go on when res.Pending.Done()
//	}
//
// A read transaction has any number of operations at a time, a write transaction one: a second one is ErrTxBusy. So is a second
// move of one cursor. An operation has its transaction from its first Step to its end; Abort ends it at any time and leaves
// the transaction as it was before. Rollback of a transaction does not wait, so Tx.Rollback is the stepping form too; of a
// write transaction the operation that is under way is aborted first. Iterators, View, Update, Batch, Try and PutReader have no
// stepping form, since they call functions of the caller: cursors, Begin, Commit and Savepoint do what they do.
//
// A program with its own loop waits with Op.Wait, or with what the IO that it gave in Options.IO offers. A completion that is
// waited for may be shared by operations, so it is looked at, but gets no callback: see io.Completion.
type Async struct{ db *DB }

// Async returns the stepping form of the database's operations.
func (db *DB) Async() *Async { return &Async{db} }

// OpenAsync is Open in steps. No goroutine is started: the program does the database's background work, with
// Async.Background. Without Options.IO the platform's files are used; Op.Wait then drives them.
func OpenAsync(path string, o *Options) *Op[*DB] {
	db := new(DB)
	return newOp(db, "open", &openOp{db: db, path: path, o: o})
}

// Background is the background work of a database that was opened with OpenAsync: it makes relaxed commits durable within
// Options.SyncInterval, carries on commits that were abandoned, and makes a checkpoint when the log is longer than
// Options.CheckpointBytes. It ends, without an error, when the database is closed; while there is nothing to do it waits, and
// while a part of the work is under way Close waits for it. A failure of the work is told by an event and does not end it.
//
// Abort gives up what is under way; the work can be begun again. A database whose background work is done by somebody else
// already, that of Open by a goroutine, returns an ErrOptions. Without any, writers make checkpoints when the log is twice as
// long, and relaxed commits wait for Sync or Close.
func (a *Async) Background() *Op[struct{}] {
	return newOp(a.db, backgroundName, &backgroundWork{db: a.db})
}

// Poll lets the IO finish what it can without waiting. It returns how many completions that resolved.
func (a *Async) Poll() int { return a.db.io.Poll() }

// Begin is DB.Begin. Of a read transaction it ends with the first Step.
func (a *Async) Begin(writable bool) *Op[*Tx] {
	if writable {
		return newOp(a.db, "begin", newBeginWrite(a.db, context.Background()))
	}
	return newOp(a.db, "begin", &beginOp{db: a.db, ctx: context.Background()})
}

// Commit is Tx.Commit. The transaction ends with the first Step. Abort rolls it back; once the log has the commit, which is when
// the next writer gets its turn, Abort only stops waiting: the commit goes on, with whoever steps the log next, and what was
// given to OnCommit is not called.
func (a *Async) Commit(tx *Tx) *Op[struct{}] {
	return newOp(tx.db, "commit", &commitOp{tx: tx, asked: true})
}

// Sync is DB.Sync.
func (a *Async) Sync() *Op[struct{}] { return newOp(a.db, "sync", &syncOp{db: a.db, asked: true}) }

// Checkpoint is DB.Checkpoint. Abort leaves no trace of it, unless its last write is under way: that may still count.
func (a *Async) Checkpoint(mode CheckpointMode) *Op[CheckpointResult] {
	return newOp(a.db, "checkpoint", &checkpointOp{db: a.db, mode: mode, asked: true})
}

// Close is DB.Close. Abort leaves the database open, and returns an *OpenTxError if transactions were waited for. Once the last
// checkpoint has begun Abort closes the files as they are: nothing is lost, the next open recovers.
func (a *Async) Close() *Op[struct{}] { return newOp(a.db, "close", &closeOp{db: a.db}) }

// Check is Tx.Check.
func (a *Async) Check(tx *Tx) *Op[CheckReport] { return txAsync(tx, "check", tx.checkOp()) }

// CopyFile is Tx.CopyFile.
func (a *Async) CopyFile(tx *Tx, path string) *Op[int64] { return txAsync(tx, "copy", tx.copyOp(path)) }

// WriteTo is Tx.WriteTo. It writes to w within Step, and waits for w where that blocks.
func (a *Async) WriteTo(tx *Tx, w stdio.Writer) *Op[int64] {
	return txAsync(tx, "copy", (&writeTask{tx: tx, w: w}).op())
}

// txAsync returns the Op of an operation in a transaction.
func txAsync[T any](tx *Tx, what string, o *txOp[T]) *Op[T] { return newOp(tx.db, what, o) }

// done drops a result.
func done[T any](T) (struct{}, error) { return struct{}{}, nil }

// mapped is a machine whose result is made of another one's.
type mapped[A, T any] struct {
	types.Stepper[A]
	done func(A) (T, error)
}

func (m *mapped[A, T]) Step() (types.IOResult[T], error) {
	res, err := m.Stepper.Step()
	switch {
	case err != nil:
		return types.Fail[T](err)
	case res.Pending != nil:
		return types.Wait[T](res.Pending)
	}
	value, err := m.done(res.Value)
	return types.IOResult[T]{Value: value}, err
}

var _ types.Stepper[int] = (*Op[int])(nil)
