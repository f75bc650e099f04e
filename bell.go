package pawl

import (
	"sync"

	"github.com/pawldb/pawl/io"
)

// bell tells one waiting operation at a time that it has to look again. A ring that nobody waits for is kept, so that who looks
// first and then waits misses none.
//
//	silent --ring--> rung --hear--> silent
//	   \--hear--> awaited --ring--> rung
type bell struct {
	mu   sync.Mutex
	rung bool
	wait *io.Completion // handed out, not finished
}

// ring rings.
func (b *bell) ring() {
	b.mu.Lock()
	c := b.wait
	b.rung, b.wait = true, nil
	b.mu.Unlock()
	if c != nil {
		c.Finish(0, nil)
	}
}

// hear returns nil if it has rung since hear last did so; else what to wait for before the next hear. reason is what waiting
// operations report.
func (b *bell) hear(reason string) *io.Completion {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung {
		b.rung = false
		return nil
	}
	if b.wait == nil {
		b.wait = new(io.Completion)
		b.wait.ArmYield(reason)
	}
	return b.wait
}
