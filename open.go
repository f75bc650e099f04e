package pawl

import (
	"errors"
	"fmt"
	"time"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// lockPause is how often Open looks whether the lock is free.
const lockPause = 20 * time.Millisecond

type openState uint8

const (
	openBegin openState = iota // work: look at the options
	openTry                    // await: the pager
	openPause                  // await: a while, since the file is locked
	openLetGo                  // await: a file that could not be opened is being closed
	openEnded                  // end
)

// openOp is the machine of Open, which tries again while the file is locked. It ends with the database.
//
//	begin --> try --> ended
//	          ^  \--failed--> let go --> ended
//	          |  \--locked--> pause
//	          +----------------/
//
// An error is returned when the file is closed: its lock is free then.
type openOp struct {
	db   *DB
	path string
	o    *Options

	state openState
	began int64
	m     *pager.Open
	try   types.StateMachine[pager.Opened] // m
	pause *io.Completion
	err   error // let go
}

func (*openOp) tolerates() {}

// begin makes what is needed of the options. Without an error the IO is there.
func (o *openOp) begin() error {
	opts, err := o.o.withDefaults()
	if err != nil {
		return err
	}
	if o.path == "" {
		return fmt.Errorf("%w: the path is empty", ErrOptions)
	}
	db := o.db
	db.opts, db.io, db.path, db.closed = opts, opts.IO, o.path, make(chan struct{})
	if db.io == nil {
		db.io, db.own = io.NewSystem(), true
	}
	o.began = db.io.Now()
	o.attempt()
	return nil
}

// attempt begins to open.
func (o *openOp) attempt() {
	o.m = new(pager.Open)
	o.m.Start(o.db.config())
	o.try, o.state = types.NewStateMachine[pager.Opened](o.m), openTry
}

// Step goes on with opening.
func (o *openOp) Step() (types.IOResult[*DB], error) {
	for {
		switch o.state {
		case openBegin:
			if err := o.begin(); err != nil {
				return types.Fail[*DB](err)
			}

		case openTry:
			res, err := o.try.Step()
			switch {
			case res.Pending != nil:
				return types.Wait[*DB](res.Pending)
			case err == nil:
				o.state = openEnded
				o.db.opened(res.Value, o.began)
				return types.Done(o.db)
			case !errors.Is(err, io.ErrLocked) || time.Duration(o.db.io.Now()-o.began) >= o.db.opts.LockTimeout:
				o.err, o.state = err, openLetGo
				continue
			}
			o.pause, o.state = new(io.Completion), openPause
			o.db.io.Timer(o.pause, int64(lockPause))

		case openPause:
			if !o.pause.Done() {
				return types.Wait[*DB](o.pause)
			}
			if err := o.pause.Err(); err != nil {
				return types.Fail[*DB](o.end(err))
			}
			o.attempt()

		case openLetGo:
			if c := o.m.Closing(); c != nil && !c.Done() {
				return types.Wait[*DB](c)
			}
			return types.Fail[*DB](o.end(o.err))

		default:
			panic(invariant.Failf("pawl: openOp stepped in state %d", o.state))
		}
	}
}

// end lets go of what begin made.
func (o *openOp) end(err error) error {
	o.state = openEnded
	if o.db.own {
		err = errors.Join(err, o.db.io.Shutdown())
	}
	return err
}

// Abort gives up opening.
func (o *openOp) Abort(cause error) error {
	switch o.state {
	case openTry:
		cause = o.try.Abort(cause)
	case openPause:
		o.pause.Cancel()
	case openLetGo:
		cause = o.err
	case openBegin, openEnded:
		return cause
	}
	return o.end(cause)
}

// opened takes what was opened, and tells of it.
func (db *DB) opened(got pager.Opened, began int64) {
	db.p, db.info = got.Pager, got.Info
	db.path = db.p.Path()
	if !db.info.Clean && !db.info.Created {
		r := db.info.Recovery
		db.event(Event{Kind: EventRecovery, Seq: db.seq(), Bytes: r.Bytes, Detail: recoveryDetail(r)})
	}
	db.event(Event{Kind: EventOpen, Seq: db.seq(), Duration: time.Duration(db.io.Now() - began)})
}

// recoveryDetail says what a recovery found.
func recoveryDetail(r wal.Recovery) string {
	detail := fmt.Sprintf("%d commits in %d groups, %d bytes", r.Commits, r.Groups, r.Bytes)
	if d := r.Discarded; d != nil {
		detail += fmt.Sprintf("; an unfinished group from commit %d at offset %d was dropped: %s", d.First, d.Offset, d.Reason)
	}
	return detail
}
