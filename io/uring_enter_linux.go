package io

import (
	"cmp"
	"runtime"

	"golang.org/x/sys/unix"
)

// enter makes one io_uring_enter. The caller was counted in entering.
func (u *uring) enter(submit, wait, flags uint32) error {
	_, err := u.ring.calls.enter(u.ring.fd, submit, wait, flags)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.entering--
	if u.entering == 0 && u.dead {
		u.calm.Broadcast()
	}
	switch err {
	case nil, unix.EINTR, unix.EAGAIN, unix.EBUSY:
	default:
		u.refused = cmp.Or(u.refused, err)
	}
	return err
}

// submit sends off what is pending and does not wait. The caller holds mu, which it gives up.
func (u *uring) submit() {
	n, dropped := u.fill()
	if n > 0 {
		u.entering++
	}
	u.mu.Unlock()
	u.drop(dropped)
	if n > 0 {
		u.enterNow(n)
	}
}

// enterNow makes the kernel take n entries, or at least look at them. The caller was counted in entering.
func (u *uring) enterNow(n uint32) error {
	for {
		err := u.enter(n, 0, 0)
		switch err {
		case unix.EINTR, unix.EAGAIN:
			runtime.Gosched()
			u.mu.Lock()
			dead := u.dead
			if !dead {
				u.entering++
			}
			u.mu.Unlock()
			if !dead {
				continue
			}
		case nil, unix.EBUSY: // results are there that have to be taken first; whoever leads is awake
		default:
			u.retreat()
		}
		return err
	}
}

// send makes the kernel take an entry that is no request's, unless there are so many results that nobody sleeps.
func (u *uring) send(e ringEntry) {
	u.mu.Lock()
	for u.refused == nil && !u.dead {
		room := !u.ring.full()
		if room {
			u.ring.push(e)
		}
		n := u.ring.unsubmitted()
		u.entering++
		u.mu.Unlock()
		err := u.enterNow(n)
		if room || err != nil {
			return
		}
		u.mu.Lock()
	}
	u.mu.Unlock()
}

// rouse wakes the leader, if it sleeps in the kernel.
func (u *uring) rouse() { u.send(ringEntry{op: ringNop, fd: -1, tag: noSlot}) }

// flushOverflow makes room for results that the kernel keeps, if there are any.
func (u *uring) flushOverflow() error {
	u.mu.Lock()
	if u.dead || u.refused != nil {
		u.mu.Unlock()
		return ErrClosed
	}
	u.entering++
	u.mu.Unlock()
	return u.enter(0, 0, enterGetEvents)
}

// retreat gives what the kernel has not taken to the queue, after the kernel has refused to let us enter.
func (u *uring) retreat() {
	u.system.mu.Lock()
	defer u.system.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	requeue := func(c *Completion) {
		c.Request.Arg = nil
		u.queue.put(c)
	}
	for c := u.first; c != nil; c = u.first {
		u.remove(c)
		requeue(c)
	}
	for _, i := range u.again {
		requeue(u.slots[i].c)
		u.release(i)
	}
	u.again = u.again[:0]
	if u.entering == 0 && !u.dead { // else whoever is in there comes by here next
		for e, ok := u.ring.takeBack(); ok; e, ok = u.ring.takeBack() {
			if i, ok := u.slotOf(e.tag); ok {
				requeue(u.slots[i].c)
				u.release(i)
			}
		}
	}
	u.grant()
	u.watch()
}

// uncount is for a goroutine that was counted in entering and does not enter.
func (u *uring) uncount() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.entering--
	if u.entering == 0 && u.dead {
		u.calm.Broadcast()
	}
}
