package world

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/oracle"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// Result is what came of a run.
type Result struct {
	Err    error  // the check that failed; nil: none
	Stack  string // where the engine or a check panicked
	Sum    uint64 // hash of the trace
	Counts Counts
	Eras   []Survey // with Options.Survey
	Starts []*Start // with Options.Keep
}

// Options is what a caller of Run wants to know.
type Options struct {
	Log    func(format string, args ...any) // is told what happens; nil: nobody listens
	Survey bool                             // Result.Eras is made
	Cover  cover.Table                      // counts the states of machines; nil: nobody does
	Keep   bool                             // Result.Starts is made, one an era
	From   *Start                           // where to begin; nil: at the beginning
	Steps  *atomic.Uint64                   // counts the steps of the schedule, for another goroutine to see; nil: nobody does
}

// World is a run under way.
type World struct {
	plan   *plan.Plan
	source *rand.PCG // of rng
	rng    *rand.Rand
	disk   *disk.Disk
	hist   *oracle.History
	log    func(format string, args ...any)
	opts   Options
	counts Counts

	era        *plan.Era
	db         *pawl.DB
	actors     []*actor
	current    *actor           // that has the turn
	owners     map[*io.Op]owner // of I/Os, if somebody wants to know
	haste      uint64           // how often the disk gets on, of 256
	ranks      []int            // PCT: steps at which the running one falls behind
	least      uint64           // of the priorities that were given
	onlyFull   bool             // every commit of the era so far was durable before it was visible
	unsafe     bool             // the last era did not end with a close
	cancelled  bool             // a context ended
	last       bool             // the era that only looks at what is there
	older      []*files         // of the eras before, if the plan brings them back
	made       []*files         // copies
	tampered   *tampering       // with the files of this era
	lost       *oracle.History  // with commits that an open has missed
	lostAt     uint64           // newest commit that was safe then
	copies     int              // made so far
	halfClosed bool             // a close of the era was given up, and commits with it
	cutShort   bool             // the files were closed by one that was given up
	held       []held           // slices from reads
	heldNext   int
	stepLimit  int
	steps      int              // of the era
	maxSize    int64            // of the era, if the files were not larger before
	near       int              // I/Os of the kind that the era's end is near, until it is
	lengths    map[string]int64 // that files were truncated to last
	waited     int              // waits of the era
	acts       map[int][]plan.Act
	surveys    []Survey // one an era
}

// path is the database's name.
const path = "db"

// Run runs a plan.
func Run(p *plan.Plan, o Options) (res Result) {
	var w *World
	first := 0
	if o.From != nil {
		w, first = o.From.from(p, o), o.From.era
	} else {
		w = newWorld(p, o)
	}
	w.disk.Log = o.Log
	if o.Survey || o.Cover != nil {
		w.owners = map[*io.Op]owner{}
		w.disk.OnSubmit = w.submitted
	}
	defer func() {
		res.Sum, res.Counts, res.Eras = w.disk.Sum(), w.counts, w.surveys
		res.Counts.IOs, res.Counts.Faults = w.disk.Counts.IOs, w.disk.Counts.Faults
		if r := recover(); r != nil {
			res.Stack = string(debug.Stack())
			if t, ok := r.(trouble); ok {
				r, res.Stack = t.value, t.stack
			}
			if v, ok := r.(disk.Violation); ok {
				res.Err = v.Err
			} else {
				res.Err = fmt.Errorf("panic: %v", r)
			}
		}
		for _, a := range w.actors {
			w.silently(a.drop)
		}
	}()
	for i := first; i < len(p.Eras); i++ {
		if o.Keep {
			res.Starts = append(res.Starts, w.keep(i))
		}
		w.runEra(i, &p.Eras[i])
		if arg := p.Eras[i].Decay; arg != 0 {
			w.disk.Decay(arg)
		}
	}
	w.last = true
	w.runEra(len(p.Eras), &plan.Era{CacheSize: 1 << 20, CheckpointBytes: 1 << 20, End: plan.EndClose})
	return res
}

