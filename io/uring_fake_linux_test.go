package io

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ThroughRing has u send everything through the ring that it can, also what is awaited alone.
func ThroughRing(u IO) { u.(*uring).lone = false }

// RingKernel is the kernel's side of a ring, in the test's hands. It works on real files, finishes what it has taken in an order
// of its own, and only within io_uring_enter.
type RingKernel struct {
	U     *uring
	Hooks *SystemHooks // of all that does not go through the ring

	mu      sync.Mutex
	arrived *sync.Cond // results, or requests that may go on
	rng     *rand.Rand
	rings   []uint64 // memory of both queues
	memory  []ringEntry
	params  ringParams
	taken   []fakeRequest // and not finished
	kept    []ringResult  // that found the queue full
	cqSize  uint32        // 0: what is asked for

	short    int
	enterErr func(submit, wait uint32) error // asked at each enter
	result   func(e *ringEntry) int32        // below 0: is the result, and nothing is done
	held     chan struct{}
	holding  chan struct{}
	lame     bool // finishes only what it has to, one at a time
	lying    bool // reads nothing and says it has

	enters, ops, cancels, overflows, closes atomic.Int64

	most int // requests at a time
}

// fakeRequest is an entry that the kernel has taken.
type fakeRequest struct {
	ringEntry
	held chan struct{} // it may not finish until this is closed
}

// newRingKernel returns a kernel that a ring can be made on.
func newRingKernel(seed uint64) *RingKernel {
	k := &RingKernel{rng: rand.New(rand.NewPCG(seed, 3)), Hooks: newHooks()}
	k.arrived = sync.NewCond(&k.mu)
	return k
}

// NewFakeUring returns a backend that sends everything through a ring whose kernel is the test's.
func NewFakeUring(seed uint64, entries int) (IO, *RingKernel) {
	k := newRingKernel(seed)
	u := k.start(entries)
	return u, k
}

// start makes the backend.
func (k *RingKernel) start(entries int) *uring {
	u, err := newUring(k.calls(), k.Hooks.wrap(platformCalls()), UringOptions{Entries: entries})
	if err != nil {
		panic(err)
	}
	k.U, k.Hooks.S, u.lone = u, u.system, false
	return u
}

// calls are the system calls that lead to k.
func (k *RingKernel) calls() ringCalls {
	const fd = 1 << 20 // no file has it
	bytesOf := func(words []uint64) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words)) }
	return ringCalls{
		setup: func(entries uint32, p *ringParams) (int, error) {
			if p.flags&setupSubmitAll != 0 {
				return -1, unix.EINVAL
			}
			p.submissions = 1
			for p.submissions < entries {
				p.submissions *= 2
			}
			if k.cqSize != 0 {
				p.completions = k.cqSize
			}
			p.features = featuresNeeded
			p.submit = submitOffsets{head: 0, tail: 4, flags: 8, array: 64}
			p.complete = completeOffsets{head: 12, tail: 16, results: 64 + 8*p.submissions}
			k.params = *p
			k.rings = make([]uint64, 8+p.submissions+2*p.completions)
			k.memory = make([]ringEntry, p.submissions)
			return fd, nil
		},
		mmap: func(_ int, offset int64, length int) ([]byte, error) {
			if offset == ringsOffset {
				return bytesOf(k.rings)[:length], nil
			}
			return unsafe.Slice((*byte)(unsafe.Pointer(&k.memory[0])), length), nil
		},
		munmap: func([]byte) error { k.closes.Add(1); return nil },
		close: func(h int) error {
			if h != fd {
				return unix.Close(h)
			}
			k.closes.Add(1)
			return nil
		},
		tryFile: platformRingCalls().tryFile,
		enter:   k.enter,
	}
}

// word is a word of the queues' memory.
func (k *RingKernel) word(offset uint32) *uint32 {
	return (*uint32)(unsafe.Add(unsafe.Pointer(&k.rings[0]), offset))
}

// memoryAt is what lies at an address that the kernel was given.
func memoryAt[T any](addr uint64, n uint32) []T {
	at := uintptr(addr)
	return unsafe.Slice((*T)(*(*unsafe.Pointer)(unsafe.Pointer(&at))), n)
}

func (k *RingKernel) enter(_ int, submit, wait, flags uint32) (int, error) {
	k.enters.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.enterErr != nil {
		if err := k.enterErr(submit, wait); err != nil {
			return 0, err
		}
	}
	if flags&enterGetEvents != 0 {
		k.flushKept()
	}
	if len(k.kept) > 0 && submit > 0 {
		return 0, unix.EBUSY
	}
	n := k.takeEntries(submit)
	if !k.lame {
		for i := k.rng.IntN(len(k.taken) + 1); i > 0; i-- {
			k.finishAny()
		}
	}
	if flags&enterGetEvents == 0 || n < int(submit) {
		return n, nil
	}
	for wait > 0 && !k.results() {
		if !k.finishAny() {
			k.arrived.Wait()
		}
		k.flushKept()
	}
	return n, nil
}

// results reports whether the program can take results.
func (k *RingKernel) results() bool {
	return atomic.LoadUint32(k.word(k.params.complete.head)) != atomic.LoadUint32(k.word(k.params.complete.tail))
}

