package report

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-analyze/charts"
)

// WriteCharts writes an SVG chart for each workload that has figures, one of the main ones together, and one of how cost
// grows.
func (r *Report) WriteCharts(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, s := range r.Sections {
		svg, err := r.bars(s)
		if err == nil && svg != nil {
			err = os.WriteFile(filepath.Join(dir, s.Workload.Name+".svg"), svg, 0o666)
		}
		if err != nil {
			return fmt.Errorf("chart of %s: %w", s.Workload.Name, err)
		}
	}
	if svg := r.overview(); svg != nil {
		if err := os.WriteFile(filepath.Join(dir, OverviewFile), svg, 0o666); err != nil {
			return err
		}
	}
	if len(r.Growth) == 0 {
		return nil
	}
	svg, err := r.lines()
	if err != nil {
		return fmt.Errorf("chart of growth: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "growth.svg"), svg, 0o666)
}

// bars is a workload's chart: the median rate of each engine. Without figures it is nil.
func (r *Report) bars(s Section) ([]byte, error) {
	var names []string
	var values []float64
	for _, e := range slices.Backward(r.Setup.Engines) { // a horizontal axis begins at its foot
		results, _ := s.of(e.Name)
		if len(results) == 0 {
			continue
		}
		names, values = append(names, e.Name), append(values, medianOf(results, rateOf))
	}
	if len(values) == 0 {
		return nil, nil
	}
	option := charts.NewBarChartOptionWithData([][]float64{values})
	option.Horizontal = true
	option.Title.Text = s.Workload.Name + ": " + s.Workload.Unit + " a second"
	option.Legend.Show = charts.Ptr(false)
	option.CategoryAxis.Labels = names
	option.ValueFormatter = quantity
	option.ValueAxis = []charts.ValueAxisOption{{Min: charts.Ptr(0.), LabelCount: 5, ValueFormatter: quantity}}
	option.SeriesList[0].Label.Show = charts.Ptr(true)
	option.SeriesList[0].Label.ValueFormatter = quantity
	option.Padding = charts.NewBox(20, 20, 60, 20)
	p := newPainter(720, 110+34*len(values))
	return painted(p, p.BarChart(option))
}

func newPainter(width, height int) *charts.Painter {
	return charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: height})
}

// painted returns what was painted.
func painted(p *charts.Painter, errs ...error) ([]byte, error) {
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p.Bytes()
}

// lines is the chart of how cost grows, in two parts: the time of an operation by keys, on a scale of powers of ten, and
// operations a second by goroutines.
func (r *Report) lines() ([]byte, error) {
	const width, height = 960, 420
	var bySize, byGoroutines []Point
	for _, p := range r.Growth {
		if p.Goroutines == 1 && !slices.ContainsFunc(bySize, func(q Point) bool { return q.Keys == p.Keys }) {
			bySize = append(bySize, Point{Keys: p.Keys, Goroutines: 1})
		}
	}
	most := 0
	for _, p := range r.Growth {
		if p.Goroutines > 1 {
			most = p.Keys
		}
	}
	for _, p := range r.Growth {
		if p.Keys == most && !slices.ContainsFunc(byGoroutines, func(q Point) bool { return q.Goroutines == p.Goroutines }) {
			byGoroutines = append(byGoroutines, Point{Keys: most, Goroutines: p.Goroutines})
		}
	}
	p := newPainter(width, 2*height)
	logTime := func(p Point) float64 { return math.Log10(max(p.P50*1e6, 1e-3)) }
	logRate := func(p Point) float64 { return math.Log10(max(p.Rate, 1)) }
	top := p.Child(charts.PainterBoxOption(charts.NewBox(0, 0, width, height)))
	foot := p.Child(charts.PainterBoxOption(charts.NewBox(0, height, width, 2*height)))
	return painted(p,
		r.line(top, "microseconds by number of keys", []string{"get", "put", "open"}, bySize, logTime,
			func(p Point) string { return grouped(p.Keys) }, func(v float64) string { return figure(math.Pow(10, v)) }),
		r.line(foot, "operations a second by goroutines, "+grouped(most)+" keys", []string{"get", "put"}, byGoroutines, logRate,
			func(p Point) string { return fmt.Sprint(p.Goroutines) }, func(v float64) string { return quantity(math.Pow(10, v)) }))
}

// line paints one part of the chart: a line for each engine and kind of operation that has a figure everywhere or
// somewhere.
func (r *Report) line(p *charts.Painter, title string, kinds []string, at []Point, of func(Point) float64,
	label func(Point) string, value func(float64) string,
) error {
	if len(at) == 0 {
		return nil
	}
	var names, labels []string
	var data [][]float64
	for _, one := range at {
		labels = append(labels, label(one))
	}
	for _, what := range kinds {
		for _, e := range r.Setup.Engines {
			series := r.growthSeries(what, e.Name, at, of)
			if !slices.ContainsFunc(series, func(v float64) bool { return !math.IsNaN(v) }) {
				continue
			}
			for i, v := range series {
				if math.IsNaN(v) {
					series[i] = charts.GetNullValue()
				}
			}
			names, data = append(names, what+" "+e.Name), append(data, series)
		}
	}
	if len(data) == 0 {
		return nil
	}
	option := charts.NewLineChartOptionWithData(data)
	option.Title.Text = title
	option.XAxis.Labels = labels
	option.Legend = charts.LegendOption{
		SeriesNames: names, FontStyle: charts.NewFontStyleWithSize(9), Padding: charts.NewBox(0, 30, 0, 20),
	}
	option.YAxis = []charts.YAxisOption{{ValueFormatter: value}}
	option.ValueFormatter = value
	option.Padding = charts.NewBox(20, 20, 20, 20)
	return p.LineChart(option)
}
