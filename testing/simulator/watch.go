package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pawldb/pawl/testing/simulator/plan"
)

// hangTime is how long a world may take for one step. What loops without waiting for anything never gives its turn back, so that
// the schedule can't see it.
const hangTime = 15 * time.Second

// watch looks at the worlds of a worker from outside, and ends the program if one hangs.
type watch struct {
	steps atomic.Uint64 // of the schedule
	stop  func() bool

	mu    sync.Mutex
	world string
	seen  uint64
}

// newWatch begins to look.
func newWatch() *watch {
	w := &watch{}
	var timer *time.Timer
	w.mu.Lock()
	defer w.mu.Unlock()
	timer = time.AfterFunc(hangTime, func() { w.look(timer) })
	w.stop = timer.Stop
	return w
}

// begin notes which world it is now.
func (w *watch) begin(seed uint64, profile plan.Profile) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.world = fmt.Sprintf("seed %d, profile %s", seed, profile)
	w.steps.Add(1)
}

// end looks no longer.
func (w *watch) end() { w.stop() }

// look tells of a world that has not made a step since the last look.
func (w *watch) look(again *time.Timer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.steps.Load(); now != w.seen {
		w.seen = now
		again.Reset(hangTime)
		return
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	fmt.Printf("\nFAILED: %s: hangs: no step of the schedule for %v\n%s\n", w.world, hangTime, stacks)
	os.Exit(1)
}
