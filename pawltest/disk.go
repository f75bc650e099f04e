package pawltest

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/pawldb/pawl/io"
)

// Errors that the disk gives to the program under test, matched with errors.Is through whatever pawl wraps around them.
var (
	// ErrPowerCut is how each I/O ends when the power is off, and for good each I/O of a run that a cut has ended.
	ErrPowerCut = errors.New("pawltest: the power was cut")
	// ErrInjected is how an I/O ends that FailSync, FailWrite or FailRead has chosen.
	ErrInjected = errors.New("pawltest: injected failure")
)

// TB is what is needed of a *testing.T, *testing.B or *testing.F.
type TB interface {
	Helper()
	Cleanup(fn func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Survivors says what Reopen finds of the changes that were not synced when the power was cut.
type Survivors uint8

const (
	// Drawn takes none of them, the oldest, all but one, or any, as the seed says.
	Drawn Survivors = iota
	// Nothing loses all of them. What a program acknowledged too early is gone for sure.
	Nothing
	// Everything keeps all of them. It is also what the death of the process alone leaves.
	Everything
)

// Options of a disk. The zero value of each is its default.
type Options struct {
	// Seed is where all that is drawn comes from. 0: 1. PAWLTEST_SEED in the environment goes before it.
	Seed uint64
	// Survivors is what Reopen finds. 0: Drawn.
	Survivors Survivors
}

// seedVariable names the environment variable that sets the seed.
const seedVariable = "PAWLTEST_SEED"

// Disk is a disk in memory whose power can be cut, and that can fail. Its methods may be called from any goroutine, those
// that can fail the test from the test's only.
type Disk struct {
	t         TB
	seed      uint64
	survivors Survivors

	mu       sync.Mutex // held during each I/O: it is either before a cut or after it
	mem      *io.Memory
	run      *run
	number   uint64 // of the run
	off      bool
	used     bool // some I/O was asked for, in any run
	reopened bool
	full     bool
	changes  int // I/Os in this run that change the disk
	cutAt    int // the one at which the power goes; 0: none
	fail     map[io.Kind]int
	faults   int
	history  []string // what a failed test has to know
	told     *bool    // it has been told; shared with the disks that crashes leave
}

// New returns an empty disk with the power on. When the test ends, the power is cut, and if it failed by then, the seed and
// what happened are logged.
func New(t TB, options ...Options) *Disk {
	t.Helper()
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	if len(options) > 1 || o.Survivors > Everything {
		t.Fatalf("pawltest: New takes one Options at most, with Survivors that there are; got %+v", options)
	}
	d := newDisk(t, seedOf(t, o.Seed), o.Survivors)
	t.Cleanup(func() {
		if t.Failed() {
			d.log()
		}
		d.PowerCut()
	})
	return d
}

// seedOf returns the seed that holds.
func seedOf(t TB, seed uint64) uint64 {
	t.Helper()
	switch text := os.Getenv(seedVariable); text {
	case "":
	case "random":
		var b [8]byte
		cryptorand.Read(b[:]) // never fails
		seed = binary.LittleEndian.Uint64(b[:])
	default:
		n, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			t.Fatalf("pawltest: %s is neither a number nor \"random\": %q", seedVariable, text)
		}
		seed = n
	}
	return max(seed, 1)
}

func newDisk(t TB, seed uint64, survivors Survivors) *Disk {
	d := &Disk{t: t, seed: seed, survivors: survivors, fail: map[io.Kind]int{}, told: new(bool)}
	d.start(io.NewMemory(io.MemoryConfig{RealTime: true}))
	return d
}

// start switches the power on. The caller holds d.mu, or nobody else has d.
func (d *Disk) start(mem *io.Memory) {
	d.mem, d.off, d.changes, d.cutAt = mem, false, 0, 0
	d.number++
	clear(d.fail)
	mem.SetDropOnSyncFailure(true)
	d.fill()
	d.run = newRun(d, d.number)
}

// IO returns the disk as the run of the program that begins now sees it: the value of pawl.Options.IO. Ask again after each
// Reopen; what it returned before fails with ErrPowerCut for good.
func (d *Disk) IO() io.IO {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run.closed && d.run.dead == nil {
		d.number++
		d.run = newRun(d, d.number) // whoever had it has shut it down: a program that begins anew
	}
	return d.run
}

// PowerCut cuts the power: see the package's comment for what that means to the program that is running. If it is off already
// nothing happens.
func (d *Disk) PowerCut() {
	d.mu.Lock()
	timers := d.cut("with no change under way")
	d.mu.Unlock()
	timers.end(ErrPowerCut)
}

// cut cuts the power; how is for the log. The caller holds d.mu, and ends what it returns when it does not any more.
func (d *Disk) cut(how string) timers {
	if d.off {
		return nil
	}
	d.off = true
	d.history = append(d.history, fmt.Sprintf("the power was cut after %d changes of the disk, %s; %d parts were not synced",
		d.changes, how, len(d.mem.Unsynced())))
	return d.run.kill(ErrPowerCut)
}

// CutAt makes the power go at the k-th change of the disk from now, k from 1: a write, sync or truncate of a file, a creation,
// link, rename or remove, or a sync of a directory. It is under way then, and may have reached the disk in part. If there are
// fewer the power stays on: Off tells. A later CutAt replaces it; Reopen forgets it.
func (d *Disk) CutAt(k int) {
	d.t.Helper()
	if k < 1 {
		d.t.Fatalf("pawltest: CutAt(%d): changes count from 1", k)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = d.changes + k
}

// Changes returns how many times the current run has changed the disk, counted as CutAt does.
func (d *Disk) Changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// Off reports whether the power is off.
func (d *Disk) Off() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// Reopen switches the power on again. The disk holds what was synced, and of the rest what Options.Survivors says. Failures
// that FailSync, FailWrite, FailRead and CutAt have announced, and that did not come, are forgotten; a full disk is still full.
//
// The test fails at once if the power is on, or if nothing was ever done on the disk: then the program runs on another one.
func (d *Disk) Reopen() {
	d.t.Helper()
	d.mu.Lock()
	off, used := d.off, d.used
	if off && used {
		kept := d.choose()
		d.history = append(d.history, survived(d.mem.Unsynced(), kept))
		d.start(d.crash(kept))
		d.reopened = true
	}
	d.mu.Unlock()
	switch {
	case !off:
		d.t.Fatalf("pawltest: Reopen while the power is on: PowerCut comes first")
	case !used:
		d.t.Fatalf("pawltest: Reopen of a disk that nothing was ever done on: is Disk.IO the IO of pawl.Options?")
	}
}

// untouched reports whether nothing was ever done on the disk.
func (d *Disk) untouched() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.used
}

// log tells what a failed test has to know, unless a disk that came from this one has done so, which knew more.
func (d *Disk) log() {
	d.t.Helper()
	d.mu.Lock()
	history, told := slices.Clone(d.history), *d.told
	*d.told = true
	d.mu.Unlock()
	if told {
		return
	}
	d.t.Logf("pawltest: drawn from seed %d (%s=%d repeats it)", d.seed, seedVariable, d.seed)
	for _, line := range history {
		d.t.Logf("pawltest: %s", line)
	}
}
