package io

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How results come off the ring. One goroutine at a time leads: it sleeps in io_uring_enter, ends what has a result, and wakes
// those that waited for it. The others that wait are followers.
//
//	Wait --nobody leads--> leader --its own is over--> offers the lead to a follower, and leaves
//	  |                      ^  \--nothing to wait for--> follower
//	  \--somebody leads--> follower --its own is over--> leaves
//
// In all of it holds: if anything is with the kernel somebody leads, or was offered the lead, or the watch of the system
// backend is on and finds somebody within two times its patience: a follower, else a goroutine of its own, the helper, which
// ends when a follower takes the lead or nothing is left.
//
// A leader whose completion is resolved elsewhere, or whose context ends, is roused: with an entry that does nothing, whose
// result is for the leader. Only the leader takes results, so none of them wakes somebody too early and is missing later.

// ringWaiter is one goroutine in Wait. Those without a context are pooled.
type ringWaiter struct {
	parker
	offered bool // the lead is its own; guarded by parker.mu, as is ended
	ended   bool // its context has

	follows bool // it is one of the followers; guarded by uring.mu, as are its neighbours
	newer   *ringWaiter
	older   *ringWaiter
}

func newRingWaiter() *ringWaiter {
	w := new(ringWaiter)
	w.cond.L = &w.parker.mu
	return w
}

var ringWaiters = sync.Pool{New: func() any { return newRingWaiter() }}

// over reports whether it has nothing to wait for any more.
func (w *ringWaiter) over() bool {
	w.parker.mu.Lock()
	defer w.parker.mu.Unlock()
	return w.woken || w.ended
}

// sleep waits until it is over or was offered the lead.
func (w *ringWaiter) sleep() {
	w.parker.mu.Lock()
	defer w.parker.mu.Unlock()
	for !w.woken && !w.ended && !w.offered {
		w.cond.Wait()
	}
}

// quit tells it that its context has ended.
func (w *ringWaiter) quit() {
	w.parker.mu.Lock()
	w.ended = true
	w.cond.Signal()
	rouse := w.rouse
	w.parker.mu.Unlock()
	if rouse != nil {
		rouse()
	}
}

// offer makes it the leader.
func (w *ringWaiter) offer() {
	w.parker.mu.Lock()
	w.offered = true
	w.cond.Signal()
	w.parker.mu.Unlock()
}

// setRouse says what ends its sleep from now on, unless it is over.
func (w *ringWaiter) setRouse(rouse func()) bool {
	w.parker.mu.Lock()
	defer w.parker.mu.Unlock()
	if w.woken || w.ended {
		return false
	}
	w.rouse = rouse
	return true
}

func (w *ringWaiter) clearRouse() {
	if w == nil {
		return
	}
	w.parker.mu.Lock()
	w.rouse = nil
	w.parker.mu.Unlock()
}

// Wait runs what c needs. A request that is pending alone is run here; all else that is pending goes to the kernel at once.
func (u *uring) Wait(ctx context.Context, c *Completion) error {
	if c.Done() {
		return nil
	}
	if ctx != nil && ctx.Done() != nil {
		return u.waitUnder(ctx, c)
	}
	entry := u.seq.Load()
	if u.lone && u.takeLone(c) {
		u.leave(entry, u.run(c))
		if c.Done() {
			return nil
		}
	}
	w := ringWaiters.Get().(*ringWaiter)
	for !c.Done() {
		if u.length.Load() > 0 {
			u.flush()
			if u.lend(c, entry) {
				continue
			}
		}
		u.await(w, c)
	}
	ringWaiters.Put(w)
	return nil
}

// waitUnder is Wait under a context that can end.
func (u *uring) waitUnder(ctx context.Context, c *Completion) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if u.lone && u.readNow(c) {
		return nil
	}
	if u.length.Load() > 0 {
		u.handOver()
	}
	w := newRingWaiter()
	stop := context.AfterFunc(ctx, w.quit)
	defer stop()
	u.await(w, c)
	if c.Done() {
		return nil
	}
	return ctx.Err()
}

// takeLone takes c out of what is pending if nothing else is.
func (u *uring) takeLone(c *Completion) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.takeIfLone(c)
}

// takeIfLone is takeLone for one that holds mu.
func (u *uring) takeIfLone(c *Completion) bool {
	if u.first != c || u.last != c {
		return false
	}
	u.remove(c)
	return true
}

