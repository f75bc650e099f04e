// Command simulator looks for what the store gets wrong: it runs it in simulated worlds, in random orders, over disks that fail
// and lose power, and compares everything with what must be.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// command is what the options ask for.
type command struct {
	seed    uint64
	runs    int
	seconds int
	profile plan.Profile
	verbose bool
	replay  string
	workers int

	enumerate string
	only      string
	coverage  bool
	shrink    bool
	state     string
	flight    string
	cuts      int
}

// usage is how the options are explained.
const usage = `simulator runs the store in simulated worlds and compares all that it does with what it must do.

  simulator [-seed N] [-runs N | -seconds N] [-profile P]   worlds drawn from seeds, until one fails
  simulator -replay FILE [-v]                               the plan of a file, as a failure leaves one
  simulator -enumerate all|states|I/N [-only TEXT]          every point of short workloads, those that it takes to have each
                                                            state of each machine meet each event, or part I of N parts
  simulator -find STATE [-seconds N] [-profile P]           a world that leads to a state, made small, for the enumeration
  simulator -enumerate list [-only TEXT]                    the workloads, with how many points and cases each has
  simulator -flight FILE [-cuts N] [-v]                     a part of a recording, as io/flight makes them of real programs

It exits with 0 if all was clean, 1 if a check failed, 2 if it was called wrongly. Options:
`

func main() {
	c := command{}
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Uint64Var(&c.seed, "seed", uint64(time.Now().UnixNano()), "`number` of the first world; drawn from the clock by default")
	flag.IntVar(&c.runs, "runs", 0, "how many worlds to run; 0: until -seconds are over, or one")
	flag.IntVar(&c.seconds, "seconds", 0, "for how many seconds to begin worlds")
	profile := flag.String("profile", string(plan.Mixed), fmt.Sprintf("what worlds are like: one of %q", plan.Profiles))
	flag.BoolVar(&c.verbose, "v", false, "one line an event, and one world at a time")
	flag.StringVar(&c.replay, "replay", "", "run the plan in a `file` instead")
	flag.IntVar(&c.workers, "workers", runtime.GOMAXPROCS(0), "how many worlds to run at a time")
	flag.StringVar(&c.enumerate, "enumerate", "", "run the catalogue of short workloads instead: `all`, states, a part as 3/24, or list")
	flag.StringVar(&c.only, "only", "", "with -enumerate: workloads whose names contain this `text`")
	flag.BoolVar(&c.coverage, "coverage", true, "print which state of which machine met which event; without it worlds run a little faster")
	flag.BoolVar(&c.shrink, "shrink", true, "make a failure smaller, and leave its plan in a file")
	flag.StringVar(&c.state, "find", "", "look for a world that leads to a `state`, named as -coverage does: \"wal.reserveState reserveTurn\"")
	flag.StringVar(&c.flight, "flight", "", "replay the recording in a `file` instead")
	flag.IntVar(&c.cuts, "cuts", 2000, "with -flight: how many power cuts to try, spread over the recording; 0: all that there are")
	flag.Parse()
	c.profile = plan.Profile(*profile)
	os.Exit(c.run())
}

// run does what the options ask for and returns the exit code.
func (c *command) run() int {
	_, err := plan.Draw(0, c.profile)
	switch {
	case err != nil:
	case flag.NArg() > 0:
		err = fmt.Errorf("%q is not an option", flag.Arg(0))
	case c.runs < 0 || c.seconds < 0 || c.workers < 1:
		err = errors.New("-runs and -seconds are at least 0, -workers at least 1")
	case given(c.replay)+given(c.enumerate)+given(c.state)+given(c.flight) > 1:
		err = errors.New("-replay, -enumerate, -find and -flight exclude each other")
	case c.flight != "":
		return c.recording()
	case c.state != "":
		return c.find()
	case c.replay != "":
		return c.replayFile()
	case c.enumerate != "":
		return c.enumeration()
	default:
		return c.search()
	}
	return wrong(err)
}

// given counts an option that was given.
func given(option string) int {
	if option == "" {
		return 0
	}
	return 1
}

// wrong tells that the command was called wrongly.
func wrong(err error) int {
	fmt.Fprintln(os.Stderr, "simulator:", err)
	return 2
}

// log returns where events go.
func (c *command) log() func(string, ...any) {
	if !c.verbose {
		return nil
	}
	return func(f string, args ...any) { fmt.Printf(f+"\n", args...) }
}

// replayFile runs the plan of a file and returns the exit code.
func (c *command) replayFile() int {
	text, err := os.ReadFile(c.replay)
	if err != nil {
		return wrong(err)
	}
	p := new(plan.Plan)
	if err := json.Unmarshal(text, p); err != nil {
		return wrong(fmt.Errorf("%s: %w", c.replay, err))
	}
	res := world.Run(p, world.Options{Log: c.log()})
	fmt.Printf("trace %016x\n", res.Sum)
	if res.Err != nil {
		fmt.Printf("FAILED: %v\n%s\n", res.Err, res.Stack)
		return 1
	}
	fmt.Println("clean")
	return 0
}

// search runs worlds until the time is over or one fails, and returns the exit code.
func (c *command) search() int {
	if c.runs == 0 && c.seconds == 0 {
		c.runs = 1
	}
	began := time.Now()
	var next atomic.Uint64
	var mu sync.Mutex
	var all world.Counts
	covered := cover.Table{}
	var failed *plan.Plan
	done := 0
	work := func() {
		watch := newWatch()
		defer watch.end()
		for {
			n := next.Add(1) - 1
			if c.runs > 0 && n >= uint64(c.runs) || c.seconds > 0 && time.Since(began) >= time.Duration(c.seconds)*time.Second {
				return
			}
			p, _ := plan.Draw(c.seed+n, c.profile)
			var table cover.Table
			if c.coverage {
				table = cover.Table{}
			}
			watch.begin(p.Seed, c.profile)
			res := world.Run(p, world.Options{Log: c.log(), Cover: table, Steps: &watch.steps})
			mu.Lock()
			covered.Merge(table)
			all.Add(res.Counts)
			done++
			stop := failed != nil
			if res.Err != nil && !stop {
				failed, stop = p, true
			}
			mu.Unlock()
			if c.verbose || c.runs == 1 {
				fmt.Printf("seed %d: trace %016x\n", p.Seed, res.Sum)
			}
			if stop {
				return
			}
		}
	}
	workers := c.workers
	if c.verbose {
		workers = 1
	}
	var wg sync.WaitGroup
	for range max(workers, 1) {
		wg.Go(work)
	}
	wg.Wait()
	took := time.Since(began)
	if c.coverage && done > 1 {
		fmt.Printf("%s\n", covered)
	}
	fmt.Printf("%d worlds from seed %d, profile %s, in %.1f s\n%s", done, c.seed, c.profile, took.Seconds(), all)
	fmt.Printf("a minute: %.0f operations, %.0f crashes\n", float64(all.Operations)/took.Minutes(), float64(all.Cuts+all.Kills)/took.Minutes())
	if failed != nil {
		c.report(fmt.Sprintf("seed %d, profile %s", failed.Seed, c.profile), failed)
		return 1
	}
	fmt.Println("clean")
	return 0
}
