package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	stdio "io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/machine"
	"github.com/pawldb/pawl/bench/internal/work"
)

// childEnv is the variable that makes the program one run: its value is the run in JSON, and so is the Result that it
// prints.
const childEnv = "PAWL_BENCH_RUN"

// childRun is one run of an engine.
type childRun struct {
	Workload   string
	Engine     string
	Phase      phase
	Dir        string // empty, or the shared data set or a copy of it
	Keys       int
	Duration   time.Duration
	Limit      time.Duration
	Goroutines int // in place of the workload's; 0: that
	Round      int
	Cache      int64
	Group      string // control group to join; empty: none
	Profile    string // file for a CPU profile; empty: none
}

// phase is what a process does of a run.
type phase string

const (
	measure phase = ""      // the run
	build   phase = "build" // fill the store, and verify it
	crash   phase = "crash" // what comes before the run, and ends in kill -9
	commits phase = "syncs" // durable commits between two marks, for a tracer
)

// errKilled means that a process did not end by itself.
var errKilled = errors.New("killed")

// runLimit is how long a run may take: one that hangs is not to keep the others waiting.
const runLimit = 30 * time.Minute

// start runs the run in a process of its own, by means of another program if there is one.
func (c childRun) start(by ...string) (work.Result, error) {
	var r work.Result
	program, err := os.Executable()
	if err != nil {
		return r, err
	}
	arg, err := json.Marshal(c)
	if err != nil {
		return r, err
	}
	by = append(by, program)
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, by[0], by[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+string(arg))
	var complaint bytes.Buffer
	cmd.Stderr = stdio.MultiWriter(os.Stderr, &complaint)
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	var exit *exec.ExitError
	if ctx.Err() != nil {
		err = fmt.Errorf("it was not over after %v", runLimit)
	} else if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			err = errKilled
		}
	}
	if err != nil {
		return r, fmt.Errorf("%s on %s: %w: %s", c.Workload, c.Engine, err, lastLine(complaint.String()))
	}
	return r, nil
}

