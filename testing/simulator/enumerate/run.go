package enumerate

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// Options say how much of the enumeration is run.
type Options struct {
	Only          string // workloads whose names contain this
	Shard, Shards int    // one part of so many; 0 of 0: all
	States        bool   // only what is needed for each state to meet each event
	Workers       int    // how many cases at a time; 0: 1
	Stop          int    // after so many failures; 0: never
}

// Report is what came of an enumeration.
type Report struct {
	Workloads, Cases int
	Points           int // waits and I/Os
	Done             [cover.Events]int
	Cover            cover.Table
	Failures         []Failure
	Missed           []string // what workloads are there for, and did not happen in them
	Skipped          atomic.Int64
}

// Failure is a case that failed.
type Failure struct {
	Workload, What string
	Plan           *plan.Plan
	Err            error
}

// Run goes through the catalogue.
func Run(o Options) *Report {
	r := &Report{Cover: cover.Table{}}
	e := &enumeration{o: o, report: r, work: make(chan Case, 64), wanted: map[wish]bool{}, leads: map[wish][]*Case{}}
	var wg sync.WaitGroup
	for range max(o.Workers, 1) {
		wg.Go(e.worker)
	}
	for _, w := range Catalogue() {
		if strings.Contains(w.Name, o.Only) {
			e.workload(&w)
		}
	}
	close(e.work)
	wg.Wait()
	if o.Shards <= 1 && o.Only == "" {
		e.rest()
	}
	return r
}

// Size is how much there is to a workload.
type Size struct {
	Workload     string
	Waits, IOs   int
	Cases        int // but for second cuts
	Setup, Steps int // steps of the schedule: before the eras that are gone through, and in all
	Eras         []world.Survey
	Failed       error
}

// List returns the workloads whose names contain a text, and what there is to them.
func List(only string) (list []Size) {
	for _, w := range Catalogue() {
		if !strings.Contains(w.Name, only) {
			continue
		}
		res := world.Run(&w.Plan, world.Options{Survey: true, Cover: cover.Table{}})
		s := Size{Workload: w.Name, Steps: res.Counts.Steps, Failed: res.Err, Eras: res.Eras[:min(len(res.Eras), len(w.Plan.Eras))]}
		for i := range res.Eras {
			switch era := &res.Eras[i]; {
			case i >= len(w.Plan.Eras):
			case w.Plan.Eras[i].Quiet:
				s.Setup += era.Steps
			default:
				s.Waits += len(era.Waits)
				s.IOs += len(era.IOs)
			}
		}
		if res.Err == nil {
			s.Cases = len(cases(&w, &res))
		}
		list = append(list, s)
	}
	return list
}

// enumeration is one under way.
type enumeration struct {
	o      Options
	report *Report
	work   chan Case
	mu     sync.Mutex // guards report, and what follows
	wanted map[wish]bool
	leads  map[wish][]*Case // the first cases in which a state was waited in, and those in which it had I/O under way
}

// wish is an event in a state that is given to a worker.
type wish struct {
	state cover.State
	event cover.Event
}

// failed notes a failure, and reports whether there are enough.
func (e *enumeration) failed(f Failure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report.Failures = append(e.report.Failures, f)
}

// stopped reports whether there were enough failures.
func (e *enumeration) stopped() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.o.Stop > 0 && len(e.report.Failures) >= e.o.Stop
}

// workload gives all cases of a workload to the workers.
func (e *enumeration) workload(w *Workload) {
	table := cover.Table{}
	res := world.Run(&w.Plan, world.Options{Survey: true, Cover: table, Keep: true})
	e.mu.Lock()
	e.report.Workloads++
	e.report.Cover.Merge(table)
	for _, what := range w.missed(&res, table) {
		e.report.Missed = append(e.report.Missed, w.Name+": "+what)
	}
	e.mu.Unlock()
	if res.Err != nil {
		e.failed(Failure{w.Name, "as it is", &w.Plan, fmt.Errorf("%w\n%s", res.Err, res.Stack)})
		return
	}
	if err := sameEagerly(w, res.Eras); err != nil {
		eager := w.Plan
		eager.Order = plan.Eager
		e.failed(Failure{w.Name, "without waits", &eager, err})
	}
	for i := range w.Plan.Eras {
		if !w.Plan.Eras[i].Quiet {
			e.report.Points += len(res.Eras[i].Waits) + len(res.Eras[i].IOs)
		}
	}
	for _, c := range cases(w, &res) {
		if e.stopped() {
			return
		}
		if e.o.States && !e.wants(&c) || !e.mine(&c) {
			e.report.Skipped.Add(1)
			continue
		}
		e.work <- c
	}
}

