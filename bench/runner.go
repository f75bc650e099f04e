package main

import (
	"encoding/json"
	"errors"
	"fmt"
	stdio "io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/machine"
	"github.com/pawldb/pawl/bench/internal/report"
	"github.com/pawldb/pawl/bench/internal/work"
)

// runner does the steps of a run.
type runner struct {
	config
	state   *state
	dir     string // of the stores
	notes   stdio.Writer
	version string // the program's fingerprint: a data set of another one is made anew
}

// all does every step, or takes what it gave before.
func (r *runner) all(setup json.RawMessage) (*report.Report, error) {
	rep := &report.Report{}
	if err := json.Unmarshal(setup, &rep.Setup); err != nil {
		return nil, err
	}
	if err := r.allowMissing(r.state.do("limits", &rep.Limits, func() (err error) {
		rep.Limits, err = r.limits()
		return err
	})); err != nil {
		return nil, fmt.Errorf("limits of the machine: %w", err)
	}
	for _, e := range r.engines {
		if e.Volatile || len(r.workloads) == 0 {
			continue
		}
		var count report.SyncCount
		err := r.state.do("syncs/"+e.Name, &count, func() error { count = countSyncs(e, r.dir, r.Cache); return nil })
		if err := r.allowMissing(err); err != nil {
			return nil, err
		}
		if err == nil {
			rep.Syncs = append(rep.Syncs, count)
		}
	}
	for _, w := range r.workloads {
		s, err := r.workload(w)
		if err != nil {
			return nil, err
		}
		rep.Sections = append(rep.Sections, s)
	}
	if err := r.growth(rep); err != nil {
		return nil, err
	}
	err := r.state.do("load after", &rep.Setup.LoadAfter, func() error { rep.Setup.LoadAfter = loadAverage(); return nil })
	return rep, r.allowMissing(err)
}

// allowMissing forgives that a step is not in a file that is only read.
func (r *runner) allowMissing(err error) error {
	if errors.Is(err, errNotMeasured) {
		return nil
	}
	return err
}

