package replay

import (
	"fmt"
	stdio "io"
	"math/rand/v2"
	"strings"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// Options say how to replay.
type Options struct {
	Cuts int                              // how many power cuts to try, spread over the recording; 0: all that there are
	Seed uint64                           // of the survivors of power cuts that are drawn
	Log  func(format string, args ...any) // is told of each event; nil: nobody is
}

// mostFindings is how many findings are kept.
const mostFindings = 50

// Result is what a replay found.
type Result struct {
	Part     int
	Torn     int64  // where the recording breaks off; -1: it does not
	Stopped  string // how it was ended; empty: it was not
	Findings []string
	More     int // findings that are not kept

	Events, IOs     int
	Reads, Skipped  int // reads that were compared; that could not be
	Boundaries, Cut int // where the power could be cut, the end included; where it was
	Images          int // what disks could hold after that, opened and checked
	Databases       []string
	Durable         uint64 // newest commit noted as that, of any database
}

// Clean reports whether nothing was found.
func (r *Result) Clean() bool { return len(r.Findings) == 0 }

// String tells what was done, and what was found.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "part %d: %d events, %d I/Os, databases %q\n", r.Part, r.Events, r.IOs, r.Databases)
	fmt.Fprintf(&b, "reads compared %d, not comparable %d\n", r.Reads, r.Skipped)
	fmt.Fprintf(&b, "power cut at %d of %d points, %d disks opened; newest commit noted as durable %d\n", r.Cut, r.Boundaries, r.Images, r.Durable)
	switch {
	case r.Torn >= 0:
		fmt.Fprintf(&b, "the recording breaks off at offset %d: what follows was not written whole\n", r.Torn)
	case r.Stopped == "":
		fmt.Fprintln(&b, "the recording was not ended: its program died, or was still running")
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "FOUND %s\n", f)
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "and %d more\n", r.More)
	}
	return b.String()
}

// player is the second pass.
type player struct {
	*survey
	opts Options
	name string
	res  *Result
	disk *disk.Disk
	rng  *rand.Rand

	handles map[uint32]*handle
	files   map[string]*file
	flying  map[uint64]*flying
	at      int64 // offset of the event
	notes   map[string]uint64
	every   int // boundaries from one with cuts to the next
	share   int // cuts at one; 0: all
	passed  int // boundaries so far
}

// Run replays the part of a recording. name is for messages. Errors are those of a recording that can't be replayed: damage, or
// a part that was not whole.
func Run(r *flight.Reader, name string, o Options) (*Result, error) {
	p, err := run(r, name, o)
	if err != nil {
		return nil, err
	}
	return p.res, nil
}

// run is Run, and returns the player with its disk.
func run(r *flight.Reader, name string, o Options) (*player, error) {
	s, err := examine(r, name)
	if err != nil {
		return nil, err
	}
	if !s.ready {
		return nil, fmt.Errorf("%s: part %d breaks off before its images are whole: replay part %d", name, r.Part(), r.Part()-1)
	}
	p := &player{
		survey: s, opts: o, name: name, res: &Result{Part: r.Part(), Torn: -1, Stopped: s.stopped, Boundaries: s.boundaries + 1, Databases: s.databases},
		rng: rand.New(rand.NewPCG(o.Seed, 1)), handles: map[uint32]*handle{}, files: map[string]*file{}, flying: map[uint64]*flying{},
		notes: map[string]uint64{},
	}
	p.every, p.share = 1, 0
	if o.Cuts > 0 {
		p.share = max(1, o.Cuts/max(1, s.boundaries))
		p.every = (s.boundaries + o.Cuts - 1) / o.Cuts
		p.every = max(1, p.every)
	}
	m := io.NewMemory()
	for name, im := range s.starts {
		m.SetBytes(name, im.content(max(im.size, im.reach()), nil))
		p.files[name] = &file{unknown: im.unknown}
	}
	p.disk = disk.New(m, plan.Fifo, rand.NewPCG(o.Seed, 2))
	p.disk.IgnoreLocks()
	for {
		e, err := r.Next()
		if err == stdio.EOF {
			break
		}
		if err == nil {
			err = p.event(&e)
		}
		if err != nil {
			return nil, err
		}
	}
	p.res.Torn = r.Torn()
	if p.passed > 0 {
		p.cut(64)
	}
	for name, n := range p.notes {
		if name == flight.Durable || strings.HasPrefix(name, flight.Durable+" ") {
			p.res.Durable = max(p.res.Durable, n)
		}
	}
	return p, nil
}

