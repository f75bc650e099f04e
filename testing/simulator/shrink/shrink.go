package shrink

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/pawldb/pawl/testing/simulator/plan"
)

// seeds is how many schedules are tried with a smaller plan: leaving something out changes what the seed draws.
const seeds = 6

// shrinker holds the smallest plan so far.
type shrinker struct {
	best  *plan.Plan
	want  string // of the failure
	run   func(*plan.Plan) error
	until time.Time
	tried int
}

// Plan returns a plan that is smaller than p and fails like it, and how many were tried for it. run runs a plan and returns the check
// that failed. It ends at a time, or when nothing can be left out any more.
func Plan(p *plan.Plan, run func(*plan.Plan) error, until time.Time) (*plan.Plan, int) {
	err := run(p)
	if err == nil {
		return p, 1
	}
	s := &shrinker{best: Clone(p), want: kind(err), run: run, until: until}
	for again := true; again && !s.over(); {
		before := size(s.best)
		s.lists()
		s.values()
		again = size(s.best) < before
	}
	return s.best, s.tried
}

// Clone returns a copy that shares nothing with p.
func Clone(p *plan.Plan) *plan.Plan {
	text, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("shrink: %v", err))
	}
	c := new(plan.Plan)
	if err := json.Unmarshal(text, c); err != nil {
		panic(fmt.Sprintf("shrink: %v", err))
	}
	return c
}

func size(p *plan.Plan) int {
	text, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("shrink: %v", err))
	}
	return len(text)
}

var particulars = regexp.MustCompile(`"[^"]*"|0x[0-9a-f]+|[0-9]+|;.*`)

// kind returns what is common to failures of one kind: the text without names and numbers.
func kind(err error) string { return particulars.ReplaceAllString(err.Error(), "") }

// over reports whether the time is up.
func (s *shrinker) over() bool { return time.Now().After(s.until) }

// try makes a change to a copy of the best plan and keeps it if it fails still.
func (s *shrinker) try(change func(p *plan.Plan)) bool {
	p := Clone(s.best)
	change(p)
	seed := p.Seed
	for i := range uint64(seeds) {
		if s.over() {
			return false
		}
		p.Seed = seed + i
		s.tried++
		if err := s.run(p); err != nil && kind(err) == s.want {
			s.best = p
			return true
		}
		if p.Order != plan.Drawn {
			return false // the seed decides little
		}
	}
	return false
}

// lists leaves out parts of every list: first whole lists, then halves of them, quarters and so on, down to single elements.
func (s *shrinker) lists() {
	for parts := 1; parts <= 64; parts *= 2 {
		drop(s, parts, func(p *plan.Plan) *[]plan.Era { return &p.Eras })
		drop(s, parts, func(p *plan.Plan) *[]int { return &p.Change })
		for e := range s.best.Eras {
			drop(s, parts, func(p *plan.Plan) *[]plan.Client { return &p.Eras[e].Clients })
			drop(s, parts, func(p *plan.Plan) *[]plan.Fault { return &p.Eras[e].Faults })
			drop(s, parts, func(p *plan.Plan) *[]plan.Act { return &p.Eras[e].Acts })
			for c := range s.best.Eras[e].Clients {
				drop(s, parts, func(p *plan.Plan) *[]plan.Task { return &p.Eras[e].Clients[c].Tasks })
				for t := range s.best.Eras[e].Clients[c].Tasks {
					drop(s, parts, func(p *plan.Plan) *[]plan.Op { return &p.Eras[e].Clients[c].Tasks[t].Ops })
				}
			}
		}
	}
}

// drop leaves out parts of one list, of which there are so many. A list with fewer elements had its turn before.
func drop[T any](s *shrinker, parts int, list func(p *plan.Plan) *[]T) {
	n := len(*list(s.best))
	part := (n + parts - 1) / parts
	if n == 0 || parts > 1 && parts >= 2*n {
		return
	}
	for at := 0; at < len(*list(s.best)) && !s.over(); {
		end := min(at+part, len(*list(s.best)))
		if !s.try(func(p *plan.Plan) { l := list(p); *l = slices.Delete(*l, at, end) }) {
			at = end
		}
	}
}

// values makes what is left plainer.
func (s *shrinker) values() {
	plainer(s, func(p *plan.Plan) *plan.KeyShape { return &p.Keys }, plan.ShortKeys)
	plainer(s, func(p *plan.Plan) *int { return &p.KeyCount }, 4, 16)
	plainer(s, func(p *plan.Plan) *int { return &p.PageSize }, 512)
	for e := range s.best.Eras {
		plainer(s, func(p *plan.Plan) *int64 { return &p.Eras[e].CacheSize }, 1)
		plainer(s, func(p *plan.Plan) *int64 { return &p.Eras[e].Capacity }, 0)
		plainer(s, func(p *plan.Plan) *int64 { return &p.Eras[e].MaxSize }, 0)
		plainer(s, func(p *plan.Plan) *int64 { return &p.Eras[e].MaxHeldBytes }, 0)
		plainer(s, func(p *plan.Plan) *bool { return &p.Eras[e].Relaxed }, false)
		plainer(s, func(p *plan.Plan) *bool { return &p.Eras[e].ReadOnly }, false)
		plainer(s, func(p *plan.Plan) *bool { return &p.Eras[e].NoBackground }, true)
		plainer(s, func(p *plan.Plan) *plan.End { return &p.Eras[e].End }, plan.EndClose)
		plainer(s, func(p *plan.Plan) *int { return &p.Eras[e].Steps }, 0)
		for f := range s.best.Eras[e].Faults {
			plainer(s, func(p *plan.Plan) *int { return &p.Eras[e].Faults[f].Times }, 0)
			plainer(s, func(p *plan.Plan) *string { return &p.Eras[e].Faults[f].Of }, "")
		}
		for c := range s.best.Eras[e].Clients {
			for t := range s.best.Eras[e].Clients[c].Tasks {
				task := func(p *plan.Plan) *plan.Task { return &p.Eras[e].Clients[c].Tasks[t] }
				plainer(s, func(p *plan.Plan) *int { return &task(p).GiveUp }, 0)
				plainer(s, func(p *plan.Plan) *bool { return &task(p).Leave }, false)
				plainer(s, func(p *plan.Plan) *bool { return &task(p).Blocking }, false)
				plainer(s, func(p *plan.Plan) *bool { return &task(p).Relaxed }, false)
				for o := range task(s.best).Ops {
					plainer(s, func(p *plan.Plan) *int { return &task(p).Ops[o].Bucket }, 0)
					plainer(s, func(p *plan.Plan) *int { return &task(p).Ops[o].Size }, 0, 40)
					plainer(s, func(p *plan.Plan) *int { return &task(p).Ops[o].Key }, 0)
				}
			}
		}
	}
}

// plainer sets a value to the first of some that will do.
func plainer[T comparable](s *shrinker, value func(p *plan.Plan) *T, plain ...T) {
	for _, v := range plain {
		if *value(s.best) == v || s.try(func(p *plan.Plan) { *value(p) = v }) {
			return
		}
	}
}
