package types

import (
	"fmt"

	"github.com/pawldb/pawl/io"
)

// Stepper is an operation that may have to wait for I/O.
//
// Step runs until the operation is over or can't go on without a completion, which it returns as Pending: the driver
// waits for that and calls Step again. Stepping while the completion is unfinished is legal: it changes nothing,
// submits nothing, and returns the same completion. If the completion failed, the driver does not step: it calls
// Abort with the completion's error.
//
// Abort ends an operation that has not ended: it takes back what the operation did, as far as that can be, releases
// what it holds, and returns the error that the caller is to see, cause or something that explains it. An
// operation that is past the point of no return may have succeeded all the same; it then says so in its docs.
// Step is not called after a result, an error or Abort.
type Stepper[T any] interface {
	Step() (IOResult[T], error)
	Abort(cause error) error
}

// StateMachine wraps a Stepper for whoever drives it, and reports the driver's mistakes: stepping after the end, and
// stepping past a failed completion. It owns the rule that a failed completion aborts.
type StateMachine[T any] struct {
	stepper Stepper[T]
	pending *io.Completion
	ended   bool
}

// NewStateMachine returns s, not started.
func NewStateMachine[T any](s Stepper[T]) StateMachine[T] { return StateMachine[T]{stepper: s} }

// Step steps the operation once. Once a completion that it waited for has failed, it aborts the operation and
// returns the error.
func (m *StateMachine[T]) Step() (IOResult[T], error) {
	if m.ended {
		panic(fmt.Sprintf("types: %T stepped after its end", m.stepper))
	}
	if m.pending != nil {
		if !m.pending.Done() {
			return Wait[T](m.pending)
		}
		err := m.pending.Err()
		m.pending = nil
		if err != nil {
			return Fail[T](m.Abort(err))
		}
	}
	res, err := m.stepper.Step()
	m.pending = res.Pending
	m.ended = err != nil || res.Pending == nil
	return res, err
}

// Abort ends the operation with cause unless it has ended, and returns the error that it ends with. A nil return
// means that there was nothing to abort.
func (m *StateMachine[T]) Abort(cause error) error {
	if m.ended {
		return nil
	}
	m.ended, m.pending = true, nil
	err := m.stepper.Abort(cause)
	if err == nil {
		panic(fmt.Sprintf("types: %T aborted without an error", m.stepper))
	}
	return err
}

// Ended reports whether the operation has returned its result or an error.
func (m *StateMachine[T]) Ended() bool { return m.ended }
