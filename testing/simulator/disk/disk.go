package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// ErrInjected is what an I/O fails with that a plan makes fail.
var ErrInjected = errors.New("injected fault")

// Violation is the panic of a check that failed.
type Violation struct{ Err error }

// Error tells which.
func (v Violation) Error() string { return v.Err.Error() }

// Violate panics with a violation.
func Violate(format string, args ...any) { panic(Violation{fmt.Errorf(format, args...)}) }

// Disk is a Memory whose every I/O is ended by Step.
type Disk struct {
	*io.Memory
	Log      func(format string, args ...any) // tells what happens; nil: nobody listens
	OnSubmit func(op *io.Op)                  // is told of each I/O; nil: nobody is
	Counts   Counts

	order    plan.Order
	auto     bool      // I/Os end at once, whatever the order
	source   *rand.PCG // of rng
	rng      *rand.Rand
	hash     xxhash.Digest
	orders   xxhash.Digest // of what was submitted in the era
	rules    rules
	sums     map[*io.Op]uint64
	faults   map[int][]plan.Fault // by number of the I/O in the era
	refusals map[int]plan.Fault   // those that come within the submission
	again    []again
	aimed    []plan.Fault   // whose turn has come, and that wait for an I/O of their class
	stuck    map[*io.Op]int // steps that it stays under way
	doomed   map[*io.Op]bool
	shorted  map[*io.Op]bool // moved a part of its bytes
	origin   uint64          // how many I/Os there were when the memory began to number its own: what a power cut leaves begins anew
	base     uint64          // how many there were before the era
	failed   bool            // an I/O of the era was made to fail
	full     bool            // an I/O of the era found no space because of a fault
	lied     bool            // the disk broke its promises, since the beginning
	lies     int             // places that may be wrong because of that
	cut      int64           // of Cut: number of the survivors, -1: drawn
	cutDue   bool            // a fault cuts the power
	buf      []byte
}

// Counts is what was done to a disk.
type Counts struct {
	IOs    int
	Faults map[plan.FaultKind]int
}

// again is a fault that is to come more than once.
type again struct {
	fault plan.Fault
	name  string // of the op
	left  int
}

// New returns a disk with the content of m, which is nobody else's. Its I/Os end in the order of calls of Step, in Eager order
// most of them by themselves.
func New(m *io.Memory, order plan.Order, source *rand.PCG) *Disk {
	d := &Disk{Memory: m, order: order, source: source, rng: rand.New(source), cut: -1, Counts: Counts{Faults: map[plan.FaultKind]int{}}}
	d.hash.Reset()
	d.orders.Reset()
	d.attach(m)
	return d
}

func (d *Disk) attach(m *io.Memory) {
	d.Memory, d.sums, d.stuck = m, map[*io.Op]uint64{}, map[*io.Op]int{}
	d.doomed, d.shorted = map[*io.Op]bool{}, map[*io.Op]bool{}
	d.rules = rules{files: map[string]*fileRules{}, peek: d.Peek, proves: map[*io.Op]bool{}, unlocks: map[*io.Op]bool{}}
	d.handle(0)
	m.SetDropOnSyncFailure(true)
	m.SetTrace(d.observe)
}

// IgnoreLocks makes the disk not ask who has locked what: the locks were taken elsewhere.
func (d *Disk) IgnoreLocks() { d.rules.free = true }

// Begin begins an era with its faults.
func (d *Disk) Begin(faults []plan.Fault) {
	d.Heal()
	for _, f := range faults {
		d.expect(f)
	}
	d.orders.Reset()
	d.base, d.failed, d.full = uint64(d.Counts.IOs), false, false
	d.handle(0)
}

// Add adds faults, whose I/Os are numbered from the next one.
func (d *Disk) Add(faults []plan.Fault) {
	next := d.next()
	for _, f := range faults {
		f.IO += next
		d.expect(f)
	}
	d.handle(next)
}

// expect notes a fault that is to come.
func (d *Disk) expect(f plan.Fault) {
	if d.faults == nil {
		d.faults, d.refusals = map[int][]plan.Fault{}, map[int]plan.Fault{}
	}
	if f.Kind == plan.Refuse {
		d.refusals[f.IO] = f
	} else {
		d.faults[f.IO] = append(d.faults[f.IO], f)
	}
}

// handle decides whether the I/O of a number in the era ends by Step or by itself.
func (d *Disk) handle(number int) {
	_, refused := d.refusals[number]
	d.SetManual(!d.auto && (d.order != plan.Eager || len(d.faults[number]) > 0 || refused || len(d.again) > 0 || len(d.aimed) > 0))
}

// Automatically calls fn while every I/O ends at once and well.
func (d *Disk) Automatically(fn func()) {
	d.auto = true
	d.handle(0)
	defer func() {
		d.auto = false
		d.handle(d.next())
	}()
	fn()
}

// Replace puts a file in place of another one, durably, at a moment when nobody uses them.
func (d *Disk) Replace(name string, content []byte) {
	d.Automatically(func() {
		d.SetBytes(name, content)
		d.SyncDir(new(io.Completion), name)
	})
}

// Delete removes a file in the same way. There need not be one.
func (d *Disk) Delete(name string) {
	d.Automatically(func() {
		d.Remove(new(io.Completion), name)
		d.SyncDir(new(io.Completion), name)
	})
}

// next returns the number in its era of the next I/O.
func (d *Disk) next() int { return int(uint64(d.Counts.IOs) - d.base) }

// Number returns the number in its era of an I/O.
func (d *Disk) Number(op *io.Op) int { return int(d.origin + op.Index - d.base) }

