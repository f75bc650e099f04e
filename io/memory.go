package io

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"
)

// MemoryConfig says how a Memory behaves. The zero value is for deterministic tests: a virtual clock that stands
// still until Advance, and random bytes that follow from Seed.
type MemoryConfig struct {
	RealTime   bool   // the system's clock, timers and random bytes
	Manual     bool   // submissions queue up until the test completes them; see Memory.SetManual
	Volatile   bool   // no durable side: less memory, faster writes; Unsynced is empty, and Crash panics
	Seed       uint64 // of Random, unless RealTime
	SectorSize int    // bytes that survive a crash together, a power of two; 0: 512
}

// Memory is an IO whose files live in memory.
//
// In automatic mode, the default, an I/O is carried out and its completion finished within the submission. In
// manual mode a test decides when and how each I/O ends; see Op. Every file has a volatile side, which reads see, and
// a durable side, which Sync brings up to date sector by sector; Crash makes a Memory that holds what a disk could
// show after a power cut. Names become durable with SyncDir only. Directories exist as soon as they are named.
//
// The methods may be called from any goroutine. Hooks and callbacks run with no lock of the Memory held.
type Memory struct {
	config  MemoryConfig
	started time.Time // zero of a real clock

	mu       sync.RWMutex
	closed   bool // by Shutdown
	manual   bool
	readOnly bool
	dropSync bool
	capacity int64
	used     int64 // bytes of all files: the sum of their sizes
	random   uint64
	index    uint64 // submissions so far
	stamp    uint64 // changes so far: orders what is not synced
	nodes    uint64 // files made so far
	names    map[string]*memNode
	durable  map[string]*memNode
	journal  []nameChange // of names and durable: what SyncDir has not made durable
	files    map[*memFile]struct{}
	queue    []*Op // submitted, not finished
	timers   []*memTimer
	draining int // closes that wait for the I/O of their file
	clock    int64
	ordinal  uint64 // timers made so far

	onFault func(*Op) error
	onTrace func(MemoryEvent)
	onStall func() bool
}

// NewMemory returns an empty Memory of the given configuration; without one, of the zero value.
func NewMemory(config ...MemoryConfig) *Memory {
	var cfg MemoryConfig
	switch len(config) {
	case 0:
	case 1:
		cfg = config[0]
	default:
		panic("io: NewMemory takes at most one configuration")
	}
	if cfg.SectorSize == 0 {
		cfg.SectorSize = 512
	}
	if cfg.SectorSize < 8 || cfg.SectorSize&(cfg.SectorSize-1) != 0 {
		panic("io: sector size is not a power of two of at least 8")
	}
	return &Memory{
		config: cfg, started: time.Now(), manual: cfg.Manual, random: cfg.Seed,
		names: map[string]*memNode{}, durable: map[string]*memNode{}, files: map[*memFile]struct{}{},
	}
}

// MemoryEvent is what a trace hook is told: a submission, or the end of what was submitted.
type MemoryEvent struct {
	Op        *Op
	Completed bool  // false: submitted
	Err       error // of a completed one: how the I/O ended, ErrCancelled if it never started
}

// SetManual switches manual mode on or off, for submissions from here on.
func (m *Memory) SetManual(manual bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.manual = manual
}

// SetReadOnly makes every change of the medium fail with ErrReadOnly.
func (m *Memory) SetReadOnly(readOnly bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readOnly = readOnly
}

// SetCapacity limits the sum of all file sizes, in bytes; 0: no limit. Growing past it fails with ErrNoSpace.
func (m *Memory) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// SetDropOnSyncFailure chooses what a failed Sync leaves: false, the sectors stay unsynced; true, reads go on showing
// them, but they never become durable unless they are written again, and the next Sync succeeds. Kernels do that.
func (m *Memory) SetDropOnSyncFailure(drop bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropSync = drop
}

