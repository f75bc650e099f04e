package flight

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/pawldb/pawl/io"
)

// How a part begins. "Image" is what the files held at that moment.
//
//	step                    the new part can be replayed    parts that are kept
//	create it               no                              oldest, before
//	notes, handles, what    no                              oldest, before
//	is under way
//	copy images, while      no                              oldest, before
//	history goes on
//	ready                   yes                             oldest, before
//	remove oldest           yes                             before
//
// If the program dies before "ready", the part before has all that there is but the history since then, which needs the copied
// images to be replayed.

// note keeps account of where the content of f lies, after an I/O on it. The caller holds the recorder's mu.
func (f *file) note(o *op, err error) {
	switch {
	case errors.Is(err, io.ErrCancelled) || errors.Is(err, io.ErrClosed): // nothing of it was done
	case o.code == Write && o.length > 0:
		f.size = max(f.size, o.offset+o.length)
		if err != nil {
			f.extents.set(o.rec, o.offset, o.length, nil, -1)
		} else {
			f.extents.set(o.rec, o.offset, o.length, o.rec.out, o.data)
		}
	case o.code == Truncate && err == nil:
		if o.length < f.size {
			f.extents.cut(o.length)
		}
		f.size = o.length
	}
}

// start is the content that a file had when a part began.
type start struct {
	f    *file
	id   io.FileID
	name string
	all  []extent
}

// rotate begins a new part if the one that is written is full. The caller holds r.mu.
func (r *Recorder) rotate() {
	old := r.out
	if r.opts.History == 0 || r.err != nil || r.ending || !old.ready || old.history < max(r.opts.History, old.images) {
		return
	}
	p, err := r.create(old.number + 1)
	if err != nil {
		r.fail(err)
		return
	}
	r.add(&Event{Kind: Stop, Text: fmt.Sprintf("part %d follows", p.number)})
	r.flush()
	r.oldest, r.before, r.out = r.before, old, p
	r.head()
	for _, name := range r.sortedNotes() {
		r.add(&Event{Kind: Note, Name: name, Sum: r.notes[name]})
	}
	var starts []start
	seen := map[*file]bool{}
	for _, h := range r.sortedHandles() {
		e := Event{Kind: Handle, Flags: uint8(h.flags), Handle: h.number, File: h.f.id, Name: h.f.name, Length: h.f.size}
		if h.f.known.Load() {
			e.Flags |= Known
		}
		if h.locked {
			e.Flags |= Locked
		}
		r.add(&e)
		if !seen[h.f] {
			seen[h.f] = true
			starts = append(starts, start{h.f, h.f.id, h.f.name, h.f.extents.all()})
		}
	}
	for o := r.flying.next; o != &r.flying; o = o.next {
		o.submitted(Carried)
	}
	r.flush()
	r.copying.Add(1)
	go r.copyImages(p, starts)
}

// sortedHandles returns what is open, in the order of opening.
func (r *Recorder) sortedHandles() []*handle {
	list := make([]*handle, 0, len(r.handles))
	for _, h := range r.handles {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b *handle) int { return cmp.Compare(a.number, b.number) })
	return list
}

// copyImages copies into p what files held when it began, and removes the part that is not needed any more.
func (r *Recorder) copyImages(p *part, starts []start) {
	defer r.copying.Done()
	buf := make([]byte, bucketSize)
	for i := range starts {
		for _, e := range starts[i].all {
			if !r.copyExtent(p, &starts[i], e, buf) {
				return
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(&Event{Kind: Ready})
	r.flush()
	if r.err != nil {
		return
	}
	p.ready = true
	if r.before.file != nil {
		r.before.file.Close()
		r.before.file = nil
	}
	if old := r.oldest; old != nil {
		r.oldest = nil
		if err := os.Remove(old.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.fail(fmt.Errorf("flight: a part that is not needed any more: %w", err))
		}
	}
}

// copyExtent copies one extent into p, and reports whether the recording goes on.
func (r *Recorder) copyExtent(p *part, s *start, e extent, buf []byte) bool {
	image := Event{Kind: Image, Flags: AtStart, File: s.id, Name: s.name, Offset: e.from, Length: e.to - e.from}
	var err error
	if e.part == nil {
		image.Flags |= Unknown
	} else {
		image.Data = buf[:image.Length]
		_, err = e.part.file.ReadAt(image.Data, e.at)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.fail(fmt.Errorf("flight: what the recording holds at %d: %w", e.at, err))
	}
	before := r.out.size + int64(len(r.buf))
	at := r.add(&image)
	p.images += max(0, r.out.size+int64(len(r.buf))-before)
	s.f.extents.moved(e, p, at)
	return r.err == nil
}
