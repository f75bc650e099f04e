package world

import (
	"context"
	"errors"
	"io/fs"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/oracle"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// openBody opens the database; if an I/O was made to fail it tries again, in the end on a disk that works.
func (w *World) openBody(a *actor) {
	w.db = nil
	for try := 0; try < 4; try++ {
		if try == 3 {
			w.disk.Heal()
			w.disk.SetCapacity(0)
			w.maxSize = 0
		}
		w.counts.Opens++
		db, err := await(a, "open", pawl.OpenAsync(path, w.options()))
		if err == nil {
			w.db = db
			return
		}
		if w.refusal(err) {
			try-- // of files that are right again
			continue
		}
		if errors.Is(err, fs.ErrNotExist) && w.era.ReadOnly && w.hist.Alive() == 0 { // its name was not synced before the first commit
			return
		}
		if w.era.ReadOnly && errors.Is(err, pawl.ErrReadOnly) {
			return
		}
		w.check("open", err)
		if w.disk.Lied() {
			return
		}
		for errors.Is(err, errGivenUp) && len(w.disk.Queue()) > 0 {
			a.idle(maxSteps) // till then the file's lock is not free: nobody has waited for the close of what was given up
		}
	}
	disk.Violate("the database can't be opened on a disk that works again")
}

// backgroundBody does the database's background work, again when it was given up.
func (w *World) backgroundBody(a *actor) {
	for {
		_, err := await(a, "background", w.db.Async().Background())
		if w.check("background", err) || !errors.Is(err, errGivenUp) {
			return
		}
	}
}

// closeBody closes the database, again when it was given up.
func (w *World) closeBody(a *actor) {
	for {
		_, err := await(a, "close", w.db.Async().Close())
		if w.check("close", err) {
			if !w.era.ReadOnly && !w.cutShort && !w.disk.Failed() && !w.disk.Filled() && w.era.Capacity == 0 { // else it can be one that has failed
				w.hist.Promised(w.hist.Seen())
			}
			return
		}
		if w.halfClosed = true; !errors.Is(err, errGivenUp) {
			return
		}
		w.cutShort = w.cutShort || w.db.Stats().PageSize == 0 // it is closed, as it was
	}
}

// closed checks that nothing is left of a database that was closed.
func (w *World) closed() {
	for _, a := range w.actors {
		for !a.ended && (a.ready() || w.tick()) { // what pauses learns of the close in its time
			if a.ready() {
				a.turn()
			}
		}
		if !a.ended {
			disk.Violate("after close: %s", w.waiting())
		}
	}
	for len(w.disk.Queue()) > 0 {
		w.ends(w.disk.Queue()[0])
	}
	if n := w.disk.InFlight(); n > 0 {
		disk.Violate("%d I/Os are in flight after close", n)
	}
	if waiting := w.db.Waiting(); len(waiting) > 0 {
		disk.Violate("after close %s waits still", waiting[0].Operation)
	}
	w.db, w.unsafe = nil, false
}

// crash ends the era by a power cut or the process's death. during is the actor that could be in it.
func (w *World) crash(during string) {
	if w.log != nil {
		w.say("%6d %s", w.steps, w.era.End)
	}
	for _, a := range w.actors {
		if !a.ended && a.pending != nil {
			w.opts.Cover.Add(cover.Cut, a.states)
		}
	}
	if w.era.End == plan.EndKill && !w.disk.CutDue() {
		w.counts.Kills++
		w.disk.Kill()
		w.hist.Killed()
	} else {
		w.counts.Cuts++
		if len(w.disk.Unsynced()) > 0 {
			w.counts.Dirty++
		}
		if during == "open" {
			w.counts.InOpen++
		}
		w.disk.Cut()
		w.hist.PowerCut()
		w.tampered.powerCut()
	}
	for _, a := range w.actors {
		a.drop()
	}
	w.actors, w.db, w.unsafe = nil, nil, true
}

// verify compares the database that was just opened with what it must hold, and learns which commits survived.
func (w *World) verify() {
	w.disk.Automatically(w.verifyNow)
}

func (w *World) verifyNow() {
	tx, err := w.db.Begin(false)
	if err != nil {
		disk.Violate("begin after open: %v", err)
	}
	defer func() { _ = tx.Rollback() }()
	least := w.timeline(tx)
	if w.returned(tx) {
		w.counts.Returned++
		w.say("  returned  commit %d, which an open had missed; else %d is promised", tx.Seq(), least)
		least = 0
	}
	switch w.disk.Lies() {
	case 0:
	case 1:
		least = min(least, w.hist.Proven())
	default:
		least = 0
	}
	missed := w.disk.Lies() > 0 && tx.Seq() < w.hist.Last()
	if missed {
		w.lost = w.hist.Clone()
	}
	if err := w.hist.Recovered(tx.Seq(), least, !w.era.ReadOnly); err != nil {
		disk.Violate("%v", err)
	}
	if missed {
		w.lostAt = w.hist.Safe()
	}
	w.disk.Note(tx.Seq())
	if w.plan.Order != plan.Drawn && !w.last {
		return // it would leave nothing that has to be read
	}
	state := w.hist.At(tx.Seq())
	differs := same(tx.Root(), state)
	if differs != nil && !w.excused(differs) {
		disk.Violate("commit %d after open: %v", tx.Seq(), differs)
	}
	report, err := tx.Check(context.Background())
	if err != nil {
		disk.Violate("check after open: %v", err)
	}
	w.checkReport(report, state)
	if differs == nil && report.Err() == nil && len(w.disk.Unsynced()) == 0 { // what is durable is what reads show
		w.disk.Sound()
	}
}

// returned reports whether an open has found what one before had missed, because a lying disk had not shown it: groups of the log come
// back, or rather the bits in them, and no commit has become durable since that would stand in their place. Then that history goes on.
func (w *World) returned(tx *pawl.Tx) bool {
	if w.lost == nil || w.hist.Safe() > w.lostAt {
		w.lost = nil
		return false
	}
	fits := func(state *oracle.Bucket) bool {
		if state == nil {
			return false
		}
		err := same(tx.Root(), state)
		return err == nil || w.excused(err)
	}
	if fits(w.hist.At(tx.Seq())) || !fits(w.lost.At(tx.Seq())) {
		return false
	}
	w.hist, w.lost = w.lost, nil
	return true
}

// verifyCopy opens a copy and compares it: it holds one of some states.
func (w *World) verifyCopy(content []byte, states ...*oracle.Bucket) {
	const name = "copy"
	m := io.NewMemory()
	m.SetBytes(name, content)
	db, err := pawl.Open(name, &pawl.Options{IO: m, MustExist: true})
	if err != nil {
		w.check("open of a copy", err)
		return
	}
	err = db.View(func(tx *pawl.Tx) error {
		var state *oracle.Bucket
		var err error
		for _, state = range states {
			if err = same(tx.Root(), state); err == nil || w.excused(err) {
				break
			}
		}
		if err != nil {
			return err
		}
		report, err := tx.Check(context.Background())
		if err != nil {
			return err
		}
		w.checkReport(report, state)
		return nil
	})
	if err != nil && !w.excused(err) {
		disk.Violate("copy: %v", err)
	}
	if err := db.Close(); err != nil {
		disk.Violate("close of a copy: %v", err)
	}
}
