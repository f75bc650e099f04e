package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	stdio "io"
	"os"
	"path/filepath"
	"strings"

	"github.com/pawldb/pawl/bench/internal/report"
)

func main() {
	var err error
	if arg, isRun := os.LookupEnv(childEnv); isRun {
		err = childMain(arg)
	} else {
		err = parentMain(os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parentMain runs what the flags ask for, prints the report to out, and notes on progress to notes.
func parentMain(args []string, out, notes stdio.Writer) error {
	c, err := parseFlags(args)
	if err != nil {
		return err
	}
	var rep *report.Report
	if len(c.from) > 0 {
		rep, err = reportFrom(c.from)
	} else {
		rep, err = c.measureAll(notes)
	}
	if err != nil {
		return err
	}
	return c.publish(rep, out)
}

// chartsDir is the directory of the charts, beside the report.
const chartsDir = "charts"

// publish prints the report, and writes it with its charts if there is a file for it.
func (c config) publish(rep *report.Report, out stdio.Writer) error {
	if c.results != "" {
		if err := rep.WriteCharts(filepath.Join(filepath.Dir(c.results), chartsDir)); err != nil {
			return err
		}
		if err := os.WriteFile(c.results, []byte(rep.Markdown(chartsDir)), 0o666); err != nil {
			return err
		}
	}
	_, err := stdio.WriteString(out, rep.Markdown(""))
	return err
}

// reportFrom makes a report of what a state file holds, with the verdicts of others beside its own.
func reportFrom(files []string) (*report.Report, error) {
	var all []*report.Report
	for _, file := range files {
		rep, err := reportOf(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, rep)
	}
	all[0].Others = all[1:]
	return all[0], nil
}

// reportOf makes a report of what one state file holds.
func reportOf(file string) (*report.Report, error) {
	head, steps, err := readState(file)
	if err != nil {
		return nil, err
	}
	c := head.Config
	if err := c.chooseNames(); err != nil {
		return nil, err
	}
	r := runner{config: c, state: &state{steps: steps, read: true}, notes: stdio.Discard}
	return r.all(head.Setup)
}

// measureAll measures, and goes on where a run with the same state broke off.
func (c config) measureAll(notes stdio.Writer) (rep *report.Report, err error) {
	version, err := c.fingerprint()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.storesDir(), 0o777); err != nil { // its file system is asked for
		return nil, err
	}
	st, err := openState(c.state, stateHead{Fingerprint: version, Shape: c.shape(), Config: c, Setup: c.setup()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	dir, err := c.workDir(st.fresh)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err == nil || c.state == "" { // shared data sets are kept for the next start
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if c.profiles != "" {
		if err := os.MkdirAll(c.profiles, 0o777); err != nil {
			return nil, err
		}
	}
	r := runner{config: c, state: st, dir: dir, notes: notes, version: version}
	return r.all(st.setup)
}

// workDir makes the directory of the stores. Of a run that may be resumed it has a name that is found again, and keeps its
// data sets until another run begins with the same state file.
func (c config) workDir(fresh bool) (string, error) {
	if c.state == "" {
		return os.MkdirTemp(c.dir, "pawl-bench-")
	}
	stateFile, err := filepath.Abs(c.state)
	if err != nil {
		return "", err
	}
	name := sha256.Sum256([]byte(stateFile))
	dir := filepath.Join(c.storesDir(), fmt.Sprintf("pawl-bench-%x", name[:8]))
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if fresh || !strings.HasPrefix(filepath.Base(name), dataPrefix) {
			if err := os.RemoveAll(name); err != nil {
				return "", err
			}
		}
	}
	return dir, os.MkdirAll(dir, 0o777)
}
