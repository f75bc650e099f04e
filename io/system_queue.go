package io

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// farthest is how far from its end a waiter searches the queue for the request that it can run itself.
const farthest = 64

// queue holds the requests that nobody has begun, in the order of submission, and the workers that run them.
//
//	submit --> queued --+--> a waiter runs it
//	                    +--> granted to the workers --> a worker runs it
//	                    +--> cancelled
//
// Every queued request is on its way to one of the three:
//
//   - Whoever waits takes one request after the other, its own first, and grants the rest.
//   - A worker takes what is granted until there is no more, and then ends.
//   - The watch grants what has lain in the queue for a while. It is a timer, armed while requests come in.
//
// Granting is not done at submission, since most requests have a waiter an instant later, which is cheaper.
type queue struct {
	mu     sync.Mutex
	oldest *Completion
	newest *Completion
	length atomic.Int64  // changed under mu, read without it
	seq    atomic.Uint64 // of the newest request ever; changed under mu

	maxWorkers int
	workers    int    // goroutines
	hungry     int    // those that run nothing, and are about to look into the queue
	granted    uint64 // up to this seq requests are the workers' too

	timer    *time.Timer
	watching bool   // the timer is armed, or its function about to run
	watched  uint64 // seq when it was armed
}

// put appends c. The caller holds mu.
func (q *queue) put(c *Completion) {
	r := &c.Request
	r.Seq, r.Prev, r.Next, r.Queued = q.seq.Add(1), q.newest, nil, true
	if q.newest != nil {
		q.newest.Request.Next = c
	} else {
		q.oldest = c
	}
	q.newest = c
	q.length.Add(1)
}

// take removes c. The caller holds mu.
func (q *queue) take(c *Completion) {
	r := &c.Request
	if r.Prev != nil {
		r.Prev.Request.Next = r.Next
	} else {
		q.oldest = r.Next
	}
	if r.Next != nil {
		r.Next.Request.Prev = r.Prev
	} else {
		q.newest = r.Prev
	}
	r.Prev, r.Next, r.Queued = nil, nil, false
	q.length.Add(-1)
}

// pick returns the request that the waiter for c had best run: c itself, or else the newest that is not newer than
// seq, which probably is the waiter's own too; nil if there is none near the end of the queue. Only completions in the
// queue are looked into: c may be done, and in use for something else. The caller holds mu.
func (q *queue) pick(c *Completion, seq uint64) *Completion {
	var found *Completion
	at := q.newest
	for range farthest {
		switch {
		case at == nil:
			return found
		case at == c:
			return at
		case found == nil && at.Request.Seq <= seq:
			found = at
		}
		at = at.Request.Prev
	}
	return found
}

// grant gives all queued requests to the workers, and starts as many of these as are missing. The caller holds mu.
func (s *system) grant() {
	s.granted = s.seq.Load()
	for need := int(s.length.Load()) - s.hungry; need > 0 && s.workers < s.maxWorkers; need-- {
		s.workers++
		s.hungry++
		go s.work()
	}
}

// spread grants what is queued, and has what the path has taken go on too. The caller holds mu.
func (s *system) spread() {
	s.grant()
	if s.path != nil {
		s.path.tend()
	}
}

// handOver has everything go on without a waiter.
func (s *system) handOver() {
	if s.length.Load() == 0 && s.path == nil {
		return
	}
	s.mu.Lock()
	s.spread()
	s.mu.Unlock()
}

// work runs requests that are granted, oldest first, until there are no more.
func (s *system) work() {
	s.mu.Lock()
	for s.oldest != nil && s.oldest.Request.Seq <= s.granted {
		c := s.oldest
		s.take(c)
		s.hungry--
		s.mu.Unlock()
		more := s.run(c)
		s.mu.Lock()
		s.hungry++
		if more {
			s.spread()
		}
	}
	s.hungry--
	s.workers--
	if s.workers == 0 {
		s.idle.Broadcast()
	}
	s.mu.Unlock()
}

// Wait runs queued requests until c has resolved, or sleeps when there are none. Under a context that can end, workers
// run them: the waiter could not leave a system call.
func (s *system) Wait(ctx context.Context, c *Completion) error {
	if c.Done() {
		return nil
	}
	if ctx != nil && ctx.Done() != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.handOver()
		return c.Park(ctx, nil)
	}
	entry := s.seq.Load()
	for !c.Done() {
		if !s.lend(c, entry) {
			return c.Park(context.Background(), nil)
		}
	}
	return nil
}

// lend runs one queued request for the waiter for c that came when entry was the newest, and reports whether there was one
// for it.
func (s *system) lend(c *Completion, entry uint64) bool {
	s.mu.Lock()
	r := s.pick(c, entry)
	if r == nil {
		if s.oldest != nil && s.oldest.Request.Seq <= entry {
			s.grant()
		}
		s.mu.Unlock()
		return false
	}
	s.take(r)
	// What is older than c was not waited for at once. If c is not queued, all that is may be what it needs.
	if s.oldest != nil && (r != c || s.oldest.Request.Seq < r.Request.Seq) {
		s.grant()
	}
	s.mu.Unlock()
	s.leave(entry, s.run(r))
	return true
}

// leave grants what a waiter that has run a request leaves behind: what was there before it, and what it has set off.
// The rest came from others, who are about to wait for it.
func (s *system) leave(entry uint64, more bool) {
	if s.length.Load() == 0 && (!more || s.path == nil) {
		return
	}
	s.mu.Lock()
	switch {
	case more:
		s.spread()
	case s.oldest != nil && s.oldest.Request.Seq <= entry:
		s.grant()
	}
	s.mu.Unlock()
}

// Poll gives what is queued to the workers and returns 0: they finish it.
func (s *system) Poll() int {
	s.handOver()
	return 0
}

// watch arms the timer that grants what nobody waits for. The caller holds mu.
func (s *system) watch() {
	if s.watching {
		return
	}
	s.watching, s.watched = true, s.seq.Load()-1
	if s.timer == nil {
		s.timer = time.AfterFunc(s.patience, s.look)
	} else {
		s.timer.Reset(s.patience)
	}
}

// look is the timer's function.
func (s *system) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	busy := s.path != nil && s.path.look()
	switch {
	case !busy && (s.oldest == nil || s.closed.Load()):
		s.watching = false
		s.idle.Broadcast()
		return
	case s.oldest != nil && s.oldest.Request.Seq <= s.watched:
		s.grant()
	}
	s.watched = s.seq.Load()
	s.timer.Reset(s.patience)
}

// unwatch stops the timer and waits for its function, if that runs. The caller holds mu.
func (s *system) unwatch() {
	for s.watching && !s.timer.Stop() {
		s.idle.Wait()
	}
	s.watching = false
}
