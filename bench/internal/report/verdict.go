package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pawldb/pawl/bench/internal/work"
)

// Verdict is what became of a target.
type Verdict struct {
	Target   Target
	Measured float64 // NaN: not measured
	Where    string  // the workload, of a target for all
	Why      string  // it was not measured
}

// Met reports whether the target was reached.
func (v Verdict) Met() bool {
	if v.Target.AtLeast > 0 {
		return v.Measured >= v.Target.AtLeast
	}
	return v.Measured <= v.Target.AtMost
}

// String is what the table says.
func (v Verdict) String() string {
	switch {
	case math.IsNaN(v.Measured):
		return "n.a."
	case v.Met():
		return "met"
	}
	return "missed"
}

// Judge holds a target against what was measured.
func (r *Report) Judge(t Target) Verdict {
	if t.Workload != everyWorkload {
		v, why := r.measured(t, t.Workload)
		return Verdict{Target: t, Measured: v, Why: why}
	}
	worst := Verdict{Target: t, Measured: math.NaN(), Why: "not measured"}
	for _, s := range r.Sections {
		v, _ := r.measured(t, s.Workload.Name)
		better := t.AtLeast > 0 && v < worst.Measured || t.AtLeast == 0 && v > worst.Measured
		if better || math.IsNaN(worst.Measured) && !math.IsNaN(v) {
			worst = Verdict{Target: t, Measured: v, Where: s.Workload.Name}
		}
	}
	return worst
}

// measured returns the figure that a target is about; NaN, and why, if there is none.
func (r *Report) measured(t Target, workload string) (float64, string) {
	s, ok := r.section(workload)
	if !ok {
		return math.NaN(), "not measured"
	}
	if s.Skipped != "" {
		return math.NaN(), s.Skipped
	}
	base := s
	if t.In != "" {
		if base, ok = r.section(t.In); !ok {
			return math.NaN(), t.In + " was not measured"
		}
	}
	var all []float64
	for i, round := range s.Rounds {
		one, ok := round.Results[own]
		if !ok || one.NA != "" || i >= len(base.Rounds) {
			continue
		}
		v := t.Of(one)
		if t.Over != "" {
			v /= t.base(base.Rounds[i])
		}
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return math.NaN(), "no figure of " + t.of()
	}
	return work.Median(all), ""
}

// of names whose figures a target needs.
func (t Target) of() string {
	if t.Over == "" {
		return own
	}
	return own + " or of " + t.Over
}

// base returns what a round's figure is divided by; NaN if there is none.
func (t Target) base(round Round) float64 {
	switch t.Over {
	case rawP50, rawReads:
		if round.Raw == nil || round.Raw.Failed != "" {
			return math.NaN()
		}
		if t.Over == rawReads {
			return round.Raw.Rate
		}
		return round.Raw.P50.Seconds()
	case bestPeer:
		best := math.NaN()
		for engine, one := range round.Results {
			if isOwn(engine) || one.NA != "" || t.Fit != nil && !t.Fit(one) {
				continue
			}
			if v := t.Of(one); math.IsNaN(best) || v > best {
				best = v
			}
		}
		return best
	}
	if one, ok := round.Results[t.Over]; ok && one.NA == "" {
		return t.Of(one)
	}
	return math.NaN()
}

// bound prints what is asked for.
func (t Target) bound() string {
	sign, v := "≥", t.AtLeast
	if v == 0 {
		sign, v = "≤", t.AtMost
	}
	if t.Over != "" {
		return fmt.Sprintf("%s %.3g × %s", sign, v, t.Over)
	}
	return fmt.Sprintf("%s %.4g%s", sign, v, t.Unit)
}

// tally counts verdicts.
type tally struct{ met, missed, open int }

// count adds a verdict.
func (t *tally) count(v Verdict) {
	switch {
	case math.IsNaN(v.Measured):
		t.open++
	case v.Met():
		t.met++
	default:
		t.missed++
	}
}

func (t tally) String() string {
	return fmt.Sprintf("%d met, %d missed, %d n.a.", t.met, t.missed, t.open)
}

// verdicts prints all targets, with the verdicts of other runs beside this one's.
func (r *Report) verdicts(s *strings.Builder) {
	s.WriteString("## Targets\n\n")
	runs := append([]*Report{r}, r.Others...)
	for _, run := range runs {
		if run.Setup.indicative() {
			s.WriteString("Verdicts are indicative: they take 5 rounds of the full form.\n\n")
			break
		}
	}
	s.WriteString("| workload | what | target | measured | verdict |")
	for i := range r.Others {
		fmt.Fprintf(s, " measured, run %d | verdict, run %d |", i+2, i+2)
	}
	s.WriteString("\n|---|---|---:|---:|---|" + strings.Repeat("---:|---|", len(r.Others)) + "\n")
	counts, everywhere := make([]tally, len(runs)), 0
	for _, t := range Targets {
		fmt.Fprintf(s, "| %s | %s | %s |", t.Workload, t.What, t.bound())
		inAll := true
		for i, run := range runs {
			v := run.Judge(t)
			counts[i].count(v)
			inAll = inAll && v.Met() && !math.IsNaN(v.Measured)
			measured, verdict := run.cells(v)
			fmt.Fprintf(s, " %s | %s |", measured, verdict)
		}
		if inAll {
			everywhere++
		}
		s.WriteString("\n")
	}
	fmt.Fprintf(s, "\n%v", counts[0])
	for i, count := range counts[1:] {
		fmt.Fprintf(s, "; run %d: %v", i+2, count)
	}
	if len(r.Others) > 0 {
		fmt.Fprintf(s, "; met in all runs: %d of %d", everywhere, len(Targets))
	}
	s.WriteString("\n\n")
}

// cells are what the table says of a verdict: what was measured, and how it was judged.
func (r *Report) cells(v Verdict) (measured, verdict string) {
	if math.IsNaN(v.Measured) {
		return v.Why, v.String()
	}
	measured, verdict = figure(v.Measured)+v.Target.Unit, v.String()
	if v.Where != "" {
		measured += " in " + v.Where
	}
	if r.Setup.indicative() {
		verdict += " (indicative)"
	}
	return measured + r.stoppedNote(v.Target), verdict
}

// stoppedNote names the stores that were stopped before their own end in what a target is about.
func (r *Report) stoppedNote(t Target) string {
	var names []string
	for _, name := range []string{t.Workload, t.In} {
		section, ok := r.section(name)
		for _, e := range r.Setup.Engines {
			about := e.Name == own || e.Name == t.Over || t.Over == bestPeer
			if ok && about && section.stopped(e.Name) > 0 && !slices.Contains(names, e.Name) {
				names = append(names, e.Name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + " stopped early)"
}
