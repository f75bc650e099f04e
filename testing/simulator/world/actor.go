package world

import (
	"context"
	"errors"
	"iter"
	"runtime/debug"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// errGivenUp is what an operation is aborted with.
var errGivenUp = errors.New("given up")

// actor is somebody who does one thing after the other: straight code that is left at each wait, and gone on with when the
// schedule says so. It is a coroutine, so never two of them run at a time.
type actor struct {
	name    string
	world   *World
	resume  func() (struct{}, bool)
	drop    func()
	yield   func(struct{}) bool
	pending *io.Completion // what it waits for; nil: it can go on
	what    string         // the operation that waits
	pause   int            // steps that it lets others go first
	rank    uint64         // of the schedule by priority
	ended   bool

	states    []cover.State // in which its machines wait, if somebody wants to know
	operation int           // number of the one that it is in

	ctx    context.Context // of a task whose calls block; else nil
	cancel func()
	waits  int // of the task
	giveUp int // the wait of the task at which to give up; 0: none
}

// trouble is a panic within an actor, with the stack that it had.
type trouble struct {
	value any
	stack string
}

// stopped is the panic that ends an actor from within.
type stopped struct{}

// newActor makes one. It does nothing before its first turn.
func newActor(w *World, name string, body func(*actor)) *actor {
	a := &actor{world: w, name: name}
	a.resume, a.drop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(stopped); !ok {
					panic(trouble{r, string(debug.Stack())})
				}
			}
		}()
		a.yield = yield
		body(a)
	})
	return a
}

// ready reports whether the actor can go on.
func (a *actor) ready() bool {
	return !a.ended && a.pause == 0 && (a.pending == nil || a.pending.Done() || a.impatient())
}

// impatient reports whether it is time to give up, whether what is waited for is over or not.
func (a *actor) impatient() bool { return a.giveUp > 0 && a.waits >= a.giveUp }

// waiting reports whether the actor waits for something.
func (a *actor) waiting() bool { return !a.ended && a.pending != nil && !a.pending.Done() }

// turn lets the actor go on until it waits.
func (a *actor) turn() {
	a.world.current = a
	if _, more := a.resume(); !more {
		a.ended = true
	}
	a.world.current = nil
}

// rest gives the turn back.
func (a *actor) rest() {
	if !a.yield(struct{}{}) {
		panic(stopped{})
	}
}

// idle lets others go on for some steps.
func (a *actor) idle(steps int) {
	a.pause = steps
	a.rest()
}

// sleep waits until the clock has gone on by some milliseconds.
func (a *actor) sleep(ms int) {
	c := new(io.Completion)
	a.world.disk.Timer(c, int64(ms)*1e6)
	a.pending, a.what, a.states = c, "sleep", nil
	for !c.Done() {
		a.rest()
	}
	a.pending, a.what = nil, ""
}

// block makes the actor's calls block from now on, under a context of their own, which ends when it is time to give up.
func (a *actor) block() { a.ctx, a.cancel = context.WithCancel(context.Background()) }

// unblock ends that.
func (a *actor) unblock() {
	a.cancel()
	a.ctx, a.cancel = nil, nil
}

// await steps an operation to its end. When the actor's time to give up comes it aborts the operation instead: errGivenUp.
func await[T any](a *actor, what string, op *pawl.Op[T]) (value T, err error) {
	a.operation++
	if a.ctx != nil {
		return op.Run(a.ctx)
	}
	for {
		early := a.pending != nil && !a.pending.Done()
		res, err := op.Step()
		if early && (err != nil || res.Pending == nil) {
			disk.Violate("%s, stepped early, ended: %v", what, err)
		}
		if err != nil || res.Pending == nil {
			a.pending, a.what = nil, ""
			return res.Value, err
		}
		if early && a.pending != res.Pending {
			disk.Violate("%s, stepped early, waits for something else: %v, %v", what, a.pending.Kind(), res.Pending.Kind())
		}
		a.pending, a.what = res.Pending, what
		if !early {
			a.waits++
			switch a.world.waits(a, op) {
			case plan.StepEarly:
				continue
			case plan.Abandon:
				a.pending, a.what = nil, ""
				return value, op.Abort(errGivenUp)
			}
		}
		a.rest()
		if a.impatient() {
			a.world.givesUp(a)
			a.giveUp, a.pending, a.what = 0, nil, ""
			if a.world.plan.Order == plan.Drawn && a.world.rng.IntN(2) == 0 {
				a.world.startAll() // it can't be stopped any more
			}
			return value, op.Abort(errGivenUp)
		}
	}
}
