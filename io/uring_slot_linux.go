package io

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// noSlot is the tag of an entry that is no request's.
const noSlot = ^uint64(0)

// ringSlot holds a request for as long as the kernel may use its buffers.
//
// The kernel has addresses of buffers that the garbage collector does not see there. They stay good: the slot keeps the
// request, and that the buffers, reachable; Go's collector does not move what is on the heap; and no buffer is on a stack,
// which does move, since a submission stores it in the Completion. runtime.Pinner, which would promise the same of a collector that
// moves, panics for memory that is not Go's and allocates for vectors of more than a few buffers; the standard library's own
// vectored writes do without.
type ringSlot struct {
	c          *Completion
	generation uint32 // how often the slot was used; in the tag, so that an old cancel hits nothing
	async      bool   // the kernel has tried without waiting, in vain

	length int64 // bytes in all
	done   int64 // bytes moved
	bufs   [][]byte
	skip   int // bytes of the first of bufs that are written
	vector []unix.Iovec
}

// begin takes the slot for c.
func (s *ringSlot) begin(c *Completion) {
	r := &c.Request
	s.c = c
	switch r.Op {
	case opRead:
		s.length = int64(len(r.Buf))
	case opWrite:
		s.length, s.bufs = total(r.Bufs), r.Bufs
	}
}

// end gives the slot back. It keeps its vector for the next one.
func (s *ringSlot) end() {
	clear(s.vector)
	*s = ringSlot{generation: s.generation + 1, vector: s.vector[:0]}
}

// tag is what the kernel calls the request, in slot i.
func (s *ringSlot) tag(i uint32) uint64 { return uint64(s.generation)<<32 | uint64(i) }

// slotOf returns the slot of the request that tag was made for.
func (u *uring) slotOf(tag uint64) (i uint32, ok bool) {
	i = uint32(tag)
	if uint64(i) >= uint64(len(u.slots)) || u.slots[i].c == nil || u.slots[i].tag(i) != tag {
		return 0, false
	}
	return i, true
}

// entry returns what to ask of the kernel next.
func (s *ringSlot) entry(i uint32) ringEntry {
	r := &s.c.Request
	e := ringEntry{fd: int32(r.File.(*systemFile).h), tag: s.tag(i)}
	if s.async {
		e.flags = ringAsync
	}
	switch r.Op {
	case opRead:
		rest := r.Buf[s.done:]
		e.op, e.offset = ringRead, uint64(r.Offset+s.done)
		e.addr, e.length = addressOf(&rest[0]), uint32(min(len(rest), maxTransfer))
	case opWrite:
		e.op, e.offset = ringWrite, uint64(r.Offset+s.done)
		s.gather()
		if len(s.vector) > 1 {
			e.op, e.addr, e.length = ringWritev, addressOf(&s.vector[0]), uint32(len(s.vector))
		} else {
			e.addr, e.length = addressOf(s.vector[0].Base), uint32(s.vector[0].Len)
		}
	case opSync:
		e.op, e.opFlags = ringFsync, ringDatasync
	}
	return e
}

// addressOf is an address as the kernel wants it. See ringSlot for how long it is good.
func addressOf[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

// gather puts as much of what is left to write into the vector as goes in: up to maxVector buffers, maxTransfer bytes.
func (s *ringSlot) gather() {
	s.vector = s.vector[:0]
	skip, limit := s.skip, maxTransfer
	for _, b := range s.bufs {
		if b = b[skip:]; len(b) == 0 {
			continue
		}
		skip = 0
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(min(len(b), limit))
		s.vector = append(s.vector, v)
		limit -= min(len(b), limit)
		if limit == 0 || len(s.vector) == maxVector {
			return
		}
	}
}

// settle takes a result in, and reports whether the request is over. If it is not it needs another entry. One that was cancelled
// gets none: it ends with ErrCancelled if nothing of it was done, for observers, else with what a system call would say.
func (s *ringSlot) settle(value int32) (over bool, err error) {
	over, err = s.advance(value)
	switch {
	case over || !s.c.Done():
		return over, err
	case s.done == 0:
		return true, ErrCancelled
	}
	return true, unix.ECANCELED
}

// advance is settle for a request that goes on.
func (s *ringSlot) advance(value int32) (over bool, err error) {
	op := s.c.Request.Op
	switch {
	case value < 0:
		errno := unix.Errno(-value)
		// The kernel cancels by itself what a thread has submitted that ends.
		if errno == unix.ECANCELED || interrupted(errno) {
			s.async = errno == unix.EAGAIN
			return false, nil
		}
		return true, errno
	case op == opSync:
		return true, nil
	case value == 0 && op == opRead:
		return true, ErrShortRead
	case value == 0:
		return true, errNoProgress
	}
	s.done += int64(value)
	if op == opWrite {
		for s.skip += int(value); len(s.bufs) > 0 && s.skip >= len(s.bufs[0]); s.bufs = s.bufs[1:] {
			s.skip -= len(s.bufs[0])
		}
	}
	return s.done == s.length, nil
}
