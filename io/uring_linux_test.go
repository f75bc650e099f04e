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
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

func TestUringRefusals(t *testing.T) {
	setup := func(errno unix.Errno) func(c *ringCalls) {
		return func(c *ringCalls) { c.setup = func(uint32, *ringParams) (int, error) { return -1, errno } }
	}
	for name, test := range map[string]struct {
		prepare func(c *ringCalls)
		says    string
		cause   error
	}{
		"no kernel":  {setup(unix.ENOSYS), "knows no io_uring", unix.ENOSYS},
		"seccomp":    {setup(unix.EPERM), "forbids it", unix.EPERM},
		"security":   {setup(unix.EACCES), "forbids it", unix.EACCES},
		"memory":     {setup(unix.ENOMEM), "RLIMIT_MEMLOCK", unix.ENOMEM},
		"many files": {setup(unix.EMFILE), "gives no ring", unix.EMFILE},
		"old": {func(c *ringCalls) {
			inner := c.setup
			c.setup = func(n uint32, p *ringParams) (int, error) {
				fd, err := inner(n, p)
				p.features = featureSingleMmap
				return fd, err
			}
		}, "older than Linux 5.12", errRingOld},
		"no mapping": {func(c *ringCalls) {
			c.mmap = func(int, int64, int) ([]byte, error) { return nil, unix.ENOMEM }
		}, "RLIMIT_MEMLOCK", unix.ENOMEM},
		"no second mapping": {func(c *ringCalls) {
			inner := c.mmap
			c.mmap = func(fd int, offset int64, n int) ([]byte, error) {
				if offset == ringEntriesOffset {
					return nil, unix.EPERM
				}
				return inner(fd, offset, n)
			}
		}, "forbids it", unix.EPERM},
		"not to be entered": {func(c *ringCalls) {
			c.enter = func(int, uint32, uint32, uint32) (int, error) { return 0, unix.EPERM }
		}, "entering the ring is forbidden", unix.EPERM},
		"no results": {func(c *ringCalls) {
			c.enter = func(int, uint32, uint32, uint32) (int, error) { return 0, unix.EAGAIN }
		}, "there is no result", nil},
		"no file": {func(c *ringCalls) {
			c.tryFile = func() (int, error) { return -1, unix.EMFILE }
		}, "a file to try it on", unix.EMFILE},
	} {
		t.Run(name, func(t *testing.T) {
			k := newRingKernel(1)
			calls := k.calls()
			test.prepare(&calls)
			u, err := newUring(calls, platformCalls(), UringOptions{})
			if u != nil || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%v", err)
			}
			if test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("%v lacks %v", err, test.cause)
			}
			mapped := int64(0)
			if k.rings != nil {
				mapped = map[string]int64{"old": 1, "no mapping": 1, "no second mapping": 2}[name]
				if mapped == 0 {
					mapped = 3
				}
			}
			if n := k.closes.Load(); n != mapped {
				t.Errorf("%d of what was made is freed, want %d", n, mapped)
			}
		})
	}
}

// Each operation is tried out: one that the kernel lacks, or that a filter forbids, is named.
func TestUringRefusedOperations(t *testing.T) {
	for op, says := range map[ringOp]string{
		ringRead: "a read fails", ringWrite: "a write fails", ringWritev: "a write of a vector fails", ringFsync: "a sync fails",
	} {
		k := newRingKernel(1)
		k.result = func(e *ringEntry) int32 {
			if e.op == op {
				return -int32(unix.EINVAL)
			}
			return 0
		}
		_, err := newUring(k.calls(), platformCalls(), UringOptions{})
		if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), says) {
			t.Errorf("without operation %d: %v", op, err)
		}
	}
	k := newRingKernel(1)
	k.short = 3
	if _, err := newUring(k.calls(), platformCalls(), UringOptions{}); err == nil || !strings.Contains(err.Error(), "returns 3") {
		t.Errorf("short transfers: %v", err)
	}
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
}

// A filter of system calls that comes later: what the kernel has is awaited, all else goes on by system calls.
func TestUringForbiddenLater(t *testing.T) {
	u, k, f := fakeRingFile(t, 8, fill('a', 4096))
	started, release := k.Hold()
	var held Completion
	f.Read(&held, make([]byte, 10), 0)
	waited := u.waitFor(context.Background(), &held)
	started()
	k.do(func() { k.enterErr = func(uint32, uint32) error { return unix.EPERM } })
	var g CompletionGroup
	var cs [100]Completion
	g.Start("the reads")
	for i := range cs {
		f.Read(&cs[i], make([]byte, 8), int64(i))
		g.Add(&cs[i])
	}
	g.Build()
	others := u.waitFor(context.Background(), g.Completion())
	release()
	if err := <-waited; err != nil || held.Err() != nil {
		t.Error(err, held.Err())
	}
	if err := <-others; err != nil || g.Completion().Err() != nil {
		t.Error(err, g.Completion().Err())
	}
	enters := k.enters.Load()
	for range 10 {
		if err := ringDo(t, u, f.Sync); err != nil {
			t.Error(err)
		}
	}
	if n := k.enters.Load() - enters; n != 0 {
		t.Errorf("%d more attempts to enter", n)
	}
}

