package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

// childEnv is the variable that makes the program one run: its value is the run in JSON, and so is the Result that it
// prints.
const childEnv = "PAWL_BENCH_RUN"

// childRun is one run of an engine.
type childRun struct {
	Workload string
	Engine   string
	Dir      string // empty
	Keys     int
	Duration time.Duration
	Cache    int64
	Profile  string // file for a CPU profile; empty: none
}

// start runs the run in a process of its own.
func (c childRun) start() (Result, error) {
	var r Result
	program, err := os.Executable()
	if err != nil {
		return r, err
	}
	arg, err := json.Marshal(c)
	if err != nil {
		return r, err
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childEnv+"="+string(arg))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		return r, fmt.Errorf("%s on %s: %w", c.Workload, c.Engine, err)
	}
	return r, nil
}

// childMain is the program as one run.
func childMain(arg string) error {
	var c childRun
	if err := json.Unmarshal([]byte(arg), &c); err != nil {
		return fmt.Errorf("%s: %w", childEnv, err)
	}
	r, err := c.run()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// run measures in this process.
func (c childRun) run() (r Result, err error) {
	w, err := find(c.Workload, workloads, workloadName)
	if err != nil {
		return r, err
	}
	e, err := find(c.Engine, engines, engineName)
	if err != nil {
		return r, err
	}
	world := newWorld(nil, c.Keys, c.Duration)
	err = c.with(e, world, func() error {
		if w.Fill {
			if err := world.fill(); err != nil {
				return err
			}
		}
		runtime.GC() // what filling left
		stop, err := startProfile(c.Profile)
		if err != nil {
			return err
		}
		r, err = w.Run(world)
		return errors.Join(err, stop())
	})
	if err != nil {
		return r, err
	}
	if r.Bytes, err = sizeOf(c.Dir); err != nil {
		return r, err
	}
	return r, c.with(e, world, world.verify)
}

// with opens the store for as long as fn runs.
func (c childRun) with(e Engine, w *world, fn func() error) error {
	store, err := e.Open(c.Dir, EngineOptions{CacheBytes: c.Cache})
	if err != nil {
		return err
	}
	w.store = store
	return errors.Join(fn(), store.Close())
}

// startProfile begins a CPU profile, if there is a file for it.
func startProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

// sizeOf returns the bytes of the files below a directory.
func sizeOf(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// loadAverage returns what the system says of how busy it is, or nothing.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); err == nil && len(f) > 0 {
		return f[0]
	}
	return ""
}