// note tells of progress.
func (r *runner) note(format string, args ...any) {
	fmt.Fprintf(r.notes, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

// limits asks what the machine does at best.
func (r *runner) limits() ([]machine.Limit, error) {
	reads, loads, file := 200_000, 20_000_000, int64(1<<30)
	if r.Quick || r.Keys < 100_000 {
		reads, loads, file = 20_000, 1_000_000, 64<<20
	}
	cached, err := machine.CachedReads(r.dir, reads)
	if err != nil {
		return nil, err
	}
	direct, err := machine.ScratchReads(r.dir, file, r.Duration, 1, 64)
	if err != nil {
		return nil, err
	}
	return append(append([]machine.Limit{cached}, direct...), machine.MemoryLoads(256<<20, loads)), nil
}

// skipped says why a workload is not measured; empty: it is.
func (r *runner) skipped(w work.Workload) string {
	if w.Large && r.ColdKeys == 0 {
		return "left out without -cold-keys, and by -quick"
	}
	return ""
}

// workload runs all rounds of a workload.
func (r *runner) workload(w work.Workload) (report.Section, error) {
	s := report.Section{Workload: w, Skipped: r.skipped(w)}
	if s.Skipped != "" {
		return s, nil
	}
	for round := range r.Rounds {
		var one report.Round
		err := r.state.do(fmt.Sprintf("%s/%d", w.Name, round+1), &one, func() (err error) {
			one, err = r.round(w, round)
			return err
		})
		if errors.Is(err, errNotMeasured) {
			break
		}
		if err != nil {
			return s, err
		}
		s.Rounds = append(s.Rounds, one)
	}
	if len(s.Rounds) == 0 {
		s.Skipped = errNotMeasured.Error()
	}
	return s, nil
}

// keysOf returns how many keys a workload has.
func (r *runner) keysOf(w work.Workload) int {
	switch {
	case w.Large:
		return r.ColdKeys
	case w.Big:
		return max(min(r.Keys/1000, 256), 4)
	}
	return r.Keys
}

// round runs each engine once. Every round begins with another engine.
func (r *runner) round(w work.Workload, round int) (one report.Round, err error) {
	one.Results = map[string]work.Result{}
	var part []engines.Engine
	for _, e := range r.engines {
		if w.Excluded(e) == "" {
			part = append(part, e)
		}
	}
	if part, err = r.withData(w, part, one.Results); err != nil || len(part) == 0 {
		return one, err
	}
	if one.Raw, err = r.raw(w, part[0]); err != nil {
		return one, fmt.Errorf("raw figure of the disk: %w", err)
	}
	for at := range part {
		e := part[(at+round)%len(part)]
		res, err := r.once(w, e, round, 0)
		if res, err = forgive(e, res, err); err != nil {
			return one, err
		}
		one.Results[e.Name] = res
		if res.NA != "" {
			r.note("%s, round %d: %s n/a, %s", w.Name, round+1, e.Name, res.NA)
			continue
		}
		r.note("%s, round %d: %s %.4g %s/s in %v; %v in all, %v to fill, %v to verify", w.Name, round+1, e.Name, res.Rate(), w.Unit,
			tenth(res.Elapsed), tenth(res.Whole), tenth(res.Filling), tenth(res.Verifying))
	}
	return one, nil
}

// tenth rounds a time as a note on progress has it.
func tenth(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// withData returns the engines that have their data set, if the workload wants one or copies of one. As many are made at a
// time as there are processors.
func (r *runner) withData(w work.Workload, all []engines.Engine, results map[string]work.Result) ([]engines.Engine, error) {
	if !w.Data.Made() {
		return all, nil
	}
	began, errs := time.Now(), make([]error, len(all))
	var turns sync.WaitGroup
	places := make(chan struct{}, max(runtime.GOMAXPROCS(0), 1)) // nothing is measured meanwhile
	for at, e := range all {
		places <- struct{}{}
		turns.Go(func() { errs[at] = r.makeData(w, e); <-places })
	}
	turns.Wait()
	if took := tenth(time.Since(began)); took > 0 {
		r.note("data sets of %d keys in %v", r.keysOf(w), took)
	}
	var have []engines.Engine
	for at, e := range all {
		res, err := forgive(e, work.Result{}, errs[at])
		if err != nil {
			return nil, err
		}
		if res.NA != "" {
			results[e.Name] = res
			continue
		}
		have = append(have, e)
	}
	return have, nil
}

// forgive makes a peer's failure the reason why it has no figure: it is told, but does not end the run. One of pawl does.
func forgive(e engines.Engine, res work.Result, err error) (work.Result, error) {
	if err == nil || e.Name == engines.Own {
		return res, err
	}
	return work.Result{NA: "failed: " + strings.ReplaceAll(err.Error(), "|", "/")}, nil
}

// deepReads are at once in the figure that cold-many is compared with: as many as its keys.
const deepReads = 256

// raw returns what the disk does at best of what a workload waits for, for cold reads in the first engine's file; nil: it
// waits for nothing.
func (r *runner) raw(w work.Workload, first engines.Engine) (*machine.Limit, error) {
	switch {
	case w.Durable:
		writes := 500
		if r.Quick {
			writes = 200
		}
		l, err := machine.Overwrite(r.dir, writes)
		return &l, err
	case w.Cold:
		file, err := largestFile(r.dataDir(w, first))
		if err != nil {
			return nil, err
		}
		l, err := machine.DirectReads(file, deepReads, r.Duration)
		if err != nil { // not every file system has it
			l = machine.Limit{Failed: err.Error()}
		}
		return &l, nil
	}
	return nil, nil
}

// once runs one engine, in the shared data set or in a directory of its own that is gone afterwards.
// goroutines is their number in place of the workload's own; 0: that.
func (r *runner) once(w work.Workload, e engines.Engine, round, goroutines int) (res work.Result, err error) {
	run := childRun{
		Workload: w.Name, Engine: e.Name, Keys: r.keysOf(w), Duration: r.Duration, Limit: r.Limit, Round: round, Cache: r.Cache,
		Goroutines: goroutines,
	}
	if w.Data == work.Shared && !e.Volatile {
		run.Dir = r.dataDir(w, e)
	} else {
		if run.Dir, err = os.MkdirTemp(r.dir, e.Name+"-"); err != nil {
			return res, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(run.Dir)) }()
	}
	if w.Data == work.Copied && !e.Volatile {
		if err := machine.Copy(run.Dir, r.dataDir(w, e)); err != nil {
			return res, fmt.Errorf("copy of the data set: %w", err)
		}
	}
	if r.profiles != "" {
		run.Profile = filepath.Join(r.profiles, fmt.Sprintf("%s-%s-%d.prof", w.Name, e.Name, round+1))
	}
	if w.Cold {
		return r.cold(run)
	}
	return run.start()
}

// cold runs one engine in little memory, and with nothing of its files in the page cache.
func (r *runner) cold(run childRun) (res work.Result, err error) {
	group, err := machine.NewGroup(r.ColdMemory)
	if err != nil {
		return work.Result{NA: fmt.Sprintf("memory can't be limited here: %v", err)}, nil
	}
	defer func() { err = errors.Join(err, removeGroup(group)) }()
	if err := machine.Forget(run.Dir); err != nil {
		return res, err
	}
	run.Group = group.Dir
	res, err = run.start()
	if errors.Is(err, errKilled) {
		return work.Result{NA: fmt.Sprintf("killed: it wants more than %d MiB", r.ColdMemory>>20)}, nil
	}
	return res, err
}

// removeGroup removes a control group, whose last process may take a moment to be gone.
func removeGroup(g *machine.Group) (err error) {
	for range 50 {
		if err = g.Remove(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}
