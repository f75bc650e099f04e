package enumerate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// Plans number I/Os and waits, and every change of the engine moves these numbers. So what a workload has at one of them is put there
// by what a machine does at the time, and what the workload is there for is an aim, which is looked for each time that it is run as it
// is: a workload that has become another one by a change of the engine is told of like a state that none of them enters any more.

// aim is something that must happen in a workload as it is.
type aim struct {
	event cover.Event
	state string                    // of a machine, to which the event happens
	what  string                    // without a state: is told if there was none, of what
	count func(c *world.Counts) int // counts
}

// String tells what is missing.
func (a aim) String() string {
	if a.state == "" {
		return a.what
	}
	return fmt.Sprintf("%s: never %s", a.state, a.event)
}

// struck gives an era a fault at the n-th I/O of a name, counted from 0, for which a machine waits in a state.
func (w Workload) struck(era int, state, name string, n int, f plan.Fault) Workload {
	found := func(at world.Point) bool { return at.Name == name && slices.Contains(at.States, stateOf(state)) }
	at, ok := nth(w.survey(era).IOs, n, found)
	if !ok {
		w.lost = append(w.lost, fmt.Sprintf("%s: no %s of number %d for a fault", state, name, n))
		return w
	}
	f.IO = at.Number
	e := &w.Plan.Eras[era]
	e.Faults, w.placed = append(e.Faults, f), w.placed+1
	switch f.Kind {
	case plan.Fail, plan.FailSync, plan.NoSpace:
		return w.meets(cover.Failed, state)
	}
	return w
}

// images returns the workload with the power cut while the n-th I/O of a name is under way for which a machine waits in a state, once
// with each set of survivors. Its later eras come behind the cut. Each is run as it is, and not gone through.
func (w Workload) images(era int, state, name string, n int) (list []Workload) {
	at, ok := nth(w.survey(era).IOs, n, func(at world.Point) bool { return at.Name == name && slices.Contains(at.States, stateOf(state)) })
	if !ok {
		w.lost = append(w.lost, fmt.Sprintf("%s: no %s of number %d for a cut", state, name, n))
		return []Workload{w}
	}
	for image := range at.Images {
		c := w
		c.Name = fmt.Sprintf("%s, survivors %d of %s %d", w.Name, image, name, n)
		c.Plan.Eras = slices.Clone(w.Plan.Eras)
		for i := range c.Plan.Eras {
			c.Plan.Eras[i].Quiet = true
		}
		e := &c.Plan.Eras[era]
		e.Faults, c.placed = append(slices.Clip(e.Faults), plan.Fault{IO: at.Number, Kind: plan.Cut, Arg: int64(image)}), w.placed+1
		list = append(list, c.meets(cover.Cut, state))
	}
	return list
}

// acted gives an era an act at the n-th wait, counted from 0, of a machine in a state.
func (w Workload) acted(era int, state string, n int, kind plan.ActKind) Workload {
	at, ok := nth(w.survey(era).Waits, n, func(at world.Point) bool { return slices.Contains(at.States, stateOf(state)) })
	if !ok {
		w.lost = append(w.lost, fmt.Sprintf("%s: no wait of number %d for an act", state, n))
		return w
	}
	e := &w.Plan.Eras[era]
	e.Acts, w.placed = append(e.Acts, plan.Act{Wait: at.Number, Kind: kind}), w.placed+1
	return w.meets(map[plan.ActKind]cover.Event{
		plan.StepEarly: cover.SteppedEarly, plan.Abandon: cover.Abandoned, plan.AbandonLate: cover.Abandoned, plan.AbandonLost: cover.Abandoned,
		plan.CutThere: cover.Cut,
	}[kind], state)
}

// meets says that an event has to happen to a machine in a state.
func (w Workload) meets(event cover.Event, state string) Workload {
	stateOf(state)
	w.aims = append(slices.Clip(w.aims), aim{event: event, state: state})
	return w
}

// fails says that an operation has to fail.
func (w Workload) fails() Workload {
	w.aims = append(slices.Clip(w.aims), aim{what: "no operation failed", count: func(c *world.Counts) int { return c.Errors }})
	return w
}

// returns says that an open has to find what one before had missed.
func (w Workload) returns() Workload {
	w.aims = append(slices.Clip(w.aims), aim{what: "no commit came back", count: func(c *world.Counts) int { return c.Returned }})
	return w
}

// survey returns what there is to an era of the workload as it is so far.
func (w *Workload) survey(era int) world.Survey {
	res := world.Run(&w.Plan, world.Options{Survey: true, Cover: cover.Table{}})
	if era >= len(res.Eras) { // it fails, as is told when it is run
		return world.Survey{}
	}
	return res.Eras[era]
}

// nth returns the n-th of those points that are right.
func nth(points []world.Point, n int, right func(world.Point) bool) (world.Point, bool) {
	for i, at := range points {
		if !right(at) {
			continue
		}
		if n--; n < 0 {
			return points[i], true
		}
	}
	return world.Point{}, false
}

// stateOf returns the state that coverage calls name.
func stateOf(name string) cover.State {
	for _, u := range cover.Universe {
		if u.String() == name {
			return u.State
		}
	}
	panic(invariant.Failf("enumerate: no machine waits in %q", name))
}

// stateOfFound returns the state that a plan in found is named by.
func stateOfFound(name string) string {
	return strings.Replace(strings.Replace(name, "-", ".", 1), "-", " ", 1)
}

// missed tells what did not happen that the workload is there for.
func (w *Workload) missed(res *world.Result, table cover.Table) (list []string) {
	list = append(list, w.lost...)
	for _, a := range w.aims {
		met := 0
		if a.state == "" {
			met = a.count(&res.Counts)
		} else if n := table[stateOf(a.state)]; n != nil {
			met = n[a.event]
		}
		if met == 0 {
			list = append(list, a.String())
		}
	}
	return list
}
