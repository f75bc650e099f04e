package types

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pawldb/pawl/io"
)

// expectPanic runs fn and wants it to panic with a message that holds want.
func expectPanic(t *testing.T, want string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		v := recover()
		if v == nil {
			t.Errorf("no panic, want %q", want)
		} else if got := fmt.Sprint(v); !strings.Contains(got, want) {
			t.Errorf("panic %q, want %q", got, want)
		}
	}()
	fn()
}

var errTranslated = errors.New("what the caller sees")

// waiter waits for each of its completions in turn, then ends with err, or with the number of steps.
type waiter struct {
	waits []*io.Completion
	err   error

	steps   int
	aborted []error
	mute    bool // Abort returns nil, which it must not
}

func (w *waiter) Step() (IOResult[int], error) {
	w.steps++
	for len(w.waits) > 0 {
		c := w.waits[0]
		if !c.Done() {
			return Wait[int](c)
		}
		w.waits = w.waits[1:]
	}
	if w.err != nil {
		return Fail[int](w.err)
	}
	return Done(w.steps)
}

func (w *waiter) Abort(cause error) error {
	w.aborted = append(w.aborted, cause)
	if w.mute {
		return nil
	}
	return fmt.Errorf("%w: %w", errTranslated, cause)
}

// yield returns a completion that is under way.
func yield() *io.Completion {
	c := new(io.Completion)
	c.ArmYield("a test")
	return c
}

// mustWait steps m and wants it to wait for c.
func mustWait(t *testing.T, m *StateMachine[int], c *io.Completion) {
	t.Helper()
	res, err := m.Step()
	if err != nil || res.Pending != c {
		t.Fatalf("step returned %+v, %v, want to wait for %p", res, err, c)
	}
	if m.Ended() {
		t.Fatal("ended while waiting")
	}
}

func TestMachineRunsToItsResult(t *testing.T) {
	first, second := yield(), yield()
	w := &waiter{waits: []*io.Completion{first, second}}
	m := NewStateMachine(w)
	if m.Ended() {
		t.Error("ended before the first step")
	}
	mustWait(t, &m, first)
	mustWait(t, &m, first)
	if w.steps != 1 {
		t.Errorf("%d steps reached the operation before its completion was done, want 1", w.steps)
	}
	first.Finish(0, nil)
	mustWait(t, &m, second)
	second.Finish(0, nil)
	res, err := m.Step()
	if err != nil || res.Pending != nil || res.Value != 3 {
		t.Errorf("last step returned %+v, %v", res, err)
	}
	if !m.Ended() {
		t.Error("not ended after its result")
	}
	if err := m.Abort(errors.New("late")); err != nil || len(w.aborted) != 0 {
		t.Errorf("abort after the end: error %v, operation told %v", err, w.aborted)
	}
	expectPanic(t, "stepped after its end", func() { _, _ = m.Step() })
}

func TestMachineEndsWithItsError(t *testing.T) {
	cause := errors.New("full")
	w := &waiter{err: cause}
	m := NewStateMachine(w)
	if _, err := m.Step(); err != cause {
		t.Errorf("step returned %v", err)
	}
	if !m.Ended() || len(w.aborted) != 0 {
		t.Errorf("ended %v, aborted with %v; an operation that failed by itself cleans up by itself", m.Ended(), w.aborted)
	}
	expectPanic(t, "stepped after its end", func() { _, _ = m.Step() })
}

// A failed or cancelled completion aborts: the operation is never stepped past it, and its Abort has the last word on the
// error.
func TestMachineAbortsOnFailedCompletion(t *testing.T) {
	broken := errors.New("broken disk")
	cases := []struct {
		name string
		fail func(*io.Completion)
		want error
	}{
		{"failed", func(c *io.Completion) { c.Finish(0, broken) }, broken},
		{"cancelled", func(c *io.Completion) { c.Cancel() }, io.ErrCancelled},
	}
	for _, c := range cases {
		waitsFor := yield()
		w := &waiter{waits: []*io.Completion{waitsFor}}
		m := NewStateMachine(w)
		mustWait(t, &m, waitsFor)
		c.fail(waitsFor)
		res, err := m.Step()
		if !errors.Is(err, errTranslated) || !errors.Is(err, c.want) || res.Pending != nil {
			t.Errorf("%s: step returned %+v, %v", c.name, res, err)
		}
		if w.steps != 1 || len(w.aborted) != 1 || !errors.Is(w.aborted[0], c.want) {
			t.Errorf("%s: %d steps, aborted with %v", c.name, w.steps, w.aborted)
		}
		if !m.Ended() {
			t.Errorf("%s: not ended", c.name)
		}
		expectPanic(t, "stepped after its end", func() { _, _ = m.Step() })
	}
}

func TestMachineAborts(t *testing.T) {
	cause := errors.New("gave up")
	for _, started := range []bool{false, true} {
		c := yield()
		w := &waiter{waits: []*io.Completion{c}}
		m := NewStateMachine(w)
		if started {
			mustWait(t, &m, c)
		}
		if err := m.Abort(cause); !errors.Is(err, errTranslated) || !errors.Is(err, cause) {
			t.Errorf("started %v: abort returned %v", started, err)
		}
		if err := m.Abort(cause); err != nil || len(w.aborted) != 1 {
			t.Errorf("started %v: second abort returned %v, operation told %d times", started, err, len(w.aborted))
		}
		if !m.Ended() {
			t.Errorf("started %v: not ended", started)
		}
		expectPanic(t, "stepped after its end", func() { _, _ = m.Step() })
	}
}

func TestMachineRefusesAbortWithoutError(t *testing.T) {
	m := NewStateMachine(&waiter{mute: true})
	expectPanic(t, "aborted without an error", func() { _ = m.Abort(errors.New("cause")) })
}

// Stepping is on every hot path, so the wrapper must cost no memory.
func TestMachineStepsWithoutAllocating(t *testing.T) {
	c := yield()
	m := NewStateMachine(&waiter{waits: []*io.Completion{c}})
	allocs := testing.AllocsPerRun(100, func() {
		if res, err := m.Step(); err != nil || res.Pending != c {
			t.Fatalf("step returned %+v, %v", res, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a step", allocs)
	}
}
