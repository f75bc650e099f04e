package iotest

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/pawldb/pawl/io"
)

// background waits for c on a goroutine of its own; an event loop may start an I/O only when somebody waits.
func (h *harness) background(c *io.Completion) <-chan error {
	done := make(chan error, 1)
	go func() { done <- h.IO.Wait(context.Background(), c) }()
	return done
}

func testCancelAtOnce(h *harness) {
	f := h.create("f", pattern(1, 4096))
	var reads [40]io.Completion
	var bufs [40][64]byte
	for i := range reads {
		f.Read(&reads[i], bufs[i][:], int64(i*64))
		reads[i].Cancel()
		if !reads[i].Done() {
			h.Fatalf("read %d is %v after Cancel", i, reads[i].State())
		}
	}
	for i := range reads {
		h.wait(&reads[i])
		h.retired(&reads[i])
		switch c := &reads[i]; c.State() {
		case io.Cancelled:
			if !errors.Is(c.Err(), io.ErrCancelled) {
				h.Errorf("cancelled read ends with %v", c.Err())
			}
		case io.Succeeded: // it was faster
			if !bytes.Equal(bufs[i][:], pattern(1, 4096)[i*64:i*64+64]) {
				h.Errorf("read %d succeeded with wrong bytes", i)
			}
		default:
			h.Errorf("read %d is %v, %v", i, c.State(), c.Err())
		}
		clear(bufs[i][:]) // retired: the buffer is ours
		reads[i].Reset()
	}
	h.write(f, 0, pattern(2, 4096))
	for i := range bufs {
		if bufs[i] != [64]byte{} {
			h.Errorf("buffer %d was written after the retirement of its read", i)
		}
	}
	h.close(f)
}

func testCancelUnderWay(h *harness) {
	if h.Hold == nil {
		h.Skip("the backend can't hold I/O")
	}
	f := h.create("f", pattern(1, 4096))
	for _, write := range []bool{false, true} {
		hold := h.Hold()
		var c io.Completion
		var calls, retirements atomic.Int32
		c.OnDone(func(*io.Completion) { calls.Add(1) })
		c.OnRetire(func(*io.Completion) { retirements.Add(1) })
		buf := pattern(3, 512)
		if write {
			f.Write(&c, [][]byte{buf}, 1024)
		} else {
			f.Read(&c, buf, 1024)
		}
		done := h.background(&c)
		hold.Started()
		if !c.Cancel() || c.State() != io.Cancelled || calls.Load() != 1 {
			h.Errorf("write %v: after Cancel it is %v, %d callbacks", write, c.State(), calls.Load())
		}
		if c.Retired() || retirements.Load() != 0 || h.IO.InFlight() == 0 {
			h.Errorf("write %v: retired while it is under way", write)
		}
		hold.Release()
		h.retired(&c)
		h.eventually(func() bool { return retirements.Load() == 1 }, "no retirement callback")
		if err := <-done; err != nil {
			h.Errorf("write %v: wait: %v", write, err)
		}
		clear(buf)
		if c.State() != io.Cancelled || calls.Load() != 1 {
			h.Errorf("write %v: at the end it is %v, %d callbacks", write, c.State(), calls.Load())
		}
		got := h.read(f, 1024, 512)
		if !bytes.Equal(got, pattern(1, 4096)[1024:1536]) && (!write || !bytes.Equal(got, pattern(3, 512))) {
			h.Errorf("write %v: file holds neither the old nor the new bytes", write)
		}
		if !bytes.Equal(buf, make([]byte, 512)) {
			h.Errorf("write %v: buffer was touched after retirement", write)
		}
		c.Reset()
	}
	h.close(f)
}

func testCancelAfterEnd(h *harness) {
	f := h.create("f", pattern(1, 64))
	var c io.Completion
	buf := make([]byte, 64)
	f.Read(&c, buf, 0)
	h.wait(&c)
	h.retired(&c)
	if c.Cancel() || c.State() != io.Succeeded || c.Err() != nil {
		h.Errorf("cancel of a read that has ended: %v, %v", c.State(), c.Err())
	}
	h.close(f)
}