// A request that the kernel has when entering is forbidden still ends, also if nobody can sleep for it.
func TestUringForbiddenUnderWay(t *testing.T) {
	u, k, f := fakeRingFile(t, 8, fill('a', 4096))
	k.do(func() { k.lame = true })
	var c [3]Completion
	for i := range c {
		f.Read(&c[i], make([]byte, 8), int64(i))
	}
	u.flush() // the kernel has them, and finishes nothing by itself
	k.do(func() { k.enterErr = func(uint32, uint32) error { return unix.ENOSYS } })
	done := u.waitFor(context.Background(), &c[0])
	soon(t, "a refusal", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.refused != nil
	})
	k.do(func() {
		for k.finishAny() {
		}
	})
	if err := <-done; err != nil {
		t.Error(err)
	}
	for i := range c {
		soon(t, "the reads", c[i].Retired)
		if c[i].Err() != nil {
			t.Error(c[i].Err())
		}
	}
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
	if k.ops.Load() != 2+5-1 { // and those that were tried out, but for the one that the kernel does at once
		t.Errorf("%d operations", k.ops.Load())
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

// A leader that sleeps in the kernel is woken when its completion is resolved elsewhere, and when its context ends.
func TestUringRousesLeader(t *testing.T) {
	u, _ := ringFile(t, 8, nil)
	pipe, write := ringPipe(t, u)
	var slow, yield Completion
	pipe.Read(&slow, make([]byte, 1), 0)
	yield.ArmYield("somebody else")
	done := u.waitFor(context.Background(), &yield)
	soonSleeping(t, u, 0)
	yield.Finish(0, nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done = u.waitFor(ctx, &slow)
	soonSleeping(t, u, 0)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || slow.Done() {
		t.Errorf("%v, %v", err, slow.State())
	}
	write()
	if err := ringWait(t, u, &slow); err != nil {
		t.Error(err)
	}
}

func ringWait(t *testing.T, u *uring, c *Completion) error {
	t.Helper()
	if err := u.Wait(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	return c.Err()
}

// A cancel stops a read that would last, and it retires when the kernel says so.
func TestUringCancelStopsRead(t *testing.T) {
	u, _ := ringFile(t, 8, nil)
	pipe, _ := ringPipe(t, u)
	for range 50 {
		var c, closing Completion
		pipe.Read(&c, make([]byte, 1), 0)
		done := u.waitFor(context.Background(), &c)
		soonSleeping(t, u, 0)
		if !c.Cancel() {
			t.Fatal("not cancelled")
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		soon(t, "retirement", c.Retired)
		closing.Reset()
	}
}

// The lead goes on when the leader's own is over, to those who follow and by them; also to one under a context.
func TestUringHandOver(t *testing.T) {
	u, _ := ringFile(t, 8, nil)
	rng := rand.New(rand.NewPCG(1, 1))
	const n = 6
	var pipes [n]File
	var writes [n]func()
	for i := range pipes {
		pipes[i], writes[i] = ringPipe(t, u)
	}
	for range 30 {
		var cs [n]Completion
		var done [n]<-chan error
		ctx, cancel := context.WithCancel(context.Background())
		for i := range cs {
			pipes[i].Read(&cs[i], make([]byte, 1), 0)
			wait := context.Background()
			if i%2 == 1 {
				wait = ctx
			}
			done[i] = u.waitFor(wait, &cs[i])
		}
		soonSleeping(t, u, n-1)
		left := rng.IntN(n) // whose context may end
		for _, i := range rng.Perm(n) {
			if i == left && i%2 == 1 {
				cancel()
				for j := 1; j < n; j += 2 {
					if !cs[j].Done() {
						<-done[j]
					}
				}
			}
			writes[i]()
			if i%2 == 0 {
				if err := <-done[i]; err != nil || cs[i].Err() != nil {
					t.Fatal(err, cs[i].Err())
				}
			}
			soon(t, "a read", cs[i].Retired)
		}
		cancel()
	}
}

// Everybody waits for one read, everybody leaves.
func TestUringSharedLeader(t *testing.T) {
	u, _ := ringFile(t, 8, nil)
	pipe, write := ringPipe(t, u)
	for range 50 {
		var c Completion
		pipe.Read(&c, make([]byte, 1), 0)
		var done [8]<-chan error
		for i := range done {
			done[i] = u.waitFor(context.Background(), &c)
		}
		write()
		for i := range done {
			if err := <-done[i]; err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Nobody waits: the watch finds somebody, and no goroutine stays.
func TestUringNobodyWaits(t *testing.T) {
	u, f := ringFile(t, 8, fill('a', 64))
	var c [3]Completion
	for i := range c {
		f.Read(&c[i], make([]byte, 64), 0)
		soon(t, "a read that nobody waits for", c[i].Retired)
	}
	soon(t, "the end of the watch and the helper", func() bool {
		u.system.mu.Lock()
		defer u.system.mu.Unlock()
		u.mu.Lock()
		defer u.mu.Unlock()
		return !u.watching && !u.helping && !u.leading && u.workers == 0
	})
	// Somebody waits for something else, and is given the lead.
	var yield, read Completion
	yield.ArmYield("a test")
	done := u.waitFor(context.Background(), &yield)
	soon(t, "a follower", func() bool { _, n := u.sleeping(); return n == 1 })
	f.Read(&read, make([]byte, 64), 0)
	soon(t, "the read", read.Retired)
	yield.Finish(0, nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A callback's I/O is not forgotten, whoever ran the callback, and goes on without the watch.
func TestUringCallbackSubmits(t *testing.T) {
	for name, lone := range map[string]bool{"ring": false, "alone": true} {
		t.Run(name, func(t *testing.T) {
			u, f := ringFile(t, 8, fill('a', 64))
			u.lone = lone
			u.withWorkers(4, never)
			var timer, first, second, third, stat, last Completion
			buf := make([]byte, 5)
			timer.OnDone(func(*Completion) { f.Read(&first, buf[:1], 0) })
			first.OnDone(func(*Completion) { f.Read(&second, buf[1:2], 0) })
			u.Timer(&timer, 1)
			soon(t, "the chain of callbacks", second.Retired)
			third.OnDone(func(*Completion) { u.Stat(&stat, &Lookup{Path: f.Name()}) })
			stat.OnDone(func(*Completion) { f.Read(&last, buf[3:4], 0) })
			f.Read(&third, buf[2:3], 0)
			if err := ringWait(t, u, &third); err != nil {
				t.Error(err)
			}
			soon(t, "the chain behind a waiter", last.Retired)
		})
	}
}

// What is awaited alone is one system call of the waiter.
func TestUringLone(t *testing.T) {
	u, k, f := fakeRingFile(t, 8, fill('a', 64))
	u.lone = true
	u.withWorkers(0, never)
	defer u.withWorkers(4, never)
	enters := k.enters.Load()
	buf := make([]byte, 8)
	for name, submit := range map[string]func(c *Completion){
		"pread":  func(c *Completion) { f.Read(c, buf, 0) },
		"pwrite": func(c *Completion) { f.Write(c, [][]byte{{1}}, 0) },
		"sync":   f.Sync,
	} {
		if err := ringDo(t, u, submit); err != nil {
			t.Error(name, err)
		}
		if n := k.Hooks.Calls[name].Load(); n != 1 {
			t.Errorf("%d calls of %s", n, name)
		}
	}
	if n := k.enters.Load() - enters; n != 0 {
		t.Errorf("the ring was entered %d times", n)
	}
	var a, b Completion
	f.Read(&a, buf[:4], 0)
	f.Read(&b, buf[4:], 0)
	if err := errors.Join(ringWait(t, u, &a), ringWait(t, u, &b)); err != nil {
		t.Error(err)
	}
	if n := k.enters.Load() - enters; n == 0 {
		t.Error("two reads did not go through the ring")
	}
}

// Under a context a read whose page is there is one call too. What is not, is cut, fails, or has company, goes through the ring.
func TestUringReadNow(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, test := range map[string]struct {
		n      int
		err    error
		read   int // bytes, of 64
		ends   error
		enters bool
		calls  int // for two reads
	}{
		"there":       {n: 10, read: 10, calls: 2},
		"not there":   {err: unix.EAGAIN, read: 10, enters: true, calls: 2},
		"half there":  {n: 5, read: 10, enters: true, calls: 2},
		"behind end":  {n: 0, read: 65, ends: ErrShortRead, enters: true, calls: 2},
		"broken":      {err: unix.EIO, read: 10, enters: true, calls: 2},
		"unsupported": {err: unix.EOPNOTSUPP, read: 10, enters: true, calls: 1},
		"old kernel":  {err: unix.ENOSYS, read: 10, enters: true, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			u, k, f := fakeRingFile(t, 8, fill('a', 64))
			u.lone = true
			calls := 0
			u.ring.calls.readNow = func(_ handle, buf []byte, _ int64) (int, error) {
				calls++
				return copy(buf[:test.n], fill('a', test.n)), test.err
			}
			enters := k.enters.Load()
			for range 2 {
				buf := make([]byte, test.read)
				var c Completion
				f.Read(&c, buf, 0)
				if err := u.Wait(ctx, &c); err != nil || !errors.Is(c.Err(), test.ends) {
					t.Errorf("%v, %v", err, c.Err())
				}
				if test.ends == nil && !bytes.Equal(buf, fill('a', test.read)) {
					t.Errorf("read %q", buf)
				}
				soon(t, "retirement", c.Retired)
			}
			if got := k.enters.Load() != enters; got != test.enters || calls != test.calls {
				t.Errorf("went through the ring: %v, %d calls", got, calls)
			}
		})
	}
	u, k, f := fakeRingFile(t, 8, fill('a', 64))
	u.lone = true
	enters := k.enters.Load()
	var sync, a, b Completion
	f.Sync(&sync)
	f.Read(&a, make([]byte, 1), 0)
	f.Read(&b, make([]byte, 1), 0)
	for _, c := range []*Completion{&a, &b, &sync} {
		if err := u.Wait(ctx, c); err != nil || c.Err() != nil {
			t.Error(err, c.Err())
		}
	}
	if k.enters.Load() == enters {
		t.Error("three requests did not go through the ring")
	}
}

// The kernel's own answer to such a read.
func TestUringReadNowKernel(t *testing.T) {
	u, f := ringFile(t, 8, fill('a', 64))
	u.lone = true
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, length := range []int{64, 65} {
		buf := make([]byte, length)
		var c Completion
		f.Read(&c, buf, 0)
		if err := u.Wait(ctx, &c); err != nil || (c.Err() == nil) != (length == 64) {
			t.Errorf("%d bytes: %v, %v", length, err, c.Err())
		}
		if c.Err() == nil && !bytes.Equal(buf, fill('a', 64)) {
			t.Errorf("read %q", buf)
		}
	}
}

// Steady work allocates nothing.
func TestUringAllocs(t *testing.T) {
	u, f := ringFile(t, 0, fill('a', 1<<16))
	buf := make([]byte, 4096)
	bufs := slices.Collect(slices.Chunk(fill('b', 4096), 256))
	var c Completion
	one := func(submit func()) func() {
		return func() {
			submit()
			if err := u.Wait(context.Background(), &c); err != nil || c.Err() != nil {
				t.Fatal(err, c.Err())
			}
			for !c.Retired() {
				runtime.Gosched()
			}
			c.Reset()
		}
	}
	var g CompletionGroup
	var cs [32]Completion
	for name, run := range map[string]func(){
		"read":  one(func() { f.Read(&c, buf, 0) }),
		"write": one(func() { f.Write(&c, bufs, 0) }),
		"sync":  one(func() { f.Sync(&c) }),
		"group": func() {
			g.Start("reads")
			for i := range cs {
				f.Read(&cs[i], buf[i*128:][:128], int64(i*128))
				g.Add(&cs[i])
			}
			g.Build()
			if err := u.Wait(context.Background(), g.Completion()); err != nil || g.Completion().Err() != nil {
				t.Fatal(err, g.Completion().Err())
			}
			g.Reset()
			for i := range cs {
				cs[i].Reset()
			}
		},
	} {
		for range 10 {
			run()
		}
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("a %s allocates %v times", name, n)
		}
	}
}

// Shutdown waits for what nobody waits for, and for what was cancelled and goes on.
func TestUringShutdown(t *testing.T) {
	_, k := NewFakeUring(5, 4)
	u := k.U
	path := filepath.Join(t.TempDir(), "f")
	var f File
	if err := ringDo(t, u, func(c *Completion) {
		o := &Opening{Path: path, Flag: OpenWrite | OpenCreate, Mode: 0o600}
		c.OnDone(func(*Completion) { f = o.File })
		u.Open(c, o)
	}); err != nil {
		t.Fatal(err)
	}
	u.withWorkers(4, never)
	started, release := k.Hold()
	var held, queued, given Completion
	f.Write(&held, [][]byte{fill('a', 10)}, 0)
	f.Write(&given, [][]byte{fill('a', 10)}, 10)
	u.Poll()
	started()
	given.Cancel()
	f.Sync(&queued)
	down := make(chan error)
	go func() { down <- u.Shutdown() }()
	soon(t, "the sync", queued.Retired)
	if held.Done() || given.Retired() {
		t.Errorf("held write is %v, cancelled one retired %v", held.State(), given.Retired())
	}
	release()
	if err := <-down; err != nil {
		t.Error(err)
	}
	if !held.Retired() || held.Err() != nil || !given.Retired() || u.workersNow() != 0 || u.helping || u.InFlight() != 0 {
		t.Errorf("held: %v, retired %v; cancelled: retired %v; %d workers, helper %v", held.Err(), held.Retired(), given.Retired(),
			u.workersNow(), u.helping)
	}
	if n := k.closes.Load(); n != 3 {
		t.Errorf("%d of the ring's parts are freed", n)
	}
	if err := u.Shutdown(); err != nil || k.closes.Load() != 3 || u.Poll() != 0 {
		t.Errorf("second Shutdown: %v, %d freed", err, k.closes.Load())
	}
	var yield Completion
	yield.ArmYield("a test")
	done := u.waitFor(context.Background(), &yield)
	u.rouse()
	yield.Finish(0, nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Goroutines submit, wait, cancel, leave and forget in every order, on memory that the collector keeps moving through.
func TestUringStorm(t *testing.T) {
	t.Run("kernel", func(t *testing.T) {
		u, f := ringFile(t, 4, fill('a', 1<<16))
		ringStorm(t, u, f)
	})
	t.Run("alone too", func(t *testing.T) {
		u, f := ringFile(t, 16, fill('a', 1<<16))
		u.lone = true
		ringStorm(t, u, f)
	})
	t.Run("fake", func(t *testing.T) {
		u, k, f := fakeRingFile(t, 4, fill('a', 1<<16))
		rng := rand.New(rand.NewPCG(9, 9))
		k.do(func() {
			k.short = 70
			k.enterErr = func(uint32, uint32) error {
				if rng.IntN(5) == 0 {
					return []unix.Errno{unix.EINTR, unix.EAGAIN, unix.EBUSY}[rng.IntN(3)]
				}
				return nil
			}
			k.result = func(*ringEntry) int32 {
				if rng.IntN(5) == 0 {
					return -int32([]unix.Errno{unix.EINTR, unix.EAGAIN, unix.ECANCELED}[rng.IntN(3)])
				}
				return 0
			}
		})
		ringStorm(t, u, f)
	})
}

func ringStorm(t *testing.T, u *uring, f File) {
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	var wg sync.WaitGroup
	var failed atomic.Bool
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 2))
			for range 60 {
				if failed.Load() {
					return
				}
				cs := make([]Completion, 1+rng.IntN(8))
				bufs := make([][]byte, len(cs))
				for i := range cs {
					switch rng.IntN(9) {
					case 0:
						u.Timer(&cs[i], int64(rng.IntN(200_000)))
					case 1:
						u.Stat(&cs[i], &Lookup{Path: f.Name()})
					case 2:
						f.Write(&cs[i], [][]byte{fill('a', 10), nil, fill('a', 90)}, int64(rng.IntN(1<<15)))
					case 3:
						f.Sync(&cs[i])
					default:
						bufs[i] = make([]byte, 100)
						f.Read(&cs[i], bufs[i], int64(rng.IntN(1<<15)))
					}
				}
				for i := range cs {
					switch rng.IntN(5) {
					case 0:
						cs[i].Cancel()
					case 1:
						if err := u.Wait(context.Background(), &cs[i]); err != nil {
							t.Error(err)
						}
					case 2:
						ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(100))*time.Microsecond)
						u.Wait(ctx, &cs[i])
						cancel()
					case 3:
						u.Poll()
					}
				}
				for i := range cs {
					for start := time.Now(); !cs[i].Retired(); runtime.Gosched() {
						if time.Since(start) > 30*time.Second {
							failed.Store(true)
							t.Errorf("%v is %v and not retired", cs[i].Kind(), cs[i].State())
							return
						}
					}
					if err := cs[i].Err(); err != nil && !errors.Is(err, ErrCancelled) {
						t.Error(err)
					}
					if bufs[i] != nil && cs[i].State() == Succeeded && !bytes.Equal(bufs[i], fill('a', 100)) {
						t.Errorf("read brings %q", bufs[i])
					}
				}
			}
		})
	}
	wg.Wait()
	if n := u.InFlight(); n != 0 && !failed.Load() {
		t.Errorf("%d in flight", n)
	}
}
