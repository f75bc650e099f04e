package work

import (
	"errors"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/pawldb/pawl/bench/internal/machine"
)

// recorder gathers what one goroutine measures.
type recorder struct {
	ops   int64 // what the rate counts: keys, pairs or commits
	times histogram
}

// add notes an operation that did ops units of work.
func (r *recorder) add(ops int, took time.Duration) {
	r.ops += int64(ops)
	r.times.add(took)
}

// Result is what a run measured.
type Result struct {
	NA      string `json:",omitempty"` // why there is no figure; all else is 0 then
	Ops     int64
	Elapsed time.Duration
	P50     time.Duration // of one operation, transaction or scan
	P99     time.Duration
	P999    time.Duration
	Samples int // times that were taken

	CPU     time.Duration // of the whole process, in the measured part
	GC      float64       // the collector's share of it
	Mallocs int64         // in Go's heap

	PeakRSS, BaseRSS   int64 // the highest in the measured part, and before the store was opened
	LiveHeap, BaseHeap int64 // after a collection at the end, and before the store was opened

	Bytes   int64 // that the store's files take on the disk after Close
	Main    int64 // length of the largest of them
	Logical int64 // bytes of keys and values that were put
	Device  int64 // bytes that the device wrote until the store was closed; below 0: not known

	Stopped time.Duration `json:",omitempty"` // the limit at which it was ended; 0: it came to its own end

	Whole, Filling, Verifying time.Duration // of the run, of what fills the store before and verifies it behind

	Extra map[string]float64 `json:",omitempty"` // what this workload or engine tells besides
}

// Rate returns units of work a second.
func (r Result) Rate() float64 { return float64(r.Ops) / max(r.Elapsed, 1).Seconds() }

// PerOp divides by the units of work.
func (r Result) PerOp(v float64) float64 { return v / float64(max(r.Ops, 1)) }

// set notes an extra figure.
func (r *Result) set(name string, v float64) {
	if r.Extra == nil {
		r.Extra = map[string]float64{}
	}
	r.Extra[name] = v
}

// Set notes figures of an engine.
func (r *Result) Set(name string, v float64) { r.set(name, v) }

// usage is what the process has used so far.
type usage struct {
	cpu     time.Duration
	gc      float64 // seconds of the collections that are over
	mallocs uint64
}

// used reads the counters.
func used() usage {
	samples := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(samples)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{cpu: machine.CPU(), mallocs: m.Mallocs, gc: samples[0].Value.Float64()}
}

// Parallel runs fn on n goroutines and measures from the start of the first to the end of the last.
func Parallel(n int, fn func(g int, r *recorder) error) (Result, error) {
	all, errs := make([]recorder, n), make([]error, n)
	var wg sync.WaitGroup
	before := used()
	began := time.Now()
	for g := range n {
		wg.Go(func() { errs[g] = fn(g, &all[g]) })
	}
	wg.Wait()
	elapsed := time.Since(began)
	after := used()
	r := summarize(all, elapsed)
	r.CPU, r.Mallocs = after.cpu-before.cpu, int64(after.mallocs-before.mallocs)
	if r.CPU > 0 {
		r.GC = (after.gc - before.gc) / r.CPU.Seconds()
	}
	return r, errors.Join(errs...)
}

// summarize makes one result of what the goroutines measured in the time.
func summarize(all []recorder, elapsed time.Duration) Result {
	r := Result{Elapsed: max(elapsed, 1)}
	var times histogram
	for i := range all {
		r.Ops += all[i].ops
		times.merge(&all[i].times)
	}
	r.P50, r.P99, r.P999 = times.percentile(500), times.percentile(990), times.percentile(999)
	r.Samples = times.total
	return r
}

// number is what can be compared and divided.
type number interface{ ~int64 | ~float64 }

// Median returns the middle value, of an even count the mean of the middle two; 0 if there is none.
func Median[T number](values []T) T {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