// newWorld returns the world of a plan before its first era.
func newWorld(p *plan.Plan, o Options) *World {
	w := &World{plan: p, source: rand.NewPCG(p.Seed, 2), hist: oracle.NewHistory(), log: o.Log, opts: o}
	w.rng = rand.New(w.source)
	w.disk = disk.New(io.NewMemory(io.MemoryConfig{Manual: true, Seed: p.Seed}), p.Order, rand.NewPCG(p.Seed, 3))
	return w
}

// silently ends what may be in the middle of a panic.
func (w *World) silently(fn func()) {
	defer func() { _ = recover() }()
	fn()
}

// say tells the log.
func (w *World) say(format string, args ...any) {
	if w.log != nil {
		w.log(format, args...)
	}
}

// runEra opens the database, runs the clients, and ends as the era says.
func (w *World) runEra(i int, e *plan.Era) {
	w.say("era %d: cache %d, checkpoint %d, %d clients, end %s after %d", i, e.CacheSize, e.CheckpointBytes, len(e.Clients), e.End, e.Steps)
	w.era, w.onlyFull, w.halfClosed, w.cutShort = e, true, false, false
	w.haste = []uint64{16, 100, 200}[w.rng.IntN(3)]
	w.ranks = w.plan.Change
	w.waited, w.acts = 0, map[int][]plan.Act{}
	for _, act := range e.Acts {
		w.acts[act.Wait] = append(w.acts[act.Wait], act)
	}
	if w.opts.Survey {
		w.surveys = append(w.surveys, Survey{})
		defer w.endSurvey()
	}
	w.disk.Begin(e.Faults)
	w.disk.SetCapacity(e.Capacity)
	w.steps = 0
	w.stepLimit = 0
	w.maxSize = e.MaxSize
	w.near, w.lengths = e.Nth, map[string]int64{}
	if e.End != plan.EndClose && e.Steps > 0 && !e.InClose && e.Near == "" {
		w.stepLimit = e.Steps
	}

	w.actors = nil
	w.keepFiles()
	w.tamper(e.Tamper)
	w.add("open", w.openBody)
	if w.loop() {
		w.crash("open")
		return
	}
	if w.db == nil {
		return // it could not be opened, as may be
	}
	w.verify()
	if !e.NoBackground && !e.ReadOnly {
		w.add("background", w.backgroundBody)
	}
	for n := range e.Clients {
		w.add(fmt.Sprintf("client %d", n), func(a *actor) { w.clientBody(a, &e.Clients[n]) })
	}
	if e.CloseWith {
		w.add("close", w.closeBody)
	}
	if w.loop() || e.End != plan.EndClose && e.Steps == 0 {
		w.crash("")
		return
	}
	if e.CloseWith {
		w.heal()
		w.closed()
		return
	}
	if e.InClose {
		w.stepLimit = w.steps + e.Steps
		w.disk.Add(e.AtClose)
	} else {
		w.heal()
	}
	w.add("close", w.closeBody)
	if w.loop() {
		w.crash("close")
		return
	}
	w.closed()
	if e.InClose {
		w.crash("")
	}
}

// heal ends the era's faults, but those of an enumeration, which has its own for the close.
func (w *World) heal() {
	if w.plan.Order == plan.Drawn {
		w.disk.Heal()
	}
	w.disk.SetCapacity(0)
}

// add makes an actor.
func (w *World) add(name string, body func(*actor)) {
	a := newActor(w, name, body)
	a.rank = w.rng.Uint64() >> 1
	w.actors = append(w.actors, a)
}

// options returns what the era opens with.
func (w *World) options() *pawl.Options {
	o := &pawl.Options{
		IO: worldIO{w.disk.Memory, w}, PageSize: w.plan.PageSize, CacheSize: w.era.CacheSize, CheckpointBytes: w.era.CheckpointBytes,
		ReadOnly: w.era.ReadOnly, MaxHeldBytes: w.era.MaxHeldBytes, MaxSize: w.maxSize, LockTimeout: -1,
		SyncInterval: 50 * time.Millisecond, OnEvent: w.event,
	}
	if w.era.Relaxed {
		o.Durability = pawl.Relaxed
	}
	return o
}

func (w *World) event(e pawl.Event) {
	if w.log != nil {
		w.say("  event     %v seq %d: %v", e.Kind, e.Seq, e.Err)
	}
	if e.Kind == pawl.EventCheckpoint {
		w.counts.Checkpoints++
	}
}