// Heal ends all faults.
func (d *Disk) Heal() { d.aimed, d.faults, d.refusals, d.again = nil, nil, nil, nil }

// Failed reports whether an I/O of the era was made to fail.
func (d *Disk) Failed() bool { return d.failed }

// Filled reports whether an I/O of the era found no space because of a fault.
func (d *Disk) Filled() bool { return d.full }

// Lied reports whether the disk ever broke its promises.
func (d *Disk) Lied() bool { return d.lied }

// Lies returns how many places may be wrong because of that.
func (d *Disk) Lies() int { return d.lies }

// Sound notes that what is in use was read, and is what it should be.
func (d *Disk) Sound() { d.lies = 0 }

// Damaged says that the files are not whole for another reason than the disk.
func (d *Disk) Damaged() { d.lie(2) }

// SetLies says how many places may be wrong in files that are put in place of others.
func (d *Disk) SetLies(places int) { d.lies = places }

func (d *Disk) lie(places int) { d.lied, d.lies = true, d.lies+places }

// Sum returns a hash of all that happened.
func (d *Disk) Sum() uint64 { return d.hash.Sum64() }

// Note puts something into the hash that did not happen on the disk.
func (d *Disk) Note(words ...uint64) { d.note(&d.hash, words...) }

func (d *Disk) note(h *xxhash.Digest, words ...uint64) {
	for _, w := range words {
		d.buf = binary.LittleEndian.AppendUint64(d.buf, w)
	}
	_, _ = h.Write(d.buf)
	d.buf = d.buf[:0]
}

// Submitted returns a hash of what was submitted in the era.
func (d *Disk) Submitted() uint64 { return d.orders.Sum64() }

// Images returns how many images a power cut now could leave.
func (d *Disk) Images() int { return io.CrashImageCount(len(d.Unsynced())) }

// CutDue reports whether a fault cuts the power now.
func (d *Disk) CutDue() bool { return d.cutDue }

// CutAs makes the next Cut leave the survivors of a number, as Memory.CrashImages counts them.
func (d *Disk) CutAs(number int64) { d.cut, d.cutDue = number, true }

// Cut cuts the power: the disk holds what one could hold after that.
func (d *Disk) Cut() {
	if d.cutDue {
		d.cutDue = false
		m := d.CrashImage(d.cutSeed(), int(d.cut))
		if m == nil {
			Violate("there are no survivors of number %d", d.cut)
		}
		d.restart(m)
		return
	}
	changes := d.Unsynced()
	kept := make([]bool, len(changes))
	style := d.rng.IntN(5)
	at := d.rng.IntN(len(changes) + 1)
	for i := range kept {
		switch style {
		case 0: // none
		case 1:
			kept[i] = i < at
		case 2:
			kept[i] = i != at
		default:
			kept[i] = d.rng.IntN(4) < style-1
		}
	}
	d.Note(uint64(len(changes)), uint64(style), uint64(at))
	d.restart(d.Crash(func(i int, _ io.Change) bool { return kept[i] }))
}

// restart goes on with what a power cut has left.
func (d *Disk) restart(m *io.Memory) {
	d.origin = uint64(d.Counts.IOs)
	d.attach(m)
}

// cutSeed is where the survivors come from that are drawn: the moment.
func (d *Disk) cutSeed() uint64 { return uint64(d.Counts.IOs) }

// Kill lets the process die: what it has written stays, what was under way is done or not.
func (d *Disk) Kill() {
	for _, op := range d.Queue() {
		if d.rng.IntN(2) == 0 && d.queued(op) {
			op.Complete()
		}
	}
	d.Memory.Kill()
	d.attach(d.Memory)
}

// queued reports whether op has not ended: the end of another one can end it.
func (d *Disk) queued(op *io.Op) bool {
	for _, other := range d.Queue() {
		if other == op {
			return true
		}
	}
	return false
}

// observe is told of each submission and each end.
func (d *Disk) observe(e io.MemoryEvent) {
	op := e.Op
	code := uint64(op.Kind) << 1
	if e.Completed {
		code |= 1
		d.ended(op, e.Err)
		if e.Err != nil {
			code |= 1 << 8
		}
	} else {
		d.submitted(op)
	}
	if !e.Completed && !d.auto {
		d.note(&d.orders, code, xxhash.Sum64String(op.Name()+op.File), uint64(op.Offset), uint64(op.Length), d.sums[op])
	}
	d.Note(code, op.Index, xxhash.Sum64String(op.Name()+op.File), uint64(op.Offset), uint64(op.Length), d.sums[op])
	if d.Log != nil {
		if e.Completed {
			d.Log("  ended     %v: %v", op, e.Err)
		} else {
			d.Log("  submitted %v", op)
		}
	}
	if e.Completed {
		delete(d.sums, op)
		delete(d.stuck, op)
		delete(d.shorted, op)
	}
}

func (d *Disk) submitted(op *io.Op) {
	d.Counts.IOs++
	if d.OnSubmit != nil {
		d.OnSubmit(op)
	}
	d.handle(d.Number(op) + 1)
	if op.Name() == "write" {
		d.sums[op] = sum(op)
	}
	d.rules.submitted(op, d.Queue())
	d.refuse(op)
}

func (d *Disk) ended(op *io.Op, err error) {
	if before, ok := d.sums[op]; ok && before != sum(op) {
		Violate("the buffer of %v was changed while it was under way", op)
	}
	d.rules.ended(op, err, d.Queue())
}

func sum(op *io.Op) uint64 {
	var h xxhash.Digest
	h.Reset()
	for _, b := range op.Buffers() {
		_, _ = h.Write(b)
	}
	return h.Sum64()
}
