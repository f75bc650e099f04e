package disk

import (
	"bytes"
	"slices"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// Stuck reports whether an I/O that is under way has met a fault that holds it there, until it is cancelled or its time is over.
func (d *Disk) Stuck(op *io.Op) bool {
	_, stuck := d.stuck[op]
	return stuck
}

// Step lets something happen to the op of the queue: it ends, as its faults say, or gets on. It returns the fault that has
// happened, if any.
func (d *Disk) Step(op *io.Op) plan.FaultKind {
	if left, ok := d.stuck[op]; ok && left > 0 && !op.Completion.Done() {
		d.stuck[op] = left - 1
		return ""
	}
	if d.order == plan.Drawn && !op.Started && d.rng.IntN(8) == 0 {
		op.Start() // a cancel retires late
		return ""
	}
	if d.doomed[op] {
		delete(d.doomed, op)
		return d.strike(op, plan.Fault{Kind: plan.Fail})
	}
	if f, ok := d.due(op); ok {
		defer func() { d.handle(d.next()) }() // it may be one that comes again
		return d.strike(op, f)
	}
	op.Complete()
	return ""
}

// Doom makes an op that is under way fail in the end.
func (d *Disk) Doom(op *io.Op) { d.doomed[op] = true }

// due returns the fault that op is to have.
func (d *Disk) due(op *io.Op) (plan.Fault, bool) {
	for i := range d.again {
		a := &d.again[i]
		if a.name == op.Name() && a.fault.Kind != plan.Refuse {
			f := a.fault
			if a.left--; a.left == 0 {
				d.again = slices.Delete(d.again, i, i+1)
			}
			return f, true
		}
	}
	at, class := d.Number(op), classOf(op)
	for i, f := range d.aimed {
		if f.Of == class {
			d.aimed = slices.Delete(d.aimed, i, i+1)
			return d.began(op, f), true
		}
	}
	for len(d.faults[at]) > 0 && d.faults[at][0].Of != "" && d.faults[at][0].Of != class {
		d.aimed, d.faults[at] = append(d.aimed, d.faults[at][0]), d.faults[at][1:]
		d.handle(d.next())
	}
	list := d.faults[at]
	if len(list) == 0 {
		return plan.Fault{}, false
	}
	d.faults[at] = list[1:]
	return d.began(op, list[0]), true
}

// began notes how often a fault that is about to happen is to come again.
func (d *Disk) began(op *io.Op, f plan.Fault) plan.Fault {
	if f.Times > 1 {
		d.again = append(d.again, again{f, op.Name(), f.Times - 1})
	}
	return f
}

// classOf returns which class of I/O an op belongs to.
func classOf(op *io.Op) string {
	if IsLog(op.File) {
		return "log " + op.Name()
	}
	return "file " + op.Name()
}

// refuse fails an op within its submission, if it has such a fault.
func (d *Disk) refuse(op *io.Op) {
	if d.auto {
		return
	}
	at := d.Number(op)
	if f, ok := d.refusals[at]; ok {
		d.again = append(d.again, again{f, op.Name(), max(f.Times, 1)})
		delete(d.refusals, at)
	}
	for i := range d.again {
		if a := &d.again[i]; a.name == op.Name() && a.fault.Kind == plan.Refuse {
			if a.left--; a.left == 0 {
				d.again = slices.Delete(d.again, i, i+1)
			}
			d.handle(at + 1) // the end of this one may submit another
			d.strike(op, plan.Fault{Kind: plan.Refuse})
			d.handle(d.next())
			return
		}
	}
}

// strike lets the fault happen to op, if it is one that can: else op ends well.
func (d *Disk) strike(op *io.Op, f plan.Fault) plan.FaultKind {
	name := op.Name()
	data := name == "read" || name == "write"
	struck := true
	switch {
	case (f.Kind == plan.Fail || f.Kind == plan.Refuse) && name != "close" && name != "lock":
		d.failed = true
		d.fail(op)
	case f.Kind == plan.NoSpace && (name == "write" || name == "truncate" || name == "open"):
		d.full = true
		op.Fail(io.ErrNoSpace)
	case f.Kind == plan.FailSync && name == "sync":
		d.failed = true
		d.fail(op)
	case f.Kind == plan.FailSync:
		d.again = append(d.again, again{plan.Fault{Kind: plan.FailSync}, "sync", 1})
		op.Complete()
	case f.Kind == plan.Short && data && op.Length > 1 && !d.shorted[op]:
		d.shorted[op] = true
		op.CompleteShort(1 + d.rng.IntN(int(op.Length-1)))
	case f.Kind == plan.Hold:
		op.Complete()
	case f.Kind == plan.Cancel && name != "close" && name != "lock":
		d.failed = true
		op.Start()
		op.Completion.Cancel()
	case f.Kind == plan.Cut:
		d.CutAs(f.Arg)
	case f.Kind == plan.Stuck:
		op.Start()
		d.stuck[op] = int(f.Arg)
	case f.Kind == plan.Jump:
		op.Complete()
		d.Advance(f.Arg)
	case f.Kind == plan.Lose && (name == "write" || name == "sync" || name == "truncate"):
		d.lie(1)
		op.Lose()
	case f.Kind == plan.Divert && data:
		d.lie(2) // where it should be, and where it is
		op.Divert(f.Arg / 512 * 512)
	case f.Kind == plan.FlipIO && data:
		d.lie(1)
		op.CompleteFlipped(f.Arg)
	case f.Kind == plan.Rot:
		d.rot(f.Arg)
		op.Complete()
	default:
		struck = false
		if f.Kind != plan.Refuse { // it is over at its submission, or not at all
			op.Complete()
		}
	}
	if !struck {
		return ""
	}
	d.Counts.Faults[f.Kind]++
	if d.Log != nil {
		d.Log("  fault     %s: %v", f.Kind, op)
	}
	return f.Kind
}

// fail lets op fail. What a sync loses then is what it was to make durable, or also what was written meanwhile.
func (d *Disk) fail(op *io.Op) {
	if op.Name() == "sync" && d.rng.IntN(2) == 0 {
		op.FailLosing(ErrInjected)
		return
	}
	op.Fail(ErrInjected)
}

// Decay lets a bit change where nobody looks.
func (d *Disk) Decay(arg int64) {
	d.rot(arg)
	d.Counts.Faults[plan.Rot]++
}

// rot changes a bit of some file, of a byte that something was written to.
func (d *Disk) rot(arg int64) {
	names := slices.DeleteFunc(d.Names(), func(name string) bool { return name != "db" && name != "db-wal" }) // copies are looked at once
	if len(names) == 0 {
		return
	}
	name := names[int(arg%7919)%len(names)]
	content, err := d.Bytes(name)
	if content = bytes.TrimRight(content, "\x00"); err != nil || len(content) == 0 { // behind what is used lie long rows of zeroes
		return
	}
	at := arg % int64(len(content))
	if i := bytes.IndexFunc(content[at:], func(r rune) bool { return r != 0 }); i >= 0 {
		at += int64(i)
	}
	d.lie(1)
	if err := d.Flip(name, at, int(arg%8)); err != nil {
		Violate("rot of %s: %v", name, err)
	}
}
