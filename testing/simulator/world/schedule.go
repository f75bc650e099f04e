package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// Bounds of the schedule.
const (
	cutWindow   = 300     // steps that a power cut waits for a moment when something is not synced
	maxSteps    = 400_000 // of an era; more is taken for a hang
	backgrounds = "background"
)

// loop lets actors and disk get on, in an order drawn from the seed, until every actor but the background has ended, or the era
// is cut: then it returns true.
func (w *World) loop() (cut bool) {
	for w.busy() {
		if w.cutNow() {
			return true
		}
		w.counts.Steps++
		w.steps++
		if w.opts.Steps != nil {
			w.opts.Steps.Add(1)
		}
		if w.steps > maxSteps {
			disk.Violate("the era does not end: %s", w.waiting())
		}
		w.step()
	}
	return false
}

// busy reports whether somebody has work.
func (w *World) busy() bool {
	return slices.ContainsFunc(w.actors, func(a *actor) bool { return !a.ended && a.name != backgrounds })
}

// cutNow reports whether it is time for the era to be cut.
func (w *World) cutNow() bool {
	if w.disk.CutDue() {
		return true
	}
	over := w.steps - w.stepLimit
	if w.stepLimit == 0 || over < 0 {
		return false
	}
	return w.era.End == plan.EndKill || over > cutWindow || len(w.disk.Unsynced()) > 0
}

// nears counts the I/Os near which the era is to end.
func (w *World) nears(op *io.Op) {
	name := op.Name()
	if name == "write" && op.File == path && op.Offset < disk.MetaEnd {
		name = "meta"
	}
	if name == "truncate" {
		if shorter := op.Length < w.lengths[op.File]; shorter && (w.era.Near == "shorten" || w.era.Near == "shorten log" && disk.IsLog(op.File)) {
			name = w.era.Near
		}
		w.lengths[op.File] = op.Length
	}
	if name != w.era.Near || w.stepLimit > 0 {
		return
	}
	if w.near--; w.near == 0 {
		w.stepLimit = w.steps + w.era.Steps
	}
}

// step lets one thing happen.
func (w *World) step() {
	queue := w.disk.Queue()
	var able []*actor
	for _, a := range w.actors {
		if a.pause > 0 {
			a.pause--
		}
		if a.ready() {
			able = append(able, a)
		}
	}
	if w.plan.Order != plan.Drawn {
		w.inOrder(able, queue)
		return
	}
	switch {
	case len(w.plan.Change) > 0:
		w.byRank(able, queue)
	case len(able) == 0 && len(queue) == 0:
		w.stall()
	case len(queue) > 0 && (len(able) == 0 || w.rng.Uint64()%256 < w.haste):
		w.ends(queue[w.rng.IntN(len(queue))])
	default:
		w.run(able[w.rng.IntN(len(able))])
	}
	if w.rng.IntN(32) == 0 {
		w.early()
	}
	if w.rng.IntN(64) == 0 {
		w.tick()
	}
}

// inOrder lets the first one of those who can get on; if there is none, the oldest I/O ends, unless it is stuck and another one is not.
func (w *World) inOrder(able []*actor, queue []*io.Op) {
	switch {
	case len(able) > 0:
		w.run(able[0])
	case len(queue) > 0:
		oldest := max(slices.IndexFunc(queue, func(op *io.Op) bool { return !w.disk.Stuck(op) }), 0)
		w.ends(queue[oldest])
	default:
		w.stall()
	}
}

// byRank lets the one with the highest priority get on; at a few steps it falls behind all others. That finds orders that need
// few changes with a known chance: Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic
// Guarantees of Finding Bugs", 2010. Each I/O has a priority of its own.
func (w *World) byRank(able []*actor, queue []*io.Op) {
	var best *actor
	for _, a := range able {
		if best == nil || a.rank > best.rank {
			best = a
		}
	}
	var op *io.Op
	for _, o := range queue {
		if op == nil || rankOf(o) > rankOf(op) {
			op = o
		}
	}
	switch {
	case best == nil && op == nil:
		w.stall()
	case best == nil || op != nil && rankOf(op) > best.rank:
		w.ends(op)
	default:
		if slices.Contains(w.ranks, w.steps) {
			w.least++
			best.rank = w.least
		}
		w.run(best)
	}
}

