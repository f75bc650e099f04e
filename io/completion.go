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
	word atomic.Uint32 // State, releasedBit, retiredBit

	kind      Kind
	submitted bool   // a backend holds it: Cancel alone does not retire it
	reason    string // what a yield waits on
	n         int
	err       error

	mu       sync.Mutex
	callback func(*Completion) // on resolution; nil once taken
	onRetire func(*Completion) // on retirement; nil once taken
	parked   *parker           // goroutines in Wait
	group    *CompletionGroup  // the group that it is a child of, until resolved and retired
	prev     *Completion       // unresolved siblings in the group; guarded by its lock, as is linked
	next     *Completion
	linked   bool
	nested   *CompletionGroup // the group that it is the completion of
	pins     atomic.Int32     // while above 0 it does not retire

	announced bool // resolution has taken the callback and the parked goroutines
	settled   bool // callback and group know of the resolution
	retiring  bool // a call of runRetirement has claimed the retirement

	// Request is the backend's: what was asked for and where it stands in the queues.
	Request Request
}

// Arm makes an idle completion pending and of the given kind. Backends call it at submission, owners of a yield
// or a timer before they hand it out. It panics if c is in use: not yet retired.
func (c *Completion) Arm(kind Kind, reason string) {
	if c.kind != KindNone {
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

// Idle reports whether c has not been armed since it was made or Reset.
func (c *Completion) Idle() bool { return c.kind == KindNone }

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

// Finish resolves c with the outcome of its I/O, unless it has resolved, and retires it. It reports whether it was
// this call that resolved it. Backends call it when the I/O is over; the resolver of a yield calls it too.
func (c *Completion) Finish(n int, err error) bool {
	state := Succeeded
	if err != nil {
		state, n = Failed, 0
	}
	c.word.Or(releasedBit)
	if c.resolve(state, n, err) {
		return true
	}
	c.runRetirement()
	return false
}

// Cancel gives c up: it resolves as Cancelled, unless it has resolved. What a backend holds retires when the
// backend is done with it, the rest at once. It reports whether it was this call that resolved it.
func (c *Completion) Cancel() bool {
	if c.kind == KindGroup {
		panic("io: a group is cancelled with CompletionGroup.Cancel")
	}
	canceller := c.Request.Canceller // before resolving: the owner may reset c right after
	if !c.submitted {
		c.word.Or(releasedBit)
		canceller = nil
	}
	if !c.resolve(Cancelled, 0, ErrCancelled) {
		return false
	}
	if canceller != nil {
		canceller.CancelRequest(c)
	}
	return true
}

// resolve moves c out of Pending once; later calls are no-ops. Goroutines in Wait wake last, when c is as
// finished as it can be, so that an owner that was woken may Reset at once.
func (c *Completion) resolve(state State, n int, err error) bool {
	for {
		w := c.word.Load()
		if State(w&stateMask) != Pending {
			return false
		}
		if c.word.CompareAndSwap(w, w|uint32(resolving)) {
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
	fn, parked, g := c.callback, c.parked, c.group
	c.callback, c.parked = nil, nil
	c.announced = true
	c.mu.Unlock()
	if fn != nil {
		fn(c)
	}
	if g != nil {
		g.childResolved(c)
	}
	c.mu.Lock()
	c.settled = true
	c.mu.Unlock()
	c.runRetirement()
	parked.wakeAll()
	return true
}

// runRetirement retires c once both have happened: the resolution with all that it sets off, and the release by
// whoever does the I/O.
func (c *Completion) runRetirement() {
	c.mu.Lock()
	w := c.word.Load()
	if !c.settled || w&releasedBit == 0 || c.retiring || c.pins.Load() > 0 {
		c.mu.Unlock()
		return
	}
	c.retiring = true // this call retires c; the owner may not reset it before retiredBit is set
	g := c.group
	c.mu.Unlock()
	if g != nil {
		g.childRetired()
	}
	c.mu.Lock()
	fn := c.onRetire
	c.onRetire = nil
	c.word.Or(retiredBit)
	c.mu.Unlock()
	if fn != nil {
		fn(c)
	}
}

// Reset makes a retired completion idle for its next use. It panics if c is pending, or resolved but not retired,
// since the kernel could still write into the buffer that the caller is about to reuse. It must not be called
// from the OnDone callback of c; from the OnRetire callback it may be.
func (c *Completion) Reset() {
	if c.kind == KindNone {
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
	c.announced, c.settled, c.retiring, c.submitted = false, false, false, false
	c.nested, c.linked = nil, false
	c.kind, c.reason, c.n, c.err = KindNone, "", 0, nil
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
