package world

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/oracle"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// Start is the beginning of an era in a run: plans that are the same up to there can go on from it, and run as if they had begun at
// their beginning. It may be gone on from more than once, and at the same time.
type Start struct {
	era    int
	source rand.PCG // of the schedule
	disk   *disk.Start
	hist   *oracle.History
	world  World // what else goes on from era to era
}

// keep notes the beginning of an era.
func (w *World) keep(era int) *Start {
	s := &Start{
		era: era, source: *w.source, disk: w.disk.Keep(), hist: w.hist.Clone(),
		world: World{unsafe: w.unsafe, cancelled: w.cancelled, copies: w.copies, least: w.least, counts: w.counts.clone()},
	}
	if w.lost != nil {
		s.world.lost, s.world.lostAt = w.lost.Clone(), w.lostAt
	}
	return s
}

// from returns the world that a plan goes on in.
func (s *Start) from(p *plan.Plan, o Options) *World {
	w := s.world
	source := s.source
	w.plan, w.opts, w.log, w.source, w.rng = p, o, o.Log, &source, rand.New(&source)
	w.disk, w.hist, w.counts = s.disk.Disk(p.Order), s.hist.Clone(), s.world.counts.clone()
	if w.lost != nil {
		w.lost = w.lost.Clone()
	}
	if o.Survey {
		w.surveys = make([]Survey, s.era) // of what is not gone through again nothing is known
	}
	return &w
}

// clone returns counts that share nothing with c.
func (c Counts) clone() Counts {
	c.Faults = maps.Clone(c.Faults)
	return c
}

// StartOf returns the start of an era among those that a run has kept, or the last one before it; nil if there is none.
func StartOf(era int, starts []*Start) *Start {
	for _, s := range slices.Backward(starts) {
		if s.era <= era {
			return s
		}
	}
	return nil
}
