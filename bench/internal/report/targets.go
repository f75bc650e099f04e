package report

import (
	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/work"
)

// Target is what pawl has to reach in a workload. What is compared is the median over the rounds, and for ratios that
// of the ratios within rounds.
type Target struct {
	Workload string // or everyWorkload: the worst of them counts
	What     string // what is measured
	Of       metric
	Over     string                 // what it is divided by: an engine, bestPeer, rawDisk; empty: nothing
	In       string                 // the workload of what it is divided by; empty: the same
	Fit      func(work.Result) bool // which results bestPeer chooses from; nil: all
	AtLeast  float64                // 0: there is no such bound
	AtMost   float64                // counts where AtLeast is 0
	Unit     string                 // behind the figure
}

const (
	everyWorkload = "all"
	bestPeer      = "the best peer"
	rawP50        = "the raw overwrite and sync"
	rawReads      = "the device's own reads"
)

const (
	bbolt  = engines.Baseline
	own    = engines.Own
	lmdb   = "lmdb"
	pebble = "pebble"
	badger = "badger"
)

// none is a bound for a count that is to be 0: what the harness or Go's runtime allocates now and then is no operation's.
const none = 0.01

// Targets are all there are.
var Targets = []Target{
	{Workload: "get", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 2},
	{Workload: "get", What: "throughput", Of: rateOf, Over: lmdb, AtLeast: 1.4},
	{Workload: "get", What: "allocations a get", Of: allocs, AtMost: none},
	{Workload: "get-2", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 2},
	{Workload: "get-2", What: "throughput", Of: rateOf, Over: lmdb, AtLeast: 1.4},
	{Workload: "get-2", What: "throughput of 2 goroutines over that of one", Of: rateOf, Over: own, In: "get", AtLeast: 1.8},
	{Workload: "get-2", What: "allocations a get", Of: allocs, AtMost: none},
	{Workload: "get-one-tx", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 1.8},
	{Workload: "absent", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 2.2},
	{Workload: "scan", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 1.3},
	{Workload: "scan", What: "allocations a pair", Of: pairAllocs, AtMost: none},
	{Workload: "scan-back", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 1.3},
	{Workload: "scan-back", What: "allocations a pair", Of: pairAllocs, AtMost: none},
	{Workload: "seek-100", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 1.3},
	{Workload: "seek-100", What: "allocations a pair", Of: pairAllocs, AtMost: 2 * none},

	{Workload: "commit", What: "p50", Of: p50, Over: rawP50, AtMost: 1.15},
	{Workload: "commit", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 3},
	{Workload: "commit", What: "throughput", Of: rateOf, Over: badger, AtLeast: 1},
	{Workload: "commit", What: "throughput", Of: rateOf, Over: pebble, AtLeast: 1},
	{Workload: "commit-16", What: "throughput", Of: rateOf, Over: bestPeer, AtLeast: 1.2},
	{Workload: "commit-16", What: "commits a sync", Of: share("commits", "syncs"), AtLeast: 8},
	{Workload: "commit-relaxed", What: "throughput", Of: rateOf, Over: lmdb, AtLeast: 6},
	{Workload: "commit-relaxed", What: "throughput", Of: rateOf, Over: badger, AtLeast: 1.5},
	{Workload: "commit-relaxed", What: "throughput", Of: rateOf, Over: pebble, AtLeast: 0.5},
	{Workload: "commit-relaxed", What: "allocations a commit (1 is the caller's function)", Of: allocs, AtMost: 1 + none},
	{Workload: "overwrite-100", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 9},
	{Workload: "overwrite-100", What: "throughput", Of: rateOf, Over: pebble, AtLeast: 1},

	{Workload: "batch-sorted", What: "throughput", Of: rateOf, Over: lmdb, AtLeast: 1.5},
	{Workload: "batch-sorted", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 3},
	{Workload: "batch-sorted", What: "main file over raw data", Of: perData, AtMost: 1.1},
	{Workload: "batch-random", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 8},
	{Workload: "batch-random", What: "throughput, checkpoints and compactions settled", Of: settledRate, Over: pebble,
		AtLeast: 1},
	{Workload: "batch-random", What: "log bytes a put", Of: logPerPut, AtMost: 500},
	{Workload: "batch-random", What: "device bytes", Of: deviceRatio, Over: bbolt, AtMost: 1. / 3},
	{Workload: "batch-random", What: "main file over raw data", Of: perData, AtMost: 1.5},

	{Workload: "delete-half", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 10},
	{Workload: "delete-half", What: "throughput", Of: rateOf, Over: badger, AtLeast: 0.8},
	{Workload: "delete-half", What: "files once refilled, over those before, both closed",
		Of: share("files refilled, closed", "files before"), AtMost: 1.1},
	{Workload: "delete-range", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 20},
	{Workload: "delete-range", What: "peak memory over CacheSize", Of: peakShare, AtMost: 2.5},
	{Workload: "drop", What: "throughput over deletion by cursor", Of: rateOf, Over: bbolt, In: "delete-range", AtLeast: 20},
	{Workload: "drop", What: "peak memory over CacheSize", Of: peakShare, AtMost: 2.5},

	{Workload: "mixed-1-1", What: "reads kept of those alone", Of: share("reads beside", "reads alone"), AtLeast: 0.85},
	{Workload: "mixed-1-1", What: "writes kept of those alone", Of: share("writes beside", "writes alone"), AtLeast: 0.85},
	{Workload: "mixed-2-1", What: "reads", Of: extra("reads beside"), Over: lmdb, AtLeast: 1},
	{Workload: "mixed-2-1", What: "writes (peers whose readers keep a fifth of their speed)", Of: extra("writes beside"),
		Over: bestPeer, Fit: notStarving, AtLeast: 1.5},
	{Workload: "long-reader", What: "writes kept of those without", Of: keptBesideReader, AtLeast: 0.9},
	{Workload: "long-reader", What: "log beside the reader", Of: inMiB("log held"), AtMost: 129, Unit: " MiB"},
	{Workload: "long-reader", What: "files beside the reader, over those after a close", Of: heldFiles, AtMost: 4},

	{Workload: "cold-get", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 1},
	{Workload: "cold-many", What: "throughput over gets one by one", Of: rateOf, Over: bbolt, AtLeast: 6},
	{Workload: "cold-many", What: "throughput", Of: rateOf, Over: rawReads, AtLeast: 0.85},
	{Workload: "big-put", What: "throughput", Of: rateOf, Over: lmdb, AtLeast: 1},
	{Workload: "big-get", What: "throughput", Of: rateOf, Over: bbolt, AtLeast: 1},
	{Workload: "open-crash", What: "time", Of: millis, AtMost: 150, Unit: " ms"},
	{Workload: "open-clean", What: "time", Of: millis, AtMost: 5, Unit: " ms"},

	{Workload: everyWorkload, What: "accounted bytes over CacheSize", Of: share("cache used", "cache limit"), AtMost: 1},
	{Workload: everyWorkload, What: "live heap beyond 1.25 x the accounted bytes", Of: heapOver, AtMost: 16, Unit: " MiB"},
	{Workload: everyWorkload, What: "peak memory over CacheSize", Of: peakShare, AtMost: 2.5},
	{Workload: "large-cache", What: "the collector's share of CPU", Of: gcShare, AtMost: 3, Unit: " %"},
}

// notStarving tells peers whose readers get on beside a writer.
func notStarving(r work.Result) bool { return share("reads beside", "reads alone")(r) >= 0.2 }

// keptBesideReader is the writer's speed beside the reader over that without.
func keptBesideReader(r work.Result) float64 { return r.Rate() / extra("writes alone")(r) }

// heldFiles are the files beside the reader over those after everything was closed.
func heldFiles(r work.Result) float64 { return extra("main held")(r) / max(float64(r.Main), 1) }

// inMiB returns an extra figure in MiB.
func inMiB(name string) metric {
	return func(r work.Result) float64 { return extra(name)(r) / (1 << 20) }
}
