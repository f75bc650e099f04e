package io

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// mustPanic fails the test unless fn panics.
func mustPanic(t *testing.T, what string, fn func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	fn()
}

func TestCompletionResolvesOnce(t *testing.T) {
	var c Completion
	for round := range 300 {
		c.ArmSubmitted(KindRead, "f")
		var calls, retirements, won atomic.Int32
		c.OnDone(func(*Completion) { calls.Add(1) })
		c.OnRetire(func(*Completion) { retirements.Add(1 + 100*(1-calls.Load())) })
		start := make(chan struct{})
		var wg sync.WaitGroup
		count := func(resolved bool) {
			if resolved {
				won.Add(1)
			}
		}
		wg.Go(func() { <-start; count(c.Finish(7, nil)) }) // the backend finishes once
		for range 3 {
			wg.Go(func() { <-start; count(c.Cancel()) })
		}
		close(start)
		wg.Wait()
		if won.Load() != 1 || calls.Load() != 1 || retirements.Load() != 1 || !c.Retired() {
			t.Fatalf("round %d: %d winners, %d callbacks, retirement %d, retired %v", round, won.Load(), calls.Load(),
				retirements.Load(), c.Retired())
		}
		succeeded := c.State() == Succeeded && c.N() == 7 && c.Err() == nil
		if !succeeded && (c.State() != Cancelled || c.Err() != ErrCancelled) {
			t.Fatalf("round %d: %v, n %d, %v", round, c.State(), c.N(), c.Err())
		}
		if c.Finish(1, errors.New("late")) || c.Cancel() || c.N() == 1 {
			t.Fatalf("round %d: resolved twice", round)
		}
		c.Reset()
		if !c.Idle() || c.Done() || c.Retired() || c.Err() != nil {
			t.Fatalf("round %d: after Reset it is %v", round, c.State())
		}
	}
}

func TestCompletionOutcomes(t *testing.T) {
	cause := errors.New("cause")
	for _, test := range []struct {
		name    string
		end     func(c *Completion)
		state   State
		n       int
		err     error
		retired bool
	}{
		{"pending", func(c *Completion) {}, Pending, 0, nil, false},
		{"success", func(c *Completion) { c.Finish(5, nil) }, Succeeded, 5, nil, true},
		{"failure", func(c *Completion) { c.Finish(5, cause) }, Failed, 0, cause, true},
		{"cancelled", func(c *Completion) { c.Cancel() }, Cancelled, 0, ErrCancelled, false},
		{"cancelled, late", func(c *Completion) { c.Cancel(); c.Finish(5, cause) }, Cancelled, 0, ErrCancelled, true},
	} {
		var c Completion
		c.ArmSubmitted(KindWrite, "f")
		test.end(&c)
		if c.State() != test.state || c.N() != test.n || c.Err() != test.err || c.Retired() != test.retired {
			t.Errorf("%s: %v, n %d, %v, retired %v", test.name, c.State(), c.N(), c.Err(), c.Retired())
		}
		if !test.retired {
			mustPanic(t, test.name+": Reset", c.Reset)
		}
		mustPanic(t, test.name+": Arm", func() { c.Arm(KindRead, "g") })
		if test.state != Succeeded {
			mustPanic(t, test.name+": Proof", func() { c.Proof() })
		}
	}
}

func TestCompletionYieldCancelRetires(t *testing.T) {
	var c Completion
	c.ArmYield("a lock")
	if !c.Cancel() || !c.Retired() {
		t.Errorf("cancelled yield: %v, retired %v", c.State(), c.Retired())
	}
	c.Reset()
	c.ArmYield("again")
	if c.Reason() != "again" || c.Kind() != KindYield || c.Done() {
		t.Errorf("armed again: %v %q %v", c.Kind(), c.Reason(), c.State())
	}
}

// A completion that is cancelled before it was ever submitted must not be submitted unnoticed.
func TestCompletionCancelIdle(t *testing.T) {
	var c Completion
	c.Cancel()
	if c.Idle() || c.State() != Cancelled {
		t.Errorf("cancelled before use: %v, idle %v", c.State(), c.Idle())
	}
	mustPanic(t, "Arm", func() { c.ArmSubmitted(KindRead, "f") })
	c.Reset()
	c.ArmSubmitted(KindRead, "f")
	if c.Done() {
		t.Errorf("after Reset and submission: %v", c.State())
	}
}

func TestCompletionProof(t *testing.T) {
	var c Completion
	c.ArmSubmitted(KindSync, "f")
	c.Finish(0, nil)
	c.Proof().Must(KindWrite, KindSync)
	mustPanic(t, "proof of another kind", func() { c.Proof().Must(KindWrite) })
	mustPanic(t, "zero proof", func() { Proof{}.Must(KindSync) })
}

