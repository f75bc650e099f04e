package pawltest

// EveryCutOptions are those of EveryCut. The zero value of each is its default.
type EveryCutOptions struct {
	// Seed is where all that is drawn comes from. 0: 1. PAWLTEST_SEED in the environment goes before it.
	Seed uint64
	// Images is how many disks are verified of each cut, of those that it can leave: one on which nothing survived that was
	// not synced, one on which everything did, and others that are drawn. 0: 6.
	Images int
	// Every cuts at each Every-th change only: a sample of a scenario that takes long. 0: 1, at each.
	Every int
	// Recovery also cuts the power at each change that verify makes on a disk, and verifies what that leaves, once with
	// nothing and once with everything that was not synced. It is for programs that mend their data when they start. verify
	// then has to return its errors: what it tells the *testing.T when the power goes would fail the test.
	Recovery bool
}

// The defaults of EveryCutOptions, and where a scenario counts as one that does not end.
const (
	defaultImages = 6
	maxCuts       = 1 << 20
)

// EveryCut tests that a program survives a power cut anywhere. It calls run on an empty disk with the power cut at the first
// change of the disk, then on another one at the second, and so on, until run comes to its end with the power on; that time
// the power is cut behind it. Changes are counted as Disk.CutAt does. After each cut it calls verify for several disks that can
// be left, each with the power on.
//
// run opens the program's database on disk.IO(), works, and notes in state, zero at first, what the program has acknowledged.
// When the power is off what it does fails with ErrPowerCut, and it returns; an error that it returns then is as good as nil,
// any earlier one fails the test. So it returns errors rather than tell them to the *testing.T. Everything that it has started
// must have ended when it returns.
//
// verify opens the database again and compares with state, which it leaves as it is, since it is called with it more than
// once. Whatever it returns fails the test, and so does what it tells the *testing.T. It is logged then where the power was
// cut and what survived.
//
// Neither of the two cuts the power itself, or reopens. The test also fails if one of them does nothing on its disk: then the
// program runs on another one.
func EveryCut[S any](t TB, run, verify func(disk *Disk, state *S) error, options ...EveryCutOptions) {
	t.Helper()
	var o EveryCutOptions
	if len(options) > 0 {
		o = options[0]
	}
	if len(options) > 1 || o.Images < 0 || o.Every < 0 {
		t.Fatalf("pawltest: EveryCut takes one EveryCutOptions at most, with nothing below 0; got %+v", options)
		return
	}
	if o.Images == 0 {
		o.Images = defaultImages
	}
	c := cuts{t: t, o: o, seed: seedOf(t, o.Seed), failed: t.Failed()}
	for k := 1; k < maxCuts; k += max(o.Every, 1) {
		var state S
		ran := c.at(k, func(d *Disk) error { return run(d, &state) }, func(d *Disk) error { return verify(d, &state) })
		if !ran || c.through {
			t.Logf("pawltest: %d cuts, %d disks verified, seed %d", c.cuts, c.images, c.seed)
			return
		}
	}
	t.Fatalf("pawltest: the scenario does not come to its end in %d changes of the disk", maxCuts)
}

const meddledMessage = "pawltest: %s has cut the power or reopened its disk: EveryCut does that"

// meddled reports whether the power is off, and whether it was cut by others than CutAt(k), or the disk reopened.
func (d *Disk) meddled(k int) (off, meddled bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off, d.reopened || d.off && d.changes != k
}

// cuts is an EveryCut under way.
type cuts struct {
	t       TB
	o       EveryCutOptions
	seed    uint64
	failed  bool // before it began
	through bool // the scenario came to its end
	cuts    int
	images  int
}

// at runs the scenario with the power cut at change k, and reports whether all is well.
func (c *cuts) at(k int, run, verify func(*Disk) error) bool {
	c.t.Helper()
	d := newDisk(c.t, c.seed, Drawn)
	over := false
	defer func() {
		if !over {
			d.log()
		}
		d.PowerCut()
	}()
	d.CutAt(k)
	err := run(d)
	off, meddled := d.meddled(k)
	c.through = !off
	c.cuts++
	d.PowerCut()
	switch {
	case meddled:
		c.fatal(d, meddledMessage, "the scenario")
		return false
	case err != nil && c.through:
		c.fatal(d, "pawltest: the scenario failed with the power on: %v", err)
		return false
	case d.untouched():
		c.fatal(d, "pawltest: the scenario did nothing on its disk: is Disk.IO the IO of pawl.Options?")
		return false
	case c.t.Failed() && !c.failed:
		return false
	}
	for _, kept := range d.some(c.o.Images) {
		if !d.visit(kept, d.crash(kept), func(image *Disk) bool { c.t.Helper(); return c.verify(image, verify) }) {
			return false
		}
		if c.o.Recovery && !c.recover(d, kept, verify) {
			return false
		}
	}
	over = true
	return true
}

// fatal fails the test because of what was found on d.
func (c *cuts) fatal(d *Disk, format string, args ...any) {
	c.t.Helper()
	d.log()
	c.t.Fatalf(format, args...)
}

// verify verifies one disk and reports whether all is well.
func (c *cuts) verify(image *Disk, verify func(*Disk) error) bool {
	c.t.Helper()
	c.images++
	err := verify(image)
	_, meddled := image.meddled(-1)
	switch {
	case meddled:
		c.fatal(image, meddledMessage, "verify")
	case err != nil:
		c.fatal(image, "pawltest: after a power cut: %v", err)
	case image.untouched():
		c.fatal(image, "pawltest: verify did nothing on its disk: is Disk.IO the IO of pawl.Options?")
	case c.t.Failed() && !c.failed:
	default:
		return true
	}
	return false
}

// recover cuts the power at each change of a verification, and verifies what that leaves.
func (c *cuts) recover(d *Disk, kept []bool, verify func(*Disk) error) bool {
	c.t.Helper()
	for k, through := 1, false; !through && k < maxCuts; k++ {
		ok := d.visit(kept, d.crash(kept), func(image *Disk) bool {
			c.t.Helper()
			image.CutAt(k)
			err := verify(image)
			off, meddled := image.meddled(k)
			if meddled {
				c.fatal(image, meddledMessage, "verify")
				return false
			}
			if through = !off; through {
				if err != nil {
					c.fatal(image, "pawltest: after a power cut, and not the first time: %v", err)
				}
				return err == nil
			}
			c.cuts++
			for _, again := range image.some(2) {
				if !image.visit(again, image.crash(again), func(second *Disk) bool { c.t.Helper(); return c.verify(second, verify) }) {
					return false
				}
			}
			return true
		})
		if !ok {
			return false
		}
	}
	return true
}
