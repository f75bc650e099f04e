package io

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is the memory that is shared with the kernel: a queue of entries to it and a queue of results from it.
//
//	          head           tail                        head           tail
//	submit     |  entry entry  |  free   free    complete  |  result result |  free   free
//	         kernel           ours                        ours            kernel
//
// Each side moves one end of a queue and reads the other. Go's atomics order what lies between. Its methods are called under
// one lock; io_uring_enter, which moves the kernel's ends, may run at any time.
type ring struct {
	calls  ringCalls
	fd     int
	mapped []byte // both queues
	memory []byte // entries, which the submission queue has the numbers of
	trial  *ringTrial

	submitHead  *uint32
	submitTail  *uint32
	submitFlags *uint32
	entries     []ringEntry

	completeHead *uint32
	completeTail *uint32
	results      []ringResult
}

// errRingOld means that the kernel's io_uring lacks features.
var errRingOld = errors.New("the kernel is older than Linux 5.12")

// newRing makes a ring that was tried out. It leaves nothing behind if it fails.
func newRing(calls ringCalls, entries uint32) (*ring, error) {
	r := &ring{calls: calls, fd: -1}
	err := r.setUp(entries)
	if err == nil {
		err = r.tryOut()
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// setUp asks for a ring and finds its parts.
func (r *ring) setUp(entries uint32) (err error) {
	p := ringParams{flags: setupClamp | setupCQSize | setupSubmitAll, completions: 2 * entries}
	r.fd, err = r.calls.setup(entries, &p)
	if err == unix.EINVAL { // before Linux 5.18
		p = ringParams{flags: setupClamp | setupCQSize, completions: 2 * entries}
		r.fd, err = r.calls.setup(entries, &p)
	}
	if err != nil {
		return err
	}
	if p.features&featuresNeeded != featuresNeeded {
		return errRingOld
	}
	length := max(p.submit.array+4*p.submissions, p.complete.results+uint32(unsafe.Sizeof(ringResult{}))*p.completions)
	if r.mapped, err = r.calls.mmap(r.fd, ringsOffset, int(length)); err != nil {
		return err
	}
	size := int(unsafe.Sizeof(ringEntry{})) * int(p.submissions)
	if r.memory, err = r.calls.mmap(r.fd, ringEntriesOffset, size); err != nil {
		return err
	}
	word := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.mapped[offset])) }
	r.submitHead, r.submitTail, r.submitFlags = word(p.submit.head), word(p.submit.tail), word(p.submit.flags)
	r.completeHead, r.completeTail = word(p.complete.head), word(p.complete.tail)
	r.entries = unsafe.Slice((*ringEntry)(unsafe.Pointer(&r.memory[0])), p.submissions)
	r.results = unsafe.Slice((*ringResult)(unsafe.Pointer(&r.mapped[p.complete.results])), p.completions)
	// The queue holds numbers of entries; ours are always where their number says.
	numbers := unsafe.Slice(word(p.submit.array), p.submissions)
	for i := range numbers {
		numbers[i] = uint32(i)
	}
	return nil
}

// close frees the ring. Nothing is under way.
func (r *ring) close() error {
	var err error
	for _, m := range [][]byte{r.memory, r.mapped} {
		if m != nil {
			if e := r.calls.munmap(m); err == nil {
				err = e
			}
		}
	}
	if r.fd >= 0 {
		if e := r.calls.close(r.fd); err == nil {
			err = e
		}
	}
	*r = ring{fd: -1}
	return err
}

// unsubmitted returns how many entries the kernel has not taken.
func (r *ring) unsubmitted() uint32 { return *r.submitTail - atomic.LoadUint32(r.submitHead) }

// full reports whether there is no room for another entry.
func (r *ring) full() bool { return int(r.unsubmitted()) == len(r.entries) }

// push appends an entry; the queue is not full. The kernel takes it at the next enter that submits.
func (r *ring) push(e ringEntry) {
	tail := *r.submitTail
	r.entries[tail&uint32(len(r.entries)-1)] = e
	atomic.StoreUint32(r.submitTail, tail+1)
}

// takeBack takes the newest entry back, if the kernel has not taken it. No enter is under way.
func (r *ring) takeBack() (e ringEntry, ok bool) {
	if r.unsubmitted() == 0 {
		return ringEntry{}, false
	}
	tail := *r.submitTail - 1
	e = r.entries[tail&uint32(len(r.entries)-1)]
	atomic.StoreUint32(r.submitTail, tail)
	return e, true
}

// pop takes the oldest result.
func (r *ring) pop() (res ringResult, ok bool) {
	head := *r.completeHead
	if head == atomic.LoadUint32(r.completeTail) {
		return ringResult{}, false
	}
	res = r.results[head&uint32(len(r.results)-1)]
	atomic.StoreUint32(r.completeHead, head+1)
	return res, true
}

// overflowed reports whether the kernel keeps results that found no room. The next enter that gets events brings them.
func (r *ring) overflowed() bool { return atomic.LoadUint32(r.submitFlags)&ringOverflow != 0 }
