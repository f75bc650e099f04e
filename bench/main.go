package main

import (
	"errors"
	"flag"
	"fmt"
	stdio "io"
	"os"
	"path/filepath"
)

func main() {
	var err error
	if arg, isRun := os.LookupEnv(childEnv); isRun {
		err = childMain(arg)
	} else {
		err = parentMain(os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parentMain runs what the flags ask for, prints the table to out, and notes on progress to notes.
func parentMain(args []string, out, notes stdio.Writer) error {
	c, err := parseFlags(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "pawl-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if c.Profiles != "" {
		if err := os.MkdirAll(c.Profiles, 0o777); err != nil {
			return err
		}
	}
	rep := report{config: c, loadBefore: loadAverage()}
	for _, w := range c.workloads {
		rows, err := c.runWorkload(w, dir, &rep, notes)
		if err != nil {
			return err
		}
		rep.rows = append(rep.rows, rows...)
	}
	rep.loadAfter = loadAverage()
	return rep.write(out)
}

// runWorkload runs all rounds of a workload: in each, the raw figure of the disk if it matters, then every engine.
func (c config) runWorkload(w Workload, dir string, rep *report, notes stdio.Writer) ([]row, error) {
	rows := make([]row, len(c.engines))
	for at, e := range c.engines {
		rows[at] = row{workload: w, engine: e.Name}
	}
	for round := range c.Rounds {
		if w.Durable {
			raw, err := rawDisk(dir)
			if err != nil {
				return nil, fmt.Errorf("raw figure of the disk: %w", err)
			}
			rep.raw = append(rep.raw, raw)
		}
		for at, e := range c.engines {
			r, err := c.runOnce(w, e, dir, round)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(notes, "%s, round %d: %s %s %s/s\n", w.Name, round+1, e.Name, quantity(r.rate()), w.Unit)
			rows[at].results = append(rows[at].results, r)
		}
	}
	return rows, nil
}

// runOnce runs one engine in a directory of its own, which is gone afterwards.
func (c config) runOnce(w Workload, e Engine, dir string, round int) (r Result, err error) {
	own, err := os.MkdirTemp(dir, e.Name+"-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(own)) }()
	run := childRun{
		Workload: w.Name, Engine: e.Name, Dir: own, Keys: c.Keys, Duration: c.Duration, Cache: c.Cache,
	}
	if c.Profiles != "" {
		run.Profile = filepath.Join(c.Profiles, fmt.Sprintf("%s-%s-%d.prof", w.Name, e.Name, round+1))
	}
	return run.start()
}
