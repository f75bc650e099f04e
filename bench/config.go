package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

// config is what the flags say.
type config struct {
	Dir       string
	Rounds    int
	Keys      int
	Duration  time.Duration
	Cache     int64
	Profiles  string
	workloads []Workload
	engines   []Engine
}

// parseFlags reads the command line.
func parseFlags(args []string) (config, error) {
	var c config
	var quick bool
	var chosenWorkloads, chosenEngines string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&c.Dir, "dir", "",
		"`directory` for the stores, on the disk to be measured (default: the system's for temporary files)")
	f.IntVar(&c.Rounds, "rounds", 5, "runs of each engine in each workload; the table has their median")
	f.IntVar(&c.Keys, "keys", 100_000, "keys in a full store")
	f.DurationVar(&c.Duration, "duration", 2*time.Second, "length of a measurement that has no end of its own")
	f.Int64Var(&c.Cache, "cache", 0, "`bytes` of cache, for engines that have their own (default: each engine's)")
	f.StringVar(&chosenWorkloads, "workloads", "",
		"comma-separated `list` of "+listOf(workloads, workloadName)+" (default: all)")
	f.StringVar(&chosenEngines, "engines", "",
		"comma-separated `list` of "+listOf(engines, engineName)+" (default: all)")
	f.StringVar(&c.Profiles, "profiles", "", "`directory` for CPU profiles of the measured parts")
	f.BoolVar(&quick, "quick", false, "less of all: 3 rounds, 20,000 keys, half a second; other flags still count")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if quick {
		set := map[string]bool{}
		f.Visit(func(f *flag.Flag) { set[f.Name] = true })
		c.quicken(set)
	}
	switch {
	case f.NArg() > 0:
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case c.Rounds < 1, c.Keys < 1, c.Duration <= 0, c.Cache < 0:
		return c, errors.New("-rounds, -keys and -duration are above 0, -cache not below")
	}
	var err error
	if c.workloads, err = choose(chosenWorkloads, workloads, workloadName); err != nil {
		return c, fmt.Errorf("-workloads: %w", err)
	}
	if c.engines, err = choose(chosenEngines, engines, engineName); err != nil {
		return c, fmt.Errorf("-engines: %w", err)
	}
	return c, nil
}

// quicken sets what -quick sets and no other flag has.
func (c *config) quicken(set map[string]bool) {
	if !set["rounds"] {
		c.Rounds = 3
	}
	if !set["keys"] {
		c.Keys = 20_000
	}
	if !set["duration"] {
		c.Duration = 500 * time.Millisecond
	}
}

func workloadName(w Workload) string { return w.Name }
func engineName(e Engine) string     { return e.Name }

// listOf returns the names of all.
func listOf[T any](all []T, name func(T) string) string {
	var names []string
	for _, one := range all {
		names = append(names, name(one))
	}
	return strings.Join(names, ",")
}

// choose returns those of all that the comma-separated list names, in the order of all; all for an empty list.
func choose[T any](list string, all []T, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	var chosen []T
	for wanted := range strings.SplitSeq(list, ",") {
		if !slices.ContainsFunc(all, func(one T) bool { return name(one) == wanted }) {
			return nil, fmt.Errorf("%q is none of %s", wanted, listOf(all, name))
		}
	}
	for _, one := range all {
		if slices.Contains(strings.Split(list, ","), name(one)) {
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
