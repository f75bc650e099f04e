package flight

import (
	"bytes"

	"github.com/pawldb/pawl/io"
)

// held is an I/O that waits for the image of its file.
//
//	held --image is whole--> begun --> submitted --its own completion retires--> the program's finishes
//	  \--cancelled--> the program's finishes
type held struct {
	h      *handle
	code   Code
	buf    []byte
	bufs   [][]byte
	offset int64
	outer  *io.Completion // the program's
	c      io.Completion  // the backend's

	begun     bool // guarded by the recorder's mu, as is submitted
	submitted bool
	n         int // how c ended
	err       error
}

// hold keeps an I/O back until the image of its file is whole, and begins the image if nobody has. It reports whether it did:
// there may be nothing to wait for.
func (h *handle) hold(c *io.Completion, code Code, buf []byte, bufs [][]byte, offset int64) bool {
	r, f := h.rec, h.f
	if f.known.Load() || r.stopped.Load() && !r.holding(f) || !c.Idle() {
		return false
	}
	r.mu.Lock()
	if f.known.Load() || f.image == nil && (code == Close || r.err != nil) {
		r.mu.Unlock()
		return false
	}
	d := &held{h: h, code: code, buf: buf, bufs: bufs, offset: offset, outer: c}
	c.ArmSubmitted(code.kind(), h.Name())
	c.Request.Canceller = d
	r.waiting.Add(1)
	f.held = append(f.held, d)
	im := f.image
	begins := im == nil
	if begins {
		im = &imaging{rec: r, f: f, h: h}
		f.image = im
	}
	r.mu.Unlock()
	if begins {
		im.begin()
	}
	return true
}

// holding reports whether I/O of f waits for an image.
func (r *Recorder) holding(f *file) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return f.image != nil
}

// kind returns what a completion of the I/O stands for.
func (c Code) kind() io.Kind {
	switch c {
	case Read:
		return io.KindRead
	case Write:
		return io.KindWrite
	case Truncate:
		return io.KindTruncate
	}
	return io.KindOpen
}

// CancelRequest implements io.Canceller: what is held ends at once; a close goes on.
func (d *held) CancelRequest(*io.Completion) {
	r, f := d.h.rec, d.h.f
	r.mu.Lock()
	if d.begun || d.code == Close {
		submitted := d.submitted && d.code != Close
		r.mu.Unlock()
		if submitted {
			d.c.Cancel()
		}
		return
	}
	d.begun = true // release passes it over
	for i := range f.held {
		if f.held[i] == d {
			f.held = append(f.held[:i:i], f.held[i+1:]...)
			break
		}
	}
	r.mu.Unlock()
	r.waiting.Add(-1)
	d.outer.Finish(0, io.ErrCancelled)
}

// Ended implements io.Observer.
func (d *held) Ended(_ *io.Completion, n int, err error) { d.n, d.err = n, err }

// release lets what waits for the image of f go on, in order.
func (f *file) release(r *Recorder) {
	r.mu.Lock()
	for len(f.held) > 0 {
		d := f.held[0]
		f.held = f.held[1:]
		d.begun = true
		r.mu.Unlock()
		d.c.Observe(d)
		d.c.OnRetire(func(*io.Completion) {
			r.waiting.Add(-1)
			d.outer.Finish(d.n, d.err)
		})
		d.h.submit(&d.c, d.code, d.buf, d.bufs, d.offset)
		r.mu.Lock()
		d.submitted = true
	}
	f.held, f.image = nil, nil
	f.known.Store(true)
	r.mu.Unlock()
}

// imaging takes the image of a file: it reads the file and records what is not zero.
//
//	begin: how long is it? --> read, read, ... --> the file is known, what waits for it goes on
type imaging struct {
	rec    *Recorder
	f      *file
	h      *handle
	c      io.Completion
	look   io.Lookup
	buf    []byte
	offset int64
	size   int64
}

// begin asks for the file's size: another process may have changed it since the open.
func (im *imaging) begin() {
	im.look.Path = im.f.name
	im.rec.inner.Stat(&im.c, &im.look)
	im.c.OnRetire(func(c *io.Completion) {
		im.size = im.f.size
		if c.Err() == nil && im.look.ID == im.f.id {
			im.size = im.look.Size
		}
		im.buf = make([]byte, min(im.size, mostImageData))
		im.next()
	})
}

// next reads on. Reads that end within their submission are a loop, others go on from their end.
func (im *imaging) next() {
	for im.offset < im.size && !im.rec.stopped.Load() {
		im.c.Reset()
		b := im.buf[:min(int64(len(im.buf)), im.size-im.offset)]
		im.h.inner.Read(&im.c, b, im.offset)
		if !im.c.Retired() {
			im.c.OnRetire(func(*io.Completion) {
				im.take(b)
				im.next()
			})
			return
		}
		im.take(b)
	}
	r := im.rec
	r.mu.Lock()
	im.f.size = im.size
	r.add(&Event{Kind: ImageEnd, File: im.f.id, Name: im.f.name, Length: im.size})
	r.flush()
	r.mu.Unlock()
	im.f.release(r)
}

// take records what was read. What can't be read nobody knows.
func (im *imaging) take(b []byte) {
	r := im.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	if im.c.Err() != nil {
		r.image(im.f, 0, im.offset, int64(len(b)), nil)
	} else {
		r.image(im.f, 0, im.offset, int64(len(b)), b)
	}
	r.flush()
	im.offset += int64(len(b))
}

// zeroUnit is how many bytes of zeroes are left out of an image together.
const zeroUnit = 4 << 10

var zeroes [zeroUnit]byte

// image records that f holds b at offset, or that nobody knows if that is nil. The caller holds r.mu.
func (r *Recorder) image(f *file, flags uint8, offset, length int64, b []byte) {
	e := Event{Kind: Image, Flags: flags, File: f.id, Name: f.name, Offset: offset, Length: length}
	if b == nil {
		e.Flags |= Unknown
		r.add(&e)
		f.extents.set(r, offset, length, nil, -1)
		return
	}
	isZero := func(at int) bool {
		unit := b[at:min(at+zeroUnit, len(b))]
		return bytes.Equal(unit, zeroes[:len(unit)])
	}
	for from := 0; from < len(b); {
		if isZero(from) {
			from += zeroUnit
			continue
		}
		to := from
		for to < len(b) && !isZero(to) {
			to += zeroUnit
		}
		to = min(to, len(b))
		e.Offset, e.Length, e.Data = offset+int64(from), int64(to-from), b[from:to]
		at := r.add(&e)
		f.extents.set(r, e.Offset, e.Length, r.out, at)
		from = to
	}
}