// readNow reads what a waiter under a context waits for, if that is a read, is pending alone, and is in the page cache: this
// takes no time that a context could end in.
func (u *uring) readNow(c *Completion) bool {
	u.mu.Lock()
	if u.noNow || u.first != c || c.Request.Op != opRead || !u.takeIfLone(c) {
		u.mu.Unlock()
		return false
	}
	u.mu.Unlock()
	r := &c.Request
	f := r.File.(*systemFile)
	n, err := u.ring.calls.readNow(f.h, r.Buf[:min(len(r.Buf), maxTransfer)], r.Offset)
	if err == nil && n == len(r.Buf) {
		if u.end(c, f, n, nil) {
			u.handOver()
		}
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if errors.Is(err, errors.ErrUnsupported) || err == unix.EINVAL {
		u.noNow = true
	}
	u.append(c) // the ring finds out what it is about
	return false
}

// await leads or follows until c has resolved, or the context of w has ended.
func (u *uring) await(w *ringWaiter, c *Completion) {
	if !c.park(&w.parker) {
		return
	}
	for !w.over() {
		if !u.join(w) {
			w.sleep()
			if !u.part(w) {
				continue
			}
		}
		u.lead(w)
	}
	if c.unpark(&w.parker) {
		return
	}
	w.parker.sleep() // the resolver has taken the list, and has woken w or is about to
}

// join makes w the leader, and returns true, or one of the followers. In that case it has sent off what was pending: the leader
// may sleep.
func (u *uring) join(w *ringWaiter) bool {
	u.mu.Lock()
	if !u.leading && u.busy() {
		u.leading = true
		u.mu.Unlock()
		return true
	}
	w.older, w.newer, w.follows = u.followers, nil, true
	if w.older != nil {
		w.older.newer = w
	}
	u.followers = w
	u.submit()
	return false
}

// part makes w no follower, and reports whether it was offered the lead.
func (u *uring) part(w *ringWaiter) bool {
	u.mu.Lock()
	if w.follows {
		u.unfollow(w)
	}
	u.mu.Unlock()
	w.parker.mu.Lock()
	defer w.parker.mu.Unlock()
	leads := w.offered
	w.offered = false
	return leads
}

// unfollow takes w off the list. The caller holds mu.
func (u *uring) unfollow(w *ringWaiter) {
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		u.followers = w.older
	}
	if w.older != nil {
		w.older.newer = w.newer
	}
	w.newer, w.older, w.follows = nil, nil, false
}

// lead takes results off the ring until w is over or nothing is with the kernel. A nil w is the helper, which is over when
// somebody follows.
func (u *uring) lead(w *ringWaiter) {
	for {
		_, more := u.reap()
		if more {
			u.grantQueued()
		}
		if w != nil && w.over() {
			u.pass(more)
			return
		}
		u.mu.Lock()
		if w == nil && u.followers != nil || !u.busy() {
			u.mu.Unlock()
			u.pass(false)
			return
		}
		submit, dropped := u.fill()
		refused := u.refused
		u.entering++
		u.mu.Unlock()
		u.drop(dropped)
		switch {
		case dropped != nil || w != nil && !w.setRouse(u.rouseFunc):
			u.uncount()
		default:
			u.block(submit, refused)
			w.clearRouse()
		}
	}
}

// block makes the kernel wait for a result. The caller was counted in entering, and leads.
func (u *uring) block(submit uint32, refused error) {
	if refused != nil {
		// The kernel still works on what it has, and results still come, but there is no sleeping for them.
		u.uncount()
		u.retreat()
		time.Sleep(refusedNap)
		return
	}
	if err := u.enter(submit, 1, enterGetEvents); err == unix.EAGAIN || err == unix.EBUSY {
		runtime.Gosched() // no memory for an entry, or kept results that have to be taken first: reap, and come again
	}
}

// refusedNap is how long a leader sleeps that can't enter the ring.
const refusedNap = 100 * time.Microsecond

// pass gives the lead up, to a follower if there is one and anything to do. Else, what callbacks have submitted needs somebody;
// the rest came from others, who are about to wait for it.
func (u *uring) pass(more bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := u.followers
	if w == nil || !u.busy() {
		u.leading = false
		if more {
			u.find()
		}
		return
	}
	u.unfollow(w)
	w.offer()
}

// grantQueued is what a leader does with what callbacks have put into the system backend's queue.
func (u *uring) grantQueued() {
	if u.length.Load() == 0 {
		return
	}
	u.system.mu.Lock()
	u.grant()
	u.system.mu.Unlock()
}

// flush sends off what is pending.
func (u *uring) flush() {
	u.mu.Lock()
	u.submit()
}

// tend implements dataPath.
func (p ringPath) tend() {
	p.u.mu.Lock()
	defer p.u.mu.Unlock()
	p.u.find()
}

// find finds somebody who attends to what is pending or with the kernel. The caller holds mu.
func (u *uring) find() {
	switch w := u.followers; {
	case u.first == nil && len(u.again) == 0 && (u.leading || !u.busy()):
	case u.helping:
	case !u.leading && w != nil:
		u.leading = true
		u.unfollow(w)
		w.offer()
	default:
		u.helping = true
		go u.help()
	}
}

// help is the helper: it sends off what is pending, and leads if nobody else does.
func (u *uring) help() {
	u.mu.Lock()
	leads := !u.leading
	u.leading = true
	u.submit()
	if leads {
		u.lead(nil)
	}
	u.mu.Lock()
	u.helping = false
	u.calm.Broadcast()
	u.mu.Unlock()
}

// look implements dataPath.
func (p ringPath) look() (busy bool) {
	u := p.u
	u.mu.Lock()
	defer u.mu.Unlock()
	unled := u.busy() && !u.leading || u.first != nil || len(u.again) > 0
	if unled && u.unled {
		u.find()
	}
	u.unled = unled
	return u.busy()
}

// Poll sends off what is pending, ends what has results, and gives the rest to the workers.
func (u *uring) Poll() int {
	u.grantQueued()
	resolved := 0
	u.mu.Lock()
	leads := !u.leading && u.busy()
	if leads {
		u.leading = true
	}
	u.submit()
	if !leads {
		return 0
	}
	for {
		n, more := u.reap()
		if more {
			u.handOver()
		}
		resolved += n
		u.mu.Lock()
		if n == 0 || u.first == nil {
			u.mu.Unlock()
			u.pass(false)
			return resolved
		}
		u.submit()
	}
}
