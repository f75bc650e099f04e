package report

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/work"
)

// legend says what the columns are.
func (r *Report) legend(s *strings.Builder) {
	fmt.Fprintf(s, "*× %s* is the median of the ratios within rounds; the other figures are medians over the rounds. *CPU* "+
		"is of the whole process, background work included, for one unit of what *per second* counts; *allocations* are of "+
		"Go's heap, so of an engine in C they are those of its binding. *peak* is the process's resident memory at its "+
		"highest while it was measured, *written* the bytes that the device wrote until the store was closed, for each byte "+
		"of keys and values that were put and of keys that were deleted, and *files* what the store's files take then.\n\n",
		engines.Baseline)
}

// ratios returns the rate of each round as a multiple of another engine's in the same round.
func (s Section) ratios(engine, base string, of func(work.Result) float64) []float64 {
	var all []float64
	for _, round := range s.Rounds {
		a, ok := round.Results[engine]
		b, ok2 := round.Results[base]
		if !ok || !ok2 || a.NA != "" || b.NA != "" {
			continue
		}
		if q := of(a) / of(b); !math.IsNaN(q) && !math.IsInf(q, 0) {
			all = append(all, q)
		}
	}
	return all
}

// table prints a workload.
func (r *Report) table(s *strings.Builder, section Section, charts string) {
	w := section.Workload
	fmt.Fprintf(s, "### %s\n\n%s. Counted: %s; percentiles of %s.\n\n", w.Name, upper(w.What), w.Unit, w.Latency)
	if section.Skipped != "" {
		fmt.Fprintf(s, "Not measured: %s.\n\n", section.Skipped)
		return
	}
	if charts != "" {
		fmt.Fprintf(s, "![%s](%s)\n\n", w.Name, path.Join(charts, w.Name+".svg"))
	}
	fmt.Fprintf(s, "| engine | per second | lowest to highest | × %s | p50 | p99 | p99.9 | CPU, µs | allocations | "+
		"peak, MiB | written | files, MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", engines.Baseline)
	for _, e := range r.Setup.Engines {
		s.WriteString(section.line(e.Name))
	}
	s.WriteString("\n")
	section.extras(s, r.Setup.Engines)
}

// line is one line of the table.
func (s Section) line(engine string) string {
	results, _ := s.of(engine)
	if len(results) == 0 {
		if why := s.na(engine); why != "" {
			return fmt.Sprintf("| %s | n/a: %s | | | | | | | | | | |\n", engine, why)
		}
		return ""
	}
	var rates []float64
	for _, one := range results {
		rates = append(rates, one.Rate())
	}
	ratio := ""
	if all := s.ratios(engine, engines.Baseline, rateOf); len(all) > 0 {
		ratio = fmt.Sprintf("%.2f", work.Median(all))
	}
	duration := func(of func(work.Result) time.Duration) string { return short(medianOf(results, of)) }
	stopped := ""
	if limit := s.stopped(engine); limit > 0 {
		ops := medianOf(results, func(r work.Result) int64 { return r.Ops })
		stopped = fmt.Sprintf(" (stopped after %v, with %s)", limit, grouped(int(ops)))
	}
	return fmt.Sprintf("| %s | %s%s | %s to %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", engine,
		quantity(work.Median(rates)), stopped, quantity(slices.Min(rates)), quantity(slices.Max(rates)), ratio,
		duration(func(r work.Result) time.Duration { return r.P50 }),
		duration(func(r work.Result) time.Duration { return r.P99 }),
		duration(func(r work.Result) time.Duration { return r.P999 }),
		figure(medianOf(results, func(r work.Result) float64 { return r.PerOp(r.CPU.Seconds() * 1e6) })),
		figure(medianOf(results, func(r work.Result) float64 { return r.PerOp(float64(r.Mallocs)) })),
		mib(medianOf(results, func(r work.Result) float64 { return float64(r.PeakRSS) })),
		orDash(medianOf(results, deviceRatio)),
		mib(medianOf(results, func(r work.Result) float64 { return float64(r.Bytes) })))
}

// deviceRatio is the bytes that the device wrote for a byte that was put; NaN: nothing was put, or it is not known.
func deviceRatio(r work.Result) float64 {
	if r.Logical <= 0 || r.Device < 0 {
		return math.NaN()
	}
	return float64(r.Device) / float64(r.Logical)
}

// orDash prints a figure, or nothing if there is none.
func orDash(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return figure(v)
}

// shownExtras are extra figures that a table has a line for, with what is printed.
var shownExtras = []struct {
	name  string
	print func(float64) string
}{
	{"reads alone", quantity}, {"reads beside", quantity}, {"writes alone", quantity}, {"writes beside", quantity},
	{"settled", func(v float64) string { return fmt.Sprintf("%.2f s", v) }},
	{"files before", mib}, {"files after", mib}, {"files refilled", mib},
	{"files refilled, closed", mib}, {"files held", mib},
	{"main held", mib}, {"log held", mib},
	{"main file", mib}, {"log file", mib},
}

// extras prints what engines tell besides.
func (s Section) extras(out *strings.Builder, all []EngineSetup) {
	var names []string
	lines := map[string][]string{}
	for _, e := range all {
		results, _ := s.of(e.Name)
		if len(results) == 0 {
			continue
		}
		for _, extra := range shownExtras {
			if _, ok := results[0].Extra[extra.name]; !ok {
				continue
			}
			if lines[extra.name] == nil {
				names = append(names, extra.name)
			}
			value := medianOf(results, func(r work.Result) float64 { return r.Extra[extra.name] })
			lines[extra.name] = append(lines[extra.name], e.Name+" "+extra.print(value))
		}
	}
	for _, name := range names {
		fmt.Fprintf(out, "- %s: %s\n", name, strings.Join(lines[name], ", "))
	}
	if len(names) > 0 {
		out.WriteString("\n")
	}
}

// upper returns a text with a capital letter in front.
func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
