package pawl

import (
	"context"
	"errors"
	"fmt"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// ErrOpEnded means that an operation was stepped after its end.
var ErrOpEnded = errors.New("pawl: operation has ended")

// Op is an operation that its caller steps: see Async, which makes them. Nothing of it happens before the first Step, and an Op
// that was never stepped holds nothing. One goroutine at a time uses an Op; it need not be the same one.
//
//	ready --Step--> waiting (Pending) --Step, when that has resolved--> ... --> ended
//	  \--Abort-->      \--Abort--> ended
//
// Slices and strings that an operation was made with stay unchanged until it has ended, and belong to its caller again then.
// Op implements types.Stepper.
type Op[T any] struct {
	db      *DB
	what    string
	m       types.Stepper[T]
	pending *io.Completion
	wait    waitEntry // in DB.Waiting, while pending
	begun   bool
	ended   bool
}

// newOp returns an operation that is a machine.
func newOp[T any](db *DB, what string, m types.Stepper[T]) *Op[T] {
	return &Op[T]{db: db, what: what, m: m}
}

// queuer is a machine with a point of no return.
type queuer interface{ Queued() bool }

// tolerant is a machine that goes on after what it waits for has failed: it is stepped then, not aborted. Its parts are
// wrapped in types.StateMachine, which aborts them.
type tolerant interface{ tolerates() }

// Step runs until the operation is over, and returns its value or its error, or until it can't go on: then the result's
// Pending is what to wait for before the next Step. It never waits itself.
//
// Stepping early, while Pending is not done, is legal: it changes nothing, submits nothing, and returns the same Pending. When
// Pending has failed, step as well: that ends the operation with the error. After the end it is ErrOpEnded.
func (o *Op[T]) Step() (types.IOResult[T], error) {
	if o.ended {
		return types.Fail[T](fmt.Errorf("%w: %s", ErrOpEnded, o.what))
	}
	if c := o.pending; c != nil {
		if !c.Done() {
			return types.Wait[T](c)
		}
		if err := c.Err(); err != nil {
			if _, ok := o.m.(tolerant); !ok {
				return types.Fail[T](o.Abort(err))
			}
		}
	}
	o.begun = true
	res, err := o.m.Step()
	o.note(res.Pending, err)
	return res, err
}

// note keeps what a step has led to.
func (o *Op[T]) note(pending *io.Completion, err error) {
	o.pending = pending
	if err != nil && o.db.p != nil {
		o.db.foundFull(err)
	}
	if err != nil || pending == nil {
		o.end()
		return
	}
	if !o.wait.listed {
		o.wait.what, o.wait.machine, o.wait.since = o.what, o.m, o.db.io.Now()
	}
	o.db.waits.on(&o.wait, pending)
}

// end ends the operation.
func (o *Op[T]) end() {
	o.pending, o.ended = nil, true
	if o.wait.listed {
		o.db.waits.leave(&o.wait)
	}
}

// Abort ends the operation with cause, at any time, and returns the error that it ends with: cause, or one that explains it. nil
// means context.Canceled. Nothing is left of what it did, and its transaction goes on; where an operation says otherwise, as
// Commit and Close do, that holds. Of an operation that has ended Abort returns nil.
func (o *Op[T]) Abort(cause error) error {
	if o.ended {
		return nil
	}
	if cause == nil {
		cause = context.Canceled
	}
	if o.begun {
		cause = o.m.Abort(cause)
		if o.db.p != nil {
			o.db.foundFull(cause)
		}
	}
	o.end()
	return cause
}

// Ended reports whether the operation has returned its value or an error, or was aborted.
func (o *Op[T]) Ended() bool { return o.ended }

// Wait waits until Step can go on: it runs the event loop of the database's IO until what the last Step returned as Pending has
// resolved. It returns ctx's error if that ends first; the operation goes on then. With nothing pending it returns nil at
// once. io.ErrDeadlock: the IO knows that nothing under way can resolve it; another operation has to be stepped first.
func (o *Op[T]) Wait(ctx context.Context) error {
	if o.pending == nil {
		return nil
	}
	return o.db.io.Wait(ctx, o.pending)
}

// Run steps the operation to its end and waits in between: what the blocking methods do. If ctx ends first the operation is
// aborted, unless it is past its point of no return: then Run waits for the outcome.
func (o *Op[T]) Run(ctx context.Context) (none T, err error) {
	for {
		res, err := o.Step()
		if err != nil || res.Pending == nil {
			return res.Value, err
		}
		for !res.Pending.Done() {
			err := o.Wait(ctx)
			if err == nil {
				break
			}
			if q, ok := o.m.(queuer); !ok || !q.Queued() || ctx.Err() == nil {
				return none, o.Abort(err)
			}
			ctx = context.WithoutCancel(ctx)
		}
	}
}
