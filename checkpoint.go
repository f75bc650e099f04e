package pawl

import (
	"context"
	"fmt"
	"time"

	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// CheckpointMode says how much a checkpoint does.
type CheckpointMode = pager.CheckpointMode

// The forms of checkpoint.
const (
	// Passive moves what is on stable storage when it begins into the database file.
	Passive = pager.CheckpointPassive
	// Complete makes every commit that was made before it durable first, and moves it.
	Complete = pager.CheckpointFull
	// Truncate does what Complete does, and gives free space at the ends of file and log back to the file system.
	Truncate = pager.CheckpointTruncate
)

// CheckpointResult says what a checkpoint did.
type CheckpointResult struct {
	Covered uint64 // newest commit that is in the database file
	Pages   int    // pages and extents that were moved
	Bytes   int64  // written to the database file
}

// Checkpoint moves commits from the log into the database file. It is never needed: the database does it by itself when the
// log gets long, and when it is closed. An error leaves everything as it was; the log still has the commits.
func (db *DB) Checkpoint(ctx context.Context, mode CheckpointMode) (CheckpointResult, error) {
	return run(ctx, db, "checkpoint", &checkpointOp{db: db, mode: mode, asked: true})
}

// checkpointOp is the machine that makes a checkpoint, tells of it and counts it.
type checkpointOp struct {
	db    *DB
	mode  CheckpointMode
	asked bool // by a caller: it has to be allowed

	begun bool
	began int64
	c     pager.Checkpoint
}

// Step goes on with the checkpoint.
func (o *checkpointOp) Step() (types.IOResult[CheckpointResult], error) {
	db := o.db
	if !o.begun {
		db.moving.Add(1) // first: Close sees this, or it is refused
		if err := o.refused(); err != nil {
			o.leave()
			return types.Fail[CheckpointResult](err)
		}
		o.begun, o.began = true, db.io.Now()
		o.c.Start(db.p, o.mode)
		db.event(Event{Kind: EventCheckpointBegin})
	}
	res, err := o.c.Step()
	if res.Pending != nil {
		return types.Wait[CheckpointResult](res.Pending)
	}
	o.end(res.Value, err)
	if err != nil {
		return types.Fail[CheckpointResult](err)
	}
	done := res.Value
	return types.Done(CheckpointResult{Covered: uint64(done.Covered), Pages: done.Pages, Bytes: done.Bytes})
}

// refused returns why there is to be no checkpoint. While the database closes there is none that nobody has asked for, either: Close
// makes one.
func (o *checkpointOp) refused() error {
	switch {
	case o.db.closing.Load():
		return ErrClosed
	case !o.asked:
		return nil
	case o.db.opts.ReadOnly:
		return ErrReadOnly
	case o.mode > Truncate:
		return fmt.Errorf("%w: checkpoint mode %d", ErrOptions, o.mode)
	}
	return nil
}

// end tells how it ended.
func (o *checkpointOp) end(res pager.CheckpointResult, err error) {
	db := o.db
	took := time.Duration(db.io.Now() - o.began)
	db.ckpt.mu.Lock()
	db.ckpt.err = err
	db.ckpt.mu.Unlock()
	o.leave()
	db.event(Event{Kind: EventCheckpoint, Duration: took, Seq: uint64(res.Covered), Bytes: res.Bytes, Err: err})
}

// leave lets Close go on.
func (o *checkpointOp) leave() {
	o.db.moving.Add(-1)
	o.db.signalEnd()
}

// Abort gives the checkpoint up.
func (o *checkpointOp) Abort(cause error) error {
	if !o.begun {
		return cause
	}
	cause = o.c.Abort(cause)
	o.end(pager.CheckpointResult{}, cause)
	return cause
}

// Sync waits until every commit that a reader can see is on stable storage. ErrFailed: the log has failed, and took back what
// was not.
func (db *DB) Sync() error { return db.SyncContext(context.Background()) }

// SyncContext is Sync, given up when ctx ends.
func (db *DB) SyncContext(ctx context.Context) error {
	_, err := run(ctx, db, "sync", &syncOp{db: db, asked: true})
	return err
}

// syncOp is the machine of Sync.
type syncOp struct {
	db    *DB
	asked bool // by a caller: it has to be allowed
	begun bool
	w     wal.Wait
}

// Step goes on with the sync.
func (o *syncOp) Step() (types.IOResult[struct{}], error) {
	db := o.db
	if !o.begun {
		if o.asked && db.closing.Load() {
			return types.Fail[struct{}](ErrClosed)
		}
		// Whoever commits from here on asks for a sync again. Were this done behind the look at the snapshot, a commit that comes
		// in between would have asked in vain, and wait for the next one.
		db.relaxed.Store(false)
		seq := db.p.Snapshot().Seq
		// A failure of the log takes relaxed commits back: what is left to see is durable, and no answer to whoever made them.
		// The log says that it has failed before the snapshot falls back, so it is asked behind it.
		if err := db.p.Log().Failed(); err != nil {
			return types.Fail[struct{}](err)
		}
		o.begun = true
		o.w.StartDurable(db.p.Log(), seq)
	}
	res, err := o.w.Step()
	if err != nil {
		o.failed()
	}
	return res, err
}

// failed leaves the sync to the background work. After a failure of the log there is none.
func (o *syncOp) failed() {
	o.db.relaxed.Store(true)
	if o.db.p.Failed() == nil {
		o.db.wake.ring()
	}
}

// Abort no longer waits for the sync.
func (o *syncOp) Abort(cause error) error {
	if !o.begun {
		return cause
	}
	cause = o.w.Abort(cause)
	o.failed()
	return cause
}
