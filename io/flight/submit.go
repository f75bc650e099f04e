package flight

import (
	"context"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
)

// op is an I/O under way.
type op struct {
	rec        *Recorder
	next, prev *op // among those under way; next alone among those that are not in use
	outer      io.Observer
	number     uint64
	code       Code
	flags      uint8
	h          *handle
	buf        []byte
	bufs       [][]byte
	offset     int64
	length     int64
	sum        uint64
	data       int64 // where the bytes of a write lie in the recording
	name       string
	text       string
	opening    *io.Opening
	lookup     *io.Lookup
}

// submitted appends the record of the submission. The caller holds rec.mu.
func (o *op) submitted(flags uint8) {
	e := Event{Kind: Submit, Op: o.number, Code: o.code, Flags: o.flags | flags, Offset: o.offset, Length: o.length, Name: o.name, Text: o.text}
	if o.h != nil {
		e.Handle, e.File = o.h.number, o.h.f.id
	}
	if o.code == Write {
		e.Sum = o.sum
		o.data = o.rec.add(&e, o.bufs...)
		return
	}
	o.rec.add(&e)
}

// sumOf returns the checksum of the bytes in bufs.
func sumOf(bufs [][]byte) uint64 {
	if len(bufs) == 1 {
		return xxhash.Sum64(bufs[0])
	}
	var h xxhash.Digest
	h.Reset()
	for _, b := range bufs {
		_, _ = h.Write(b)
	}
	return h.Sum64()
}

// Ended implements io.Observer.
func (o *op) Ended(c *io.Completion, n int, err error) {
	r := o.rec
	e := Event{Kind: End, Op: o.number, Code: o.code, Class: classOf(err), Length: int64(n), Offset: -1}
	o.look(&e, err)
	r.mu.Lock()
	if c.Done() {
		e.Flags |= Abandoned
	}
	if err != nil {
		e.Text = err.Error()
	}
	if o.h != nil {
		e.Handle, e.File = o.h.number, o.h.f.id
	}
	o.outcome(c, &e, err)
	r.add(&e)
	if r.opts.History > 0 && o.h != nil {
		o.h.f.note(o, err)
	}
	if o.code == Close {
		r.closed(o.h)
	}
	o.prev.next, o.next.prev = o.next, o.prev
	outer := o.outer
	*o = op{next: r.idle}
	r.idle = o
	r.rotate()
	r.mu.Unlock()
	if outer != nil {
		outer.Ended(c, n, err)
	}
}

// look puts into e what lies in the buffers, which are the recorder's to read until the I/O has ended.
func (o *op) look(e *Event, err error) {
	switch {
	case o.rec.stopped.Load():
	case o.code == Write:
		if e.Sum = sumOf(o.bufs); e.Sum != o.sum {
			e.Flags |= Changed
		}
	case o.code == Read && err == nil:
		e.Sum = xxhash.Sum64(o.buf)
		if o.rec.opts.ReadData {
			e.Flags |= HasData
			e.Data = o.buf
		}
	}
}

// outcome puts into e what an I/O has got, and lets a file that was opened be one of the recorder's. The caller holds rec.mu.
func (o *op) outcome(c *io.Completion, e *Event, err error) {
	switch o.code {
	case Open:
		if err != nil || c.Done() || o.opening.File == nil { // given up: the backend closes it again
			return
		}
		h := o.rec.opened1(o.opening)
		o.opening.File = h
		e.Handle, e.File, e.Length, e.Name = h.number, o.opening.ID, o.opening.Size, o.opening.Real
	case Lock:
		o.h.locked = o.h.locked || err == nil
	case Stat:
		e.File, e.Length, e.Name = o.lookup.ID, o.lookup.Size, o.lookup.Real
	}
}

// Open opens or creates a file.
func (r *Recorder) Open(c *io.Completion, o *io.Opening) {
	r.record(c, op{code: Open, flags: uint8(o.Flag), offset: -1, name: o.Path, opening: o}, o.Flag&io.OpenCreate != 0)
	r.inner.Open(c, o)
}

// Stat looks a name up.
func (r *Recorder) Stat(c *io.Completion, l *io.Lookup) {
	r.record(c, op{code: Stat, offset: -1, name: l.Path, lookup: l}, false)
	r.inner.Stat(c, l)
}

// Link gives a file an additional name.
func (r *Recorder) Link(c *io.Completion, oldName, newName string) {
	r.record(c, op{code: Link, offset: -1, name: oldName, text: newName}, true)
	r.inner.Link(c, oldName, newName)
}

// Rename gives a file another name, replacing what is there.
func (r *Recorder) Rename(c *io.Completion, oldName, newName string) {
	r.record(c, op{code: Rename, offset: -1, name: oldName, text: newName}, true)
	r.inner.Rename(c, oldName, newName)
}

// Remove deletes a name.
func (r *Recorder) Remove(c *io.Completion, name string) {
	r.record(c, op{code: Remove, offset: -1, name: name}, true)
	r.inner.Remove(c, name)
}

// SyncDir makes the names in the directory that holds name durable.
func (r *Recorder) SyncDir(c *io.Completion, name string) {
	r.record(c, op{code: SyncDir, offset: -1, name: name}, false)
	r.inner.SyncDir(c, name)
}

// Timer is the backend's. It is not recorded.
func (r *Recorder) Timer(c *io.Completion, nanos int64) { r.inner.Timer(c, nanos) }

// Now is the backend's. It is not recorded.
func (r *Recorder) Now() int64 { return r.inner.Now() }

// Random is the backend's. It is not recorded.
func (r *Recorder) Random(buf []byte) { r.inner.Random(buf) }

// Wait is the backend's.
func (r *Recorder) Wait(ctx context.Context, c *io.Completion) error { return r.inner.Wait(ctx, c) }

// Poll is the backend's.
func (r *Recorder) Poll() int { return r.inner.Poll() }

// InFlight returns how many submitted completions are not retired.
func (r *Recorder) InFlight() int { return r.inner.InFlight() + int(r.waiting.Load()) }

// Shutdown shuts the backend down and ends the recording. Its error is the backend's: ask Err for the recording's.
func (r *Recorder) Shutdown() error {
	err := r.inner.Shutdown()
	_ = r.Close()
	return err
}
