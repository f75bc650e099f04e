package io

import (
	"cmp"
	"math"
	"sync"
)

// defaultEntries is how many requests the kernel has at a time.
const defaultEntries = 256

// uring is a system backend whose batches of reads, writes and syncs go through io_uring. See "The io_uring backend" in
// doc.go.
//
//	submit --> pending --+--> alone: its waiter runs it, as system does
//	                     +--> in a slot: an entry for the kernel --result--+--> over --> system.end
//	                     |         ^                                       |
//	                     |         +----------- again <----short, ---------+
//	                     |                              interrupted
//	                     +--> cancelled
//
// Results are taken off the ring by one goroutine at a time, the leader; see uring_wait_linux.go.
type uring struct {
	*system
	ring      *ring
	lone      bool   // what is awaited and alone does not go through the ring
	rouseFunc func() // rouse, made once

	// mu guards what follows and the ring's memory. It is taken after system.mu, never held over a system call.
	mu    sync.Mutex
	first *Completion // pending, in the order of submission; linked by Request.Next and Prev
	last  *Completion
	slots []ringSlot
	free  []uint32 // slots that hold no request
	again []uint32 // slots whose request needs another entry

	leading   bool        // somebody takes results off the ring
	followers *ringWaiter // those who sleep and could lead, newest first
	helping   bool        // there is a helper
	unled     bool        // the watch has seen requests that nobody attends to

	entering int       // goroutines in io_uring_enter, or about to be
	refused  error     // by the kernel, to enter the ring
	noNow    bool      // a file system does not know ringCalls.readNow
	dead     bool      // the ring's memory is gone, or about to be
	calm     sync.Cond // Shutdown waits on it for entering and helping
}

func openUring(o UringOptions) (IO, error) {
	u, err := newUring(platformRingCalls(), platformCalls(), o)
	if err != nil {
		return nil, err
	}
	return u, nil
}

func newUring(rc ringCalls, c calls, o UringOptions) (*uring, error) {
	entries := uint32(min(max(cmp.Or(o.Entries, defaultEntries), 1), 1<<15))
	r, err := newRing(rc, entries)
	if err != nil {
		return nil, ringRefusal(err)
	}
	u := &uring{system: newSystem(c), ring: r, lone: true, slots: make([]ringSlot, len(r.entries))}
	u.rouseFunc = u.rouse
	u.calm.L = &u.mu
	u.free = make([]uint32, 0, len(u.slots))
	u.again = make([]uint32, 0, len(u.slots))
	for i := len(u.slots) - 1; i >= 0; i-- {
		u.free = append(u.free, uint32(i))
	}
	u.path = ringPath{u}
	return u, nil
}

// ringPath is a uring as its system sees it.
type ringPath struct{ u *uring }

// ringMark is the Request.Arg of what is pending. uring.mu guards it.
var ringMark any = new(byte)

// divert takes what the ring can do. What is wrong or empty is for the queue, which knows what becomes of it.
func (p ringPath) divert(c *Completion, f *systemFile) bool {
	r := &c.Request
	switch r.Op {
	case opRead:
		if len(r.Buf) == 0 || r.Offset < 0 || r.Offset > math.MaxInt64-int64(len(r.Buf)) {
			return false
		}
	case opWrite:
		n := total(r.Bufs)
		if n == 0 || !f.writable || r.Offset < 0 || r.Offset > math.MaxInt64-n {
			return false
		}
	case opSync:
		if !f.writable {
			return false
		}
	default:
		return false
	}
	u := p.u
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.refused != nil {
		return false
	}
	r.Seq = u.seq.Add(1)
	u.append(c)
	return true
}

// append adds to what is pending. The caller holds mu, as for remove.
func (u *uring) append(c *Completion) {
	r := &c.Request
	r.Arg, r.Prev, r.Next = ringMark, u.last, nil
	if u.last != nil {
		u.last.Request.Next = c
	} else {
		u.first = c
	}
	u.last = c
}

// remove takes out a pending request.
func (u *uring) remove(c *Completion) {
	r := &c.Request
	if r.Prev != nil {
		r.Prev.Request.Next = r.Next
	} else {
		u.first = r.Next
	}
	if r.Next != nil {
		r.Next.Request.Prev = r.Prev
	} else {
		u.last = r.Prev
	}
	r.Arg, r.Prev, r.Next = nil, nil, nil
}

// busy reports whether there is anything that has not ended, but for what waiters run themselves. The caller holds mu.
func (u *uring) busy() bool {
	return u.first != nil || len(u.free) < len(u.slots)
}

