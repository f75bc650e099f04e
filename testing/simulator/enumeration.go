package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/enumerate"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// enumeration goes through the catalogue and returns the exit code.
func (c *command) enumeration() int {
	o := enumerate.Options{Only: c.only, Workers: c.workers, Stop: 10}
	switch c.enumerate {
	case "list":
		return c.list()
	case "all":
	case "states":
		o.States = true
	default:
		n, err := fmt.Sscanf(c.enumerate, "%d/%d", &o.Shard, &o.Shards)
		if n != 2 || err != nil || o.Shards < 1 || o.Shard < 0 || o.Shard >= o.Shards {
			return wrong(errors.New("-enumerate wants all, states, list, or a part: I/N, I from 0 to N-1"))
		}
	}
	began := time.Now()
	r := enumerate.Run(o)
	whole := o.Shards <= 1 && o.Only == ""
	if c.coverage && whole {
		fmt.Printf("%s\n", r.Cover)
	}
	fmt.Printf("%d workloads, %d points, %d cases in %.1f s, %d left out\n", r.Workloads, r.Points, r.Cases,
		time.Since(began).Seconds(), r.Skipped.Load())
	for event := range cover.Events {
		fmt.Printf("%s %d ", event, r.Done[event])
	}
	fmt.Println()
	gaps := r.Cover.Gaps()
	if whole {
		fmt.Printf("%d states, %d gaps\n", len(cover.Universe), len(gaps))
		for _, g := range gaps {
			fmt.Println("FAILED: gap:", g)
		}
	}
	for _, what := range r.Missed {
		fmt.Println("FAILED: gap:", what)
	}
	for i, f := range r.Failures {
		if i == 0 {
			c.report(fmt.Sprintf("%s: %s", f.Workload, f.What), f.Plan)
			continue
		}
		fmt.Printf("FAILED too: %s: %s: %.300v\n", f.Workload, f.What, f.Err)
	}
	if len(r.Failures) > 0 || len(r.Missed) > 0 || whole && len(gaps) > 0 {
		return 1
	}
	fmt.Println("clean")
	return 0
}

// list prints what there is to the workloads and returns the exit code.
func (c *command) list() int {
	var all enumerate.Size
	fmt.Printf("%8s%8s%8s%8s%8s  workload\n", "waits", "I/Os", "cases", "setup", "steps")
	for _, s := range enumerate.List(c.only) {
		fmt.Printf("%8d%8d%8d%8d%8d  %s\n", s.Waits, s.IOs, s.Cases, s.Setup, s.Steps, s.Workload)
		if c.verbose {
			points(s.Eras)
		}
		if s.Failed != nil {
			fmt.Printf("FAILED: %s: %v\n", s.Workload, s.Failed)
			all.Failed = s.Failed
		}
		all.Waits += s.Waits
		all.IOs += s.IOs
		all.Cases += s.Cases
	}
	fmt.Printf("%8d%8d%8d  in all; behind each of the first images of a power cut the recovery is cut again\n", all.Waits, all.IOs, all.Cases)
	if all.Failed != nil {
		return 1
	}
	return 0
}

// points prints every wait and every I/O of a workload's eras, with the states of the machines that wait there.
func points(eras []world.Survey) {
	for i := range eras {
		for _, at := range eras[i].Waits {
			fmt.Printf("  era %d wait %d: %s: %s\n", i, at.Number, at.Name, names(at.States))
		}
		for _, at := range eras[i].IOs {
			fmt.Printf("  era %d I/O %d: %s: %s\n", i, at.Number, at.Name, names(at.States))
		}
	}
}

// names returns how states are called.
func names(states []cover.State) string {
	var list []string
	for _, s := range states {
		list = append(list, s.String())
	}
	return strings.Join(list, ", ")
}
