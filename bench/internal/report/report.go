package report

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/machine"
	"github.com/pawldb/pawl/bench/internal/work"
)

// Report is everything that was measured.
type Report struct {
	Setup    Setup
	Limits   []machine.Limit
	Syncs    []SyncCount
	Sections []Section // one a workload
	Growth   []Point
	Others   []*Report // of other runs: their verdicts stand beside this one's
}

// Setup says what was measured, where.
type Setup struct {
	Date, Tree            string
	Go, System            string
	Processors            int
	Machine               string
	Keys, Rounds          int
	Duration              string
	ColdKeys              int
	ColdMemory            int64
	Quick                 bool
	Engines               []EngineSetup
	Absent                string // engines that the build lacks, and why
	LoadBefore, LoadAfter string
}

// EngineSetup is an engine as it was configured.
type EngineSetup struct {
	Name, Version, Config string
	Volatile              bool
}

// SyncCount is how often an engine asked for its commits to be on stable storage.
type SyncCount struct {
	Engine  string
	Commits int
	Calls   map[string]int `json:",omitempty"`
	Failed  string         `json:",omitempty"` // why there is no figure
}

// Syncs is how many calls there were.
func (s SyncCount) Syncs() (n int) {
	for _, one := range s.Calls {
		n += one
	}
	return n
}

// Section is what was measured of a workload.
type Section struct {
	Workload work.Workload
	Rounds   []Round
	Skipped  string // why there is nothing
}

// Round is one run of each engine. An engine that was not run has no result.
type Round struct {
	Raw     *machine.Limit `json:",omitempty"` // what the disk did in this round, if the workload waits for it
	Results map[string]work.Result
}

// of returns the results of an engine that are figures, with those of the disk in the same rounds.
func (s Section) of(engine string) (results []work.Result, raw []machine.Limit) {
	for _, round := range s.Rounds {
		if r, ok := round.Results[engine]; ok && r.NA == "" {
			results = append(results, r)
			if round.Raw != nil {
				raw = append(raw, *round.Raw)
			}
		}
	}
	return results, raw
}

// stopped returns the limit at which an engine was stopped before its own end, in one round at the least; 0: it was not.
func (s Section) stopped(engine string) (limit time.Duration) {
	for _, round := range s.Rounds {
		limit = max(limit, round.Results[engine].Stopped)
	}
	return limit
}

// na returns why an engine has no figure; empty: it has, or took no part.
func (s Section) na(engine string) string {
	for _, round := range s.Rounds {
		if r, ok := round.Results[engine]; ok && r.NA != "" {
			return r.NA
		}
	}
	return ""
}

// section returns what was measured of a workload.
func (r *Report) section(name string) (Section, bool) {
	for _, s := range r.Sections {
		if s.Workload.Name == name {
			return s, true
		}
	}
	return Section{}, false
}

// Markdown returns the report. charts is the directory of the charts as a link has it; empty: without charts.
func (r *Report) Markdown(charts string) string {
	var s strings.Builder
	r.head(&s)
	r.limits(&s)
	r.syncs(&s)
	r.verdicts(&s)
	s.WriteString("## Workloads\n\n")
	if charts != "" && r.overview() != nil {
		fmt.Fprintf(&s, "![The main workloads](%s)\n\n", path.Join(charts, OverviewFile))
	}
	r.legend(&s)
	for _, section := range r.Sections {
		r.table(&s, section, charts)
	}
	r.memory(&s)
	r.logs(&s)
	r.growth(&s, charts)
	return s.String()
}

