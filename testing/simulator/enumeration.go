package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/enumerate"
)

// enumeration goes through the catalogue and returns the exit code.
func (c *command) enumeration() int {
	o := enumerate.Options{Only: c.only, Workers: c.workers, Stop: 10}
	switch c.enumerate {
	case "all":
	case "states":
		o.States = true
	default:
		n, err := fmt.Sscanf(c.enumerate, "%d/%d", &o.Shard, &o.Shards)
		if n != 2 || err != nil || o.Shards < 1 || o.Shard < 0 || o.Shard >= o.Shards {
			return wrong(errors.New("-enumerate wants all, states, or a part: I/N, I from 0 to N-1"))
		}
	}
	began := time.Now()
	r := enumerate.Run(o)
	fmt.Printf("%d workloads, %d points, %d cases in %.1f s, %d left out\n", r.Workloads, r.Points, r.Cases,
		time.Since(began).Seconds(), r.Skipped.Load())
	for event := range cover.Events {
		fmt.Printf("%s %d ", event, r.Done[event])
	}
	fmt.Println()
	gaps := r.Cover.Gaps()
	if c.coverage {
		fmt.Print(r.Cover)
	} else {
		fmt.Printf("%d times a state has not met an event; -coverage shows them\n", len(gaps))
	}
	for i, f := range r.Failures {
		if i == 0 {
			c.report(fmt.Sprintf("%s: %s", f.Workload, f.What), f.Plan)
			continue
		}
		fmt.Printf("FAILED too: %s: %s: %.300v\n", f.Workload, f.What, f.Err)
	}
	if len(r.Failures) > 0 {
		return 1
	}
	fmt.Println("clean")
	return 0
}
