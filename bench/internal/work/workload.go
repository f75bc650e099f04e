package work

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/bench/internal/engines"
)

// Workload is work that is measured.
type Workload struct {
	Name     string // as -workloads has it
	Unit     string // what is counted, in the plural
	What     string // one line for the table's legend
	Latency  string // what the percentiles are of
	Data     Data
	Durable  bool // it waits for the disk, so the raw figure says something
	Memory   bool // stores in memory take part, for orientation
	Large    bool // of as many keys as -cold-keys says
	Cold     bool // in as little memory as -cold-memory says
	Big      bool // of fewer keys, with values of 1 MiB
	NoSync   bool // commits don't wait for the disk
	Only     []string
	Cache    int64 // of every engine, in place of what -cache says; 0: that
	LogBytes int64 // of pawl; 0: its default
	Run      func(*World) (Result, error)
	Crash    func(*World) error // what a process does that is killed before Run; the store is not open then
}

// Data is what the store holds before the measurement.
type Data int

const (
	Empty  Data = iota // nothing
	Filled             // all keys, put by the same process
	Shared             // all keys, put by a process before; no run changes them
	Copied             // all keys, in a copy of what is shared: where nothing depends on who put them, and when
)

// Made reports whether a data set is made beforehand.
func (d Data) Made() bool { return d == Shared || d == Copied }

// All are the workloads, in the order of the tables.
func All() []Workload {
	return slices.Concat(getWorkloads, scanWorkloads, commitWorkloads, batchWorkloads, deleteWorkloads, mixedWorkloads,
		ycsbWorkloads, bigWorkloads, openWorkloads, coldWorkloads, ownWorkloads)
}

// Excluded says why an engine takes no part; empty: it does.
func (w Workload) Excluded(e engines.Engine) string {
	switch {
	case len(w.Only) > 0 && !slices.Contains(w.Only, e.Name):
		return fmt.Sprintf("of %v alone", w.Only)
	case e.Volatile && !w.Memory:
		return "in memory"
	}
	return ""
}

// ValueSize returns the bytes of a value.
func (w Workload) ValueSize() int {
	if w.Big {
		return BigSize
	}
	return ValueSize
}

// own returns a workload's count of goroutines, unless the world wants another.
func (w *World) own(goroutines int) int {
	if w.Goroutines > 0 {
		return w.Goroutines
	}
	return goroutines
}

// dice returns a generator for a goroutine, another one in each round.
func (w *World) dice(g int) *rng {
	r := rng(w.Seed*1_000_003 + g + 1)
	return &r
}