// sameEagerly runs a workload so that no I/O is waited for, and compares: what is submitted and what the files hold in the end
// must be the same. It can be for a single client, whom nobody comes between, on a disk that works.
func sameEagerly(w *Workload, eras []world.Survey) error {
	p := w.Plan
	p.Order = plan.Eager
	res := world.Run(&p, world.Options{Survey: true})
	if res.Err != nil {
		return res.Err
	}
	for i := range p.Eras {
		e := &p.Eras[i]
		if !e.NoBackground || len(e.Clients) > 1 || e.Closes() || len(e.Faults) > 0 {
			return nil // and behind it the files may differ
		}
		if a, b := &eras[i], &res.Eras[i]; a.Trace != b.Trace && !w.Merges || a.Files != b.Files {
			return fmt.Errorf("era %d differs: trace %016x and %016x, files %016x and %016x", i, a.Trace, b.Trace, a.Files, b.Files)
		}
	}
	return nil
}

// mine reports whether a case is of the shard.
func (e *enumeration) mine(c *Case) bool {
	if e.o.Shards <= 1 {
		return true
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%d/%s", c.Workload, c.Era, c.What)
	return int(h.Sum32()%uint32(e.o.Shards)) == e.o.Shard
}

// wants reports whether a state of the case has not met the event yet.
func (e *enumeration) wants(c *Case) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	wants := false
	for _, s := range c.States {
		if w := (wish{s, c.Event}); !e.wanted[w] {
			e.wanted[w], wants = true, true
		}
	}
	return wants
}

// worker runs cases.
func (e *enumeration) worker() {
	for c := range e.work {
		if e.stopped() {
			continue
		}
		e.run(&c)
		if c.Event == cover.Cut {
			e.again(&c)
		}
	}
}

// again runs what follows a cut in the recovery: for the first few images the cuts there, for the first few of theirs; what the
// states need comes on top.
func (e *enumeration) again(c *Case) {
	if c.image >= secondCuts {
		return
	}
	more, err := next(c)
	if err != nil {
		return // run has told
	}
	for i := range more {
		m := &more[i]
		m.bare = !e.wants(m)
		if !m.bare || !e.o.States && m.Event == cover.Cut && m.image < secondCuts {
			e.run(m)
		}
	}
}

// leads is how many cases are kept that led to a state.
const leads = 4

// lead notes which states a case led to.
func (e *enumeration) lead(c *Case, t cover.Table) {
	for s, n := range t {
		for _, event := range []cover.Event{cover.Waited, cover.OnIO} {
			if n[event] == 0 {
				continue
			}
			list := append(e.leads[wish{s, event}], c)
			slices.SortFunc(list, func(a, b *Case) int { return slices.Compare(a.order, b.order) })
			e.leads[wish{s, event}] = list[:min(len(list), leads)]
		}
	}
}

// rest closes gaps of states that no workload enters as it is: it goes on with the cases that led to them.
func (e *enumeration) rest() {
	for range 3 { // a case on top of a case on top of a case
		for _, g := range e.report.Cover.Gaps() {
			lead := wish{g.State, cover.Waited}
			if g.Event == cover.Failed || g.Event == cover.Cancelled {
				lead.event = cover.OnIO
			}
			for _, c := range slices.Clone(e.leads[lead]) {
				e.close(g, c)
			}
		}
	}
}

// close runs the first thing on top of a case that closes a gap.
func (e *enumeration) close(g cover.Gap, c *Case) {
	more, err := next(c)
	if err != nil {
		return // run has told
	}
	for i := range more {
		if m := &more[i]; m.Event == g.Event && slices.Contains(m.States, g.State) && e.report.Cover.Gap(g.State, g.Event) {
			e.run(m)
		}
	}
}

// run runs one case.
func (e *enumeration) run(c *Case) {
	p := c.Plan()
	var table cover.Table
	if !c.bare {
		table = cover.Table{}
	}
	if c.Event == cover.Cut && !c.onward {
		p.Eras = slices.Clone(p.Eras[:c.Era+1])
	}
	res := world.Run(p, world.Options{Cover: table, From: c.start})
	e.mu.Lock()
	e.report.Cases++
	e.report.Done[c.Event]++
	e.report.Cover.Merge(table)
	e.lead(c, table)
	e.mu.Unlock()
	if res.Err != nil {
		e.failed(Failure{c.Workload, c.What, p, fmt.Errorf("%w\n%s", res.Err, res.Stack)})
	}
}
