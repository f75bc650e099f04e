package io

import (
	"context"
	"sync"
)

// parker is one goroutine that sleeps until a completion resolves: on a channel if something else can wake it too, else on a
// condition. Those with a condition are pooled, so that waiting allocates nothing once the pool is warm. Channels are not:
// one that was made in a bubble of testing/synctest must not be met outside of it.
type parker struct {
	wake chan struct{} // capacity 1; one token a wake-up; nil: the condition is used

	mu    sync.Mutex
	cond  sync.Cond // woken
	woken bool
	rouse func() // while it sleeps elsewhere than on the condition: ends that sleep, or the next one there; else nil

	next *parker // others parked on the same completion
}

var parkers = sync.Pool{New: func() any {
	p := new(parker)
	p.cond.L = &p.mu
	return p
}}

// wakeAll wakes the list that starts at p.
func (p *parker) wakeAll() {
	for p != nil {
		next := p.next // p may be reused as soon as it is woken
		p.next = nil
		if p.wake != nil {
			p.wake <- struct{}{}
		} else {
			p.mu.Lock()
			p.woken = true
			p.cond.Signal()
			rouse := p.rouse
			p.mu.Unlock()
			if rouse != nil {
				rouse()
			}
		}
		p = next
	}
}

// sleep waits for wakeAll.
func (p *parker) sleep() {
	p.mu.Lock()
	for !p.woken {
		p.cond.Wait()
	}
	p.woken = false
	p.mu.Unlock()
}

// Park sleeps until c has resolved, and returns nil, or until ctx is done or wake receives, and returns the
// context's error or ErrInterrupted. Event loops use it for completions that they have no work for; anything
// above a backend calls IO.Wait instead. A nil ctx or wake never fires.
func (c *Completion) Park(ctx context.Context, wake <-chan struct{}) error {
	if c.Done() {
		return nil
	}
	var done <-chan struct{}
	if ctx != nil {
		done = ctx.Done()
	}
	if done == nil && wake == nil {
		p := parkers.Get().(*parker)
		if c.park(p) {
			p.sleep()
		}
		parkers.Put(p)
		return nil
	}
	p := &parker{wake: make(chan struct{}, 1)}
	if !c.park(p) {
		return nil
	}
	var err error
	select {
	case <-p.wake:
		return nil
	case <-done:
		err = ctx.Err()
	case <-wake:
		err = ErrInterrupted
	}
	if !c.unpark(p) {
		<-p.wake // the resolver has taken the list: its token is coming
	}
	return err
}

// park puts p on the list of c, and reports whether c will wake it: it has not resolved yet.
func (c *Completion) park(p *parker) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.announced {
		return false
	}
	p.next, c.parked = c.parked, p
	return true
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