// fill gives pending requests slots and makes their entries. It returns how many entries the kernel has to be told of, and
// those requests that were cancelled meanwhile, for drop. The caller holds mu.
func (u *uring) fill() (submit uint32, dropped *Completion) {
	if u.dead || u.refused != nil {
		return 0, nil
	}
	for !u.ring.full() {
		var i uint32
		switch {
		case len(u.again) > 0:
			i = u.again[len(u.again)-1]
			u.again = u.again[:len(u.again)-1]
		case u.first != nil && len(u.free) > 0:
			c := u.first
			u.remove(c)
			if c.Done() { // cancelled before there was a canceller to tell
				c.Request.Next, dropped = dropped, c
				continue
			}
			i = u.free[len(u.free)-1]
			u.free = u.free[:len(u.free)-1]
			u.slots[i].begin(c)
			c.Request.Seq = uint64(i)
		default:
			return u.ring.unsubmitted(), dropped
		}
		u.ring.push(u.slots[i].entry(i))
	}
	return u.ring.unsubmitted(), dropped
}

// drop ends a list of cancelled requests.
func (u *uring) drop(c *Completion) {
	for c != nil {
		next := c.Request.Next
		c.Request.Next = nil
		f, _ := c.Request.File.(*systemFile)
		if u.end(c, f, 0, ErrCancelled) {
			u.handOver()
		}
		c = next
	}
}

// release frees a slot. The caller holds mu.
func (u *uring) release(i uint32) {
	u.slots[i].end()
	u.free = append(u.free, i)
}

// reapBatch is how many requests end between two looks at the ring.
const reapBatch = 16

// outcome is how a request ended.
type outcome struct {
	c   *Completion
	f   *systemFile
	n   int
	err error
}

// reap ends all requests whose results are there. It reports how many resolved by that, and whether others were submitted
// meanwhile: the callbacks' own, or what waited for these. The leader calls it.
func (u *uring) reap() (resolved int, more bool) {
	var batch [reapBatch]outcome
	for {
		n, kept := u.collect(&batch)
		if kept {
			if err := u.flushOverflow(); err == nil {
				continue
			}
		}
		for i := range batch[:n] {
			o := &batch[i]
			if !o.c.Done() {
				resolved++
			}
			if o.err != nil && o.err != ErrCancelled {
				o.err = o.c.failure(o.err)
			}
			if u.end(o.c, o.f, o.n, o.err) {
				more = true
			}
		}
		if n < len(batch) {
			return resolved, more
		}
	}
}

// collect takes results off the ring until that is empty or out is full. kept says that the kernel keeps others.
func (u *uring) collect(out *[reapBatch]outcome) (n int, kept bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.dead {
		return 0, false
	}
	for n < len(out) {
		res, ok := u.ring.pop()
		if !ok {
			break
		}
		i, ok := u.slotOf(res.tag)
		if !ok {
			continue // of a ringNop or a ringCancel
		}
		s := &u.slots[i]
		over, err := s.settle(res.value)
		if !over {
			u.again = append(u.again, i)
			continue
		}
		out[n] = outcome{c: s.c, f: s.c.Request.File.(*systemFile), n: int(s.done), err: err}
		n++
		u.release(i)
	}
	return n, n == 0 && u.ring.overflowed()
}

// CancelRequest implements Canceller: what is pending ends at once; what is the kernel's is asked back, and ends when the kernel
// says so.
func (p ringPath) CancelRequest(c *Completion) {
	u := p.u
	switch c.Request.Op {
	case opRead, opWrite, opSync:
	default:
		u.system.CancelRequest(c)
		return
	}
	u.mu.Lock()
	if c.Request.Arg == ringMark {
		u.remove(c)
		u.mu.Unlock()
		f, _ := c.Request.File.(*systemFile)
		if u.end(c, f, 0, ErrCancelled) {
			u.handOver()
		}
		return
	}
	i := c.Request.Seq
	if i >= uint64(len(u.slots)) || u.slots[i].c != c {
		u.mu.Unlock()
		u.system.CancelRequest(c)
		return
	}
	tag := u.slots[i].tag(uint32(i))
	u.mu.Unlock()
	u.send(ringEntry{op: ringCancel, fd: -1, addr: tag, tag: noSlot})
}

// Shutdown is the system's, and frees the ring.
func (u *uring) Shutdown() error {
	err := u.system.Shutdown()
	u.mu.Lock()
	u.dead = true
	for u.entering > 0 || u.helping {
		u.calm.Wait()
	}
	r := u.ring
	u.ring = &ring{fd: -1}
	u.mu.Unlock()
	return cmp.Or(err, r.close())
}
