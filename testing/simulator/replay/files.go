package replay

import (
	"slices"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
)

// handle is an open file of the recording.
type handle struct {
	io.File
	name string
}

// file is what is known of a file.
type file struct {
	known   bool   // its content is
	image   *image // is being read
	unknown spans  // what nobody knows: writes that failed, and what could not be read
}

func (p *player) file(name string) *file {
	f := p.files[name]
	if f == nil {
		f = new(file)
		p.files[name] = f
	}
	return f
}

// take takes an image record.
func (f *file) take(e *flight.Event) {
	if f.image == nil {
		f.image = new(image)
	}
	f.image.add(e)
}

// imaged compares a whole image of a file with what the disk holds, and lets the disk hold it.
func (p *player) imaged(e *flight.Event) {
	name := unix(e.Name)
	f := p.file(name)
	if f.image == nil {
		f.image = new(image)
	}
	im := f.image
	f.image = nil
	held, err := p.disk.Bytes(name)
	var before []byte
	if !f.known {
		before = held // a part that began inside of the image has the first of it there
	}
	content := im.content(e.Length, before)
	if err != nil { // it was removed, or has another name, and is open still
		f.known = false
		return
	}
	if f.known {
		from, to := difference(held, content, func(at int64) bool { return f.unknown.meet(at, at+1) || im.unknown.meet(at, at+1) })
		if from == to && len(f.unknown) == 0 && len(im.unknown) == 0 {
			return
		}
		if from < to {
			p.found("%s differs at offset %d, length %d, from what was written to it: the disk lied, or something else wrote the file", name, from, to-from)
		}
	}
	p.disk.SetBytes(name, content)
	f.known, f.unknown = true, im.unknown
}

// difference returns from where to where two contents of a file differ: from the first such byte to behind the last. Those
// that may differ do not count.
func difference(a, b []byte, may func(at int64) bool) (from, to int64) {
	from = -1
	for i := range max(len(a), len(b)) {
		if i < min(len(a), len(b)) && a[i] == b[i] || may(int64(i)) {
			continue
		}
		if from < 0 {
			from = int64(i)
		}
		to = int64(i) + 1
	}
	return max(from, 0), to
}

// carried opens a file that was open when the part began.
func (p *player) carried(e *flight.Event) error {
	name := unix(e.Name)
	f := p.file(name)
	f.known = f.known || e.Flags&flight.Known != 0
	return p.open(e.Handle, name, io.OpenFlag(e.Flags)&io.OpenWrite)
}

// opened does what an open did.
func (p *player) opened(e *flight.Event, flag io.OpenFlag) error {
	name := unix(e.Name)
	there := slices.Contains(p.disk.Names(), name)
	f := p.file(name)
	switch {
	case there && flag&io.OpenExclusive != 0:
		p.found("open %s made a file that was there: something else removed it", name)
		p.disk.SetBytes(name, nil)
		f.known, f.unknown, flag = true, nil, flag&^io.OpenExclusive
	case !there && (e.Length > 0 || flag&io.OpenCreate == 0):
		p.disk.SetBytes(name, make([]byte, e.Length)) // an image follows before anything is done with it
		f.known, f.unknown = false, nil
	case !there:
		f.known, f.unknown = true, nil
	}
	return p.open(e.Handle, name, flag)
}

// open opens a file of the disk.
func (p *player) open(number uint32, name string, flag io.OpenFlag) error {
	var c io.Completion
	o := io.Opening{Path: name, Flag: flag, Mode: 0o600}
	p.watch(func() { p.disk.Open(&c, &o) })
	p.watch(c.Request.Arg.(*io.Op).Complete)
	if c.Err() != nil {
		return p.damaged("open %s: %v", name, c.Err())
	}
	p.handles[number] = &handle{o.File, name}
	return nil
}

// gone removes a file that something else has removed.
func (p *player) gone(name string) {
	if !slices.Contains(p.disk.Names(), name) {
		return
	}
	p.say("%s was removed by something else", name)
	for _, submit := range []func(c *io.Completion){
		func(c *io.Completion) { p.disk.Remove(c, name) }, func(c *io.Completion) { p.disk.SyncDir(c, name) },
	} {
		var c io.Completion
		submit(&c)
		c.Request.Arg.(*io.Op).Complete()
	}
	delete(p.files, name)
	if slices.Contains(p.databases, name) {
		delete(p.notes, flight.Durable+" "+name)
		delete(p.notes, flight.Begun+" "+name)
		if len(p.databases) == 1 {
			clear(p.notes)
		}
	}
}
