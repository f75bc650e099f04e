package iotest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/pawldb/pawl/io"
)

func testWriteReadBack(h *harness) {
	f := h.open("f", io.OpenWrite|io.OpenCreate)
	if f.Name() == "" {
		h.Error("open file has no name")
	}
	want := pattern(1, 100_000)
	h.write(f, 0, want)
	h.must(f.Sync)
	if !bytes.Equal(h.read(f, 0, len(want)), want) {
		h.Error("read differs from what was written")
	}
	if !bytes.Equal(h.read(f, 4097, 513), want[4097:4097+513]) {
		h.Error("unaligned read differs from what was written")
	}
	h.write(f, 777) // no bytes
	if got := h.read(f, 10, 0); len(got) != 0 {
		h.Errorf("empty read returned %d bytes", len(got))
	}
	h.close(f)
	again := h.open("f", 0)
	if !bytes.Equal(h.read(again, 0, len(want)), want) {
		h.Error("read after a reopen differs")
	}
	h.close(again)
}

func testVectoredWrite(h *harness) {
	f := h.create("f", nil)
	var bufs [][]byte
	for i := range 2500 { // more than systems take in one call
		bufs = append(bufs, pattern(i, i%7))
	}
	kept := slices.Concat(bufs...)
	h.write(f, 100, bufs...)
	if !bytes.Equal(h.read(f, 100, len(kept)), kept) {
		h.Error("read differs from the buffers written")
	}
	if !bytes.Equal(slices.Concat(bufs...), kept) {
		h.Error("a write changed its buffers")
	}
	h.close(f)
}

func testGrowByWrite(h *harness) {
	f := h.create("f", pattern(1, 10))
	h.write(f, 10_000, pattern(2, 10))
	if got := h.size("f"); got != 10_010 {
		h.Errorf("size %d, want 10010", got)
	}
	want := slices.Concat(pattern(1, 10), make([]byte, 9990), pattern(2, 10))
	if !bytes.Equal(h.read(f, 0, 10_010), want) {
		h.Error("the gap that a write leaves does not read as zeroes")
	}
	h.close(f)
}

func testTruncate(h *harness) {
	f := h.create("f", pattern(1, 9000))
	truncate := func(size int64) {
		h.must(func(c *io.Completion) { f.Truncate(c, size) })
		if got := h.size("f"); got != size {
			h.Errorf("size %d after a truncate to %d", got, size)
		}
	}
	truncate(5001)
	if !bytes.Equal(h.read(f, 0, 5001), pattern(1, 9000)[:5001]) {
		h.Error("truncate changed what it keeps")
	}
	truncate(20_000)
	want := slices.Concat(pattern(1, 9000)[:5001], make([]byte, 14_999))
	if !bytes.Equal(h.read(f, 0, 20_000), want) {
		h.Error("what a truncate adds does not read as zeroes")
	}
	truncate(0)
	truncate(10)
	if !bytes.Equal(h.read(f, 0, 10), make([]byte, 10)) {
		h.Error("old bytes show after truncates to 0 and up")
	}
	h.must(f.Sync)
	h.close(f)
}

func testShortRead(h *harness) {
	f := h.create("f", pattern(1, 100))
	for _, at := range []struct {
		offset int64
		length int
	}{{0, 101}, {99, 2}, {100, 1}, {5000, 10}, {1 << 40, 1}} {
		err := h.end(func(c *io.Completion) { f.Read(c, make([]byte, at.length), at.offset) })
		var op *io.OpError
		if !errors.Is(err, io.ErrShortRead) || !errors.As(err, &op) {
			h.Errorf("read of %d bytes at %d: %v", at.length, at.offset, err)
			continue
		}
		if op.Op != io.KindRead || op.Offset != at.offset || op.Length != int64(at.length) || op.File != f.Name() {
			h.Errorf("read of %d bytes at %d: error names %v %s %d %d", at.length, at.offset, op.Op, op.File, op.Offset,
				op.Length)
		}
	}
	if !bytes.Equal(h.read(f, 0, 100), pattern(1, 100)) {
		h.Error("content differs after short reads")
	}
	h.close(f)
}

