package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawldb/pawl/testing/simulator/plan"
)

// Counts is what a run did.
type Counts struct {
	Steps                       int // of the schedule
	Operations, Writes          int
	Opens, Commits, Checkpoints int
	Cuts, Dirty                 int // power cuts, and those while something was not synced
	InOpen                      int // of these, inside of an open
	Kills                       int
	Tampered, Refused           int // eras before which the files were, and opens that noticed
	Returned                    int // opens that found what one before had missed
	Unknown                     int // commits that might be there or not
	Errors                      int // operations that failed, as they may
	GivenUp                     int
	Acts                        int // of plans that have them
	IOs                         int
	Faults                      map[plan.FaultKind]int
}

// Add adds other counts.
func (c *Counts) Add(o Counts) {
	c.Steps += o.Steps
	c.Operations += o.Operations
	c.Writes += o.Writes
	c.Opens += o.Opens
	c.Commits += o.Commits
	c.Checkpoints += o.Checkpoints
	c.Cuts += o.Cuts
	c.Dirty += o.Dirty
	c.InOpen += o.InOpen
	c.Kills += o.Kills
	c.Tampered += o.Tampered
	c.Refused += o.Refused
	c.Returned += o.Returned
	c.Unknown += o.Unknown
	c.Errors += o.Errors
	c.GivenUp += o.GivenUp
	c.Acts += o.Acts
	c.IOs += o.IOs
	for kind, n := range o.Faults {
		if c.Faults == nil {
			c.Faults = map[plan.FaultKind]int{}
		}
		c.Faults[kind] += n
	}
}

// String tells them in a few lines.
func (c Counts) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d steps, %d operations (%d writes), %d I/Os\n", c.Steps, c.Operations, c.Writes, c.IOs)
	fmt.Fprintf(&b, "%d opens, %d commits, %d checkpoints\n", c.Opens, c.Commits, c.Checkpoints)
	fmt.Fprintf(&b, "%d crashes: %d power cuts (%d while something was not synced, %d inside of an open), %d deaths of the process\n",
		c.Cuts+c.Kills, c.Cuts, c.Dirty, c.InOpen, c.Kills)
	fmt.Fprintf(&b, "files tampered with %d times, refused %d times\n", c.Tampered, c.Refused)
	fmt.Fprintf(&b, "%d operations given up, %d failed as they may, %d commits of unknown outcome\n", c.GivenUp, c.Errors, c.Unknown)
	var kinds []string
	for kind := range c.Faults {
		kinds = append(kinds, string(kind))
	}
	slices.Sort(kinds)
	b.WriteString("faults:")
	for _, kind := range kinds {
		fmt.Fprintf(&b, " %s %d", kind, c.Faults[plan.FaultKind(kind)])
	}
	b.WriteByte('\n')
	return b.String()
}
