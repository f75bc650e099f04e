package wal

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Wait is a machine that ends when a commit has met a durability class. While it waits it may lead: step the flush for
// everybody. The zero Wait is idle; StartVisible, StartDurable, StartWritten and StartIdle begin it. It allocates only when it
// has to wait for another leader.
//
//	follow --no leader--> lead --satisfied--> done
//	  |  ^                  |
//	  |  +------abort-------+ (leadership passes on)
//	  +--satisfied--> done
//
// Its error matches types.ErrCommitUnknown if the log failed with the commit on its way; for StartWritten it is the log's. Abort only detaches: the flush
// goes on with the next one who steps it, and the commit's outcome is as if nobody had left.
type Wait struct {
	log     *Log
	seq     types.Seq
	durable bool // wait for durable, not just visible
	written bool // wait for written, which comes before
	idle    bool // wait until no flush is under way or due

	wake       *io.Completion // as a follower; a new one for each wait
	prev, next *Wait          // in the list of followers
	listed     bool
	ended      bool
}

// waitList holds the followers, oldest first. The log's lock guards it.
type waitList struct{ first, last *Wait }

// StartVisible makes w wait until commit s is visible: durable for a full commit, written for a relaxed one.
func (w *Wait) StartVisible(l *Log, s types.Seq) { *w = Wait{log: l, seq: s} }

// StartDurable makes w wait until commit s is durable, and makes the log sync it if nothing else would.
func (w *Wait) StartDurable(l *Log, s types.Seq) { *w = Wait{log: l, seq: s, durable: true} }

// StartWritten makes w wait until one more group of what is queued is written and the observer knows. It returns false, and there
// is nothing to wait for, if all is.
func (w *Wait) StartWritten(l *Log) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.written
	if l.telling {
		s = l.toldWritten
	}
	*w = Wait{log: l, seq: s + 1, written: true}
	return s < l.queued
}

// StartIdle makes w carry on whatever flush is under way or due, until there is none.
func (w *Wait) StartIdle(l *Log) { *w = Wait{log: l, idle: true} }

// satisfied reports whether the wait is over, and how. The caller holds the log's lock.
func (w *Wait) satisfied() (bool, error) {
	l := w.log
	if w.idle {
		return l.failed != nil || !l.flush.active() && !l.telling, nil
	}
	mark, told := l.visible, l.toldVisible
	switch {
	case w.durable:
		mark, told = l.durable, l.toldDurable
	case w.written:
		mark, told = l.written, l.toldWritten
	}
	if mark >= w.seq {
		// Whoever gets the acknowledgement and then reads must see the commit: it waits until the observer knows. The
		// leader wakes it.
		return !l.telling || told >= w.seq, nil
	}
	if l.failed != nil {
		if w.written { // others' commits are in doubt
			return true, l.failed
		}
		return true, unknown(w.seq, l.failed)
	}
	if w.seq > l.queued {
		panic(invariant.Failf("wal: wait for commit %d, the newest is %d", w.seq, l.queued))
	}
	return false, nil
}

// Step steps the flush if nobody else does.
func (w *Wait) Step() (types.IOResult[struct{}], error) {
	l := w.log
	for {
		l.mu.Lock()
		if over, err := w.satisfied(); over {
			next := w.leave()
			l.mu.Unlock()
			finishWake(next)
			if err != nil {
				return types.Fail[struct{}](err)
			}
			return types.Done(struct{}{})
		}
		if w.durable {
			l.syncWanted = max(l.syncWanted, w.seq)
		}
		if l.leader == nil {
			l.waiters.remove(w)
			l.leader = w
		}
		if l.leader != w {
			if w.wake == nil || w.wake.Done() {
				w.wake = new(io.Completion)
				w.wake.ArmYield("another commit's flush of the log")
				l.waiters.add(w)
			}
			c := w.wake
			l.mu.Unlock()
			return types.Wait[struct{}](c)
		}
		l.mu.Unlock()
		c := l.flush.step()
		// Whoever is to lead on comes first: the disk waits for it. Those that only return to their callers come behind.
		l.mu.Lock()
		over, err := w.satisfied()
		if over {
			next := w.leave()
			l.mu.Unlock()
			finishWake(next)
			l.wakeSatisfied()
			if err != nil {
				return types.Fail[struct{}](err)
			}
			return types.Done(struct{}{})
		}
		idle := !l.flush.active()
		l.mu.Unlock()
		l.wakeSatisfied()
		switch {
		case c != nil:
			return types.Wait[struct{}](c)
		case idle:
			panic(invariant.Failf("wal: nothing is left to flush, and commit %d still waits", w.seq))
		}
	}
}

// Abort detaches w. If the flush itself has failed, that becomes sticky first.
func (w *Wait) Abort(cause error) error {
	l := w.log
	l.mu.Lock()
	leads := l.leader == w
	l.mu.Unlock()
	if leads {
		l.failIfBroken()
	}
	l.mu.Lock()
	over, err := w.satisfied()
	next := w.leave()
	l.mu.Unlock()
	finishWake(next)
	if over && err != nil {
		return err
	}
	return cause
}

// leave takes w out of the list and, if it led, picks the follower that is to lead on. The caller holds the log's lock and
// finishes what is returned without it.
func (w *Wait) leave() *io.Completion {
	l := w.log
	w.ended = true
	l.waiters.remove(w)
	if l.leader != w {
		// It may have been woken to lead and not have taken the lead: the next one gets the call.
		if l.leader != nil || w.wake == nil {
			return nil
		}
	}
	if l.leader == w {
		l.leader = nil
	}
	return l.nextLeader()
}

// nextLeader takes the oldest follower off the list to be woken. The caller holds the log's lock.
func (l *Log) nextLeader() *io.Completion {
	w := l.waiters.first
	if w == nil {
		return nil
	}
	l.waiters.remove(w)
	return w.wake
}

// finishWake wakes a follower, if there is one.
func finishWake(c *io.Completion) {
	if c != nil {
		c.Finish(0, nil)
	}
}

// wakeSatisfied wakes every follower whose wait is over.
func (l *Log) wakeSatisfied() {
	for {
		l.mu.Lock()
		w := l.waiters.first
		for ; w != nil; w = w.next {
			if over, _ := w.satisfied(); over {
				break
			}
		}
		if w == nil {
			l.mu.Unlock()
			return
		}
		l.waiters.remove(w)
		c := w.wake
		l.mu.Unlock()
		finishWake(c)
	}
}

// add appends w, unless it is in the list.
func (q *waitList) add(w *Wait) {
	if w.listed {
		return
	}
	w.prev, w.next, w.listed = q.last, nil, true
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
}

// remove takes w out of the list, if it is in it.
func (q *waitList) remove(w *Wait) {
	if !w.listed {
		return
	}
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.listed = nil, nil, false
}

// PendingFlush reports whether a flush is under way or due that nobody leads: a driver's background work carries it on
// with StartIdle.
func (l *Log) PendingFlush() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leader == nil && l.flush.active()
}
