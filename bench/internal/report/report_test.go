package report

import (
	"encoding/xml"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/machine"
	"github.com/pawldb/pawl/bench/internal/work"
)

// rate returns a result of so many operations a second.
func rate(ops int64) work.Result {
	return work.Result{Ops: ops, Elapsed: time.Second, P50: time.Second / time.Duration(ops), Device: -1}
}

// workload returns one of the workloads.
func workload(t *testing.T, name string) work.Workload {
	t.Helper()
	for _, w := range work.All() {
		if w.Name == name {
			return w
		}
	}
	t.Fatalf("no workload %s", name)
	panic("unreachable")
}

// madeUp returns a report with rounds of one workload.
func madeUp(t *testing.T, name string, rounds ...Round) *Report {
	return &Report{
		Setup: Setup{Rounds: len(rounds), Engines: []EngineSetup{
			{Name: own}, {Name: bbolt}, {Name: pebble}, {Name: lmdb},
		}},
		Sections: []Section{{Workload: workload(t, name), Rounds: rounds}},
	}
}

// The ratio is taken within each round, so that a slow minute of the machine counts for both.
func TestRatiosAreWithinRounds(t *testing.T) {
	var s Section
	for _, pair := range [][2]int64{{10, 5}, {400, 100}, {60, 20}} {
		s.Rounds = append(s.Rounds, Round{Results: map[string]work.Result{own: rate(pair[0]), bbolt: rate(pair[1])}})
	}
	s.Rounds = append(s.Rounds, Round{Results: map[string]work.Result{own: rate(1), bbolt: {NA: "why"}}})
	if got := s.ratios(own, bbolt, rateOf); !slices.Equal(got, []float64{2, 4, 3}) {
		t.Errorf("ratios %v", got)
	}
}

func TestVerdicts(t *testing.T) {
	raw := &machine.Limit{Name: "raw", Rate: 50, P50: 20 * time.Millisecond}
	round := func(pawl, bolt, peb int64) Round {
		return Round{Raw: raw, Results: map[string]work.Result{own: rate(pawl), bbolt: rate(bolt), pebble: rate(peb)}}
	}
	rep := madeUp(t, "commit", round(60, 20, 30), round(30, 15, 40), round(90, 20, 30))
	starved := rate(1000)
	starved.Extra = map[string]float64{"reads beside": 1, "reads alone": 100}
	for _, c := range []struct {
		name   string
		target Target
		change func(*Report)
		want   float64
		says   string
	}{
		{"median of ratios", Target{Of: rateOf, Over: bbolt, AtLeast: 3}, nil, 3, "met"},
		{"just missed", Target{Of: rateOf, Over: bbolt, AtLeast: 3.01}, nil, 3, "missed"},
		{"best peer of each round", Target{Of: rateOf, Over: bestPeer, AtLeast: 2}, nil, 2, "met"},
		{"alone", Target{Of: rateOf, AtMost: 59}, nil, 60, "missed"},
		{"over the disk", Target{Of: p50, Over: rawP50, AtMost: 0.84}, nil, 1. / 60 / 0.02, "met"},
		{"over the disk's reads", Target{Of: rateOf, Over: rawReads, AtLeast: 1.2}, nil, 1.2, "met"},
		{"absent peer", Target{Of: rateOf, Over: lmdb, AtLeast: 1}, nil, math.NaN(), "n.a."},
		{"no such figure", Target{Of: extra("nothing"), AtMost: 1}, nil, math.NaN(), "n.a."},
		{"other workload", Target{Of: rateOf, Over: bbolt, In: "get", AtLeast: 1}, nil, math.NaN(), "n.a."},
		{"peers that fit", Target{Of: rateOf, Over: bestPeer, Fit: notStarving, AtLeast: 1}, func(r *Report) {
			for i := range r.Sections[0].Rounds {
				r.Sections[0].Rounds[i].Results[pebble] = starved
			}
		}, math.NaN(), "n.a."},
		{"a round without figure", Target{Of: rateOf, Over: bbolt, AtLeast: 1}, func(r *Report) {
			r.Sections[0].Rounds[0].Results[own] = work.Result{NA: "why"}
		}, 3.25, "met"},
		{"skipped", Target{Of: rateOf, AtLeast: 1}, func(r *Report) { r.Sections[0].Skipped = "why" }, math.NaN(), "n.a."},
	} {
		t.Run(c.name, func(t *testing.T) {
			copied := madeUp(t, "commit", round(60, 20, 30), round(30, 15, 40), round(90, 20, 30))
			if c.change != nil {
				c.change(copied)
			}
			c.target.Workload = "commit"
			v := copied.Judge(c.target)
			if math.Abs(v.Measured-c.want) > 1e-6 || math.IsNaN(v.Measured) != math.IsNaN(c.want) || v.String() != c.says {
				t.Errorf("%v %s, expected %v %s", v.Measured, v, c.want, c.says)
			}
			if math.IsNaN(c.want) && v.Why == "" {
				t.Error("no reason")
			}
		})
	}
	// The worst of all workloads counts.
	rep.Sections = append(rep.Sections, Section{Workload: workload(t, "get"), Rounds: []Round{{
		Results: map[string]work.Result{own: rate(7)},
	}}})
	if v := rep.Judge(Target{Workload: everyWorkload, Of: rateOf, AtLeast: 8}); v.Measured != 7 || v.Where != "get" || v.Met() {
		t.Errorf("%+v", v)
	}
	if v := rep.Judge(Target{Workload: everyWorkload, Of: rateOf, AtMost: 60}); v.Measured != 60 || v.Where != "commit" || !v.Met() {
		t.Errorf("%+v", v)
	}
}

