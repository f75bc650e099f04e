package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/machine"
	"github.com/pawldb/pawl/bench/internal/report"
)

// setup says what is measured, where, as the report has it.
func (c config) setup() json.RawMessage {
	s := report.Setup{
		Date: time.Now().Format(time.DateOnly), Tree: tree(),
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.GOMAXPROCS(0),
		Machine: machine.Describe(c.storesDir()), Keys: c.Keys, Rounds: c.Rounds, Duration: c.Duration.String(),
		ColdKeys: c.ColdKeys, ColdMemory: c.ColdMemory, Quick: c.Quick, Absent: engines.Absent, LoadBefore: loadAverage(),
	}
	for _, e := range c.engines {
		s.Engines = append(s.Engines, report.EngineSetup{
			Name: e.Name, Version: e.Version(), Config: e.Config, Volatile: e.Volatile,
		})
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("bench: a report's setup can't be written: %v", err)) // it is plain values
	}
	return b
}

// storesDir is the directory that -dir says.
func (c config) storesDir() string {
	if c.dir == "" {
		return os.TempDir()
	}
	return c.dir
}

// chooseNames sets what takes part, by the names that a state file has kept.
func (c *config) chooseNames() error {
	list := strings.Join(c.Workloads, ",")
	if list == "" {
		list = nothing
	}
	return c.choose(list, strings.Join(c.Engines, ","))
}

// tree returns which commit of pawl this is, as far as git can tell. What a run writes itself is no change.
func tree() string {
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", args...).Output()
		return strings.TrimSpace(string(out)), err
	}
	rev, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return "unknown"
	}
	if changed, err := git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!results", ":!RESULTS.md",
		":!"+chartsDir); err != nil || changed != "" {
		return rev + " with changes"
	}
	return rev
}

// loadAverage returns what the system says of how busy it is, or nothing.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); err == nil && len(f) > 0 {
		return f[0]
	}
	return ""
}
