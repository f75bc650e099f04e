package report

import (
	"math"

	"github.com/pawldb/pawl/bench/internal/work"
)

// metric is one figure of a result; NaN: it has none.
type metric func(work.Result) float64

// extra returns the metric of an extra figure.
func extra(name string) metric {
	return func(r work.Result) float64 {
		if v, ok := r.Extra[name]; ok {
			return v
		}
		return math.NaN()
	}
}

// share returns the metric of one extra figure divided by another.
func share(name, of string) metric {
	return func(r work.Result) float64 { return extra(name)(r) / extra(of)(r) }
}

func p50(r work.Result) float64    { return r.P50.Seconds() }
func allocs(r work.Result) float64 { return r.PerOp(float64(r.Mallocs)) }

// millis is p50 in milliseconds.
func millis(r work.Result) float64 { return r.P50.Seconds() * 1000 }

// pairAllocs are allocations for each pair that was read.
func pairAllocs(r work.Result) float64 {
	if pairs, ok := r.Extra["pairs"]; ok {
		return float64(r.Mallocs) / max(pairs, 1)
	}
	return allocs(r)
}

// settledRate is the rate once work that was put off is done; of an engine that puts none off, the rate.
func settledRate(r work.Result) float64 {
	if seconds, ok := r.Extra["settled"]; ok {
		return float64(r.Ops) / seconds
	}
	return r.Rate()
}

// logPerPut are bytes written to the log for each key.
func logPerPut(r work.Result) float64 { return r.PerOp(extra("log written")(r)) }

// perData returns the bytes of the main file for each byte of data.
func perData(r work.Result) float64 {
	return float64(r.Main) / max(float64(r.Ops)*(work.KeySize+work.ValueSize), 1)
}

// heapOver is how much more of Go's heap lives after a collection than a quarter above what is accounted for, in MiB;
// what the benchmark itself had before is left out.
func heapOver(r work.Result) float64 {
	return (float64(r.LiveHeap-r.BaseHeap) - 1.25*extra("cache used")(r)) / (1 << 20)
}

// peakShare is the highest resident memory, without what the process had before the store was opened, for each byte of
// CacheSize.
func peakShare(r work.Result) float64 { return float64(r.PeakRSS-r.BaseRSS) / extra("cache limit")(r) }

func gcShare(r work.Result) float64 { return r.GC * 100 }
