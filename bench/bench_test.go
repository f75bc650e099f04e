package main

import (
	"bytes"
	"errors"
	"fmt"
	stdio "io"
	"os"
	"strings"
	"testing"
	"time"
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

func TestEveryWorkloadOnEveryEngine(t *testing.T) {
	const keys = 2500 // no multiple of a batch
	for _, w := range workloads {
		for _, e := range engines {
			t.Run(w.Name+"/"+e.Name, func(t *testing.T) {
				c := childRun{
					Workload: w.Name, Engine: e.Name, Dir: t.TempDir(), Keys: keys, Duration: 5 * time.Millisecond,
				}
				r, err := c.run()
				if err != nil {
					t.Fatal(err)
				}
				if r.Ops < 1 || r.Elapsed <= 0 || r.Samples < 1 || r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Elapsed {
					t.Errorf("implausible: %+v", r)
				}
				if data := int64(keys * (keySize + valueSize)); r.Bytes < data {
					t.Errorf("%d bytes of files for %d bytes of data", r.Bytes, data)
				}
				if !w.Fill && r.Ops != keys {
					t.Errorf("%d keys were put, expected %d", r.Ops, keys)
				}
			})
		}
	}
}

// One key fewer than goroutines that want keys of their own.
func TestFewKeys(t *testing.T) {
	for _, e := range engines {
		c := childRun{
			Workload: "commit-16", Engine: e.Name, Dir: t.TempDir(), Keys: manyWriters - 1, Duration: time.Millisecond,
		}
		if r, err := c.run(); err != nil || r.Ops < manyWriters-1 {
			t.Errorf("%s: %+v, %v", e.Name, r, err)
		}
	}
}

func TestReportOfRunsInOwnProcesses(t *testing.T) {
	var out bytes.Buffer
	args := []string{"-dir", t.TempDir(), "-rounds", "2", "-keys", "50", "-duration", "1ms", "-workloads", "scan,commit"}
	if err := parentMain(args, &out, stdio.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| commit | pawl |", "| commit | bbolt |", "| scan | pawl |", "| scan | bbolt |", " 1.00 |", "raw disk, ",
		"50 keys of 16 bytes", "medians of 2 rounds", "- scan: ",
	} {
		if strings.Count(out.String(), want) == 0 {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if left, err := os.ReadDir(args[1]); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFailedRunIsNoResult(t *testing.T) {
	c := childRun{Workload: "scan", Engine: "none", Dir: t.TempDir(), Keys: 1, Duration: 1}
	if _, err := c.start(); err == nil {
		t.Error("a run on an unknown engine has a result")
	}
}

// brokenStore changes what an engine answers.
type brokenStore struct {
	Store
	get  func(value []byte) ([]byte, error)
	scan func(fn func(key, value []byte) error) func(key, value []byte) error
}

type brokenReader struct {
	Reader
	s brokenStore
}

func (s brokenStore) View(fn func(Reader) error) error {
	return s.Store.View(func(r Reader) error { return fn(brokenReader{r, s}) })
}

func (r brokenReader) Get(key []byte) ([]byte, error) {
	value, err := r.Reader.Get(key)
	if err == nil && r.s.get != nil {
		return r.s.get(bytes.Clone(value))
	}
	return value, err
}

func (r brokenReader) Scan(fn func(key, value []byte) error) error {
	if r.s.scan != nil {
		fn = r.s.scan(fn)
	}
	return r.Reader.Scan(fn)
}

// A store that lies is found out, by the workload that reads and by the check at the end.
func TestWrongAnswersAreErrors(t *testing.T) {
	flip := func(value []byte) ([]byte, error) { value[valueSize-1] ^= 1; return value, nil }
	old := func(value []byte) ([]byte, error) {
		key := make([]byte, keySize)
		fillKey(key, 0)
		fillValue(value, key, 77)
		return value, nil
	}
	skipFirst := func(fn func(key, value []byte) error) func(key, value []byte) error {
		seen := false
		return func(key, value []byte) error {
			if !seen {
				seen = true
				return nil
			}
			return fn(key, value)
		}
	}
	twice := func(fn func(key, value []byte) error) func(key, value []byte) error {
		return func(key, value []byte) error { return errors.Join(fn(key, value), fn(key, value)) }
	}
	run := func(w Workload) func(*world) error {
		return func(world *world) error { _, err := w.Run(world); return err }
	}
	verify := (*world).verify
	for _, c := range []struct {
		name  string
		keys  int
		broke brokenStore
		run   func(*world) error
	}{
		{"get, flipped bit", 1, brokenStore{get: flip}, run(getEach)},
		{"get, old version", 1, brokenStore{get: old}, run(getInOne)},
		{"get, absent", 1, brokenStore{get: func([]byte) ([]byte, error) { return nil, errAbsent }}, run(getEach)},
		{"scan, first missing", 10, brokenStore{scan: skipFirst}, run(scan)},
		{"scan, each twice", 10, brokenStore{scan: twice}, run(scan)},
		{"verify, flipped bit", 1, brokenStore{get: flip}, verify},
		{"verify, old version", 1, brokenStore{get: old}, verify},
		{"verify, absent", 1, brokenStore{get: func([]byte) ([]byte, error) { return nil, errAbsent }}, verify},
		{"verify, first missing", 10, brokenStore{scan: skipFirst}, verify},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, err := bboltEngine.Open(t.TempDir(), EngineOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			w := newWorld(store, c.keys, time.Millisecond)
			if err := w.fill(); err != nil {
				t.Fatal(err)
			}
			if err := c.run(w); err != nil {
				t.Fatalf("before the store was broken: %v", err)
			}
			c.broke.Store = store
			w.store = c.broke
			if err := c.run(w); err == nil {
				t.Error("nobody noticed")
			}
		})
	}
}
