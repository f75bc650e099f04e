package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/report"
	"github.com/pawldb/pawl/bench/internal/work"
)

// growthSteps are what is measured along keys and goroutines.
var growthSteps = []struct{ what, workload string }{
	{"get", "get"}, {"put", "commit"}, {"open", "open-clean"},
}

const (
	growthLeast      = 10_000   // keys; ten times as many again and again
	growthPutMost    = 10 << 20 // keys: beyond, a process could not keep track of them all
	growthGoroutines = 64       // 1, 2, 4 and so on
)

// growthEngines are those of -quick, as far as they take part: a chart with all lines can't be read.
func (r *runner) growthEngines() (part []engines.Engine) {
	few := strings.Split(quickEngines(engines.All()), ",")
	for _, e := range r.engines {
		if slices.Contains(few, e.Name) {
			part = append(part, e)
		}
	}
	return part
}

// growth measures how cost grows: a get, a durable put and an open by keys, then gets and puts by goroutines.
func (r *runner) growth(rep *report.Report) error {
	if r.Growth == 0 {
		return nil
	}
	first, many := 1, min(r.Keys, r.Growth)
	for keys := min(growthLeast, r.Growth); keys <= r.Growth; keys *= 10 {
		if err := r.growthAt(rep, keys, 1); err != nil {
			return err
		}
		if keys == many {
			first = 2 // one goroutine has just been measured
		}
	}
	for goroutines := first; goroutines <= growthGoroutines; goroutines *= 2 {
		if err := r.growthAt(rep, many, goroutines); err != nil {
			return err
		}
	}
	return nil
}

// growthAt measures one point of each line: with one goroutine by keys, with several of gets and puts alone.
func (r *runner) growthAt(rep *report.Report, keys, goroutines int) error {
	for _, step := range growthSteps {
		if step.what == "open" && goroutines > 1 || step.what == "put" && keys > growthPutMost {
			continue
		}
		w, err := find(step.workload, work.All(), workloadName)
		if err != nil {
			return err
		}
		for _, e := range r.growthEngines() {
			p := report.Point{What: step.what, Engine: e.Name, Keys: keys, Goroutines: goroutines}
			name := fmt.Sprintf("growth/%s/%s/%d/%d", p.What, p.Engine, p.Keys, p.Goroutines)
			err := r.state.do(name, &p, func() error { return r.grow(w, e, &p) })
			if err := r.allowMissing(err); err != nil {
				return err
			}
			if err == nil {
				rep.Growth = append(rep.Growth, p)
			}
		}
	}
	return nil
}

// grow measures a point.
func (r *runner) grow(w work.Workload, e engines.Engine, p *report.Point) error {
	sized := *r
	sized.Keys = p.Keys
	var res work.Result
	var err error
	if w.Data.Made() {
		err = sized.makeData(w, e)
	}
	if err == nil {
		res, err = sized.once(w, e, 0, p.Goroutines)
	}
	if res, err = forgive(e, res, err); err != nil {
		return err
	}
	p.NA, p.Rate, p.P50 = res.NA, res.Rate(), res.P50.Seconds()
	r.note("growth, %s %s, %d keys, %d goroutines: %.4g/s", p.What, p.Engine, p.Keys, p.Goroutines, p.Rate)
	return nil
}
