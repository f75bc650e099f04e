package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	stdio "io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/work"
)

// otherMains are what the test's binary is when one of these variables is set.
var otherMains = map[string]func(arg string) error{childEnv: childMain}

// TestMain lets the test's binary be a process that a test starts.
func TestMain(m *testing.M) {
	for variable, other := range otherMains {
		if arg, ok := os.LookupEnv(variable); ok {
			if err := other(arg); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// testKeys is no multiple of a batch.
const testKeys = 1203

// runHere does a run in this process, and makes its shared data set if it wants one.
func runHere(t *testing.T, w work.Workload, e engines.Engine, keys int) work.Result {
	t.Helper()
	c := childRun{
		Workload: w.Name, Engine: e.Name, Dir: filepath.Join(t.TempDir(), "store"), Keys: keys, Duration: 2 * time.Millisecond,
	}
	if err := os.Mkdir(c.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if w.Data.Made() && !e.Volatile {
		c.Phase = build
		if _, err := c.run(); err != nil {
			t.Fatal(err)
		}
		c.Phase = measure
	}
	r, err := c.run()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryWorkloadOnEveryEngine(t *testing.T) {
	for _, w := range work.All() {
		for _, e := range engines.All() {
			if w.Excluded(e) != "" {
				continue
			}
			t.Run(w.Name+"/"+e.Name, func(t *testing.T) {
				t.Parallel()
				keys := testKeys
				if w.Big {
					keys = 5
				}
				r := runHere(t, w, e, keys)
				if r.NA != "" && w.Name == "long-reader" && e.Name == engines.Baseline {
					return // its file had to be mapped anew
				}
				if r.NA != "" {
					t.Fatalf("n/a: %s", r.NA)
				}
				if r.Ops < 1 || r.Elapsed <= 0 || r.Samples < 1 || r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.P999 {
					t.Errorf("implausible: %+v", r)
				}
				data, emptied := int64(keys*(work.KeySize+w.ValueSize())), w.Name == "delete-range" || w.Name == "drop"
				if !e.Volatile && !emptied && r.Bytes < data/2 {
					t.Errorf("%d bytes of files for %d bytes of data", r.Bytes, data)
				}
				if w.Data == work.Empty && r.Ops != int64(keys) {
					t.Errorf("%d keys were put, expected %d", r.Ops, keys)
				}
			})
		}
	}
}

// One key fewer than goroutines that want keys of their own.
func TestFewKeys(t *testing.T) {
	w, err := find("commit-16", work.All(), workloadName)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range engines.All()[:2] {
		if r := runHere(t, w, e, 15); r.Ops < 15 {
			t.Errorf("%s: %+v", e.Name, r)
		}
	}
}

func TestReportOfRunsInOwnProcesses(t *testing.T) {
	var out bytes.Buffer
	dir, results := t.TempDir(), filepath.Join(t.TempDir(), "RESULTS.md")
	args := []string{
		"-dir", dir, "-rounds", "2", "-keys", "50", "-duration", "1ms", "-workloads", "scan,commit,open-crash,cold-get",
		"-engines", "pawl,bbolt", "-cold-keys", "60", "-results", results,
	}
	if err := parentMain(args, &out, stdio.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### commit\n", "### scan\n", "### open-crash\n", "### cold-get\n", "| pawl | ", "| bbolt | ", " 1.00 |", "overwrite of 4 KiB",
		"50 keys of 16 bytes", "medians of 2 rounds", "| commit | p50 | ≤ 1.15 × the raw overwrite and sync |", "(indicative)",
		"## Memory of pawl",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	written, err := os.ReadFile(results)
	if err != nil || !strings.Contains(string(written), "](charts/scan.svg)") {
		t.Errorf("%v, or no chart in\n%s", err, written)
	}
	svg, err := os.ReadFile(filepath.Join(filepath.Dir(results), "charts", "scan.svg"))
	if err != nil || xml.Unmarshal(svg, new(any)) != nil {
		t.Errorf("%v, or no XML: %s", err, svg)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFailedRunIsNoResult(t *testing.T) {
	c := childRun{Workload: "scan", Engine: "none", Dir: t.TempDir(), Keys: 1, Duration: 1}
	if _, err := c.start(); err == nil {
		t.Error("a run on an unknown engine has a result")
	}
}

// What a peer fails to do is n/a; a failure of pawl's is one of the run.
func TestForgive(t *testing.T) {
	failure := errors.New("a | b")
	for _, e := range engines.All() {
		r, err := forgive(e, work.Result{Ops: 1}, failure)
		if own := e.Name == engines.Own; own != (err != nil) || own != (r.NA == "") || strings.Contains(r.NA, "|") {
			t.Errorf("%s: %+v, %v", e.Name, r, err)
		}
		if r, err := forgive(e, work.Result{Ops: 1}, nil); r.Ops != 1 || err != nil {
			t.Errorf("%s without a failure: %+v, %v", e.Name, r, err)
		}
	}
	if got := lastLine("one\ntwo\n"); got != "two" || lastLine("") != "" {
		t.Errorf("last line %q", got)
	}
}

// A process that is killed is told from one that fails.
func TestKilled(t *testing.T) {
	c := childRun{
		Workload: "open-crash", Engine: "pawl", Phase: crash, Dir: filepath.Join(t.TempDir(), "store"), Keys: 10, Duration: 1,
	}
	if err := os.Mkdir(c.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := c.start(); !errors.Is(err, errKilled) {
		t.Errorf("%v", err)
	}
}

func TestFlags(t *testing.T) {
	c, err := parseFlags([]string{"-quick", "-rounds", "9", "-engines", "bbolt,pawl", "-workloads", "scan"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Rounds != 9 || c.Keys != 100_000 || len(c.engines) != 2 || c.engines[0].Name != "pawl" || len(c.workloads) != 1 ||
		c.ColdKeys != 0 {
		t.Errorf("%+v", c)
	}
	if c, err = parseFlags([]string{"-quick"}); err != nil || len(c.engines) != 4 || c.Rounds != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, wrong := range [][]string{
		{"-rounds", "0"}, {"-keys", "0"}, {"-duration", "0s"}, {"-cache", "-1"}, {"-engines", "nothing"}, {"-cold-keys", "-1"},
		{"-workloads", "scan,nothing"}, {"more"},
	} {
		if _, err := parseFlags(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

func TestReadSyncs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace")
	trace := `11 fdatasync(3) = 0
11 newfstatat(AT_FDCWD, "/pawl-bench-mark/begin", 0x0, 0) = -1 ENOENT
12 fdatasync(3 <unfinished ...>
11 fsync(4) = 0
12 <... fdatasync resumed>) = 0
12 openat(AT_FDCWD, "fdatasync", O_RDONLY) = 5
11 newfstatat(AT_FDCWD, "/pawl-bench-mark/end", 0x0, 0) = -1 ENOENT
11 fsync(4) = 0
`
	if err := os.WriteFile(file, []byte(trace), 0o666); err != nil {
		t.Fatal(err)
	}
	calls, err := readSyncs(file)
	if err != nil || len(calls) != 2 || calls["fdatasync"] != 1 || calls["fsync"] != 1 {
		t.Errorf("%v, %v", calls, err)
	}
	if err := os.WriteFile(file, []byte("11 fsync(4) = 0\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := readSyncs(file); err == nil {
		t.Error("a trace without marks has a count")
	}
}
