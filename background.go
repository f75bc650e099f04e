package pawl

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// backgroundName is what DB.Waiting calls the background work, and idleReason what that waits for while there is none.
const (
	backgroundName = "background"
	idleReason     = "work to do"
)

// background is what the background work shares with Close.
type background struct {
	taken   atomic.Bool  // someone does the work
	holds   atomic.Int32 // what Close has to wait for: work under way, or the goroutine that does it
	ending  atomic.Bool  // Close wants it to end
	stop    context.CancelFunc
	stopped chan struct{} // the goroutine has ended; nil: there was none
}

// startWork starts the background goroutine, behind the one before. It sleeps on a channel, without a timer, while there is
// nothing to do.
func (db *DB) startWork() {
	ctx, stop := context.WithCancel(context.Background())
	before, stopped := db.bg.stopped, make(chan struct{})
	db.bg.stop, db.bg.stopped = stop, stopped
	db.bg.holds.Add(1)
	go func() {
		defer db.letGo()
		defer close(stopped)
		if before != nil {
			<-before
		}
		db.work(ctx)
	}()
}

// work does the background work until ctx or the database ends.
func (db *DB) work(ctx context.Context) {
	o := newOp(db, backgroundName, &backgroundWork{db: db})
	for {
		res, err := o.Step()
		if err != nil || res.Pending == nil {
			return
		}
		if res.Pending.Reason() == idleReason {
			db.backPages()
			err = res.Pending.Park(ctx, nil) // the IO has nothing to do with it
		} else {
			err = o.Wait(ctx)
		}
		if err != nil {
			_ = o.Abort(err)
			return
		}
	}
}

// letGo tells Close that it need not wait any more.
func (db *DB) letGo() {
	db.bg.holds.Add(-1)
	db.ended.ring()
}

// errBackgroundTaken means that the background work is done already.
var errBackgroundTaken = fmt.Errorf("%w: the background work is being done already", ErrOptions)

type workState uint8

const (
	workBegin workState = iota // work: is it the only one?
	workIdle                   // await: there is something to do
	workFlush                  // await: commits that nobody waits for any more
	workPause                  // await: the time that relaxed commits may take
	workSync                   // await
	workCheck                  // work: has the log got long?
	workMove                   // await: a checkpoint
	workEnded                  // end
)

// backgroundWork is the machine of the background work: it syncs relaxed commits within the interval, carries on commits that
// were abandoned, and makes checkpoints when the log is long. Errors are told by events, and the next commit asks again. It
// ends when the database is closed.
//
//	begin, idle --> flush --> pause --> sync --> check --> move --> idle
//	                  \----nothing relaxed--------^  \--short--> idle
type backgroundWork struct {
	db    *DB
	state workState
	held  bool // Close waits for it

	pause *io.Completion                       // pause
	part  types.StateMachine[struct{}]         // flush, sync
	move  types.StateMachine[CheckpointResult] // move
}

func (*backgroundWork) tolerates() {}

// Step goes on with the work.
func (b *backgroundWork) Step() (types.IOResult[struct{}], error) {
	db := b.db
	for {
		if b.state > workBegin && db.bg.ending.Load() {
			_ = b.Abort(ErrClosed)
			return types.Done(struct{}{})
		}
		var wait *io.Completion
		switch b.state {
		case workBegin:
			if !db.bg.taken.CompareAndSwap(false, true) {
				return types.Fail[struct{}](errBackgroundTaken)
			}
			b.flush() // the one before may have left something
		case workIdle:
			if wait = db.wake.hear(idleReason); wait == nil {
				b.flush()
			}
		case workFlush:
			if wait = b.stepPart(); wait == nil {
				b.db.relaxed.Store(true) // a sync that came before they were visible has not covered them
				b.relaxed()
			}
		case workPause:
			if wait = b.pause; wait.Done() {
				wait, b.pause = nil, nil
				b.begin(workSync, &syncOp{db: db})
			}
		case workSync:
			if wait = b.stepPart(); wait == nil {
				b.state = workCheck
			}
		case workCheck:
			b.check()
		case workMove:
			res, _ := b.move.Step()
			if wait = res.Pending; wait == nil {
				b.idle()
			}
		default:
			panic(invariant.Failf("pawl: backgroundWork stepped in state %d", b.state))
		}
		if wait != nil {
			return types.Wait[struct{}](wait)
		}
	}
}

// hold has Close wait for what is about to begin.
func (b *backgroundWork) hold() {
	if !b.held {
		b.held = true
		b.db.bg.holds.Add(1)
	}
}

// free ends hold.
func (b *backgroundWork) free() {
	if b.held {
		b.held = false
		b.db.letGo()
	}
}

// begin begins a part of the work.
func (b *backgroundWork) begin(state workState, part types.Stepper[struct{}]) {
	b.hold()
	b.part, b.state = types.NewStateMachine(part), state
}

// stepPart steps it. How it ended is told elsewhere.
func (b *backgroundWork) stepPart() *io.Completion {
	res, _ := b.part.Step()
	if res.Pending == nil {
		b.free()
	}
	return res.Pending
}

// flush carries on what was abandoned.
func (b *backgroundWork) flush() {
	if !b.db.abandoned.Swap(false) {
		b.relaxed()
		return
	}
	w := new(wal.Wait)
	w.StartIdle(b.db.p.Log())
	b.begin(workFlush, w)
}

// relaxed goes on to the relaxed commits, if there are any.
func (b *backgroundWork) relaxed() {
	b.state = workCheck
	if b.db.relaxed.Load() {
		b.pause, b.state = new(io.Completion), workPause
		b.db.io.Timer(b.pause, int64(b.db.opts.SyncInterval))
	}
}

// check begins a checkpoint if one is due.
func (b *backgroundWork) check() {
	if b.db.opts.ReadOnly || b.db.backlog() < b.db.opts.CheckpointBytes {
		b.idle()
		return
	}
	b.hold()
	b.move = types.NewStateMachine[CheckpointResult](&checkpointOp{db: b.db, mode: Passive})
	b.state = workMove
}

// idle goes back to waiting for work.
func (b *backgroundWork) idle() {
	b.free()
	b.state = workIdle
}

// Abort gives up what is under way. The work can be begun again.
func (b *backgroundWork) Abort(cause error) error {
	switch b.state {
	case workFlush, workSync:
		_ = b.part.Abort(cause)
	case workPause:
		b.pause.Cancel()
	case workMove:
		_ = b.move.Abort(cause)
	}
	b.free()
	b.state = workEnded
	b.db.bg.taken.Store(false)
	return cause
}

// backlog returns how much waits for a checkpoint, in bytes: one is due at Options.CheckpointBytes.
func (db *DB) backlog() int64 { return db.p.Backlog(db.opts.CheckpointBytes) }