// rankOf returns the priority of an I/O, which follows from its number.
func rankOf(op *io.Op) uint64 {
	x := (op.Index + 1) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	return x * 0xbf58476d1ce4e5b9 >> 1
}

// startAll has every I/O under way go on when it is cancelled.
func (w *World) startAll() {
	for _, op := range w.disk.Queue() {
		op.Start()
	}
}

// run lets an actor go on.
func (w *World) run(a *actor) {
	if w.log != nil && a.what != "" {
		w.say("%6d %s: %s", w.steps, a.name, a.what)
	}
	a.turn()
}

// early steps somebody whose wait is not over: nothing may come of it.
func (w *World) early() {
	var waiting []*actor
	for _, a := range w.actors {
		if a.waiting() {
			waiting = append(waiting, a)
		}
	}
	if len(waiting) == 0 {
		return
	}
	a := waiting[w.rng.IntN(len(waiting))]
	before, giveUp := w.disk.Counts.IOs, a.giveUp
	pending := a.pending
	w.opts.Cover.Add(cover.SteppedEarly, a.states)
	a.turn()
	if giveUp == a.giveUp && a.pending == pending && w.disk.Counts.IOs != before {
		disk.Violate("%s, stepped early, submitted an I/O", a.name)
	}
}

// tick lets the clock reach the next timer.
func (w *World) tick() bool {
	at, ok := w.disk.NextTimer()
	if ok {
		w.disk.Advance(max(0, at-w.disk.Now()))
	}
	return ok
}

// stall is when nothing is under way: the clock goes on, pauses end, or it is a deadlock.
func (w *World) stall() {
	w.settled()
	for _, a := range w.actors {
		if a.pause > 0 && !a.ended {
			a.pause = 0
			return
		}
	}
	if !w.tick() {
		disk.Violate("deadlock: %s", w.waiting())
	}
}

// settled checks, when nothing is under way and nothing is to come by itself, that the background work has left nothing undone.
func (w *World) settled() {
	works := slices.ContainsFunc(w.actors, func(a *actor) bool { return a.name == backgrounds && !a.ended && a.pending != nil })
	if _, more := w.disk.NextTimer(); more || !works || w.db == nil {
		return
	}
	s := w.db.Stats()
	if s.Failed != nil {
		return
	}
	if s.Durable < s.Seq {
		disk.Violate("commit %d is visible, %d is durable, and nobody will sync it", s.Seq, s.Durable)
	}
	if s.Writing || s.WritersWaiting > 0 || w.era.Closes() {
		return
	}
	// A transaction begun now is based on what the log has, whether it is written or not.
	begin := w.db.Async().Begin(true)
	switch res, err := begin.Step(); {
	case err != nil:
	case res.Pending != nil:
		_ = begin.Abort(errGivenUp)
	default:
		seq := res.Value.Seq()
		if err := res.Value.Rollback(); err != nil {
			disk.Violate("rollback: %v", err)
		}
		if seq > s.Seq+1 {
			disk.Violate("commit %d is with the log, %d is visible, and nobody will write it", seq-1, s.Seq)
		}
	}
}

// waiting tells what everybody waits for.
func (w *World) waiting() string {
	var list []string
	for _, a := range w.actors {
		if !a.ended {
			reason := "nothing"
			if a.pending != nil {
				reason = fmt.Sprintf("%v %q", a.pending.Kind(), a.pending.Reason())
			}
			list = append(list, fmt.Sprintf("%s in %s on %s", a.name, a.what, reason))
		}
	}
	return strings.Join(list, "; ")
}
