package io

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ringFile makes a backend on the kernel's ring, through which everything goes, and a file of the content. It skips the test with
// the reason if there is no ring.
func ringFile(t testing.TB, entries int, content []byte) (*uring, File) {
	t.Helper()
	u, err := newUring(platformRingCalls(), platformCalls(), UringOptions{Entries: entries})
	if err != nil {
		t.Skip(err)
	}
	u.lone = false
	return u, ringOpen(t, u, content)
}

// fakeRingFile is ringFile on a kernel of the test's own.
func fakeRingFile(t testing.TB, entries int, content []byte) (*uring, *RingKernel, File) {
	t.Helper()
	_, k := NewFakeUring(1, entries)
	return k.U, k, ringOpen(t, k.U, content)
}

// ringOpen opens a new file of the content, and shuts u down at the end of the test.
func ringOpen(t testing.TB, u *uring, content []byte) File {
	t.Helper()
	t.Cleanup(func() {
		if err := u.Shutdown(); err != nil {
			t.Error(err)
		}
		if u.helping || u.leading || u.followers != nil || len(u.free) != len(u.slots) || u.InFlight() != 0 {
			t.Errorf("after Shutdown: helper %v, leader %v, followers %v, %d of %d slots free, %d in flight", u.helping, u.leading,
				u.followers, len(u.free), len(u.slots), u.InFlight())
		}
	})
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	o := Opening{Path: path, Flag: OpenWrite}
	if err := ringDo(t, u, func(c *Completion) { u.Open(c, &o) }); err != nil {
		t.Fatal(err)
	}
	return o.File
}

// ringDo submits one I/O, waits, and returns how it ended.
func ringDo(t testing.TB, u IO, submit func(c *Completion)) error {
	t.Helper()
	var c Completion
	submit(&c)
	if err := u.Wait(context.Background(), &c); err != nil {
		t.Fatal(err)
	}
	return c.Err()
}

// ringPipe is a file whose reads last until the test writes to the pipe behind it.
func ringPipe(t *testing.T, u *uring) (f File, write func()) {
	t.Helper()
	ends := make([]int, 2)
	if err := unix.Pipe2(ends, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ends[1]) })
	file := &systemFile{s: u.system, h: ends[0], name: fmt.Sprintf("pipe %d", ends[0])}
	u.system.mu.Lock()
	u.files[file] = struct{}{}
	u.system.mu.Unlock()
	return file, func() {
		if _, err := unix.Write(ends[1], []byte{7}); err != nil {
			t.Error(err)
		}
	}
}

// wait waits on a goroutine of its own.
func (u *uring) waitFor(ctx context.Context, c *Completion) <-chan error {
	done := make(chan error, 1)
	go func() { done <- u.Wait(ctx, c) }()
	return done
}

// inKernel returns how many requests have a slot.
func (u *uring) inKernel() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.slots) - len(u.free)
}

// sleeping reports whether a leader is in the kernel, and how many follow, or would if the helper did not lead.
func (u *uring) sleeping() (entered bool, followers int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for w := u.followers; w != nil; w = w.older {
		followers++
	}
	if u.helping && u.leading {
		followers-- // the watch was faster than a waiter
	}
	return u.leading && u.entering > 0, followers
}

// soonSleeping waits for a leader in the kernel and so many followers.
func soonSleeping(t *testing.T, u *uring, followers int) {
	t.Helper()
	soon(t, "a leader that sleeps and its followers", func() bool {
		entered, n := u.sleeping()
		return entered && n == followers
	})
	time.Sleep(time.Millisecond) // most likely it is asleep by now; the outcome is the same if not
}

// What the kernel says stays in the error, with what callers test for.
func TestUringErrors(t *testing.T) {
	u, k, f := fakeRingFile(t, 4, fill('a', 100))
	var errno unix.Errno
	k.do(func() { k.result = func(*ringEntry) int32 { return -int32(errno) } })
	for name, test := range map[string]struct {
		submit func(c *Completion)
		op     OpError
	}{
		"read":  {func(c *Completion) { f.Read(c, make([]byte, 5), 7) }, OpError{KindRead, f.Name(), 7, 5, nil}},
		"write": {func(c *Completion) { f.Write(c, [][]byte{{1}, {2}}, 9) }, OpError{KindWrite, f.Name(), 9, 2, nil}},
		"sync":  {f.Sync, OpError{KindSync, f.Name(), -1, 0, nil}},
	} {
		for e, want := range map[unix.Errno]error{
			unix.ENOSPC: ErrNoSpace, unix.EDQUOT: ErrNoSpace, unix.EFBIG: ErrNoSpace, unix.EROFS: ErrReadOnly,
			unix.EIO: unix.EIO,
		} {
			k.do(func() { errno = e })
			err := ringDo(t, u, test.submit)
			var op *OpError
			if !errors.Is(err, want) || !errors.Is(err, e) || !errors.As(err, &op) {
				t.Errorf("%s with %v: %v", name, e, err)
				continue
			}
			got := *op
			got.Err = nil
			if got != test.op {
				t.Errorf("%s: error says %+v, want %+v", name, got, test.op)
			}
		}
	}
}