func TestCompletionCallbackAfterEnd(t *testing.T) {
	var c Completion
	c.ArmSubmitted(KindRead, "f")
	c.Cancel()
	var order []string
	c.OnRetire(func(*Completion) { order = append(order, "retired") })
	c.OnDone(func(*Completion) { order = append(order, "done") })
	if len(order) != 1 || order[0] != "done" {
		t.Errorf("before retirement: %v", order)
	}
	c.Finish(0, nil)
	if len(order) != 2 || order[1] != "retired" {
		t.Errorf("after retirement: %v", order)
	}
	c.Reset()
	c.ArmYield("x")
	c.OnDone(func(*Completion) {})
	mustPanic(t, "second callback", func() { c.OnDone(func(*Completion) {}) })
}

// The retirement callback may use the completion for the next I/O at once.
func TestCompletionResetInRetire(t *testing.T) {
	var c Completion
	c.ArmSubmitted(KindRead, "f")
	rounds := 0
	var again func(c *Completion)
	again = func(c *Completion) {
		if rounds++; rounds == 10 {
			return
		}
		c.Reset()
		c.ArmSubmitted(KindRead, "f")
		c.OnRetire(again)
		c.Finish(rounds, nil)
	}
	c.OnRetire(again)
	c.Finish(0, nil)
	if rounds != 10 || c.N() != 9 || !c.Retired() {
		t.Errorf("%d rounds, n %d, retired %v", rounds, c.N(), c.Retired())
	}
}

func TestParkManyWaiters(t *testing.T) {
	for round := range 100 {
		var c Completion
		c.ArmYield("the test")
		ctx, cancel := context.WithCancel(context.Background())
		wake := make(chan struct{}, 1)
		var resolved, cancelled, interrupted atomic.Int32
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				var err error
				switch i % 3 {
				case 0:
					err = c.Park(context.Background(), nil)
				case 1:
					err = c.Park(ctx, nil)
				case 2:
					err = c.Park(context.Background(), wake)
				}
				switch {
				case err == nil && c.Done():
					resolved.Add(1)
				case i%3 == 1 && err == context.Canceled:
					cancelled.Add(1)
				case i%3 == 2 && err == ErrInterrupted:
					interrupted.Add(1)
				default:
					t.Errorf("waiter %d: %v, %v", i, err, c.State())
				}
			})
		}
		wg.Go(cancel)
		wg.Go(func() { wake <- struct{}{} })
		if round%2 == 0 {
			runtime.Gosched()
		}
		wg.Go(func() { c.Finish(0, nil) })
		wg.Wait()
		all := resolved.Load() + cancelled.Load() + interrupted.Load()
		if all != 12 || interrupted.Load() > 1 || resolved.Load() < 4 {
			t.Fatalf("round %d: %d resolved, %d cancelled, %d interrupted", round, resolved.Load(), cancelled.Load(),
				interrupted.Load())
		}
		if c.parked != nil {
			t.Fatalf("round %d: somebody is still on the list", round)
		}
		c.Reset()
		cancel()
	}
}

// An owner that was woken finds its completion retired, and may reset it and go on.
func TestParkThenReset(t *testing.T) {
	var c Completion
	for range 2000 {
		c.ArmSubmitted(KindRead, "f")
		go c.Finish(1, nil)
		if err := c.Park(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		c.Reset()
	}
	if !c.Idle() {
		t.Errorf("at the end: %v", c.State())
	}
}

// staleCanceller fails the test when it is asked to cancel another I/O than the one that was cancelled.
type staleCanceller struct {
	t    *testing.T
	want *atomic.Int64
}

func (s staleCanceller) CancelRequest(c *Completion) {
	if got := s.want.Load(); got != c.Request.Offset {
		s.t.Errorf("cancel of I/O %d reached I/O %d", c.Request.Offset, got)
	}
}

// The backend may finish an I/O between the cancel's resolution and the moment when it hears of the cancel. The
// owner must not be able to reuse the completion in between.
func TestCancelFinishReuse(t *testing.T) {
	var c Completion
	var life atomic.Int64
	for i := range int64(2000) {
		c.ArmSubmitted(KindRead, "f")
		life.Store(i)
		c.Request.Offset, c.Request.Canceller = i, staleCanceller{t, &life}
		var wg sync.WaitGroup
		var lost atomic.Bool
		wg.Go(func() { lost.Store(!c.Cancel()) })
		wg.Go(func() { c.Finish(0, nil) })
		for !c.Retired() || c.State() != Cancelled && !lost.Load() {
			runtime.Gosched()
		}
		c.Reset() // a cancel that has won may still be on its way to the backend
		wg.Wait()
	}
	if !c.Idle() {
		t.Errorf("at the end: %v", c.State())
	}
}

func TestCompletionAllocs(t *testing.T) {
	var c Completion
	if n := testing.AllocsPerRun(1000, func() {
		c.ArmSubmitted(KindRead, "f")
		c.Finish(1, nil)
		c.Reset()
		c.ArmYield("x")
		c.Cancel()
		c.Reset()
	}); n != 0 {
		t.Errorf("a life allocates %v times", n)
	}
}
