package main

import (
	"slices"
	"time"
)

// recorder gathers what one goroutine measures.
type recorder struct {
	ops       int64 // what the rate counts: keys, pairs or commits
	latencies []time.Duration
}

// add notes an operation that did ops units of work.
func (r *recorder) add(ops int, took time.Duration) {
	r.ops += int64(ops)
	r.latencies = append(r.latencies, took)
}

// Result is what a run measured.
type Result struct {
	Ops     int64
	Elapsed time.Duration
	P50     time.Duration // of one operation, transaction or scan
	P99     time.Duration
	Samples int   // latencies that were taken
	Bytes   int64 // of the store's files after Close
}

// rate returns units of work a second.
func (r Result) rate() float64 { return float64(r.Ops) / r.Elapsed.Seconds() }

// summarize makes one result of what the goroutines measured in the time.
func summarize(all []recorder, elapsed time.Duration) Result {
	r := Result{Elapsed: max(elapsed, 1)}
	var latencies []time.Duration
	for i := range all {
		r.Ops += all[i].ops
		latencies = append(latencies, all[i].latencies...)
	}
	slices.Sort(latencies)
	r.P50, r.P99, r.Samples = percentile(latencies, 50), percentile(latencies, 99), len(latencies)
	return r
}

// percentile returns the smallest of the sorted values that p of a hundred of them do not exceed; 0 if there is none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// number is what can be compared and divided.
type number interface{ ~int64 | ~float64 }

// median returns the middle value, of an even count the mean of the middle two; 0 if there is none.
func median[T number](values []T) T {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
