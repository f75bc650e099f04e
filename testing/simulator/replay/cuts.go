package replay

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
)

var errNotExist = fs.ErrNotExist

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// cut cuts the power in up to most ways, or in all if that is 0, and looks whether the databases survive each.
func (p *player) cut(most int) {
	var names []string
	there := p.disk.Names()
	for _, name := range p.databases {
		if p.sure(there, name) && p.sure(there, name+"-wal") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	p.res.Cut++
	changes := p.disk.Unsynced()
	if most == 0 || io.CrashImageCount(len(changes)) <= most {
		for s, m := range p.disk.CrashImages(p.rng.Uint64()) {
			p.survives(m, names, s.String)
		}
		return
	}
	kept := make([]bool, len(changes))
	for i := range most {
		p.draw(kept, i+p.res.Cut)
		m := p.disk.Crash(func(i int, _ io.Change) bool { return kept[i] })
		p.survives(m, names, io.Survivors{Changes: changes, Kept: kept}.String)
	}
}

// sure reports whether the content of a file is known, or there is none.
func (p *player) sure(there []string, name string) bool {
	return !slices.Contains(there, name) || p.file(name).known
}

// draw chooses survivors: none, all, those up to some point, all but one, or some.
func (p *player) draw(kept []bool, style int) {
	at := p.rng.IntN(len(kept) + 1)
	for i := range kept {
		switch style % 6 {
		case 0:
			kept[i] = false
		case 1:
			kept[i] = true
		case 2:
			kept[i] = i < at
		case 3:
			kept[i] = i != at
		default:
			kept[i] = p.rng.IntN(4) < style%6-2
		}
	}
}

// survives opens what a disk holds after a power cut.
func (p *player) survives(m *io.Memory, names []string, survivors func() string) {
	p.res.Images++
	for _, name := range names {
		durable := max(p.notes[flight.Durable+" "+name], p.single(flight.Durable))
		begun := max(p.notes[flight.Begun+" "+name], p.single(flight.Begun))
		if err := opens(m, name, durable, begun); err != nil {
			p.found("a power cut loses %s: %v; survivors: %s", name, err, shortened(survivors()))
		}
	}
}

// single returns a note without the name of a database, if there is only one that it can be about.
func (p *player) single(name string) uint64 {
	if len(p.databases) > 1 {
		return 0
	}
	return p.notes[name]
}

// mostSurvivors is how many bytes of text say which changes a power cut has left.
const mostSurvivors = 600

func shortened(s string) string {
	if len(s) > mostSurvivors {
		return s[:mostSurvivors] + " ..."
	}
	return s
}

// opens opens a database and checks it: it is whole, and its newest commit is not before durable nor, if that is not 0, behind
// begun.
func opens(m *io.Memory, name string, durable, begun uint64) (err error) {
	if _, err := m.Bytes(name); err != nil && durable == 0 {
		return nil // it was being made
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	db, err := pawl.Open(name, &pawl.Options{IO: m, MustExist: true, LockTimeout: -1})
	if err != nil {
		return err
	}
	err = db.View(func(tx *pawl.Tx) error {
		switch seq := tx.Seq(); {
		case seq < durable:
			return fmt.Errorf("commit %d is its newest, and %d was acknowledged", seq, durable)
		case begun > 0 && seq > begun:
			return fmt.Errorf("commit %d is its newest, and %d the newest that was begun", seq, begun)
		}
		report, err := tx.Check(context.Background())
		if err != nil {
			return err
		}
		return report.Err()
	})
	if closed := db.Close(); err == nil {
		err = closed
	}
	return err
}