// found notes a finding.
func (p *player) found(format string, args ...any) {
	text := fmt.Sprintf("at offset %d: ", p.at) + fmt.Sprintf(format, args...)
	p.say("FOUND %s", text)
	if len(p.res.Findings) == mostFindings {
		p.res.More++
		return
	}
	p.res.Findings = append(p.res.Findings, text)
}

func (p *player) say(format string, args ...any) {
	if p.opts.Log != nil {
		p.opts.Log(format, args...)
	}
}

// damaged is the error of a recording that no recorder made.
func (p *player) damaged(format string, args ...any) error {
	return &flight.DamageError{Name: p.name, Offset: p.at, Detail: fmt.Sprintf(format, args...)}
}

// event lets one event happen.
func (p *player) event(e *flight.Event) error {
	p.at = e.At
	p.res.Events++
	if p.opts.Log != nil {
		p.opts.Log("%s", p.line(e))
	}
	var err error
	switch e.Kind {
	case flight.Submit:
		err = p.submit(e)
	case flight.End:
		err = p.end(e)
	case flight.Handle:
		err = p.carried(e)
	case flight.Image:
		if e.Flags&flight.AtStart == 0 {
			p.file(unix(e.Name)).take(e)
		}
	case flight.ImageEnd:
		p.imaged(e)
	case flight.Note:
		name := e.Name
		if what, database, ok := strings.Cut(name, " "); ok {
			name = what + " " + p.canonical(database)
		}
		p.notes[name] = max(p.notes[name], e.Sum)
	}
	if err == nil && isBoundary(e) {
		p.passed++
		if p.passed%p.every == 0 {
			p.cut(p.share)
		}
	}
	return err
}

// line is an event in the trace.
func (p *player) line(e *flight.Event) string {
	text := fmt.Sprintf("%10d ", e.At)
	switch e.Kind {
	case flight.Submit:
		text += fmt.Sprintf("submit #%d %v", e.Op, e.Code)
		if h := p.handles[e.Handle]; h != nil {
			text += " " + h.name
		}
		if e.Name != "" {
			text += " " + e.Name
		}
		if e.Text != "" {
			text += " to " + e.Text
		}
		if e.Code == flight.Read || e.Code == flight.Write {
			text += fmt.Sprintf(" at %d, %d bytes", e.Offset, e.Length)
		} else if e.Code == flight.Truncate {
			text += fmt.Sprintf(" to %d bytes", e.Length)
		}
		if e.Flags&flight.Carried != 0 {
			text += ", under way when the part began"
		}
	case flight.End:
		text += fmt.Sprintf("end    #%d %v", e.Op, e.Code)
		if e.Flags&flight.Abandoned != 0 {
			text += ", given up"
		}
		if e.Class != 0 {
			text += ": " + e.Text
		}
	case flight.Image:
		text += fmt.Sprintf("image  %s at %d, %d bytes", e.Name, e.Offset, e.Length)
	case flight.ImageEnd:
		text += fmt.Sprintf("image  %s is whole, %d bytes", e.Name, e.Length)
	case flight.Handle:
		text += fmt.Sprintf("open   %s since before the part", e.Name)
	case flight.Ready:
		text += "the images are whole of when the part began"
	case flight.Note:
		text += fmt.Sprintf("note   %s %d", e.Name, e.Sum)
	case flight.Mark:
		text += "mark   " + e.Text
	case flight.Stop:
		text += "stop   " + e.Text
	}
	return text
}
