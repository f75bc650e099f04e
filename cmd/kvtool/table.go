package main

import (
	"fmt"
	stdio "io"
	"text/tabwriter"
	"time"
)

// table prints names and what they are, in two columns.
type table struct{ w *tabwriter.Writer }

// newTable returns a table that is printed by end.
func newTable(out stdio.Writer) *table { return &table{tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)} }

// row adds a line.
func (t *table) row(name, format string, args ...any) {
	fmt.Fprintf(t.w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
}

// end prints the table.
func (t *table) end() error { return t.w.Flush() }

// size returns bytes as people say them.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 10<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// rate returns how much was done a second.
func rate(n int64, took time.Duration) string {
	return size(int64(float64(n)/max(took.Seconds(), 1e-9))) + "/s"
}
