package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pawldb/pawl/bench/internal/machine"
	"github.com/pawldb/pawl/bench/internal/work"
)

// quantity prints a rate with three digits.
func quantity(v float64) string {
	switch {
	case math.IsNaN(v):
		return "n/a"
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

// figure prints a number with as many digits as say something.
func figure(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v):
		return "n/a"
	case abs >= 100:
		return fmt.Sprintf("%.0f", v)
	case abs >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// grouped prints a count with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// mib prints bytes.
func mib(v float64) string { return fmt.Sprintf("%.1f", v/(1<<20)) }

// callList prints counts by name.
func callList(calls map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		all = append(all, fmt.Sprintf("%s %d", name, calls[name]))
	}
	return strings.Join(all, ", ")
}

// medianOf returns the median of what a function says of each.
func medianOf[T any, N ~int64 | ~float64](all []T, of func(T) N) N {
	var values []N
	for _, one := range all {
		values = append(values, of(one))
	}
	return work.Median(values)
}

func limitP50(l machine.Limit) time.Duration { return l.P50 }
func limitP99(l machine.Limit) time.Duration { return l.P99 }
func rateOf(r work.Result) float64           { return r.Rate() }