// head says what was measured, where.
func (r *Report) head(s *strings.Builder) {
	c := r.Setup
	s.WriteString("# Results\n\n")
	fmt.Fprintf(s, "- %s\n", c.where())
	for i, other := range r.Others {
		fmt.Fprintf(s, "- run %d, whose verdicts stand beside: %s\n", i+2, other.Setup.where())
		if other.Setup.Keys != c.Keys || other.Setup.Rounds != c.Rounds || other.Setup.Duration != c.Duration {
			fmt.Fprintf(s, "- run %d has %s keys, %d rounds, %s each\n", i+2, grouped(other.Setup.Keys), other.Setup.Rounds,
				other.Setup.Duration)
		}
	}
	fmt.Fprintf(s, "- %s keys of %d bytes with %d-byte values; medians of %d rounds, %s each; commits durable unless said\n",
		grouped(c.Keys), work.KeySize, work.ValueSize, c.Rounds, c.Duration)
	if c.ColdKeys > 0 {
		fmt.Fprintf(s, "- cold rows: %s keys, %d MiB of memory for everything\n", grouped(c.ColdKeys), c.ColdMemory>>20)
	}
	if c.LoadBefore != "" {
		fmt.Fprintf(s, "- load average %s before, %s after: well above 0 before, the machine was not idle\n",
			c.LoadBefore, c.LoadAfter)
	}
	if c.Quick {
		s.WriteString("- the quick form: one short round, so every figure and verdict is indicative\n")
	}
	s.WriteString("\n| engine | version | configuration |\n|---|---|---|\n")
	for _, e := range c.Engines {
		fmt.Fprintf(s, "| %s | %s | %s |\n", e.Name, e.Version, e.Config)
	}
	if c.Absent != "" {
		fmt.Fprintf(s, "\n%s.\n", c.Absent)
	}
	s.WriteString("\n")
}

// where says of what tree a run was, where and when.
func (c Setup) where() string {
	text := fmt.Sprintf("%s, tree %s; %s, %s, %d processors", c.Date, c.Tree, c.Go, c.System, c.Processors)
	if c.Machine != "" {
		text += "; " + c.Machine
	}
	return text
}

// indicative reports whether verdicts of the run only indicate.
func (c Setup) indicative() bool { return c.Quick || c.Rounds < 5 }

// limits says what the machine does at best.
func (r *Report) limits(s *strings.Builder) {
	all := r.Limits
	var raw []machine.Limit
	for _, section := range r.Sections {
		for _, round := range section.Rounds {
			if round.Raw != nil && section.Workload.Durable {
				raw = append(raw, *round.Raw)
			}
		}
	}
	if len(raw) > 0 {
		all = append([]machine.Limit{middle(raw, fmt.Sprintf("%s (median of %d)", raw[0].Name, len(raw)))}, all...)
	}
	if len(all) == 0 {
		return
	}
	s.WriteString("## What the machine does\n\n| limit | a second | p50 | p99 |\n|---|---:|---:|---:|\n")
	for _, l := range all {
		if l.Failed != "" {
			fmt.Fprintf(s, "| %s | n/a: %s | | |\n", l.Name, l.Failed)
			continue
		}
		fmt.Fprintf(s, "| %s | %s | %s | %s |\n", l.Name, quantity(l.Rate), short(l.P50), short(l.P99))
	}
	s.WriteString("\n")
}

// middle returns the medians of limits.
func middle(all []machine.Limit, name string) machine.Limit {
	return machine.Limit{
		Name: name, Rate: medianOf(all, func(l machine.Limit) float64 { return l.Rate }),
		P50: medianOf(all, limitP50), P99: medianOf(all, limitP99),
	}
}

// syncs says what strace has counted.
func (r *Report) syncs(s *strings.Builder) {
	if len(r.Syncs) == 0 {
		return
	}
	s.WriteString("## Syncs\n\nWhat strace counts while one goroutine makes durable commits of one key:\n\n")
	s.WriteString("| engine | commits | syncs | a commit | calls |\n|---|---:|---:|---:|---|\n")
	for _, one := range r.Syncs {
		if one.Failed != "" {
			fmt.Fprintf(s, "| %s | | | | n/a: %s |\n", one.Engine, one.Failed)
			continue
		}
		fmt.Fprintf(s, "| %s | %d | %d | %.2f | %s |\n", one.Engine, one.Commits, one.Syncs(),
			float64(one.Syncs())/float64(max(one.Commits, 1)), callList(one.Calls))
	}
	s.WriteString("\n")
}

// isOwn reports whether an engine is the one that the targets are about.
func isOwn(engine string) bool { return engine == engines.Own }
