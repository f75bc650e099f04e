package io

import "time"

// systemTimer is a Timer that has not finished.
type systemTimer struct {
	c     *Completion
	timer *time.Timer
}

// Timer finishes after nanos nanoseconds.
func (s *system) Timer(c *Completion, nanos int64) {
	c.ArmSubmitted(KindTimer, "timer")
	c.Request.Canceller = s
	s.mu.Lock()
	if closed := s.closed.Load(); closed || nanos <= 0 {
		s.mu.Unlock()
		var err error
		if closed {
			err = ErrClosed
		}
		c.Finish(0, err)
		return
	}
	s.inflight.Add(1)
	s.active.Add(1)
	t := &systemTimer{c: c}
	s.timers[c] = t
	t.timer = time.AfterFunc(time.Duration(nanos), func() { s.fire(t) })
	s.mu.Unlock()
}

// fire finishes t unless it was cancelled.
func (s *system) fire(t *systemTimer) {
	s.mu.Lock()
	mine := s.timers[t.c] == t
	if mine {
		delete(s.timers, t.c)
	}
	s.mu.Unlock()
	if mine && s.end(t.c, nil, 0, nil) {
		s.handOver()
	}
}
