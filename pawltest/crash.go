package pawltest

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/pawldb/pawl/io"
)

// Crashes goes through the disks that the cut can have left, each with the power on, of a disk whose power is off. Up to six
// changes that were not synced, all combinations; of more, none, all, each that keeps the oldest only, each that loses a single
// one, and 32 drawn from the seed. d itself stays as it is, for Reopen or another round. The power of each disk is cut when
// its turn is over.
//
//	for disk := range disk.Crashes() {
//		verify(t, disk)
//	}
//
// If the body fails the test, it is logged of which disk. The test fails at once if the power of d is on, or if nothing was
// ever done on it.
func (d *Disk) Crashes() iter.Seq[*Disk] {
	return func(yield func(*Disk) bool) {
		d.t.Helper()
		if !d.mayCrash("Crashes") {
			return
		}
		for s, mem := range d.mem.CrashImages(d.seed) {
			if !d.visit(s.Kept, mem, yield) {
				return
			}
		}
	}
}

// mayCrash fails the test if there is nothing to survive.
func (d *Disk) mayCrash(what string) bool {
	d.t.Helper()
	d.mu.Lock()
	off, used := d.off, d.used
	d.mu.Unlock()
	switch {
	case !off:
		d.t.Fatalf("pawltest: %s while the power is on: PowerCut comes first", what)
	case !used:
		d.t.Fatalf("pawltest: %s of a disk that nothing was ever done on: is Disk.IO the IO of pawl.Options?", what)
	}
	return off && used
}

// visit calls fn with a disk that holds mem, with those survivors, and returns what fn does.
func (d *Disk) visit(kept []bool, mem *io.Memory, fn func(*Disk) bool) bool {
	d.t.Helper()
	child := d.after(kept, mem)
	failed, over := d.t.Failed(), false
	defer func() {
		d.t.Helper()
		if !over || !failed && d.t.Failed() { // not over: a panic, or a FailNow, goes through
			child.log()
		}
		child.PowerCut()
	}()
	goOn := fn(child)
	over = true
	return goOn
}

// after returns a disk with the power on that holds mem, on which those changes survived.
func (d *Disk) after(kept []bool, mem *io.Memory) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	child := &Disk{t: d.t, seed: d.seed, survivors: d.survivors, number: d.number, full: d.full, fail: map[io.Kind]int{},
		told: d.told}
	child.history = append(slices.Clone(d.history), survived(d.mem.Unsynced(), kept))
	child.start(mem)
	return child
}

// crash returns what is left if those changes survive.
func (d *Disk) crash(kept []bool) *io.Memory {
	return d.mem.Crash(func(i int, _ io.Change) bool { return kept[i] })
}

// choose returns what Reopen keeps. The caller holds d.mu.
func (d *Disk) choose() []bool {
	kept := make([]bool, len(d.mem.Unsynced()))
	switch d.survivors {
	case Nothing:
	case Everything:
		fillWith(kept, true)
	case Drawn:
		d.draw(kept, d.dice())
	}
	return kept
}

// dice returns what is drawn from for the cut that ended the run.
func (d *Disk) dice() *rand.Rand {
	return rand.New(rand.NewPCG(d.seed, d.number<<32+uint64(d.changes)))
}

// draw draws survivors.
func (d *Disk) draw(kept []bool, rng *rand.Rand) {
	style, at := rng.IntN(5), rng.IntN(len(kept)+1)
	for i := range kept {
		switch style {
		case 0: // none
			kept[i] = false
		case 1:
			kept[i] = i < at
		case 2:
			kept[i] = i != at
		default: // half, or three quarters
			kept[i] = rng.IntN(4) < style-1
		}
	}
}

// some returns up to limit different choices: all if there are no more, else none, all, and some that are drawn.
func (d *Disk) some(limit int) [][]bool {
	d.mu.Lock()
	n := len(d.mem.Unsynced())
	rng := d.dice()
	d.mu.Unlock()
	var list [][]bool
	if n < 16 && 1<<n <= limit {
		for subset := range 1 << n {
			kept := make([]bool, n)
			for i := range kept {
				kept[i] = subset>>i&1 != 0
			}
			list = append(list, kept)
		}
		return list
	}
	all := make([]bool, n)
	fillWith(all, true)
	list = append(list, make([]bool, n), all)
	for range 4 * limit { // some come twice
		if len(list) >= limit {
			break
		}
		kept := make([]bool, n)
		d.draw(kept, rng)
		if !slices.ContainsFunc(list, func(other []bool) bool { return slices.Equal(kept, other) }) {
			list = append(list, kept)
		}
	}
	return list[:min(len(list), limit)]
}

func fillWith(kept []bool, v bool) {
	for i := range kept {
		kept[i] = v
	}
}

// listed is how many changes a log tells one by one.
const listed = 24

// survived says what did.
func survived(changes []io.Change, kept []bool) string {
	count := 0
	for _, k := range kept {
		if k {
			count++
		}
	}
	text := fmt.Sprintf("of %d parts that were not synced %d survived", len(changes), count)
	if count == 0 || count == len(changes) {
		return text
	}
	if len(changes) <= listed {
		return text + ": " + io.Survivors{Changes: changes, Kept: kept}.String()
	}
	var b strings.Builder
	for _, k := range kept {
		if k {
			b.WriteByte('+')
		} else {
			b.WriteByte('-')
		}
	}
	return text + ", oldest first: " + b.String()
}
