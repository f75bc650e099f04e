package flight

import (
	"sync/atomic"

	"github.com/pawldb/pawl/io"
)

// file is a file that is open through the recorder, however often.
type file struct {
	id    io.FileID
	name  string // of its first open, links resolved
	size  int64  // as far as it is known
	opens int

	known   atomic.Bool // its content is in the recording, or can't be
	image   *imaging    // is being taken
	held    []*held     // what waits for the image
	extents extents     // with Options.History
}

// handle is an open file.
type handle struct {
	rec    *Recorder
	inner  io.File
	f      *file
	number uint32
	flags  io.OpenFlag
	locked bool // guarded by the recorder's mu
}

// opened1 returns the handle of a file that was opened. The caller holds r.mu.
func (r *Recorder) opened1(o *io.Opening) *handle {
	f := r.files[o.ID]
	if f == nil {
		f = &file{id: o.ID, name: o.Real, size: o.Size}
		f.known.Store(o.Flag&io.OpenExclusive != 0) // it is new
		r.files[o.ID] = f
	}
	f.opens++
	r.opened++
	h := &handle{rec: r, inner: o.File, f: f, number: r.opened, flags: o.Flag}
	r.handles[h.number] = h
	return h
}

// closed forgets a handle. The caller holds r.mu.
func (r *Recorder) closed(h *handle) {
	if r.handles[h.number] != h {
		return
	}
	delete(r.handles, h.number)
	if h.f.opens--; h.f.opens == 0 && r.files[h.f.id] == h.f {
		delete(r.files, h.f.id)
	}
}

// Name returns the path that the file was opened with, links resolved.
func (h *handle) Name() string { return h.inner.Name() }

// Read fills buf from the file at offset.
func (h *handle) Read(c *io.Completion, buf []byte, offset int64) {
	if !h.hold(c, Read, buf, nil, offset) {
		h.submit(c, Read, buf, nil, offset)
	}
}

// Write writes the buffers one after the other at offset.
func (h *handle) Write(c *io.Completion, bufs [][]byte, offset int64) {
	if !h.hold(c, Write, nil, bufs, offset) {
		h.submit(c, Write, nil, bufs, offset)
	}
}

// Truncate sets the size.
func (h *handle) Truncate(c *io.Completion, size int64) {
	if !h.hold(c, Truncate, nil, nil, size) {
		h.submit(c, Truncate, nil, nil, size)
	}
}

// Close finishes when all I/O of the file is retired and it is closed.
func (h *handle) Close(c *io.Completion) {
	if !h.hold(c, Close, nil, nil, 0) {
		h.submit(c, Close, nil, nil, 0)
	}
}

// Sync makes what has finished so far durable. It does not wait for an image: what does has not finished.
func (h *handle) Sync(c *io.Completion) {
	h.rec.record(c, op{code: Sync, h: h, offset: -1}, false)
	h.inner.Sync(c)
}

// Lock takes the file's lock if it is free.
func (h *handle) Lock(c *io.Completion, exclusive bool) {
	what := op{code: Lock, h: h, offset: -1}
	if exclusive {
		what.flags = 1
	}
	h.rec.record(c, what, false)
	h.inner.Lock(c, exclusive)
}

// submit records an I/O and hands it to the backend. offset is the size of a truncate.
func (h *handle) submit(c *io.Completion, code Code, buf []byte, bufs [][]byte, offset int64) {
	what := op{code: code, h: h, buf: buf, bufs: bufs, offset: offset, length: int64(len(buf))}
	for _, b := range bufs {
		what.length += int64(len(b))
	}
	switch code {
	case Read:
		h.rec.record(c, what, false)
		h.inner.Read(c, buf, offset)
	case Write:
		h.rec.record(c, what, true)
		h.inner.Write(c, bufs, offset)
	case Truncate:
		what.offset, what.length = 0, offset
		h.rec.record(c, what, true)
		h.inner.Truncate(c, offset)
	default:
		what.offset = -1
		h.rec.record(c, what, false)
		h.inner.Close(c)
	}
}