// SetFault sets a hook that is called at each submission of an I/O (not of a timer). An error that it returns is
// how the I/O ends, with no data moved. nil removes the hook.
func (m *Memory) SetFault(hook func(*Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onFault = hook
}

// SetTrace sets a hook that is called at each submission of an I/O, before it starts, and at its end, before its
// completion resolves. nil removes it.
func (m *Memory) SetTrace(hook func(MemoryEvent)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onTrace = hook
}

// SetOnStall sets a hook for manual mode: Wait calls it while its completion is pending, and goes on for as long as
// it returns true. Without a hook, or when it returns false, Wait returns ErrDeadlock.
func (m *Memory) SetOnStall(hook func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onStall = hook
}

// Open opens or creates a file.
func (m *Memory) Open(c *Completion, o *Opening) {
	o.File, o.Real, o.Size, o.ID = nil, "", 0, FileID{}
	m.submit(Op{Kind: KindOpen, File: path.Clean(o.Path), Offset: -1, Completion: c, code: opOpen, opening: o})
}

// Stat looks a name up.
func (m *Memory) Stat(c *Completion, l *Lookup) {
	l.Real, l.Size, l.ID = "", 0, FileID{}
	m.submit(Op{Kind: KindOpen, File: path.Clean(l.Path), Offset: -1, Completion: c, code: opStat, lookup: l})
}

// Link gives a file an additional name.
func (m *Memory) Link(c *Completion, oldName, newName string) {
	m.submit(Op{Kind: KindLink, File: path.Clean(oldName), NewName: path.Clean(newName), Offset: -1, Completion: c,
		code: opLink})
}

// Rename gives a file another name, replacing what is there.
func (m *Memory) Rename(c *Completion, oldName, newName string) {
	m.submit(Op{Kind: KindLink, File: path.Clean(oldName), NewName: path.Clean(newName), Offset: -1, Completion: c,
		code: opRename})
}

// Remove deletes a name.
func (m *Memory) Remove(c *Completion, name string) {
	m.submit(Op{Kind: KindLink, File: path.Clean(name), Offset: -1, Completion: c, code: opRemove})
}

// SyncDir makes the names in the directory that holds name durable.
func (m *Memory) SyncDir(c *Completion, name string) {
	m.submit(Op{Kind: KindSyncDir, File: path.Clean(name), Offset: -1, Completion: c, code: opSyncDir})
}

// Random fills buf: from the seed, or under RealTime from the system.
func (m *Memory) Random(buf []byte) {
	if m.config.RealTime {
		cryptorand.Read(buf) // never fails: the runtime ends the program if the system has none
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var word [8]byte
	for len(buf) > 0 {
		binary.LittleEndian.PutUint64(word[:], splitMix(&m.random))
		buf = buf[copy(buf, word[:]):]
	}
}

// splitMix advances a SplitMix64 state and returns its next number.
func splitMix(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Wait sleeps until c has resolved: another goroutine may resolve it. In manual mode, where it is the test that
// finishes things, it asks the hook of SetOnStall instead.
func (m *Memory) Wait(ctx context.Context, c *Completion) error {
	for !c.Done() {
		m.mu.RLock()
		manual, stall := m.manual, m.onStall
		m.mu.RUnlock()
		if !manual {
			return c.Park(ctx, nil)
		}
		if ctx != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		if stall == nil || !stall() {
			if c.Done() {
				break
			}
			return ErrDeadlock
		}
	}
	return nil
}

// Poll returns 0: whatever can finish without waiting has.
func (m *Memory) Poll() int { return 0 }

// InFlight returns how many submitted completions are not retired.
func (m *Memory) InFlight() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.queue) + len(m.timers) + m.draining
}

// Shutdown refuses new submissions, ends timers with ErrClosed, and closes the files that are open. In manual mode it
// asks the hook of SetOnStall until the queue is empty, else it returns ErrDeadlock, and may be called again. The
// files' content stays, for Bytes and Crash.
func (m *Memory) Shutdown() error {
	m.mu.Lock()
	m.closed = true
	timers := m.timers
	m.timers = nil
	m.mu.Unlock()
	for _, t := range timers {
		t.stop()
		t.c.Finish(0, ErrClosed)
	}
	for {
		m.mu.Lock()
		if len(m.queue)+m.draining == 0 {
			for f := range m.files {
				m.release(f)
			}
			m.mu.Unlock()
			return nil
		}
		stall := m.onStall
		m.mu.Unlock()
		if stall == nil || !stall() {
			if m.InFlight() == 0 {
				continue
			}
			return ErrDeadlock
		}
	}
}

// Names returns the names of all files as opens see them, sorted.
func (m *Memory) Names() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	names := make([]string, 0, len(m.names))
	for name := range m.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Bytes returns a copy of what reads of the file see. A missing file is fs.ErrNotExist.
func (m *Memory) Bytes(name string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	name = path.Clean(name)
	node := m.names[name]
	if node == nil {
		return nil, &OpError{Op: KindRead, File: name, Offset: -1, Err: fs.ErrNotExist}
	}
	buf := make([]byte, node.size)
	node.read(buf, 0)
	return buf, nil
}

// SetBytes makes a file of the name hold a copy of content and nothing else, volatile and durable alike. It makes
// the file if it is missing; opens of the file see the change.
func (m *Memory) SetBytes(name string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	node := m.names[name]
	if node == nil {
		node = m.newNode(name)
		node.links = 1
		m.names[name] = node
	}
	m.journal = slices.DeleteFunc(m.journal, func(ch nameChange) bool {
		if ch.name != name && ch.newName != name {
			return false
		}
		ch.apply(m.durable)
		return true
	})
	m.durable[name] = node
	m.used += int64(len(content)) - node.size
	node.replace(content)
}

// memTimer is a Timer that has not finished.
type memTimer struct {
	c        *Completion
	deadline int64
	ordinal  uint64
	real     *time.Timer // nil on the virtual clock
}

func (t *memTimer) stop() {
	if t.real != nil {
		t.real.Stop()
	}
}

// Now returns the virtual clock, or under RealTime nanoseconds since NewMemory.
func (m *Memory) Now() int64 {
	if m.config.RealTime {
		return int64(time.Since(m.started))
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.clock
}

// Timer finishes after nanos nanoseconds; on the virtual clock, within the Advance that takes it there.
func (m *Memory) Timer(c *Completion, nanos int64) {
	c.ArmSubmitted(KindTimer, "timer")
	c.Request.Canceller = m
	m.mu.Lock()
	if m.closed || nanos <= 0 {
		closed := m.closed
		m.mu.Unlock()
		if closed {
			c.Finish(0, ErrClosed)
		} else {
			c.Finish(0, nil)
		}
		return
	}
	t := &memTimer{c: c, deadline: m.clock + nanos, ordinal: m.ordinal}
	if t.deadline < m.clock {
		t.deadline = 1<<63 - 1
	}
	m.ordinal++
	m.timers = append(m.timers, t)
	if m.config.RealTime {
		t.real = time.AfterFunc(time.Duration(nanos), func() { m.fire(t) })
	}
	m.mu.Unlock()
}

// fire finishes t unless it has been cancelled.
func (m *Memory) fire(t *memTimer) {
	m.mu.Lock()
	i := slices.Index(m.timers, t)
	if i >= 0 {
		m.timers = slices.Delete(m.timers, i, i+1)
	}
	m.mu.Unlock()
	if i >= 0 {
		t.c.Finish(0, nil)
	}
}

// Advance moves the virtual clock on and finishes the timers that come due, in the order of their deadlines, also
// those that their callbacks start.
func (m *Memory) Advance(nanos int64) {
	if m.config.RealTime || nanos < 0 {
		panic("io: Advance of a real clock, or backwards")
	}
	m.mu.Lock()
	end := m.clock + nanos
	for {
		var due *memTimer
		if len(m.timers) > 0 {
			due = slices.MinFunc(m.timers, func(a, b *memTimer) int {
				return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.ordinal, b.ordinal))
			})
		}
		if due == nil || due.deadline > end {
			m.clock = max(m.clock, end)
			m.mu.Unlock()
			return
		}
		m.clock = max(m.clock, due.deadline)
		m.mu.Unlock()
		m.fire(due)
		m.mu.Lock()
	}
}

// NextTimer returns the clock at which the earliest timer comes due, and false if there is none.
func (m *Memory) NextTimer() (int64, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.timers) == 0 {
		return 0, false
	}
	earliest := m.timers[0].deadline
	for _, t := range m.timers {
		earliest = min(earliest, t.deadline)
	}
	return earliest, true
}
