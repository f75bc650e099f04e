package main

import (
	"bytes"
	stdio "io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A run that broke off behind a round goes on there, and keeps what it had.
func TestResume(t *testing.T) {
	name, dir := filepath.Join(t.TempDir(), "results", "run-1.jsonl"), t.TempDir()
	args := []string{
		"-dir", dir, "-rounds", "2", "-keys", "40", "-duration", "1ms", "-workloads", "get,commit", "-engines", "pawl,bbolt",
		"-cold-keys", "0", "-state", name,
	}
	var whole bytes.Buffer
	if err := parentMain(args, &whole, stdio.Discard); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	const kept = 6 // the head, the limits, two counts of syncs, get/1 and get/2
	if len(lines) != kept+2+1+1 {
		t.Fatalf("%d lines: %s", len(lines), b)
	}
	broken := strings.Join(lines[:kept], "") + lines[kept][:len(lines[kept])/2]
	if err := os.WriteFile(name, []byte(broken), 0o666); err != nil {
		t.Fatal(err)
	}
	var notes bytes.Buffer
	if err := parentMain(args, stdio.Discard, &notes); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(notes.String(), "round"); n != 2*2 || strings.Contains(notes.String(), "get") {
		t.Errorf("measured again:\n%s", notes.String())
	}
	b, err = os.ReadFile(name)
	if again := strings.SplitAfter(string(b), "\n"); err != nil || len(again) != len(lines) ||
		strings.Join(again[:kept], "") != strings.Join(lines[:kept], "") {
		t.Errorf("%v, kept:\n%s", err, b)
	}
	var from bytes.Buffer
	err = parentMain([]string{"-from", name}, &from, stdio.Discard)
	if err != nil || !strings.Contains(from.String(), "### commit\n") {
		t.Errorf("%v, from the file:\n%s", err, from.String())
	}

	// What is over is reported again.
	notes.Reset()
	var again bytes.Buffer
	if err := parentMain(args, &again, &notes); err != nil || notes.Len() > 0 || again.String() != from.String() {
		t.Errorf("%v, measured again:\n%s", err, &notes)
	}

	// Another configuration does not go on, and does not throw away.
	if err := os.WriteFile(name, []byte(broken), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := parentMain(append(args, "-keys", "41"), stdio.Discard, stdio.Discard); err == nil {
		t.Error("a run of another configuration goes on")
	}
	if left, err := os.ReadFile(name); err != nil || string(left) != broken {
		t.Errorf("%v, the file is now %s", err, left)
	}
}

// Figures of one kind of machine do not go on with those of another.
func TestResumeElsewhere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "run.jsonl")
	head := stateHead{Fingerprint: "f", Shape: "2 processors", Setup: []byte("{}")}
	for range 2 {
		s, err := openState(name, head)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	head.Shape = "4 processors"
	if _, err := openState(name, head); err == nil || !strings.Contains(err.Error(), "2 processors") ||
		!strings.Contains(err.Error(), "4 processors") {
		t.Errorf("%v", err)
	}
}

// A run's fingerprint does not tell where it is, and is that of all source that is compiled.
func TestFingerprint(t *testing.T) {
	here := config{Keys: 1, dir: "a", state: "b"}
	first, err := here.fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := (config{Keys: 1, dir: "c", state: "d"}).fingerprint(); err != nil || again != first {
		t.Errorf("%v, another one in another directory", err)
	}
	if other, err := (config{Keys: 2}).fingerprint(); err != nil || other == first {
		t.Errorf("%v, the same one with more keys", err)
	}
	files, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimPrefix(f.name, ownPrefix+"/"))
	}
	for _, want := range []string{"open.go", "wal/log.go", "bench/child.go", "bench/internal/work/world.go"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s among %q", want, names)
		}
	}
	if slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") }) {
		t.Errorf("tests among %q", names)
	}
}

// Of two runs the second one's verdicts stand beside the first one's.
func TestReportOfTwoRuns(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"run-1.jsonl", "run-2.jsonl"} {
		files = append(files, filepath.Join(dir, name))
		args := []string{
			"-dir", dir, "-rounds", "1", "-keys", "40", "-duration", "1ms", "-workloads", "get", "-engines", "pawl,bbolt",
			"-cold-keys", "0", "-state", files[len(files)-1],
		}
		if err := parentMain(args, stdio.Discard, stdio.Discard); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"-from", strings.Join(files, ",")}, {"-from", files[0], "-from", files[1]}} {
		var out bytes.Buffer
		if err := parentMain(args, &out, stdio.Discard); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"| measured, run 2 | verdict, run 2 |", "\n- run 2, whose", "; run 2: ", "met in all runs: "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q: no %q in\n%s", args, want, &out)
			}
		}
	}
	if err := parentMain([]string{"-from", filepath.Join(dir, "none")}, stdio.Discard, stdio.Discard); err == nil {
		t.Error("a report of nothing")
	}
}
