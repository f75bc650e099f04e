package io

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
	u.withWorkers(4, never) // nobody else finds a leader
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
			soon(t, "a read", func() bool {
				u.Poll() // nobody may wait for it
				return cs[i].Retired()
			})
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

// The helper gives the lead to the first that follows, and ends.
func TestUringHelperEnds(t *testing.T) {
	u, _ := ringFile(t, 8, nil)
	a, writeA := ringPipe(t, u)
	b, writeB := ringPipe(t, u)
	var first, second Completion
	a.Read(&first, make([]byte, 1), 0)
	helping := func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.helping && u.leading && u.entering > 0
	}
	soon(t, "the helper", helping)
	b.Read(&second, make([]byte, 1), 0)
	done := u.waitFor(context.Background(), &second)
	soonSleeping(t, u, 0)
	soon(t, "two requests with the kernel", func() bool { return u.inKernel() == 2 })
	writeA()
	soon(t, "the end of the helper", func() bool { return first.Retired() && !helping() })
	soonSleeping(t, u, 0)
	writeB()
	if err := <-done; err != nil || second.Err() != nil {
		t.Error(err, second.Err())
	}
}

// Who has left the kernel is not woken there any more.
func TestRingWaiterRouse(t *testing.T) {
	roused := 0
	rouse := func() { roused++ }
	w := newRingWaiter()
	if !w.setRouse(rouse) || w.over() {
		t.Error("over before it was woken")
	}
	w.wakeAll()
	if roused != 1 || !w.over() || w.setRouse(rouse) {
		t.Errorf("roused %d times, over %v", roused, w.over())
	}
	w.clearRouse()
	w.wakeAll()
	w.quit()
	if roused != 1 {
		t.Errorf("roused %d times", roused)
	}
	w = newRingWaiter()
	w.setRouse(rouse)
	w.quit()
	if roused != 2 || !w.over() {
		t.Errorf("roused %d times, over %v", roused, w.over())
	}
}

// A callback's I/O is not forgotten, whoever ran the callback, and goes on without the watch.
func TestUringCallbackSubmits(t *testing.T) {
	for name, lone := range map[string]bool{"ring": false, "alone": true} {
		t.Run(name, func(t *testing.T) {
			u, f := ringFile(t, 8, fill('a', 64))
			u.lone = lone
			u.withWorkers(4, never)
			var timer, first, second, third, stat, last, awaited, other Completion
			buf := make([]byte, 6)
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
			awaited.OnDone(func(*Completion) { f.Read(&other, buf[5:], 0) })
			f.Read(&awaited, buf[4:5], 0)
			if err := ringWait(t, u, &awaited); err != nil {
				t.Error(err)
			}
			soon(t, "the read that a waiter's callback submitted", other.Retired)
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

// Shutdown keeps the ring for as long as somebody is in there.
func TestUringShutdownWaitsForEnter(t *testing.T) {
	_, k := NewFakeUring(6, 4)
	u := k.U
	in, out := make(chan struct{}), make(chan struct{})
	k.do(func() {
		k.enterErr = func(uint32, uint32) error {
			close(in)
			<-out
			return nil
		}
	})
	roused := make(chan struct{})
	go func() {
		u.rouse()
		close(roused)
	}()
	<-in
	down := make(chan error)
	go func() { down <- u.Shutdown() }()
	soon(t, "the end of the ring", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.dead
	})
	for range 100 {
		runtime.Gosched()
	}
	if n := k.closes.Load(); n != 0 {
		t.Errorf("%d of the ring's parts are freed under a call", n)
	}
	close(out)
	<-roused
	if err := <-down; err != nil || k.closes.Load() != 3 {
		t.Errorf("%v, %d of the ring's parts are freed", err, k.closes.Load())
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
