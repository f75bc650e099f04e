package main

import (
	"fmt"
	stdio "io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is everything that was measured.
type report struct {
	config     config
	rows       []row
	raw        []Result // of the disk, one a round of each workload that waits for it
	loadBefore string
	loadAfter  string
}

// row is an engine in a workload.
type row struct {
	workload Workload
	engine   string
	results  []Result // one a round
}

// ratios returns the rate of each round as a multiple of the same round's of another row.
func (r row) ratios(base row) []float64 {
	var all []float64
	for i := range min(len(r.results), len(base.results)) {
		all = append(all, r.results[i].rate()/base.results[i].rate())
	}
	return all
}

// write prints the report as Markdown.
func (r report) write(out stdio.Writer) error {
	var s strings.Builder
	r.head(&s)
	fmt.Fprintf(&s, "| workload | engine | per second | lowest to highest | × %s | p50 | p99 | files, MiB |\n", baseline)
	s.WriteString("|---|---|---:|---:|---:|---:|---:|---:|\n")
	for _, one := range r.rows {
		s.WriteString(r.line(one))
	}
	s.WriteString("\n")
	seen := ""
	for _, one := range r.rows {
		if w := one.workload; w.Name != seen {
			seen = w.Name
			fmt.Fprintf(&s, "- %s: %s. Counted: %s; p50 and p99 of %s.\n", w.Name, w.What, w.Unit, w.Latency)
		}
	}
	_, err := stdio.WriteString(out, s.String())
	return err
}

// head says what was measured, where.
func (r report) head(s *strings.Builder) {
	c := r.config
	s.WriteString("- ")
	for i, e := range c.engines {
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(s, "%s (%s)", e.Name, e.version())
	}
	fmt.Fprintf(s, "; %s, %s/%s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	fmt.Fprintf(s, "- %d keys of %d bytes with %d-byte values; every commit durable; medians of %d rounds, %v each\n",
		c.Keys, keySize, valueSize, c.Rounds, c.Duration)
	if len(r.raw) > 0 {
		var rates []float64
		var p50, p99 []time.Duration
		for _, one := range r.raw {
			rates, p50, p99 = append(rates, one.rate()), append(p50, one.P50), append(p99, one.P99)
		}
		fmt.Fprintf(s, "- raw disk, overwrite of 4 KiB and a data sync: %s/s (%s to %s), p50 %s, p99 %s\n",
			quantity(median(rates)), quantity(slices.Min(rates)), quantity(slices.Max(rates)),
			short(median(p50)), short(median(p99)))
	}
	if r.loadBefore != "" {
		fmt.Fprintf(s, "- load average %s before, %s after: well above 0 before, the machine was not idle\n",
			r.loadBefore, r.loadAfter)
	}
	s.WriteString("\n")
}

// line is one line of the table.
func (r report) line(one row) string {
	var rates []float64
	var p50, p99 []time.Duration
	var bytes []int64
	for _, res := range one.results {
		rates, bytes = append(rates, res.rate()), append(bytes, res.Bytes)
		p50, p99 = append(p50, res.P50), append(p99, res.P99)
	}
	ratio := ""
	for _, base := range r.rows {
		if base.workload.Name == one.workload.Name && base.engine == baseline {
			ratio = fmt.Sprintf("%.2f", median(one.ratios(base)))
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s to %s | %s | %s | %s | %.1f |\n", one.workload.Name, one.engine,
		quantity(median(rates)), quantity(slices.Min(rates)), quantity(slices.Max(rates)), ratio,
		short(median(p50)), short(median(p99)), float64(median(bytes))/(1<<20))
}

// quantity prints a rate with three digits.
func quantity(v float64) string {
	switch {
	case v >= 999.5e3:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 999.5:
		return fmt.Sprintf("%.3g k", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}

// short prints a time with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= 100*time.Microsecond:
		return d.Round(time.Microsecond).String()
	case d >= 10*time.Microsecond:
		return d.Round(100 * time.Nanosecond).String()
	}
	return d.Round(time.Nanosecond).String()
}