// Errors of what never comes to the ring are the system backend's.
func TestUringBadRanges(t *testing.T) {
	u, k, f := fakeRingFile(t, 4, fill('a', 7))
	const far = 1<<63 - 1
	before := k.ops.Load()
	for name, submit := range map[string]func(c *Completion){
		"read before":  func(c *Completion) { f.Read(c, make([]byte, 1), -1) },
		"read far":     func(c *Completion) { f.Read(c, make([]byte, 1), far) },
		"write before": func(c *Completion) { f.Write(c, [][]byte{{1}}, -1) },
		"write far":    func(c *Completion) { f.Write(c, [][]byte{{1}}, far) },
	} {
		if err := ringDo(t, u, submit); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := k.ops.Load() - before; n != 0 {
		t.Errorf("%d operations", n)
	}
}

// A write of no byte, without a reason, is an error and not a loop.
func TestUringWriteWithoutProgress(t *testing.T) {
	s := ringSlot{c: &Completion{}, length: 3, bufs: [][]byte{{1, 2, 3}}}
	s.c.Request.Op = opWrite
	if over, err := s.settle(0); !over || !errors.Is(err, errNoProgress) {
		t.Error(over, err)
	}
}

// 100 requests on a ring of 2 entries whose queue of results holds 2.
func TestUringManyOnSmallRing(t *testing.T) {
	for name, lame := range map[string]bool{"at once": false, "one by one": true} {
		t.Run(name, func(t *testing.T) {
			content := make([]byte, 100*64)
			rand.NewChaCha8([32]byte{2}).Read(content)
			u, k, f := fakeRingFile(t, 2, content)
			k.do(func() { k.lame = lame })
			var g CompletionGroup
			var cs [100]Completion
			var bufs [100][64]byte
			g.Start("the reads")
			for i := range cs {
				f.Read(&cs[i], bufs[i][:], int64(i*64))
				g.Add(&cs[i])
			}
			g.Build()
			if n := u.InFlight(); n != 100 {
				t.Errorf("%d in flight", n)
			}
			if err := u.Wait(context.Background(), g.Completion()); err != nil || g.Completion().Err() != nil {
				t.Fatal(err, g.Completion().Err())
			}
			for i := range bufs {
				if !bytes.Equal(bufs[i][:], content[i*64:][:64]) {
					t.Errorf("read %d brings wrong bytes", i)
				}
			}
			if k.most > 2 {
				t.Errorf("the kernel had %d requests", k.most)
			}
		})
	}
}

// Results that find the queue full are kept by the kernel, which takes no entries until they are fetched.
func TestUringOverflow(t *testing.T) {
	k := newRingKernel(4)
	k.cqSize = 2
	u := k.start(64)
	f := ringOpen(t, u, fill('a', 4096))
	for range 20 {
		var g CompletionGroup
		var cs [200]Completion
		g.Start("the reads")
		for i := range cs {
			f.Read(&cs[i], make([]byte, 8), int64(i))
			g.Add(&cs[i])
		}
		g.Build()
		u.Poll()
		if err := u.Wait(context.Background(), g.Completion()); err != nil || g.Completion().Err() != nil {
			t.Fatal(err, g.Completion().Err())
		}
	}
	if n := k.overflows.Load(); n == 0 {
		t.Error("no result found the queue full")
	}
	// The same by polling alone.
	u.withWorkers(4, never)
	soon(t, "the end of the helper", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return !u.helping && !u.leading
	})
	var cs [200]Completion
	for i := range cs {
		f.Read(&cs[i], make([]byte, 8), int64(i))
	}
	soon(t, "all reads", func() bool {
		u.Poll()
		k.do(func() { k.finishAny() })
		return u.InFlight() == 0
	})
}

// What a thread has submitted that ends, and what was tried without waiting, is submitted again.
func TestUringResubmits(t *testing.T) {
	u, k, f := fakeRingFile(t, 8, fill('a', 100))
	for errno, async := range map[unix.Errno]bool{unix.ECANCELED: false, unix.EINTR: false, unix.EAGAIN: true} {
		for name, submit := range map[string]func(c *Completion){
			"read":  func(c *Completion) { f.Read(c, make([]byte, 5), 7) },
			"write": func(c *Completion) { f.Write(c, [][]byte{{1}, {2}}, 9) },
			"sync":  f.Sync,
		} {
			times := 0
			k.do(func() {
				k.result = func(e *ringEntry) int32 {
					times++
					if times == 1 {
						return -int32(errno)
					}
					if got := e.flags&ringAsync != 0; got != async {
						t.Errorf("%s after %v: async %v", name, errno, got)
					}
					return 0
				}
			})
			if err := ringDo(t, u, submit); err != nil || times != 2 {
				t.Errorf("%s after %v: %v, %d times", name, errno, err, times)
			}
		}
	}
}