func testCloseWaits(h *harness) {
	if h.Hold == nil {
		h.Skip("the backend can't hold I/O")
	}
	f := h.create("f", pattern(1, 4096))
	hold := h.Hold()
	var write, closing, refused io.Completion
	f.Write(&write, [][]byte{pattern(2, 4096)}, 0)
	waited := h.background(&write)
	hold.Started()
	f.Close(&closing)
	closed := h.background(&closing)
	f.Read(&refused, make([]byte, 1), 0)
	h.wait(&refused)
	if !errors.Is(refused.Err(), io.ErrClosed) {
		h.Errorf("read behind a close: %v", refused.Err())
	}
	h.IO.Poll()
	if closing.Done() || write.Done() {
		h.Errorf("close is %v, the write under way is %v", closing.State(), write.State())
	}
	var early atomic.Bool
	closing.OnDone(func(*io.Completion) { early.Store(!write.Done()) })
	hold.Release()
	for _, done := range []<-chan error{waited, closed} {
		if err := <-done; err != nil {
			h.Error(err)
		}
	}
	if write.Err() != nil || closing.Err() != nil || early.Load() {
		h.Errorf("write %v, close %v, close first %v", write.Err(), closing.Err(), early.Load())
	}
	h.retired(&closing)
	h.retired(&refused)
	h.retired(&write)
	f = h.open("f", 0)
	if !bytes.Equal(h.read(f, 0, 4096), pattern(2, 4096)) {
		h.Error("the write that the close waited for is not there")
	}
	h.close(f)
}

func testClosedFile(h *harness) {
	f := h.create("f", pattern(1, 64))
	h.close(f)
	for name, submit := range map[string]func(c *io.Completion){
		"read":     func(c *io.Completion) { f.Read(c, make([]byte, 1), 0) },
		"write":    func(c *io.Completion) { f.Write(c, [][]byte{{1}}, 0) },
		"sync":     f.Sync,
		"truncate": func(c *io.Completion) { f.Truncate(c, 0) },
		"lock":     func(c *io.Completion) { f.Lock(c, false) },
	} {
		if err := h.end(submit); !errors.Is(err, io.ErrClosed) {
			h.Errorf("%s of a closed file: %v", name, err)
		}
	}
}

func testSharedRead(h *harness) {
	f := h.create("f", pattern(1, 4096))
	for range 50 {
		var c io.Completion
		buf := make([]byte, 4096)
		f.Read(&c, buf, 0)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := h.IO.Wait(context.Background(), &c); err != nil || c.Err() != nil || !bytes.Equal(buf, pattern(1, 4096)) {
					h.Errorf("waiter of a shared read: %v, %v", err, c.Err())
				}
			})
		}
		wg.Wait()
		h.retired(&c)
	}
	h.close(f)
}

func testCallbacks(h *harness) {
	f := h.create("f", pattern(1, 4096))
	for late := range 2 {
		var c io.Completion
		var done, retired atomic.Int32
		set := func() {
			c.OnDone(func(*io.Completion) { done.Add(1) })
			c.OnRetire(func(*io.Completion) { retired.Add(1 + 100*(1-done.Load())) })
		}
		if late == 0 {
			set()
		}
		f.Read(&c, make([]byte, 100), 0)
		h.wait(&c)
		h.retired(&c)
		if late == 1 {
			set()
		}
		h.eventually(func() bool { return done.Load() != 0 && retired.Load() != 0 }, "callback missing")
		c.Cancel()
		c.Finish(0, errors.New("late"))
		if done.Load() != 1 || retired.Load() != 1 {
			h.Errorf("set after the end %v: %d calls, retirement %d", late == 1, done.Load(), retired.Load())
		}
	}
	h.close(f)
}

