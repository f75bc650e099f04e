package replay

import (
	"bytes"
	"errors"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
	"github.com/pawldb/pawl/testing/simulator/disk"
)

// flying is an I/O under way.
type flying struct {
	code   flight.Code
	flags  uint8
	h      *handle
	offset int64
	length int64
	name   string
	text   string
	buf    []byte
	c      io.Completion
	op     *io.Op // of the disk; nil: it does not get this one
}

// watch does something to the disk and notes the rule that that breaks.
func (p *player) watch(fn func()) {
	defer func() {
		if v := recover(); v != nil {
			violation, ok := v.(disk.Violation)
			if !ok {
				panic(v)
			}
			p.found("an order rule is broken: %v", violation.Err)
		}
	}()
	fn()
}

// submit submits an I/O to the disk.
func (p *player) submit(e *flight.Event) error {
	if p.flying[e.Op] != nil {
		return p.damaged("#%d is submitted twice", e.Op)
	}
	p.res.IOs++
	f := &flying{code: e.Code, flags: e.Flags &^ flight.Carried, offset: e.Offset, length: e.Length, name: p.canonical(e.Name)}
	p.flying[e.Op] = f
	if e.Code <= flight.Close {
		if f.h = p.handles[e.Handle]; f.h == nil {
			return p.damaged("#%d is on file %d, which is not open", e.Op, e.Handle)
		}
	}
	switch e.Code {
	case flight.Link, flight.Rename:
		f.text = p.canonical(e.Text)
		fallthrough
	case flight.Remove:
		p.there(f.name)
	}
	p.watch(func() { p.hand(f, e) })
	f.op, _ = f.c.Request.Arg.(*io.Op)
	return nil
}

// hand hands an I/O to the disk. Opens are done when they have ended: then it is known what they led to.
func (p *player) hand(f *flying, e *flight.Event) {
	switch e.Code {
	case flight.Read:
		f.buf = make([]byte, e.Length)
		f.h.Read(&f.c, f.buf, e.Offset)
	case flight.Write:
		f.buf = bytes.Clone(e.Data)
		f.h.Write(&f.c, [][]byte{f.buf}, e.Offset)
	case flight.Truncate:
		f.h.Truncate(&f.c, e.Length)
	case flight.Sync:
		f.h.Sync(&f.c)
	case flight.Close:
		f.h.Close(&f.c)
	case flight.Link:
		p.disk.Link(&f.c, f.name, f.text)
	case flight.Rename:
		p.disk.Rename(&f.c, f.name, f.text)
	case flight.Remove:
		p.disk.Remove(&f.c, f.name)
	case flight.SyncDir:
		p.disk.SyncDir(&f.c, f.name)
	}
}

// there notes of a name that the recording has not spoken of yet that nothing is known of its file.
func (p *player) there(name string) {
	if _, err := p.disk.Bytes(name); err != nil && p.files[name] == nil {
		p.file(name).known = false
	}
}

// end ends an I/O as it was recorded.
func (p *player) end(e *flight.Event) error {
	f := p.flying[e.Op]
	if f == nil || f.code != e.Code {
		return p.damaged("the end of #%d, a %v, which was not submitted", e.Op, e.Code)
	}
	delete(p.flying, e.Op)
	if e.Flags&flight.Changed != 0 {
		p.found("an order rule is broken: the buffer of #%d, %d bytes at %d of %s, was changed while it was under way", e.Op, f.length, f.offset, f.h.name)
	}
	switch {
	case e.Code == flight.Open:
		if e.Class == 0 && e.Handle != 0 {
			return p.opened(e, io.OpenFlag(f.flags))
		}
	case e.Code == flight.Stat:
		if errors.Is(e.Err(), errNotExist) && e.Name != "" {
			p.gone(unix(e.Name))
		}
	case f.op == nil:
	case e.Class != 0 && e.Class != flight.ClassShortRead:
		p.watch(func() { f.op.Fail(e.Err()) })
		p.failed(f, e)
	default:
		p.ended(f, e)
	}
	return nil
}

// failed notes what nobody knows after an I/O that failed.
func (p *player) failed(f *flying, e *flight.Event) {
	if f.code == flight.Write && !errors.Is(e.Err(), io.ErrCancelled) && !errors.Is(e.Err(), io.ErrClosed) {
		p.file(f.h.name).unknown.add(f.offset, f.offset+f.length)
	}
}

// ended lets an I/O end well on the disk, and compares how.
func (p *player) ended(f *flying, e *flight.Event) {
	p.watch(f.op.Complete)
	name := f.name
	if f.h != nil {
		name = f.h.name
	}
	known := p.files[name]
	switch f.code {
	case flight.Read:
		p.compare(f, e, name)
		return
	case flight.Write:
		p.file(name).unknown.remove(f.offset, f.offset+f.length)
	case flight.Remove:
		delete(p.files, name)
	case flight.Link, flight.Rename:
		if known != nil {
			p.files[f.text] = known
		}
	}
	err := f.c.Err()
	if err == nil && e.Class != 0 || err != nil && known != nil && known.known {
		p.found("#%d, a %v of %s, ended with %q, and here with %v: the disk lied, or something else changed the file", e.Op, f.code, name, e.Text, err)
	}
}

// compare compares what a read got.
func (p *player) compare(f *flying, e *flight.Event, name string) {
	file := p.file(name)
	if !file.known || file.unknown.meet(f.offset, f.offset+f.length) {
		p.res.Skipped++
		return
	}
	p.res.Reads++
	err := f.c.Err()
	switch {
	case (err != nil) != (e.Class != 0):
		p.found("a read of %s at %d, %d bytes, ended with %q, and here with %v: the disk lied, or something else wrote the file",
			name, f.offset, f.length, e.Text, err)
	case err == nil && xxhash.Sum64(f.buf) != e.Sum:
		where := ""
		if e.Flags&flight.HasData != 0 && len(e.Data) == len(f.buf) {
			from, to := difference(f.buf, e.Data, func(int64) bool { return false })
			where = ", of which those differ from " + itoa(f.offset+from) + " to " + itoa(f.offset+to)
		}
		p.found("a read of %s at %d, %d bytes%s, got other bytes than this disk holds: the disk lied, or something else wrote the file",
			name, f.offset, f.length, where)
	}
}
