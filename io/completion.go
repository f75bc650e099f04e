package io

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Kind says what a Completion stands for.
type Kind uint8

// The kinds of completion.
const (
	KindNone     Kind = iota // not armed yet
	KindRead                 // bytes from a file into a buffer
	KindWrite                // bytes of one or more buffers to a file
	KindSync                 // a file's data, and the metadata needed to read it back
	KindTruncate             // a file's size, down or up
	KindOpen                 // a name to a File; also lock and close
	KindLink                 // a directory entry: link, rename, remove
	KindSyncDir              // a directory's entries
	KindTimer                // a moment has come
	KindGroup                // every child of a CompletionGroup has finished
	KindYield                // someone else must run first
)

var kindNames = [...]string{
	"none", "read", "write", "sync", "truncate", "open", "link", "syncdir", "timer", "group", "yield",
}

// String returns the lower-case name of the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// State is where a Completion stands. It leaves Pending once.
type State uint32

// The states of a completion. A zero Completion is Pending.
const (
	Pending   State = iota // not finished
	resolving              // one caller of resolve has won and is writing the result
	Succeeded              // finished; N and what was asked for are valid
	Failed                 // finished with Err
	Cancelled              // given up by its owner; Err is ErrCancelled
)

// String returns the lower-case name of the state.
func (s State) String() string {
	switch s {
	case Pending, resolving:
		return "pending"
	case Succeeded:
		return "succeeded"
	case Failed:
		return "failed"
	case Cancelled:
		return "cancelled"
	}
	return fmt.Sprintf("state(%d)", uint32(s))
}

const (
	stateMask   = 0x07
	releasedBit = 0x08 // whoever does the I/O is done with buffer and range
	retiredBit  = 0x10 // resolved with all that it sets off, and released
	observedBit = 0x20 // observer is set, and was not told yet
)

// Completion is one thing that finishes later: an I/O, a timer, a group, or a yield to whoever must run first.
//
// It is embedded in the operation that owns it and passed by pointer; a submission arms it and allocates nothing.
//
//	idle --arm--> pending --Finish, Cancel--> resolved --Finish--> retired --Reset--> idle
//
// Resolved means that the outcome is known and never changes. Retired means that, besides, the kernel (or the
// disk of a simulator) can no longer touch the buffer or the file range. Finish does both at once. Cancel
// resolves at once; a submitted I/O that could not be stopped retires when the backend calls Finish. Until
// then the buffer must not be reused and the file range must not be written again.
//
// Every method may be called from any goroutine, Reset only by the owner.
type Completion struct {
	word atomic.Uint32 // State, releasedBit, retiredBit, observedBit

	kind      Kind
	submitted bool   // a backend holds it: Cancel alone does not retire it
	reason    string // what a yield waits on
	n         int
	err       error
	observer  Observer // whoever wrapped the backend; see Observe

	mu       sync.Mutex
	callback func(*Completion) // on resolution; nil once taken
	onRetire func(*Completion) // on retirement; nil once taken
	parked   *parker           // goroutines in Wait
	group    *CompletionGroup  // the group that it is a child of, until retired
	prev     *Completion       // unresolved siblings in the group; guarded by its lock, as is linked
	next     *Completion
	linked   bool
	nested   *CompletionGroup // the group that it is the completion of
	pins     atomic.Int32     // while above 0 it does not retire

	announced bool // resolution has taken the callback and the parked goroutines
	settled   bool // the callback has run, and no list of the group holds it

	// Request is the backend's: what was asked for and where it stands in the queues.
	Request Request
}

// Arm makes an idle completion pending and of the given kind. Backends call it at submission, owners of a yield
// or a timer before they hand it out. It panics if c is in use: not yet retired.
func (c *Completion) Arm(kind Kind, reason string) {
	if !c.Idle() {
		panic(fmt.Sprintf("io: completion armed as %v is already a %v, %v", kind, c.kind, c.State()))
	}
	c.kind, c.reason = kind, reason
}

// ArmYield makes an idle completion stand for "someone else must run first". reason is a short phrase that names
// what is waited on, for reports of waiting operations and deadlocks.
func (c *Completion) ArmYield(reason string) { c.Arm(KindYield, reason) }

// ArmSubmitted is Arm for an I/O that a backend has accepted: from here only the backend's Finish retires it.
func (c *Completion) ArmSubmitted(kind Kind, reason string) {
	c.Arm(kind, reason)
	c.submitted = true
}

// Kind returns what c stands for.
func (c *Completion) Kind() Kind { return c.kind }