// takeEntries takes up to submit entries.
func (k *RingKernel) takeEntries(submit uint32) int {
	head, tail := k.word(k.params.submit.head), k.word(k.params.submit.tail)
	n := 0
	for ; submit > 0 && *head != atomic.LoadUint32(tail); submit-- {
		number := *k.word(k.params.submit.array + 4*(*head&(k.params.submissions-1)))
		r := fakeRequest{ringEntry: k.memory[number]}
		atomic.StoreUint32(head, *head+1)
		n++
		switch r.op {
		case ringNop:
			k.post(r.tag, 0)
		case ringCancel:
			k.post(r.tag, k.cancel(r.addr))
		case ringRead, ringWrite, ringWritev:
			if r.held = k.held; k.held != nil && k.holding != nil {
				close(k.holding)
				k.holding = nil
			}
			k.taken = append(k.taken, r)
		default:
			k.taken = append(k.taken, r)
		}
		k.most = max(k.most, len(k.taken))
	}
	return n
}

// cancel stops a request that is not held: what is held is under way.
func (k *RingKernel) cancel(tag uint64) int32 {
	for i, r := range k.taken {
		switch {
		case r.tag != tag:
		case r.held != nil:
			return -int32(unix.EALREADY)
		default:
			k.taken = append(k.taken[:i], k.taken[i+1:]...)
			k.post(tag, -int32(unix.ECANCELED))
			k.cancels.Add(1)
			return 0
		}
	}
	return -int32(unix.ENOENT)
}

// finishAny finishes one request, if one may.
func (k *RingKernel) finishAny() bool {
	for _, i := range k.rng.Perm(len(k.taken)) {
		r := k.taken[i]
		if r.held != nil {
			select {
			case <-r.held:
			default:
				continue
			}
		}
		k.taken = append(k.taken[:i], k.taken[i+1:]...)
		k.post(r.tag, k.run(&r.ringEntry))
		return true
	}
	return false
}

// run does what an entry asks for.
func (k *RingKernel) run(e *ringEntry) int32 {
	k.ops.Add(1)
	if k.result != nil {
		if value := k.result(e); value < 0 {
			return value
		}
	}
	limit := int(e.length)
	if k.short > 0 {
		limit = k.short
	}
	var n int
	var err error
	switch e.op {
	case ringRead:
		buf := memoryAt[byte](e.addr, e.length)
		if k.lying {
			return int32(len(buf))
		}
		n, err = unix.Pread(int(e.fd), buf[:min(len(buf), limit)], int64(e.offset))
	case ringWrite:
		buf := memoryAt[byte](e.addr, e.length)
		n, err = unix.Pwrite(int(e.fd), buf[:min(len(buf), limit)], int64(e.offset))
	case ringWritev:
		var bufs [][]byte
		left := 1 << 30
		if k.short > 0 {
			left = k.short
		}
		for _, v := range memoryAt[unix.Iovec](e.addr, e.length) {
			bufs = append(bufs, unsafe.Slice(v.Base, min(int(v.Len), left)))
			left -= min(int(v.Len), left)
		}
		n, err = unix.Pwritev(int(e.fd), bufs, int64(e.offset))
	case ringFsync:
		err = unix.Fdatasync(int(e.fd))
	default:
		err = unix.EINVAL
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return -int32(errno)
	}
	return int32(n)
}

// post gives the program a result.
func (k *RingKernel) post(tag uint64, value int32) {
	k.kept = append(k.kept, ringResult{tag: tag, value: value})
	if len(k.kept) == 1 {
		k.flushKept()
	}
	if len(k.kept) > 0 {
		k.overflows.Add(1)
		atomic.StoreUint32(k.word(k.params.submit.flags), ringOverflow)
	}
	k.arrived.Broadcast()
}

// flushKept moves kept results to the queue, as far as there is room.
func (k *RingKernel) flushKept() {
	p := &k.params
	results := unsafe.Slice((*ringResult)(unsafe.Pointer(k.word(p.complete.results))), p.completions)
	head, tail := k.word(p.complete.head), k.word(p.complete.tail)
	for len(k.kept) > 0 && *tail-atomic.LoadUint32(head) < p.completions {
		results[*tail&(p.completions-1)] = k.kept[0]
		k.kept = k.kept[1:]
		atomic.StoreUint32(tail, *tail+1)
	}
	if len(k.kept) == 0 {
		atomic.StoreUint32(k.word(p.submit.flags), 0)
	}
}

// do changes k under its lock.
func (k *RingKernel) do(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
	k.arrived.Broadcast()
}

// Short cuts transfers to n bytes; 0: no more.
func (k *RingKernel) Short(n int) { k.do(func() { k.short = n }); k.Hooks.Short(n) }

// Interrupt has the next n enters, operations and other system calls be interrupted, in all the ways there are.
func (k *RingKernel) Interrupt(n int) {
	errnos := []unix.Errno{unix.EINTR, unix.EAGAIN, unix.ECANCELED}
	enters, results, calls := 0, 0, 0
	k.do(func() {
		k.enterErr = func(uint32, uint32) error {
			if enters++; enters > n {
				return nil
			}
			return errnos[enters%2]
		}
		k.result = func(*ringEntry) int32 {
			if results++; results > n {
				return 0
			}
			return -int32(errnos[results%3])
		}
	})
	k.Hooks.SetFail(func() error {
		if calls++; calls > n {
			return nil
		}
		return errnos[calls%2]
	})
}

// Hold holds reads and writes back. started waits until the kernel has one; release lets them go on.
func (k *RingKernel) Hold() (started, release func()) {
	held, holding := make(chan struct{}), make(chan struct{})
	k.do(func() { k.held, k.holding = held, holding })
	return func() { <-holding }, sync.OnceFunc(func() {
		k.do(func() {
			k.held, k.holding = nil, nil
			close(held)
		})
	})
}
