package pager

import "github.com/pawldb/pawl/io"

// pace keeps a pipeline's writes to a rate: each write is paid for, with time, before the next one is submitted. Time that
// goes by otherwise is not saved up, so that a slow read is not followed by a burst.
type pace struct {
	rate  int64       // bytes a second; 0: no limit
	due   int64       // on the IO's clock, when the last write is paid for
	timer *io.Attempt // until then, while somebody waits; a new one each time, since whoever is in a hurry may cancel late
}

// paid returns nil if the next write may be submitted, else what to wait for.
func (c *pace) paid(p *Pager) *io.Completion {
	if c.timer != nil {
		if over := c.timer.Over(); !over.Done() {
			return over
		}
		c.timer, c.due = nil, 0
	}
	if c.rate <= 0 || p.hurry.Load() > 0 {
		return nil
	}
	left := c.due - p.io.Now()
	if left <= 0 {
		return nil
	}
	c.timer = new(io.Attempt)
	p.io.Timer(c.timer.Begin("the rate limit of checkpoints"), left)
	if p.paceBy(c.timer) {
		c.timer.Cancel()
	}
	return c.paid(p) // the timer's completion, unless somebody is in a hurry
}

// spend notes a write of n bytes.
func (c *pace) spend(p *Pager, n int64) {
	if c.rate > 0 {
		c.due = p.io.Now() + int64(float64(n)/float64(c.rate)*1e9)
	}
}

// stop ends the wait, for an attempt that is given up.
func (c *pace) stop() {
	if c.timer != nil {
		c.timer.Cancel()
		c.timer = nil
	}
}

// paceBy makes a timer the one that ends when somebody is in a hurry, and reports whether that is so already.
func (p *Pager) paceBy(timer *io.Attempt) (hurry bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pacing = timer
	return p.hurry.Load() > 0
}

// hurryUp lifts the rate limit until p.hurry is counted down again.
func (p *Pager) hurryUp() {
	p.mu.Lock()
	p.hurry.Add(1)
	timer := p.pacing
	p.pacing = nil
	p.mu.Unlock()
	if timer != nil {
		timer.Cancel()
	}
}