func testCallbackSubmits(h *harness) {
	f := h.create("f", pattern(1, 4096))
	var all io.Completion
	all.ArmYield("the chain of callbacks")
	var chain [60]io.Completion
	var buf [64]byte
	var lookup io.Lookup
	lookup.Path = h.name("f")
	var submit func(i int)
	submit = func(i int) {
		chain[i].OnDone(func(c *io.Completion) {
			h.IO.InFlight() // would hang under the backend's lock
			h.IO.Now()
			if c.Err() != nil || i == len(chain)-1 {
				all.Finish(0, c.Err())
				return
			}
			submit(i + 1)
		})
		switch i % 4 {
		case 0:
			f.Read(&chain[i], buf[:], int64(i))
		case 1:
			f.Write(&chain[i], [][]byte{buf[:]}, int64(i-1))
		case 2:
			h.IO.Stat(&chain[i], &lookup)
		case 3:
			f.Sync(&chain[i])
		}
	}
	submit(0)
	h.wait(&all)
	if all.Err() != nil {
		h.Error(all.Err())
	}
	for i := range chain {
		h.retired(&chain[i])
	}
	if !bytes.Equal(h.read(f, 0, 64), pattern(1, 4096)[:64]) {
		h.Error("content differs at the end of the chain")
	}
	h.close(f)
}

func testCallbackOnFailure(h *harness) {
	f := h.create("f", nil)
	var c io.Completion
	var calls atomic.Int32
	c.OnDone(func(c *io.Completion) {
		if errors.Is(c.Err(), io.ErrShortRead) {
			calls.Add(1)
		}
	})
	f.Read(&c, make([]byte, 1), 0)
	h.wait(&c)
	h.retired(&c)
	if calls.Load() != 1 {
		h.Errorf("callback of a failed read ran %d times", calls.Load())
	}
	h.close(f)
}

func testGroup(h *harness) {
	f := h.create("f", nil)
	var g io.CompletionGroup
	var cs [64]io.Completion
	var bufs [64][512]byte
	for round := range 4 {
		for i := range bufs {
			copy(bufs[i][:], pattern(round*100+i, 512))
		}
		for _, write := range []bool{true, false} {
			g.Start("the pages")
			for i := range cs {
				if i%2 == 0 {
					g.Add(&cs[i])
				}
				if write {
					f.Write(&cs[i], [][]byte{bufs[i][:]}, int64(i*512))
				} else {
					f.Read(&cs[i], bufs[i][:], int64(i*512))
				}
				if i%2 == 1 {
					g.Add(&cs[i])
				}
			}
			g.Build()
			h.wait(g.Completion())
			h.retired(g.Completion())
			if err := g.Completion().Err(); err != nil {
				h.Fatal(err)
			}
			for i := range cs {
				if !cs[i].Retired() || cs[i].N() != 512 || !bytes.Equal(bufs[i][:], pattern(round*100+i, 512)) {
					h.Fatalf("round %d, write %v, child %d: %v, n %d", round, write, i, cs[i].State(), cs[i].N())
				}
				cs[i].Reset()
				if write {
					clear(bufs[i][:])
				}
			}
			g.Reset()
		}
	}
	h.close(f)
}

func testGroupCancel(h *harness) {
	f := h.create("f", pattern(1, 4096))
	for when := range 3 {
		var g io.CompletionGroup
		var cs [20]io.Completion
		g.Start("reads to cancel")
		for i := range cs {
			if when == 0 && i == 10 {
				g.Cancel()
			}
			f.Read(&cs[i], make([]byte, 64), int64(i*64))
			g.Add(&cs[i])
		}
		if when == 1 {
			g.Cancel()
		}
		g.Build()
		if when == 2 {
			g.Cancel()
		}
		h.wait(g.Completion())
		h.retired(g.Completion())
		for i := range cs {
			if !cs[i].Retired() || cs[i].State() == io.Failed {
				h.Errorf("child %d is %v, %v; retired %v", i, cs[i].State(), cs[i].Err(), cs[i].Retired())
			}
		}
		if err := g.Completion().Err(); err != nil && !errors.Is(err, io.ErrCancelled) {
			h.Errorf("cancelled group: %v", err)
		}
	}
	h.close(f)
}

