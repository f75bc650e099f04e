package enumerate

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// Case is one thing that is done at one point of a workload.
type Case struct {
	Workload string
	Era      int
	What     string // "abandon at wait 7 (commit)"
	Event    cover.Event
	States   []cover.State // that are in it there
	plan     *plan.Plan    // of the workload
	start    *world.Start  // of its era, or one before: up to there it is as the workload
	change   func(p *plan.Plan)
	image    int   // of a cut at an I/O
	onward   bool  // a cut is not the end of the plan
	bare     bool  // others like it are enough to count what states have met
	order    []int // of its workload, its own in that, and so on if it follows another case
}

// Plan returns the plan of the case.
func (c *Case) Plan() *plan.Plan {
	p := *c.plan
	p.Eras = slices.Clone(p.Eras)
	c.change(&p)
	return &p
}

// forGood is how often a fault comes that does not end.
const forGood = 1 << 30

// secondCuts is for how many survivors of a power cut the recovery is cut again.
const secondCuts = 3

// cases returns what is to be done at the points of a workload, but for second cuts.
func cases(w *Workload, res *world.Result) (list []Case) {
	eras := res.Eras
	for e := range w.Plan.Eras {
		if w.Plan.Eras[e].Quiet {
			continue
		}
		add := func(event cover.Event, at world.Point, what string, image int, change func(era *plan.Era)) {
			list = append(list, Case{
				Workload: w.Name, Era: e, What: what, Event: event, States: at.States, plan: &w.Plan,
				change: func(p *plan.Plan) { change(&p.Eras[e]) }, image: image,
			})
		}
		for n, at := range eras[e].Waits {
			where := fmt.Sprintf("at wait %d (%s)", n, at.Name)
			act := func(event cover.Event, kind plan.ActKind, arg int64) {
				add(event, at, fmt.Sprintf("%s %s", kind, where), secondCuts, func(era *plan.Era) {
					era.Acts = append(slices.Clip(era.Acts), plan.Act{Wait: n, Kind: kind, Arg: arg})
				})
			}
			act(cover.SteppedEarly, plan.StepEarly, 0)
			act(cover.Abandoned, plan.Abandon, 0)
			if at.OnIO {
				act(cover.Abandoned, plan.AbandonLate, 0)
				act(cover.Abandoned, plan.AbandonLost, 0)
			}
			for image := range min(at.Images, secondCuts) {
				act(cover.Cut, plan.CutThere, int64(image))
			}
		}
		for _, at := range eras[e].IOs {
			where := fmt.Sprintf("I/O %d (%s)", at.Number, at.Name)
			fault := func(event cover.Event, f plan.Fault) {
				f.IO = at.Number
				add(event, at, fmt.Sprintf("%s %s", f, where), int(f.Arg), func(era *plan.Era) { era.Faults = append(slices.Clip(era.Faults), f) })
			}
			for _, kind := range kinds(at.Name) {
				fault(cover.Failed, plan.Fault{Kind: kind})
				fault(cover.Failed, plan.Fault{Kind: kind, Times: forGood})
			}
			if at.Name != "close" && at.Name != "lock" {
				fault(cover.Cancelled, plan.Fault{Kind: plan.Cancel})
			}
			if at.Name == "read" || at.Name == "write" {
				fault(cover.Waited, plan.Fault{Kind: plan.Short})
			}
			for image := range at.Images {
				fault(cover.Cut, plan.Fault{Kind: plan.Cut, Arg: int64(image)})
				list[len(list)-1].bare = image >= secondCuts
			}
			list = append(list, Case{
				Workload: w.Name, Era: e, What: "the only one to be waited for: " + where, Event: cover.Waited, States: at.States,
				plan: &w.Plan,
				change: func(p *plan.Plan) {
					p.Order = plan.Eager
					p.Eras[e].Faults = append(slices.Clip(p.Eras[e].Faults), plan.Fault{IO: at.Number, Kind: plan.Hold})
				},
			})
		}
	}
	for i := range list {
		list[i].start, list[i].onward = world.StartOf(list[i].Era, res.Starts), w.Onward
		list[i].order = append(slices.Clip(w.order), i)
	}
	return list
}

// kinds returns in which ways an I/O can fail.
func kinds(name string) []plan.FaultKind {
	switch name {
	case "close", "lock":
		return nil
	case "write", "truncate", "open":
		return []plan.FaultKind{plan.Fail, plan.Refuse, plan.NoSpace}
	}
	return []plan.FaultKind{plan.Fail, plan.Refuse}
}

// behind returns the plan of the case with an era behind it that only opens and closes.
func (c *Case) behind() *plan.Plan {
	p := c.Plan()
	if c.Event == cover.Cut {
		p.Eras = p.Eras[:c.Era+1]
	}
	last := era()
	last.Clients = nil
	p.Eras = append(slices.Clip(p.Eras), last)
	return p
}

// next returns what can be done on top of a case, once it has run as it is: in the recovery alone if it cuts the power.
func next(c *Case) ([]Case, error) {
	w := Workload{Name: c.Workload + ", " + c.What, Plan: *c.behind(), order: c.order}
	res := world.Run(&w.Plan, world.Options{Survey: true, Cover: cover.Table{}, Keep: true, From: c.start})
	if res.Err != nil {
		return nil, res.Err
	}
	if c.Event == cover.Cut {
		for i := range c.Era + 1 {
			w.Plan.Eras[i].Quiet = true
		}
	}
	return cases(&w, &res), nil
}
