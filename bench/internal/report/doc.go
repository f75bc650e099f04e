// Package report prints what was measured: Markdown tables, verdicts on the targets, and charts.
package report