func testGroupFailure(h *harness) {
	f := h.create("f", pattern(1, 4096))
	var g io.CompletionGroup
	var cs [10]io.Completion
	g.Start("reads, one past the end")
	for i := range cs {
		g.Add(&cs[i])
		offset := int64(i * 64)
		if i == 5 {
			offset = 4090
		}
		f.Read(&cs[i], make([]byte, 64), offset)
	}
	g.Build()
	h.wait(g.Completion())
	h.retired(g.Completion())
	if err := g.Completion().Err(); !errors.Is(err, io.ErrShortRead) {
		h.Errorf("group with a failed child: %v", err)
	}
	for i := range cs {
		if (cs[i].Err() != nil) != (i == 5) {
			h.Errorf("child %d: %v", i, cs[i].Err())
		}
	}
	h.close(f)
}

func testHammer(h *harness) {
	const region = 8192
	f := h.create("f", nil)
	h.must(func(c *io.Completion) { f.Truncate(c, 16*region) })
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			var c, extra io.Completion
			base := int64(worker * region)
			buf := make([]byte, region)
			scrap := make([]byte, 128)
			reuse := func(c *io.Completion) {
				for h.IO.Wait(context.Background(), c); !c.Retired(); runtime.Gosched() {
					h.IO.Poll()
				}
			}
			for round := range 40 {
				want := pattern(worker*1000+round, region)
				f.Write(&c, [][]byte{want[:100], want[100:]}, base)
				reuse(&c)
				if c.Err() != nil {
					h.Errorf("worker %d: %v", worker, c.Err())
					return
				}
				c.Reset()
				f.Read(&extra, scrap, base)
				extra.Cancel()
				if round%8 == worker%8 {
					f.Sync(&c)
					reuse(&c)
					c.Reset()
				}
				f.Read(&c, buf, base)
				reuse(&c)
				if c.Err() != nil || !bytes.Equal(buf, want) {
					h.Errorf("worker %d, round %d: read differs, %v", worker, round, c.Err())
					return
				}
				c.Reset()
				reuse(&extra)
				extra.Reset()
			}
		})
	}
	wg.Wait()
	h.close(f)
}

func testPoll(h *harness) {
	f := h.create("f", pattern(1, 4096))
	h.IO.Poll()
	var cs [8]io.Completion
	for i := range cs {
		f.Read(&cs[i], make([]byte, 64), int64(i))
	}
	for i := range cs {
		h.retired(&cs[i]) // by polling alone
		if cs[i].Err() != nil {
			h.Error(cs[i].Err())
		}
	}
	h.close(f)
}

func testWaitContext(h *harness) {
	var c io.Completion
	c.ArmYield("a test")
	ctx, cancel := context.WithCancel(context.Background())
	go cancel()
	if err := h.IO.Wait(ctx, &c); !errors.Is(err, context.Canceled) {
		h.Errorf("wait under a context that ends: %v", err)
	}
	if c.Done() {
		h.Error("the end of a wait's context resolved the completion")
	}
	c.Finish(0, nil)
	if err := h.IO.Wait(ctx, &c); err != nil {
		h.Errorf("wait for what has resolved: %v", err)
	}
}

func testWaitHeldContext(h *harness) {
	if h.Hold == nil {
		h.Skip("the backend can't hold I/O")
	}
	f := h.create("f", pattern(1, 4096))
	hold := h.Hold()
	var c io.Completion
	buf := make([]byte, 4096)
	f.Read(&c, buf, 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.IO.Wait(ctx, &c); !errors.Is(err, context.Canceled) || c.Done() {
		h.Errorf("wait for a held read: %v, it is %v", err, c.State())
	}
	hold.Release()
	h.wait(&c)
	h.retired(&c)
	if c.Err() != nil || !bytes.Equal(buf, pattern(1, 4096)) {
		h.Errorf("read that went on without its waiter: %v", c.Err())
	}
	h.close(f)
}

func testWaitYield(h *harness) {
	f := h.create("f", pattern(1, 64))
	for range 100 {
		var yield, read io.Completion
		yield.ArmYield("another goroutine")
		done := make([]<-chan error, 4)
		for i := range done {
			done[i] = h.background(&yield)
		}
		f.Read(&read, make([]byte, 64), 0)
		h.wait(&read)
		h.retired(&read)
		yield.Finish(0, nil)
		for _, d := range done {
			if err := <-d; err != nil {
				h.Fatal(err)
			}
		}
	}
	h.close(f)
}
