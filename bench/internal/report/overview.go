package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/work"
)

// OverviewFile is the name of the chart that shows the main workloads at a glance.
const OverviewFile = "overview.svg"

// mainWorkloads are those of the overview.
var mainWorkloads = []string{
	"get", "get-2", "absent", "scan", "seek-100", "commit", "commit-16", "commit-relaxed", "overwrite-100", "batch-sorted",
	"batch-random", "delete-half", "mixed-2-1", "ycsb-a-8", "ycsb-b-8", "big-put", "big-get", "cold-get", "cold-get-16", "cold-many",
}

// engineColors tell engines apart in the overview.
var engineColors = map[string]string{
	own: "#d1242f", pebble: "#1f6feb", badger: "#8250df", lmdb: "#1a7f37", "mdbx": "#7aa32c", "sqlite": "#9a6700",
	"sqlite-go": "#bf8700",
}

const (
	overviewWidth = 900
	overviewLeft  = 140 // of the scale, behind the names
	overviewRight = 870 // its end
	overviewTop   = 76  // of the first row, below title and legend
	overviewRow   = 24
)

// overview is a chart of the main workloads: a row each, in it a dot for each engine on a scale of powers of ten, at the
// median of its ratios to the baseline. It is nil where there are no such ratios.
//
//	get            .         |   o  O
//	commit         .         | o    .O
//	             0.1         1       10  × bbolt
func (r *Report) overview() []byte {
	var names []string
	var rows []map[string]float64
	low, high := -1., 1. // powers of ten
	for _, name := range mainWorkloads {
		section, ok := r.section(name)
		row := map[string]float64{}
		for _, e := range r.Setup.Engines {
			if ratios := section.ratios(e.Name, bbolt, rateOf); ok && len(ratios) > 0 && !e.Volatile && e.Name != bbolt {
				row[e.Name] = math.Log10(max(work.Median(ratios), 1e-6))
				low, high = min(low, math.Floor(row[e.Name])), max(high, math.Ceil(row[e.Name]))
			}
		}
		if len(row) > 0 {
			names, rows = append(names, name), append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	x := func(power float64) float64 { return overviewLeft + (power-low)/(high-low)*(overviewRight-overviewLeft) }
	foot := overviewTop + overviewRow*len(rows)
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" `+
		`font-family="sans-serif" font-size="13">`+"\n", overviewWidth, foot+44)
	s.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	text := func(x, y float64, anchor, color, text string) {
		fmt.Fprintf(&s, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, color, text)
	}
	text(20, 26, "start", "#1f2328", "Operations a second as multiples of "+engines.Baseline+"'s; further to the right is quicker")
	r.overviewLegend(&s, rows, text)
	for power := low; power <= high; power++ {
		color := "#d8dee4"
		if power == 0 {
			color = "#57606a"
		}
		fmt.Fprintf(&s, `<line x1="%.1f" y1="%d" x2="%.1[1]f" y2="%[3]d" stroke="%[4]s"/>`+"\n", x(power), overviewTop, foot, color)
		label := fmt.Sprintf("%g", math.Pow(10, power))
		if power == 0 {
			label = engines.Baseline
		}
		text(x(power), float64(foot+18), "middle", "#57606a", label)
	}
	for i, row := range rows {
		y := float64(overviewTop + overviewRow*i + overviewRow/2)
		fmt.Fprintf(&s, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1[2]f" stroke="#eaeef2"/>`+"\n", overviewLeft, y, overviewRight)
		text(overviewLeft-12, y+4, "end", "#1f2328", names[i])
		for at := len(r.Setup.Engines) - 1; at >= 0; at-- { // pawl's dot above the others
			e := r.Setup.Engines[at].Name
			if power, ok := row[e]; ok {
				dot(&s, x(power), y, e)
			}
		}
	}
	s.WriteString("</svg>\n")
	return []byte(s.String())
}

// overviewLegend names the engines that have a dot somewhere.
func (r *Report) overviewLegend(s *strings.Builder, rows []map[string]float64,
	text func(x, y float64, anchor, color, text string),
) {
	at := 26.
	for _, e := range r.Setup.Engines {
		for _, row := range rows {
			if _, ok := row[e.Name]; ok {
				dot(s, at, 50, e.Name)
				text(at+12, 54, "start", "#1f2328", e.Name)
				at += 40 + 8*float64(len(e.Name))
				break
			}
		}
	}
}

// dot paints an engine's dot; pawl's is larger.
func dot(s *strings.Builder, x, y float64, engine string) {
	color, radius := engineColors[engine], 4.5
	if color == "" {
		color = "#57606a"
	}
	if isOwn(engine) {
		radius = 6.5
	}
	fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s" fill-opacity="0.85"/>`+"\n", x, y, radius, color)
}
