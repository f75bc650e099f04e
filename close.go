package pawl

import (
	"errors"
	"time"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

type closeState uint8

const (
	closeTurn  closeState = iota // await: another Close
	closeDrain                   // await: open transactions, and checkpoints
	closeWork                    // await: background work that is under way
	closePager                   // await
	closeRest                    // await: what was given up is being deleted
	closeEnded                   // end
)

// closeOp is the machine of Close.
//
//	turn --closed by the other one--> ended
//	  \--> drain --> work --> pager --> rest --> ended
//
// Until work is over, and while pager waits for a writer that came in between, Abort leaves the database open. Later it closes
// the files as they are.
type closeOp struct {
	db     *DB
	state  closeState
	ticket types.TurnTicket
	began  int64 // drain
	close  pager.Close
	err    error // of the pager
}

// Queued reports whether a context does not count any more.
func (o *closeOp) Queued() bool { return o.state >= closeWork }

// Step goes on with closing.
func (o *closeOp) Step() (types.IOResult[struct{}], error) {
	db := o.db
	for {
		switch o.state {
		case closeTurn:
			if wait := db.closer.Acquire(&o.ticket, "another Close"); wait != nil {
				return types.Wait[struct{}](wait)
			}
			if db.isClosed() {
				db.closer.Release(&o.ticket)
				o.state = closeEnded
				return types.Done(struct{}{})
			}
			db.closing.Store(true) // who begins looks at it after having registered
			o.began, o.state = db.io.Now(), closeDrain

		case closeDrain:
			if db.p.OpenReaders() == 0 && db.moving.Load() == 0 {
				o.stopWork()
			} else if wait := db.ended.hear("open transactions"); wait != nil {
				return types.Wait[struct{}](wait)
			}

		case closeWork:
			if db.bg.holds.Load() == 0 {
				o.close.Start(db.p)
				o.state = closePager
			} else if wait := db.ended.hear("the background work"); wait != nil {
				return types.Wait[struct{}](wait)
			}

		case closePager:
			res, err := o.close.Step()
			if res.Pending != nil {
				return res, nil
			}
			o.err, o.state = err, closeRest

		case closeRest:
			if wait := db.remains.next(); wait != nil {
				return types.Wait[struct{}](wait)
			}
			if err := o.end(o.err); err != nil {
				return types.Fail[struct{}](err)
			}
			return types.Done(struct{}{})

		default:
			panic(invariant.Failf("pawl: closeOp stepped in state %d", o.state))
		}
	}
}

// stopWork ends the background work.
func (o *closeOp) stopWork() {
	bg := &o.db.bg
	bg.ending.Store(true)
	if bg.stop != nil {
		bg.stop()
	}
	o.db.wake.ring()
	o.state = closeWork
}

// end tells how it ended.
func (o *closeOp) end(err error) error {
	db := o.db
	o.state = closeEnded
	db.event(Event{Kind: EventClose, Seq: db.seq(), Err: err})
	if db.own {
		err = errors.Join(err, db.io.Shutdown())
	}
	close(db.closed)
	db.closer.Release(&o.ticket)
	return err
}

// Abort gives up closing.
func (o *closeOp) Abort(cause error) error {
	db := o.db
	switch o.state {
	case closeTurn:
	case closeRest:
		return o.end(errors.Join(o.err, cause))
	case closeDrain:
		cause = db.openTxs(time.Duration(db.io.Now()-o.began), cause)
		db.closing.Store(false)
	case closePager:
		reopen := o.close.Waiting()
		if cause = o.close.Abort(cause); !reopen {
			return o.end(cause)
		}
		fallthrough
	case closeWork:
		db.bg.ending.Store(false)
		if db.bg.stop != nil {
			db.startWork()
		}
		db.closing.Store(false)
	}
	db.closer.Release(&o.ticket)
	o.state = closeEnded
	return cause
}

// isClosed reports whether Close has ended.
func (db *DB) isClosed() bool {
	select {
	case <-db.closed:
		return true
	default:
		return false
	}
}