// Reason returns the phrase that c was armed with: a file's name, or what a yield waits on.
func (c *Completion) Reason() string { return c.reason }

// State returns where c stands.
func (c *Completion) State() State {
	s := State(c.word.Load() & stateMask)
	if s == resolving {
		return Pending
	}
	return s
}

// Done reports whether c has resolved.
func (c *Completion) Done() bool { return State(c.word.Load()&stateMask) > resolving }

// Retired reports whether c has resolved and nobody else can touch its buffer or file range any more.
func (c *Completion) Retired() bool { return c.word.Load()&retiredBit != 0 }

// Idle reports whether c has neither been armed nor cancelled since it was made or Reset.
func (c *Completion) Idle() bool {
	return c.kind == KindNone && State(c.word.Load()&stateMask) == Pending
}

// Err returns nil while c is pending and after success, else the error that it failed with; ErrCancelled after Cancel.
func (c *Completion) Err() error {
	if !c.Done() {
		return nil
	}
	return c.err
}

// N returns the bytes that a successful read or write moved.
func (c *Completion) N() int {
	if !c.Done() {
		return 0
	}
	return c.n
}

// OnDone sets fn to run once when c resolves, for success, failure and cancellation alike, on the goroutine that
// resolves it and with no lock held; at once if c has resolved. fn may submit more I/O. A completion has one callback.
func (c *Completion) OnDone(fn func(*Completion)) {
	c.mu.Lock()
	if c.callback != nil {
		c.mu.Unlock()
		panic("io: completion has a callback already")
	}
	if !c.announced {
		c.callback = fn
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	fn(c)
}

// OnRetire sets fn to run once when c is retired, under the same rules as OnDone. It never runs before OnDone's.
func (c *Completion) OnRetire(fn func(*Completion)) {
	c.mu.Lock()
	if c.onRetire != nil {
		c.mu.Unlock()
		panic("io: completion has a retirement callback already")
	}
	if c.word.Load()&retiredBit == 0 {
		c.onRetire = fn
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	fn(c)
}

// Observer is told how an I/O ended.
type Observer interface {
	// Ended is called once, on the goroutine that ends the I/O, with what the backend says: also of one that was
	// cancelled meanwhile, when it can touch nothing any more. c has not resolved by it yet, so nobody has acted on the
	// outcome. It must not wait, and not finish or reset c.
	Ended(c *Completion, n int, err error)
}

// Observe lets o be told of the end of the I/O that the idle completion c is about to be submitted with. It is for
// backends that wrap another one, and hand it the completions that they get. It returns the observer that c had, of a
// wrapper further out, which o tells in its turn; nil: none.
func (c *Completion) Observe(o Observer) Observer {
	if !c.Idle() {
		panic(fmt.Sprintf("io: observer for a completion that is already a %v, %v", c.kind, c.State()))
	}
	before := c.observer
	c.observer = o
	c.word.Or(observedBit)
	return before
}

// Finish resolves c with the outcome of its I/O, unless it has resolved, and retires it. It reports whether it was
// this call that resolved it. Backends call it when the I/O is over; the resolver of a yield calls it too.
func (c *Completion) Finish(n int, err error) bool {
	if c.word.Load()&observedBit != 0 && c.word.And(^uint32(observedBit))&observedBit != 0 {
		c.observer.Ended(c, n, err)
	}
	state := Succeeded
	if err != nil {
		state, n = Failed, 0
	}
	if c.resolve(state, n, err, releasedBit) {
		return true
	}
	c.word.Or(releasedBit)
	c.runRetirement()
	return false
}

// Cancel gives c up: it resolves as Cancelled, unless it has resolved. What a backend holds retires when the
// backend is done with it, the rest at once. It reports whether it was this call that resolved it.
func (c *Completion) Cancel() bool {
	if c.kind == KindGroup {
		panic("io: a group is cancelled with CompletionGroup.Cancel")
	}
	if !c.submitted {
		return c.resolve(Cancelled, 0, ErrCancelled, releasedBit)
	}
	// The backend may finish c as soon as it is resolved; the pin keeps the owner from using it for the next I/O
	// before the backend has been told which one to cancel.
	c.pins.Add(1)
	won := c.resolve(Cancelled, 0, ErrCancelled, 0)
	if canceller := c.Request.Canceller; won && canceller != nil {
		canceller.CancelRequest(c)
	}
	c.unpin()
	return won
}

// unpin takes back one pin, and retires c if that was what it waited for.
func (c *Completion) unpin() {
	c.pins.Add(-1)
	c.runRetirement()
}

// resolve moves c out of Pending once; later calls are no-ops. bits is releasedBit or 0, set by whoever wins in one
// step with that: a loser that set it first could find itself in c's next life. If c is released, it retires here
// too. The group is
// told of the retirement before the resolution, and goroutines in Wait wake last: an owner that was woken, of c or
// of a group above it, finds it as finished as it can be and may Reset at once.
func (c *Completion) resolve(state State, n int, err error, bits uint32) bool {
	for {
		w := c.word.Load()
		if State(w&stateMask) != Pending {
			return false
		}
		if c.word.CompareAndSwap(w, w|uint32(resolving)|bits) {
			break
		}
	}
	c.n, c.err = n, err
	for {
		w := c.word.Load()
		if c.word.CompareAndSwap(w, w&^stateMask|uint32(state)) {
			break
		}
	}
	c.mu.Lock()
	fn, parked := c.callback, c.parked
	c.callback, c.parked = nil, nil
	c.announced = true
	c.mu.Unlock()
	if fn != nil {
		fn(c)
	}
	c.mu.Lock()
	g := c.group
	if g != nil {
		g.drop(c)
	}
	c.settled = true
	retire := c.claimRetirement()
	c.mu.Unlock()
	retire.run(c) // c may be in its next life when this returns
	if g != nil {
		g.finishOne(err)
	}
	parked.wakeAll()
	return true
}

// retirement is what the one that retires a completion has to tell.
type retirement struct {
	group *CompletionGroup
	fn    func(*Completion)
}

// claimRetirement retires c if all have happened: the resolution with what it sets off, the release by whoever does the
// I/O, and the last unpin. From then on the owner may reset it. The caller holds c.mu.
func (c *Completion) claimRetirement() retirement {
	w := c.word.Load()
	if !c.settled || w&(releasedBit|retiredBit) != releasedBit || c.pins.Load() > 0 {
		return retirement{}
	}
	r := retirement{group: c.group, fn: c.onRetire}
	c.group, c.onRetire = nil, nil
	c.word.Or(retiredBit)
	return r
}

// run tells those who wait for the retirement of c; no lock is held.
func (r retirement) run(c *Completion) {
	if r.fn != nil {
		r.fn(c)
	}
	if r.group != nil {
		r.group.childRetired()
	}
}

// runRetirement retires c if that is due.
func (c *Completion) runRetirement() {
	c.mu.Lock()
	retire := c.claimRetirement()
	c.mu.Unlock()
	retire.run(c)
}

// Reset makes a retired completion idle for its next use. It panics if c is pending, or resolved but not retired,
// since the kernel could still write into the buffer that the caller is about to reuse. It must not be called
// from the OnDone callback of c; from the OnRetire callback it may be.
func (c *Completion) Reset() {
	if c.Idle() {
		return
	}
	// The resolving goroutine may still be on its last few instructions: it publishes the state before it
	// runs the callback, and an owner that polls can be faster.
	for spins := 0; !c.Retired(); spins++ {
		if c.word.Load()&releasedBit == 0 || !c.Done() || spins > 1<<24 {
			panic(fmt.Sprintf("io: reset of a %v completion that is %v and not retired", c.kind, c.State()))
		}
		runtime.Gosched()
	}
	c.mu.Lock() // orders this after the critical section that set retiredBit
	defer c.mu.Unlock()
	c.callback, c.onRetire, c.parked, c.group, c.prev, c.next = nil, nil, nil, nil, nil, nil
	c.announced, c.settled, c.submitted = false, false, false
	c.nested, c.linked = nil, false
	c.kind, c.reason, c.n, c.err = KindNone, "", 0, nil
	c.observer = nil
	c.Request = Request{}
	c.word.Store(uint32(Pending))
}

// Proof is what a step that makes something visible asks for: only a completion that succeeded mints one, so no
// path leads past a failed write to a published result. The zero Proof is not one.
type Proof struct{ kind Kind }

// Proof returns the proof that c succeeded. It panics if c did not: the caller has stepped past a failure.
func (c *Completion) Proof() Proof {
	if c.State() != Succeeded {
		panic(fmt.Sprintf("io: proof asked of a %v completion that is %v", c.kind, c.State()))
	}
	return Proof{kind: c.kind}
}

// Must panics unless p was minted by a completion of one of the kinds.
func (p Proof) Must(kinds ...Kind) {
	for _, k := range kinds {
		if p.kind == k {
			return
		}
	}
	panic(fmt.Sprintf("io: proof of a %v where one of %v is needed", p.kind, kinds))
}
