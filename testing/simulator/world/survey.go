package world

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// Survey is what one era of a run went through: the points at which plans made of this one can do something.
type Survey struct {
	Waits []Point // in the order in which actors came to wait
	IOs   []Point // in the order in which they ended
	Files uint64  // hash of the files in the end
	Trace uint64  // hash of what was submitted
	Steps int     // of the schedule
}

// Point is one of these.
type Point struct {
	Number int           // of the I/O in its era
	Name   string        // of the I/O, or of the operation that waits
	Images int           // that a power cut could leave there
	States []cover.State // of the machines that wait there, or for the I/O
	OnIO   bool          // an I/O is waited for
}

// waits notes that an actor has come to wait for op, nil in a call that blocks, and does what the plan has for that.
func (w *World) waits(a *actor, op any) (kind plan.ActKind) {
	number := w.waited
	w.waited++
	if w.opts.Cover != nil || w.opts.Survey {
		if a.states = a.states[:0]; op != nil {
			a.states = cover.Waiting(op, a.states)
		} else if w.db != nil {
			a.states = cover.Blocking(w.db, a.pending, a.states)
		}
		w.opts.Cover.Add(cover.Waited, a.states)
	}
	onIO := a.pending.Kind() != io.KindYield && a.pending.Kind() != io.KindTimer || w.owners != nil && w.hasOwn(a)
	if w.opts.Survey {
		s := &w.surveys[len(w.surveys)-1]
		s.Waits = append(s.Waits, Point{number, a.what, w.disk.Images(), append([]cover.State(nil), a.states...), onIO})
	}
	for _, act := range w.acts[number] {
		w.say("  act       %s: %s in %s", act.Kind, a.name, a.what)
		w.counts.Acts++
		switch kind = act.Kind; kind {
		case plan.StepEarly:
			w.opts.Cover.Add(cover.SteppedEarly, a.states)
		case plan.AbandonLate:
			w.startAll()
			kind = plan.Abandon
			w.opts.Cover.Add(cover.Abandoned, a.states)
		case plan.AbandonLost:
			w.startAll()
			for _, op := range w.disk.Queue() {
				w.disk.Doom(op)
			}
			kind = plan.Abandon
			w.opts.Cover.Add(cover.Abandoned, a.states)
		case plan.Abandon:
			w.opts.Cover.Add(cover.Abandoned, a.states)
		case plan.CutThere:
			w.disk.CutAs(act.Arg)
		}
	}
	return kind
}

// givesUp notes that an actor gives up what it waits in, by which its I/O is cancelled.
func (w *World) givesUp(a *actor) {
	if w.opts.Cover == nil {
		return
	}
	w.opts.Cover.Add(cover.Abandoned, a.states)
	if a.waiting() && w.hasOwn(a) {
		w.opts.Cover.Add(cover.Cancelled, a.states)
	}
}

// owner is whose I/O one is: an actor's, for one of its operations.
type owner struct {
	actor     *actor
	operation int
}

// submitted notes who has submitted an I/O: the one who has the turn, or the one whose I/O has just ended and sets off another.
func (w *World) submitted(op *io.Op) {
	if w.owners != nil && w.current != nil {
		w.owners[op] = owner{w.current, w.current.operation}
	}
}

// waits reports whether the operation that has submitted an I/O waits still.
func (o owner) waits() bool {
	return o.actor != nil && o.actor.waiting() && o.actor.operation == o.operation
}

// statesFor appends the states of the machines that wait for an I/O: those of the operation that has submitted it or, if that was
// given up, of those that wait for I/O and have none of their own: they carry on what it has left. Not of those that only wait for
// what is left to be over, to close a file: how it ends is nothing to them.
func (w *World) statesFor(op *io.Op, list []cover.State) []cover.State {
	if o := w.owners[op]; o.waits() {
		return append(list, o.actor.states...)
	}
	for _, a := range w.actors {
		if a.waiting() && a.pending.Kind() != io.KindYield && a.pending.Kind() != io.KindTimer && a.pending.Kind() != io.KindOpen && !w.hasOwn(a) {
			list = append(list, a.states...)
		}
	}
	return list
}

// hasOwn reports whether an actor's operation has I/O under way.
func (w *World) hasOwn(a *actor) bool {
	return slices.ContainsFunc(w.disk.Queue(), func(op *io.Op) bool { return w.owners[op] == owner{a, a.operation} })
}

// ends lets an I/O get on, and notes in which states the one who submitted it waits.
func (w *World) ends(op *io.Op) {
	number, name, images := w.disk.Number(op), op.Name(), 0
	var states []cover.State
	if w.owners != nil {
		states = w.statesFor(op, nil)
	}
	if w.opts.Survey {
		images = w.disk.Images()
	}
	w.current = w.owners[op].actor
	struck := w.disk.Step(op)
	w.current = nil
	w.nears(op)
	if w.opts.Survey && !slices.Contains(w.disk.Queue(), op) { // it has ended, and not only got on
		s := &w.surveys[len(w.surveys)-1]
		s.IOs = append(s.IOs, Point{number, name, images, states, true})
	}
	if name != "close" && name != "lock" { // which can't be made to fail
		w.opts.Cover.Add(cover.OnIO, states)
	}
	switch struck {
	case plan.Fail, plan.NoSpace, plan.FailSync:
		w.opts.Cover.Add(cover.Failed, states)
	case plan.Cancel:
		w.opts.Cover.Add(cover.Cancelled, states)
	}
	if w.owners != nil && op.Completion.Retired() {
		delete(w.owners, op)
	}
}

// endSurvey notes what the era leaves.
func (w *World) endSurvey() {
	s := &w.surveys[len(w.surveys)-1]
	s.Files, s.Trace, s.Steps = w.files(), w.disk.Submitted(), w.steps
}

// files returns a hash of all files.
func (w *World) files() uint64 {
	var h xxhash.Digest
	h.Reset()
	for _, name := range w.disk.Names() {
		content, err := w.disk.Bytes(name)
		if err != nil {
			disk.Violate("%s: %v", name, err)
		}
		_, _ = h.WriteString(name)
		_, _ = h.Write(content)
	}
	return h.Sum64()
}
