package wal

import (
	"sync"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Log has one of everything that must not meet a lock.
type Log struct {
	sync.RWMutex
	mu    sync.Mutex
	file  io.File
	files io.Submitter
	c     io.Completion
	child machine
}

type machine struct{}

func (m *machine) Step() (types.IOResult[int], error) { return types.Done(1) }

// Deferred yields under a deferred unlock.
func (l *Log) Deferred() (types.IOResult[int], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c.Done() {
		return types.Done(l.c.N())
	}
	return types.Wait[int](&l.c) // finding
}

// Literal unlocks in a deferred literal, and steps a child before.
func (l *Log) Literal() {
	l.mu.Lock()
	defer func() { l.mu.Unlock() }()
	_, _ = l.child.Step() // finding
}

// Embedded submits under the embedded lock.
func (l *Log) Embedded(buf []byte) {
	l.RLock()
	l.file.Read(&l.c, buf, 0) // finding
	_ = l.file.Name()
	l.RUnlock()
	l.file.Read(&l.c, buf, 0)
}

// Leak leaves one branch locked.
func (l *Log) Leak(early bool) {
	l.mu.Lock()
	if early {
		return // finding
	}
	l.mu.Unlock()
}

// Lock leaves it to the caller to unlock: finding at the end.
func (l *Log) lock() {
	l.mu.Lock()
}

// Start submits; callers in this package and above are known by it.
func (l *Log) Start() { l.start() }

func (l *Log) start() { l.files.Timer(&l.c, 1) }

// Indirect submits through Start.
func (l *Log) Indirect() {
	l.mu.Lock()
	l.Start() // finding
	l.mu.Unlock()
	l.Start()
}

// Later only makes a literal that submits, and one that locks.
func (l *Log) Later() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	return func() { l.Start() }
}

func (l *Log) indirectly() {
	l.mu.Lock()
	_ = l.Later()
	l.mu.Unlock()
	if l.mu.TryLock() { // finding
		l.mu.Unlock()
	}
}

var _, _ = (*Log).lock, (*Log).indirectly
