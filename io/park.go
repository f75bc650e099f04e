package io

import (
	"context"
	"sync"
)

// parker is one goroutine that sleeps until a completion resolves. Parkers are pooled, so that waiting allocates
// nothing once the pool is warm.
type parker struct {
	wake chan struct{} // capacity 1; one token a wake-up
	next *parker       // others parked on the same completion
}

var parkers = sync.Pool{New: func() any { return &parker{wake: make(chan struct{}, 1)} }}

// wakeAll wakes the list that starts at p.
func (p *parker) wakeAll() {
	for p != nil {
		next := p.next // p may be reused as soon as it is woken
		p.next = nil
		p.wake <- struct{}{}
		p = next
	}
}

// Park sleeps until c has resolved, and returns nil, or until ctx is done or wake receives, and returns the
// context's error or ErrInterrupted. Event loops use it for completions that they have no work for; anything
// above a backend calls IO.Wait instead. A nil ctx or wake never fires.
func (c *Completion) Park(ctx context.Context, wake <-chan struct{}) error {
	if c.Done() {
		return nil
	}
	p := parkers.Get().(*parker)
	c.mu.Lock()
	if c.announced {
		c.mu.Unlock()
		parkers.Put(p)
		return nil
	}
	p.next, c.parked = c.parked, p
	c.mu.Unlock()

	var done <-chan struct{}
	if ctx != nil {
		done = ctx.Done()
	}
	var err error
	select {
	case <-p.wake:
		parkers.Put(p)
		return nil
	case <-done:
		err = ctx.Err()
	case <-wake:
		err = ErrInterrupted
	}
	if !c.unpark(p) {
		<-p.wake // the resolver has taken the list: its token is coming
	}
	parkers.Put(p)
	return err
}

// unpark takes p off the list of c and reports whether it was there.
func (c *Completion) unpark(p *parker) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := &c.parked; *at != nil; at = &(*at).next {
		if *at == p {
			*at, p.next = p.next, nil
			return true
		}
	}
	return false
}