// A target that names what is not there would be n.a. forever.
func TestTargetsAreOfWhatThereIs(t *testing.T) {
	names := []string{"", bestPeer, rawP50, rawReads, own}
	for _, e := range engines.All() {
		names = append(names, e.Name)
	}
	if engines.Absent == "" && !slices.Contains(names, lmdb) {
		t.Errorf("no %s among %v", lmdb, names)
	}
	names = append(names, lmdb)
	for _, target := range Targets {
		if target.Workload != everyWorkload {
			w := workload(t, target.Workload)
			if target.Over == rawP50 && !w.Durable || target.Over == rawReads && !w.Cold {
				t.Errorf("%s has no figure of the disk", w.Name)
			}
		}
		if target.In != "" {
			workload(t, target.In)
		}
		if !slices.Contains(names, target.Over) {
			t.Errorf("%s is compared with %q", target.Workload, target.Over)
		}
		if (target.AtLeast > 0) == (target.AtMost > 0) || target.Of == nil || target.What == "" {
			t.Errorf("%+v", target)
		}
	}
}

func TestMarkdown(t *testing.T) {
	one := work.Result{
		Ops: 2000, Elapsed: 2 * time.Second, P50: 1234 * time.Microsecond, P99: 2 * time.Millisecond, P999: 150 * time.Millisecond,
		CPU: 10 * time.Millisecond, Mallocs: 5000, PeakRSS: 30 << 20, BaseRSS: 10 << 20, Bytes: 3 << 19, Logical: 1000, Device: 2500,
		Extra: map[string]float64{"main file": 1 << 20, "cache used": 2 << 20, "cache limit": 64 << 20},
	}
	rep := madeUp(t, "commit", Round{
		Raw:     &machine.Limit{Name: "overwrite", Rate: 10_000, P50: 90 * time.Microsecond, P99: time.Millisecond},
		Results: map[string]work.Result{own: one, bbolt: rate(500), pebble: {NA: "too big"}},
	})
	rep.Setup.Quick, rep.Setup.Keys = true, 1_234_567
	rep.Syncs = []SyncCount{{Engine: own, Commits: 200, Calls: map[string]int{"fsync": 100, "fdatasync": 200}}}
	got := rep.Markdown("charts")
	for _, want := range []string{
		"- 1,234,567 keys of 16 bytes with 100-byte values; medians of 1 rounds",
		"| overwrite (median of 1) | 10 k | 90µs | 1ms |\n",
		"| pawl | 200 | 300 | 1.50 | fdatasync 200, fsync 100 |\n",
		"| commit | throughput | ≥ 3 × bbolt | 2.00 | missed (indicative) |\n",
		"| commit | throughput | ≥ 1 × badger | no figure of pawl or of badger | n.a. |\n",
		"![commit](charts/commit.svg)\n",
		"| pawl | 1 k | 1 k to 1 k | 2.00 | 1.234ms | 2ms | 150ms | 5.00 | 2.50 | 30.0 | 2.50 | 1.5 |\n",
		"| bbolt | 500 | 500 to 500 | 1.00 | 2ms | 0s | 0s | 0.00 | 0.00 | 0.0 |  | 0.0 |\n",
		"| pebble | n/a: too big |",
		"- main file: pawl 1.0\n",
		"| commit | 64.0 | 2.0 | 0.0 | 20.0 | 30.0 | 0.00 |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(rep.Markdown(""), "![") {
		t.Error("a report without charts has one")
	}
}

func TestCharts(t *testing.T) {
	rep := madeUp(t, "get", Round{Results: map[string]work.Result{own: rate(2_000_000), bbolt: rate(1_000_000)}})
	rep.Sections = append(rep.Sections, Section{Workload: workload(t, "cold-get"), Skipped: "why"})
	for _, keys := range []int{1000, 10_000} {
		for _, what := range []string{"get", "put", "open"} {
			rep.Growth = append(rep.Growth, Point{What: what, Engine: own, Keys: keys, Goroutines: 1, Rate: 1e6, P50: 1e-6})
		}
	}
	rep.Growth = append(rep.Growth,
		Point{What: "get", Engine: own, Keys: 10_000, Goroutines: 2, Rate: 2e6, P50: 1e-6},
		Point{What: "get", Engine: bbolt, Keys: 10_000, Goroutines: 2, NA: "why"})
	dir := filepath.Join(t.TempDir(), "charts")
	if err := rep.WriteCharts(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for name, texts := range map[string][]string{
		"get.svg":    {"get: gets a second", ">pawl<", ">bbolt<", ">2 M<", ">1 M<"},
		OverviewFile: {"multiples of bbolt", ">get<", ">pawl<", "<circle"},
		"growth.svg": {"by number of keys", "by goroutines, 10,000 keys", "get pawl", "put pawl", "open pawl"},
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var svg struct{ XMLName xml.Name }
		if err := xml.Unmarshal(b, &svg); err != nil || svg.XMLName.Local != "svg" {
			t.Errorf("%s: %v, %v", name, svg, err)
		}
		for _, text := range texts {
			if !strings.Contains(string(b), text) {
				t.Errorf("%s has no %q", name, text)
			}
		}
	}
	if got := rep.Markdown("charts"); !strings.Contains(got, "| get | pawl | 10,000 | 2 | 2 M | 1.00 |\n") ||
		!strings.Contains(got, "![How cost grows](charts/growth.svg)") {
		t.Errorf("%s", got)
	}
}

// A store that was stopped is told in its row and in the verdict about it, beside that of another run.
func TestStopped(t *testing.T) {
	stopped := rate(500)
	stopped.Stopped = time.Minute
	rep := madeUp(t, "batch-random", Round{Results: map[string]work.Result{own: rate(2000), bbolt: stopped}})
	rep.Others = []*Report{madeUp(t, "batch-random", Round{Results: map[string]work.Result{own: rate(4000), bbolt: rate(400)}})}
	got := rep.Markdown("")
	for _, want := range []string{
		"| bbolt | 500 (stopped after 1m0s, with 500) |",
		"| batch-random | throughput | ≥ 8 × bbolt | 4.00 (bbolt stopped early) | missed (indicative) | 10.0 | met (indicative) |\n",
		"met in all runs: ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestQuantities(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 7.4: "7", 999: "999", 999.6: "1 k", 4813: "4.81 k", 33_700: "33.7 k", 486_400: "486 k", 999_700: "1 M",
		21_940_000: "21.9 M",
	} {
		if got := quantity(v); got != want {
			t.Errorf("%v prints as %q, expected %q", v, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 12_345_678: "12,345,678"} {
		if got := grouped(n); got != want {
			t.Errorf("%d prints as %q, expected %q", n, got, want)
		}
	}
	for v, want := range map[float64]string{0.004: "0.00", 1.005: "1.00", 12.34: "12.3", 123.4: "123"} {
		if got := figure(v); got != want {
			t.Errorf("%v prints as %q, expected %q", v, got, want)
		}
	}
}