func testOverlapping(h *harness) {
	f := h.create("f", nil)
	h.write(f, 0, pattern(1, 1000))
	h.write(f, 500, pattern(2, 1000))
	h.write(f, 250, pattern(3, 500), pattern(4, 100))
	want := slices.Concat(pattern(1, 1000)[:250], pattern(3, 500), pattern(4, 100), pattern(2, 1000)[350:])
	if !bytes.Equal(h.read(f, 0, 1500), want) {
		h.Error("overlapping writes, one after the other, left something else than the last of each byte")
	}
	// Many reads of overlapping ranges at a time.
	reads := make([]io.Completion, 50)
	bufs := make([][]byte, len(reads))
	for i := range reads {
		bufs[i] = make([]byte, 700)
		f.Read(&reads[i], bufs[i], int64(i*16))
	}
	for i := range reads {
		h.wait(&reads[i])
		if reads[i].Err() != nil || !bytes.Equal(bufs[i], want[i*16:i*16+700]) {
			h.Errorf("read %d of many: %v", i, reads[i].Err())
		}
	}
	h.close(f)
}

// randomRun does steps random changes of f, waits for each, and compares with a byte slice.
func (h *harness) randomRun(f io.File, seed uint64, steps int) {
	h.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	var model []byte
	resize := func(size int) {
		model = append(model[:min(size, len(model)):min(size, len(model))], make([]byte, max(0, size-len(model)))...)
	}
	for step := range steps {
		offset, length := rng.IntN(20_000), rng.IntN(9000)
		switch rng.IntN(5) {
		case 0, 1:
			b := pattern(step, length)
			cut := rng.IntN(length + 1)
			h.write(f, int64(offset), b[:cut], b[cut:])
			if length > 0 {
				resize(max(len(model), offset+length))
				copy(model[offset:], b)
			}
		case 2:
			h.must(func(c *io.Completion) { f.Truncate(c, int64(offset)) })
			resize(offset)
		case 3:
			h.must(f.Sync)
		case 4:
			if offset+length <= len(model) && !bytes.Equal(h.read(f, int64(offset), length), model[offset:offset+length]) {
				h.Fatalf("seed %d, step %d: read of %d bytes at %d differs", seed, step, length, offset)
			}
		}
	}
	if !bytes.Equal(h.read(f, 0, len(model)), model) {
		h.Fatalf("seed %d: content differs at the end", seed)
	}
}

func testRandomAgainstModel(h *harness) {
	for seed := range uint64(5) {
		f := h.open("f", io.OpenWrite|io.OpenCreate)
		h.must(func(c *io.Completion) { f.Truncate(c, 0) })
		h.randomRun(f, seed, 100)
		h.close(f)
	}
}

func testShortTransfers(h *harness) {
	if h.Short == nil {
		h.Skip("the backend can't make transfers short")
	}
	f := h.create("f", nil)
	for _, n := range []int{1000, 511, 37} {
		h.Short(n)
		h.randomRun(f, uint64(n), 40)
		h.Short(0)
		h.must(func(c *io.Completion) { f.Truncate(c, 0) })
	}
	h.Short(1)
	h.write(f, 3, pattern(1, 20), nil, pattern(2, 1), pattern(3, 9))
	got := h.read(f, 3, 30)
	err := h.end(func(c *io.Completion) { f.Read(c, make([]byte, 10), 30) })
	h.Short(0)
	if want := slices.Concat(pattern(1, 20), pattern(2, 1), pattern(3, 9)); !bytes.Equal(got, want) {
		h.Errorf("byte by byte: %x, want %x", got, want)
	}
	if !errors.Is(err, io.ErrShortRead) {
		h.Errorf("read past the end, byte by byte: %v", err)
	}
	h.close(f)
}

func testInterrupted(h *harness) {
	if h.Interrupt == nil {
		h.Skip("the backend makes no system calls that can be interrupted")
	}
	f := h.create("f", pattern(1, 5000))
	for n := 1; n <= 5; n++ {
		h.Interrupt(n)
		h.write(f, int64(n), pattern(n, 3000), pattern(n+1, 100))
		h.Interrupt(n)
		if !bytes.Equal(h.read(f, int64(n), 3100), slices.Concat(pattern(n, 3000), pattern(n+1, 100))) {
			h.Errorf("content differs after %d interruptions", n)
		}
		h.Interrupt(n)
		h.must(f.Sync)
		h.Interrupt(n)
		h.must(func(c *io.Completion) { f.Truncate(c, int64(5000+n)) })
		h.Interrupt(n)
		h.must(func(c *io.Completion) { h.IO.SyncDir(c, f.Name()) })
	}
	h.Interrupt(0)
	h.close(f)
}
