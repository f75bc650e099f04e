package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/pawldb/pawl/bench/internal/work"
)

// memory prints what pawl takes in every workload.
func (r *Report) memory(s *strings.Builder) {
	var lines strings.Builder
	for _, section := range r.Sections {
		results, _ := section.of(own)
		if len(results) == 0 {
			continue
		}
		size := func(of metric) string { return mib(medianOf(results, of)) }
		fmt.Fprintf(&lines, "| %s | %s | %s | %s | %s | %s | %s |\n", section.Workload.Name,
			size(extra("cache limit")), size(extra("cache used")),
			size(func(r work.Result) float64 { return float64(r.LiveHeap - r.BaseHeap) }),
			size(func(r work.Result) float64 { return float64(r.PeakRSS - r.BaseRSS) }),
			size(func(r work.Result) float64 { return float64(r.PeakRSS) }),
			figure(medianOf(results, gcShare)))
	}
	if lines.Len() == 0 {
		return
	}
	s.WriteString("## Memory of pawl\n\nMiB; the live heap is what is left after a collection at the end, and it and the peak " +
		"are without what the benchmark had before it opened the store; the last column is the collector's share of CPU.\n\n" +
		"| workload | CacheSize | accounted | live heap | peak | peak, all | collector, % |\n|---|---:|---:|---:|---:|---:|---:|\n")
	s.WriteString(lines.String() + "\n")
}

// logs prints what a longer log saves.
func (r *Report) logs(s *strings.Builder) {
	var lines strings.Builder
	for _, section := range r.Sections {
		results, _ := section.of(own)
		if len(results) == 0 || section.Workload.LogBytes == 0 {
			continue
		}
		fmt.Fprintf(&lines, "| %d MiB | %s | %s | %s | %s | %s |\n", section.Workload.LogBytes>>20,
			quantity(medianOf(results, rateOf)), figure(medianOf(results, logPerPut)), orDash(medianOf(results, deviceRatio)),
			mib(medianOf(results, func(r work.Result) float64 { return float64(r.Main) })),
			mib(medianOf(results, extra("log file"))))
	}
	if lines.Len() == 0 {
		return
	}
	s.WriteString("## What a longer log saves\n\nRandom puts, 1,000 a transaction, by Options.CheckpointBytes:\n\n" +
		"| log | puts a second | log bytes a put | device bytes for a byte put | main file after Close, MiB | " +
		"log before Close, MiB |\n" +
		"|---:|---:|---:|---:|---:|---:|\n")
	s.WriteString(lines.String() + "\n")
}

// Point is how quick an engine is with so many keys and goroutines.
type Point struct {
	What       string // get, put, open
	Engine     string
	Keys       int
	Goroutines int
	Rate       float64
	P50        float64 // seconds
	NA         string  `json:",omitempty"`
}

// growth prints how cost grows.
func (r *Report) growth(s *strings.Builder, charts string) {
	if len(r.Growth) == 0 {
		return
	}
	s.WriteString("## How cost grows\n\n")
	if charts != "" {
		fmt.Fprintf(s, "![How cost grows](%s/growth.svg)\n\n", charts)
	}
	s.WriteString("| what | engine | keys | goroutines | per second | p50, µs |\n|---|---|---:|---:|---:|---:|\n")
	for _, p := range r.Growth {
		rate, p50 := quantity(p.Rate), figure(p.P50*1e6)
		if p.NA != "" {
			rate, p50 = "n/a: "+p.NA, ""
		}
		fmt.Fprintf(s, "| %s | %s | %s | %d | %s | %s |\n", p.What, p.Engine, grouped(p.Keys), p.Goroutines, rate, p50)
	}
	s.WriteString("\n")
}

// growthSeries returns a figure of an engine along sizes or goroutines; NaN where there is none.
func (r *Report) growthSeries(what, engine string, at []Point, of func(Point) float64) []float64 {
	var all []float64
	for _, want := range at {
		v := math.NaN()
		for _, p := range r.Growth {
			if p.What == what && p.Engine == engine && p.Keys == want.Keys && p.Goroutines == want.Goroutines && p.NA == "" {
				v = of(p)
			}
		}
		all = append(all, v)
	}
	return all
}
