package io

import (
	"errors"
	"io/fs"
	"math"
	"runtime"
	"sync/atomic"
)

// systemFile is one open of a file of the operating system.
type systemFile struct {
	s        *system
	h        handle
	name     string // absolute, links resolved
	id       FileID
	writable bool

	active  atomic.Int64 // requests other than a close; see system
	closing atomic.Bool  // Close was submitted; set under system.mu
	closer  *Completion  // the close that waits for active to be 0; guarded by system.mu

	held lockMode // guarded by systemLocks.mu
}

// Name returns the absolute path of the file, links resolved.
func (f *systemFile) Name() string { return f.name }

// Read fills buf from the file at offset.
func (f *systemFile) Read(c *Completion, buf []byte, offset int64) {
	r := f.arm(c, KindRead, opRead)
	r.Buf, r.Offset = buf, offset
	f.s.submit(c, f)
}

// Write writes the buffers one after the other at offset.
func (f *systemFile) Write(c *Completion, bufs [][]byte, offset int64) {
	r := f.arm(c, KindWrite, opWrite)
	r.Bufs, r.Offset = bufs, offset
	f.s.submit(c, f)
}

// Sync makes what has finished so far durable.
func (f *systemFile) Sync(c *Completion) {
	f.arm(c, KindSync, opSync)
	f.s.submit(c, f)
}

// Truncate sets the size.
func (f *systemFile) Truncate(c *Completion, size int64) {
	f.arm(c, KindTruncate, opTruncate).Offset = size
	f.s.submit(c, f)
}

// Lock takes the file's lock if it is free.
func (f *systemFile) Lock(c *Completion, exclusive bool) {
	r := f.arm(c, KindOpen, opLock)
	if exclusive {
		r.Offset = 1
	}
	f.s.submit(c, f)
}

// Close finishes when all I/O of f is retired and the file is closed. It can't be stopped: a cancel only resolves it.
func (f *systemFile) Close(c *Completion) {
	f.arm(c, KindOpen, opClose)
	f.s.submit(c, f)
}

func (f *systemFile) arm(c *Completion, kind Kind, code uint8) *Request {
	c.ArmSubmitted(kind, f.name)
	r := &c.Request
	r.Canceller, r.File, r.Op = f.s, f, code
	if f.s.path != nil {
		r.Canceller = f.s.path
	}
	return r
}

// total returns the number of bytes in bufs.
func total(bufs [][]byte) int64 {
	n := int64(0)
	for _, b := range bufs {
		n += int64(len(b))
	}
	return n
}

// read fills buf, in as many calls as that takes.
func (f *systemFile) read(buf []byte, offset int64) error {
	if offset < 0 || offset > math.MaxInt64-int64(len(buf)) {
		return fs.ErrInvalid
	}
	for len(buf) > 0 {
		n, err := f.s.calls.pread(f.h, buf[:min(len(buf), maxTransfer)], offset)
		switch {
		case err != nil && interrupted(err):
			runtime.Gosched()
			continue
		case err != nil:
			return err
		case n == 0:
			return ErrShortRead
		}
		buf, offset = buf[n:], offset+int64(n)
	}
	return nil
}

// errNoProgress means that the system took no byte of a write and gave no reason.
var errNoProgress = errors.New("io: write made no progress")

// write writes length bytes, which are all that bufs holds, in as many calls as that takes. It leaves bufs as it is.
func (f *systemFile) write(bufs [][]byte, offset, length int64) error {
	switch {
	case offset < 0 || offset > math.MaxInt64-length:
		return fs.ErrInvalid
	case !f.writable:
		return ErrReadOnly
	}
	skip := 0 // bytes of the first buffer that are written
	for length > 0 {
		for skip == len(bufs[0]) {
			bufs, skip = bufs[1:], 0
		}
		var n int
		var err error
		if vector := vectorOf(bufs, maxVector, maxTransfer); skip == 0 && len(vector) > 1 && f.s.calls.pwritev != nil {
			n, err = f.s.calls.pwritev(f.h, vector, offset)
		} else {
			rest := bufs[0][skip:]
			n, err = f.s.calls.pwrite(f.h, rest[:min(len(rest), maxTransfer)], offset)
		}
		switch {
		case err != nil && interrupted(err):
			runtime.Gosched()
			continue
		case err != nil:
			return err
		case n <= 0:
			return errNoProgress
		}
		offset, length = offset+int64(n), length-int64(n)
		for skip += n; len(bufs) > 0 && skip >= len(bufs[0]); bufs = bufs[1:] {
			skip -= len(bufs[0])
		}
	}
	return nil
}

// vectorOf returns as many of the first buffers as one call takes: up to most, which hold no more than limit bytes.
func vectorOf(bufs [][]byte, most, limit int) [][]byte {
	bufs = bufs[:min(len(bufs), most)]
	for i, b := range bufs {
		if len(b) > limit {
			return bufs[:i]
		}
		limit -= len(b)
	}
	return bufs
}

// sync makes the file durable. A handle for reading can't be flushed everywhere; it has nothing to flush.
func (f *systemFile) sync() error {
	err := repeat(func() error { return f.s.calls.sync(f.h) })
	if err != nil && !f.writable && errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// truncate sets the size. A growth that fails leaves the old one.
func (f *systemFile) truncate(size int64) error {
	switch {
	case size < 0:
		return fs.ErrInvalid
	case !f.writable:
		return ErrReadOnly
	}
	resize := func(size int64) error { return repeat(func() error { return f.s.calls.resize(f.h, size) }) }
	var info fileInfo
	var err error
	err = repeat(func() error { info, err = f.s.calls.describe(f.h); return err })
	if err != nil || size == info.size {
		return err
	}
	if size < info.size {
		return resize(size)
	}
	err = repeat(func() error { return f.s.calls.allocate(f.h, info.size, size) })
	if errors.Is(err, errors.ErrUnsupported) {
		err = f.fillZero(info.size, size)
	}
	if err != nil {
		// Best effort: the first error is the one that counts, and more size does no harm.
		resize(info.size)
	}
	return err
}

// zeroes is what files are filled with.
var zeroes [64 << 10]byte

// fillZero writes zeroes from one offset to another: on file systems that can't reserve space, writing takes it.
func (f *systemFile) fillZero(from, to int64) error {
	one := [1][]byte{}
	for from < to {
		one[0] = zeroes[:min(to-from, int64(len(zeroes)))]
		if err := f.write(one[:], from, int64(len(one[0]))); err != nil {
			return err
		}
		from += int64(len(one[0]))
	}
	return nil
}

// release gives up the lock and closes the handle. Nothing of f is under way.
func (f *systemFile) release() error {
	f.unlock()
	return f.s.calls.close(f.h)
}