// lastLine returns the last line of a text, or the beginning of it.
func lastLine(text string) string {
	const most = 200
	text = strings.TrimSpace(text)
	text = text[strings.LastIndexByte(text, '\n')+1:]
	return text[:min(len(text), most)]
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

// running is a run in its own process.
type running struct {
	childRun
	workload work.Workload
	engine   engines.Engine
	world    *work.World
}

// run does the run in this process. What an engine can't do is a result that says so.
func (c childRun) run() (r work.Result, err error) {
	u := running{childRun: c}
	began := time.Now()
	defer func() { r.Whole = time.Since(began) }()
	if u.workload, err = find(c.Workload, work.All(), workloadName); err != nil {
		return r, err
	}
	if u.engine, err = find(c.Engine, engines.All(), engineName); err != nil {
		return r, err
	}
	if c.Group != "" {
		if err := machine.Join(c.Group); err != nil {
			return work.Result{NA: fmt.Sprintf("memory can't be limited here: %v", err)}, nil
		}
	}
	u.world = work.NewWorld(c.Keys, u.workload.ValueSize(), u.workload.Data == work.Shared || c.Phase == build)
	u.world.Duration, u.world.Limit, u.world.Goroutines, u.world.Seed = c.Duration, c.Limit, c.Goroutines, c.Round
	if u.engine.Copies {
		u.world.Copies()
	}
	u.world.Open = u.open
	u.world.Files = func() (int64, error) { all, _, err := sizeOf(c.Dir); return all, err }
	switch c.Phase {
	case build:
		err = u.build()
	case crash:
		err = u.crash()
	case commits:
		err = u.commits()
	default:
		r, err = u.measure()
	}
	if errors.Is(err, engines.ErrUnsupported) {
		return work.Result{NA: err.Error()}, nil
	}
	return r, err
}

// open opens the store.
func (u *running) open() (engines.Store, error) {
	cache := u.Cache
	if u.workload.Cache > 0 {
		cache = u.workload.Cache
	}
	return u.engine.Open(u.Dir, engines.Options{
		CacheBytes: cache, NoSync: u.workload.NoSync, Cold: u.workload.Cold, LogBytes: u.workload.LogBytes,
	})
}

// with opens the store for as long as fn runs.
func (u *running) with(fn func() error) error {
	store, err := u.open()
	if err != nil {
		return err
	}
	u.world.Store = store
	return errors.Join(fn(), u.world.Store.Close())
}

// build makes a shared data set, and leaves no work behind that was put off.
func (u *running) build() error {
	fill := func() error {
		err := u.world.Fill()
		if s, ok := u.world.Store.(engines.Settler); ok && err == nil {
			err = s.Settle()
		}
		return err
	}
	if err := u.with(fill); err != nil {
		return err
	}
	return u.with(u.world.Verify)
}

// fill puts all keys, or takes over what is there, as the workload wants it.
func (u *running) fill() error {
	switch {
	case u.workload.Data == work.Empty:
		return nil
	case u.workload.Data == work.Filled || u.engine.Volatile:
		return u.world.Fill()
	case u.workload.Data == work.Copied:
		u.world.TakeOver()
	}
	return nil
}

// measure is the run: what is in the store before, the measured part, and what is verified behind it.
func (u *running) measure() (r work.Result, err error) {
	baseHeap, baseRSS := liveHeap(), int64(0)
	baseRSS, _ = machine.RSS()
	if u.workload.Crash != nil {
		if err := u.crashFirst(); err != nil {
			return r, err
		}
	} else if u.world.Store, err = u.open(); err != nil {
		return r, err
	}
	closed := false
	defer func() {
		if !closed && u.world.Store != nil {
			err = errors.Join(err, u.world.Store.Close())
		}
	}()
	began := time.Now()
	if u.workload.Crash == nil {
		if err := u.fill(); err != nil {
			return r, err
		}
	}
	filling := time.Since(began)
	written, noCounter := u.written()
	put, before := u.world.Logical(), u.figures()
	runtime.GC() // what filling left
	machine.ResetPeak()
	stop, err := startProfile(u.Profile)
	if err != nil {
		return r, err
	}
	r, err = u.workload.Run(u.world)
	if err := errors.Join(err, stop()); err != nil {
		return r, err
	}
	_, r.PeakRSS = machine.RSS()
	r.Filling = filling
	r.BaseRSS, r.BaseHeap, r.LiveHeap = baseRSS, baseHeap, liveHeap()
	r.Logical = u.world.Logical() - put
	u.engineFigures(&r, before)
	if u.engine.Volatile {
		return r, u.world.Verify()
	}
	closed = true
	if err := u.world.Store.Close(); err != nil {
		return r, err
	}
	r.Device = -1
	if noCounter == nil {
		if now, err := u.written(); err == nil {
			r.Device = now - written
		}
	}
	if r.Bytes, r.Main, err = sizeOf(u.Dir); err != nil || u.workload.Data == work.Shared {
		return r, err
	}
	began = time.Now()
	err = u.with(u.world.Verify)
	r.Verifying = time.Since(began)
	return r, err
}

// written asks what the device has written, of a run that writes to it.
func (u *running) written() (int64, error) {
	if u.engine.Volatile || u.workload.Data == work.Shared {
		return 0, errors.New("nothing is written")
	}
	return machine.Written(u.Dir)
}

// figures are what the store says of itself.
func (u *running) figures() engines.Figures {
	if f, ok := u.world.Store.(engines.Figured); ok {
		return f.Figures()
	}
	return engines.Figures{}
}

// engineFigures notes what the store says of the measured part.
func (u *running) engineFigures(r *work.Result, before engines.Figures) {
	f := u.figures()
	if f.CacheLimit == 0 {
		return
	}
	r.Set("commits", f.Commits-before.Commits)
	r.Set("syncs", f.Syncs-before.Syncs)
	r.Set("log written", f.LogWritten-before.LogWritten)
	r.Set("cache used", f.CacheBytes)
	r.Set("cache limit", f.CacheLimit)
	r.Set("main file", f.FileBytes)
	r.Set("log file", f.LogBytes)
}

// liveHeap returns what is left of Go's heap after a collection.
func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// crashFirst has another process do what comes before the run, up to its kill -9, and reads what was acknowledged to it.
func (u *running) crashFirst() error {
	c := u.childRun
	c.Phase = crash
	_, err := c.start()
	if !errors.Is(err, errKilled) {
		return errors.Join(err, errors.New("the process that was to be killed ended by itself"))
	}
	b, err := os.ReadFile(u.floorsFile())
	if err != nil {
		return err
	}
	floors := make([]uint64, len(b)/8)
	for i := range floors {
		floors[i] = binary.LittleEndian.Uint64(b[i*8:])
	}
	u.world.SetFloors(floors)
	return os.Remove(u.floorsFile())
}

// floorsFile is where a process that is killed tells what was acknowledged to it.
func (c childRun) floorsFile() string { return filepath.Clean(c.Dir) + ".floors" }

// crash does what comes before the run, and kills its own process.
func (u *running) crash() (err error) {
	if u.world.Store, err = u.open(); err != nil {
		return err
	}
	if err := errors.Join(u.fill(), u.workload.Crash(u.world)); err != nil {
		return err
	}
	var b []byte
	for _, floor := range u.world.Floors() {
		b = binary.LittleEndian.AppendUint64(b, floor)
	}
	if err := os.WriteFile(u.floorsFile(), b, 0o600); err != nil {
		return err
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return errors.Join(self.Kill(), errors.New("it survived its kill"))
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

// sizeOf returns the bytes that the files below a directory take on the disk, and the length of the largest of them.
func sizeOf(dir string) (all, largest int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) { // a compaction has removed it
			return nil
		}
		if err == nil {
			all, largest = all+machine.OnDisk(info), max(largest, info.Size())
		}
		return err
	})
	return all, largest, err
}