// A cancel of what has ended does not hit what has its slot now.
func TestUringStaleCancel(t *testing.T) {
	u, k, f := fakeRingFile(t, 1, fill('a', 100))
	var first, second Completion
	f.Read(&first, make([]byte, 1), 0)
	u.flush()
	u.mu.Lock()
	tag := u.slots[0].tag(0)
	u.mu.Unlock()
	if err := u.Wait(context.Background(), &first); err != nil {
		t.Fatal(err)
	}
	k.do(func() { k.lame = true })
	f.Read(&second, make([]byte, 1), 0)
	u.flush()
	u.send(ringEntry{op: ringCancel, addr: tag, tag: noSlot})
	if err := u.Wait(context.Background(), &second); err != nil || second.Err() != nil {
		t.Error(err, second.Err())
	}
	if n := k.cancels.Load(); n != 0 {
		t.Errorf("%d requests were stopped", n)
	}
}

// Cancels at each place that a request can be at: pending, with the kernel, between two entries, on its way in.
func TestUringCancel(t *testing.T) {
	u, k, f := fakeRingFile(t, 2, fill('a', 4096))
	k.do(func() { k.lame, k.short = true, 1 })
	var pending, taken, between, early Completion
	f.Read(&pending, make([]byte, 8), 0)
	if !pending.Cancel() || !pending.Retired() {
		t.Errorf("pending: %v", pending.State())
	}
	f.Read(&taken, make([]byte, 8), 0)
	u.flush()
	if !taken.Cancel() || taken.Retired() {
		t.Errorf("with the kernel: %v, retired %v", taken.State(), taken.Retired())
	}
	u.Poll()
	if !taken.Retired() || len(k.taken) != 0 {
		t.Errorf("with the kernel: retired %v, and it has %d", taken.Retired(), len(k.taken))
	}
	f.Read(&between, make([]byte, 8), 0)
	u.flush()
	k.do(func() { k.finishAny() })
	u.mu.Lock()
	u.leading = true
	u.mu.Unlock()
	u.reap()
	if len(u.again) != 1 || between.Done() {
		t.Fatalf("%d need another entry, %v", len(u.again), between.State())
	}
	between.Cancel()
	u.pass(false)
	u.flush()
	if between.Retired() {
		t.Errorf("between two entries: retired before the second")
	}
	k.do(func() { k.finishAny() })
	u.Poll()
	if !between.Retired() {
		t.Errorf("between two entries: not retired")
	}
	f.Read(&early, make([]byte, 8), 0)
	early.Request.Canceller = nil // as if it had not been set yet
	early.Cancel()
	u.Poll()
	if !early.Retired() || u.InFlight() != 0 {
		t.Errorf("on its way in: retired %v, %d in flight", early.Retired(), u.InFlight())
	}
}

// endSeen is an Observer.
type endSeen struct {
	n   int
	err error
}

func (e *endSeen) Ended(_ *Completion, n int, err error) { e.n, e.err = n, err }

// An observer hears what became of a write that was cancelled while the kernel had it: ErrCancelled only if nothing of it was done.
func TestUringCancelObserved(t *testing.T) {
	for name, test := range map[string]struct {
		results []int32 // of the entries; 0: done, cut to 3 bytes
		want    error
	}{
		"done":         {[]int32{0, 0, 0}, nil},
		"not begun":    {[]int32{-int32(unix.ECANCELED)}, ErrCancelled},
		"interrupted":  {[]int32{-int32(unix.EINTR)}, ErrCancelled},
		"failed":       {[]int32{-int32(unix.EIO)}, unix.EIO},
		"partly":       {[]int32{0}, unix.ECANCELED},
		"partly, then": {[]int32{0, -int32(unix.EINTR)}, unix.ECANCELED},
	} {
		t.Run(name, func(t *testing.T) {
			c := new(Completion)
			s := ringSlot{c: c, length: 9, bufs: [][]byte{make([]byte, 9)}}
			c.Request.Op = opWrite
			over, err := false, error(nil)
			for i, value := range test.results {
				if i == len(test.results)-1 {
					c.Cancel()
				}
				if value == 0 {
					value = 3
				}
				if over, err = s.settle(value); over != (i == len(test.results)-1) {
					t.Fatalf("over %v after %d of %d results", over, i+1, len(test.results))
				}
			}
			if !errors.Is(err, test.want) || test.want == nil && (err != nil || s.done != 9) {
				t.Errorf("%v, %d bytes", err, s.done)
			}
		})
	}
	u, k, f := fakeRingFile(t, 2, fill('a', 64))
	k.do(func() { k.lame = true })
	var c Completion
	var seen endSeen
	c.Observe(&seen)
	f.Write(&c, [][]byte{fill('b', 10)}, 0)
	u.flush()
	c.Cancel()
	u.Poll()
	if !c.Retired() || seen.err != ErrCancelled {
		t.Errorf("retired %v, the observer heard %v", c.Retired(), seen.err)
	}
}

func ringWait(t *testing.T, u *uring, c *Completion) error {
	t.Helper()
	if err := u.Wait(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	return c.Err()
}
