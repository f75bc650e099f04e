package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/work"
)

// config is what the flags say. What is exported decides what is measured.
type config struct {
	Rounds     int
	Keys       int
	Duration   time.Duration
	Limit      time.Duration // of a measurement that has an end of its own; 0: none
	Cache      int64
	ColdKeys   int // 0: workloads of many keys are left out
	ColdMemory int64
	Quick      bool
	Growth     int // keys of the largest store; 0: without growth
	Workloads  []string
	Engines    []string

	dir      string
	profiles string
	results  string
	state    string
	from     []string

	workloads []work.Workload
	engines   []engines.Engine
}

// text is what of it decides what is measured.
func (c config) text() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("bench: a configuration can't be written: %v", err)) // it is plain values
	}
	return string(b)
}

// nothing is what -workloads says for no workload.
const nothing = "none"

// parseFlags reads the command line.
func parseFlags(args []string) (config, error) {
	var c config
	var growth bool
	var chosenWorkloads, chosenEngines string
	allWorkloads, allEngines := work.All(), engines.All()
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&c.dir, "dir", "",
		"`directory` for the stores, on the disk to be measured (default: the system's for temporary files)")
	f.IntVar(&c.Rounds, "rounds", 5, "runs of each engine in each workload; the tables have their median")
	f.IntVar(&c.Keys, "keys", 1_000_000, "keys in a full store")
	f.IntVar(&c.ColdKeys, "cold-keys", 10_000_000, "keys in a store that is larger than the memory; 0: leave those workloads out")
	coldMemory := f.Int64("cold-memory", 256, "`MiB` of memory that there are for everything then")
	f.DurationVar(&c.Duration, "duration", 2*time.Second, "length of a measurement that has no end of its own")
	f.DurationVar(&c.Limit, "limit", time.Minute,
		"length at which a measurement of many transactions is ended before its own end, and the rate so far counts; 0: never")
	f.Int64Var(&c.Cache, "cache", 0, "`bytes` of cache, for engines that have their own (default: a quarter of memory, 64 to 256 MiB)")
	f.StringVar(&chosenWorkloads, "workloads", "",
		"comma-separated `list` of "+listOf(allWorkloads, workloadName)+" (default: all), or "+nothing)
	f.StringVar(&chosenEngines, "engines", "",
		"comma-separated `list` of "+listOf(allEngines, engineName)+" (default: all)")
	f.StringVar(&c.profiles, "profiles", "", "`directory` for CPU profiles of the measured parts")
	f.StringVar(&c.results, "results", "", "`file` for the report, with charts in a directory charts beside it, besides printing it")
	f.StringVar(&c.state, "state", "", "`file` that keeps what was measured: started again, the run goes on where it broke off")
	f.Func("from", "state `file`: report what it holds, and measure nothing; more of them, by commas or one -from each, have their "+
		"verdicts beside its own", func(list string) error {
		c.from = append(c.from, strings.Split(list, ",")...)
		return nil
	})
	f.BoolVar(&growth, "growth", false, "measure how cost grows with keys and goroutines, too")
	growthMax := f.Int("growth-max", 10_000_000, "keys of the largest store of -growth")
	f.BoolVar(&c.Quick, "quick", false,
		"less of all: 1 round, 100,000 keys, 0.3 s, four engines, no cold rows; other flags still count")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	c.ColdMemory = *coldMemory << 20
	if c.Quick {
		c.quicken(set)
		if !set["engines"] {
			chosenEngines = quickEngines(allEngines)
		}
	}
	if growth {
		c.Growth = *growthMax
	}
	switch {
	case f.NArg() > 0:
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case c.Rounds < 1, c.Keys < 1, c.Duration <= 0, c.Limit < 0, c.Cache < 0, c.ColdKeys < 0, c.ColdMemory < 1, c.Growth < 0:
		return c, errors.New("-rounds, -keys, -duration and -cold-memory are above 0, -limit, -cache and -cold-keys not below")
	}
	return c, c.choose(chosenWorkloads, chosenEngines)
}

// choose sets what takes part, by two lists of names.
func (c *config) choose(workloadList, engineList string) (err error) {
	if workloadList != nothing {
		if c.workloads, err = choose(workloadList, work.All(), workloadName); err != nil {
			return fmt.Errorf("-workloads: %w", err)
		}
	}
	if c.engines, err = choose(engineList, engines.All(), engineName); err != nil {
		return fmt.Errorf("-engines: %w", err)
	}
	c.Workloads, c.Engines = namesOf(c.workloads, workloadName), namesOf(c.engines, engineName)
	return nil
}

// quicken sets what -quick sets and no other flag has.
func (c *config) quicken(set map[string]bool) {
	if !set["rounds"] {
		c.Rounds = 1
	}
	if !set["keys"] {
		c.Keys = 100_000
	}
	if !set["duration"] {
		c.Duration = 300 * time.Millisecond
	}
	if !set["cold-keys"] {
		c.ColdKeys = 0
	}
}

// quickEngines lists the four engines of -quick: a build without cgo has another one in LMDB's place.
func quickEngines(all []engines.Engine) string {
	wanted := []string{engines.Own, engines.Baseline, "pebble", "lmdb", "badger"}
	var found []string
	for _, name := range wanted {
		if len(found) < 4 && slices.ContainsFunc(all, func(e engines.Engine) bool { return e.Name == name }) {
			found = append(found, name)
		}
	}
	return strings.Join(found, ",")
}

func workloadName(w work.Workload) string { return w.Name }
func engineName(e engines.Engine) string  { return e.Name }

// namesOf returns the names of all.
func namesOf[T any](all []T, name func(T) string) []string {
	var names []string
	for _, one := range all {
		names = append(names, name(one))
	}
	return names
}

// listOf returns the names of all, with commas.
func listOf[T any](all []T, name func(T) string) string { return strings.Join(namesOf(all, name), ",") }

// choose returns those of all that the comma-separated list names, in the order of all; all for an empty list.
func choose[T any](list string, all []T, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, wanted := range names {
		if _, err := find(wanted, all, name); err != nil {
			return nil, err
		}
	}
	var chosen []T
	for _, one := range all {
		if slices.Contains(names, name(one)) {
			chosen = append(chosen, one)
		}
	}
	return chosen, nil
}

// find returns the one that has the name.
func find[T any](wanted string, all []T, name func(T) string) (T, error) {
	for _, one := range all {
		if name(one) == wanted {
			return one, nil
		}
	}
	var none T
	return none, fmt.Errorf("%q is none of %s", wanted, listOf(all, name))
}
