package iotest

import (
	"bytes"
	"errors"
	"sync/atomic"

	"github.com/pawldb/pawl/io"
)

func testTimer(h *harness) {
	const nanos = 2_000_000
	start := h.IO.Now()
	var c, zero io.Completion
	var calls atomic.Int32
	c.OnDone(func(*io.Completion) { calls.Add(1) })
	h.IO.Timer(&c, nanos)
	if h.Advance != nil {
		h.Advance(nanos - 1)
		if c.Done() {
			h.Error("timer finished early")
		}
		h.Advance(1)
	}
	h.wait(&c)
	h.retired(&c)
	if passed := h.IO.Now() - start; passed < nanos || c.Err() != nil || calls.Load() != 1 {
		h.Errorf("timer of %d ns finished after %d, %v, %d callbacks", nanos, passed, c.Err(), calls.Load())
	}
	h.IO.Timer(&zero, 0)
	h.wait(&zero)
	h.retired(&zero)
	if zero.Err() != nil {
		h.Errorf("timer of 0: %v", zero.Err())
	}
}

func testTimerCancel(h *harness) {
	var c io.Completion
	for range 3 {
		h.IO.Timer(&c, 3_600_000_000_000)
		if c.Done() || h.IO.InFlight() != 1 {
			h.Errorf("timer of an hour is %v, %d in flight", c.State(), h.IO.InFlight())
		}
		if !c.Cancel() || !errors.Is(c.Err(), io.ErrCancelled) {
			h.Errorf("cancel of a timer: %v, %v", c.State(), c.Err())
		}
		h.retired(&c)
		c.Reset()
	}
}

func testClock(h *harness) {
	last := h.IO.Now()
	for range 1000 {
		now := h.IO.Now()
		if now < last {
			h.Fatalf("clock went from %d back to %d", last, now)
		}
		last = now
	}
}

func testRandom(h *harness) {
	seen := map[string]bool{}
	for range 20 {
		buf := bytes.Repeat([]byte{0}, 33)
		h.IO.Random(buf)
		seen[string(buf[:16])], seen[string(buf[17:])] = true, true
	}
	if len(seen) != 40 {
		h.Errorf("40 draws of 16 random bytes gave %d values", len(seen))
	}
}

func testShutdown(h *harness) {
	f := h.create("f", pattern(1, 64))
	if err := h.IO.Shutdown(); err != nil {
		h.Fatal(err)
	}
	if n := h.IO.InFlight(); n != 0 {
		h.Errorf("%d in flight after Shutdown", n)
	}
	for name, submit := range map[string]func(c *io.Completion){
		"open":   func(c *io.Completion) { h.IO.Open(c, &io.Opening{Path: h.name("f")}) },
		"stat":   func(c *io.Completion) { h.IO.Stat(c, &io.Lookup{Path: h.name("f")}) },
		"remove": func(c *io.Completion) { h.IO.Remove(c, h.name("f")) },
		"timer":  func(c *io.Completion) { h.IO.Timer(c, 1) },
		"read":   func(c *io.Completion) { f.Read(c, make([]byte, 1), 0) },
	} {
		if err := h.end(submit); !errors.Is(err, io.ErrClosed) {
			h.Errorf("%s after Shutdown: %v", name, err)
		}
	}
}

func testShutdownWaits(h *harness) {
	if h.Hold == nil {
		h.Skip("the backend can't hold I/O")
	}
	f := h.create("f", pattern(1, 64))
	hold := h.Hold()
	var write io.Completion
	f.Write(&write, [][]byte{pattern(2, 64)}, 0)
	waited := h.background(&write)
	hold.Started()
	var retiredFirst atomic.Bool
	down := make(chan error, 1)
	go func() {
		err := h.IO.Shutdown()
		retiredFirst.Store(write.Retired())
		down <- err
	}()
	hold.Release()
	if err := <-down; err != nil {
		h.Error(err)
	}
	if err := <-waited; err != nil {
		h.Error(err)
	}
	if !retiredFirst.Load() || write.Err() != nil {
		h.Errorf("Shutdown returned with the write retired %v, %v", retiredFirst.Load(), write.Err())
	}
}
