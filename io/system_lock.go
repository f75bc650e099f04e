package io

import (
	"os"
	"sync"
)

// lockMode is what lock an open file holds.
type lockMode uint8

const (
	unlocked lockMode = iota
	lockedShared
	lockedExclusive
)

// systemLocks counts the locks that this process holds by file, so that an error can name it where the system does not
// say who holds a lock. The locks themselves are the system's.
var systemLocks = struct {
	mu   sync.Mutex
	mine map[FileID]int
}{mine: map[FileID]int{}}

// lock takes or changes the lock that f holds. If it can't be changed, f keeps what it holds.
func (f *systemFile) lock(exclusive bool) error {
	mode := lockedShared
	if exclusive {
		mode = lockedExclusive
	}
	systemLocks.mu.Lock()
	defer systemLocks.mu.Unlock()
	if f.held == mode {
		return nil
	}
	err := repeat(func() error { return f.s.calls.lock(f.h, exclusive) })
	if err == nil {
		if f.held == unlocked {
			systemLocks.mine[f.id]++
		}
		f.held = mode
		return nil
	}
	others := systemLocks.mine[f.id]
	if f.held != unlocked {
		others--
		// The system gives the old lock up before it asks for the new one.
		again := repeat(func() error { return f.s.calls.lock(f.h, f.held == lockedExclusive) })
		if again != nil {
			f.forget()
		}
	}
	if err != errBusy {
		return err
	}
	locked := &LockedError{Path: f.name}
	if others > 0 {
		locked.PID = os.Getpid()
	} else {
		locked.PID = lockHolder(f.id)
	}
	return locked
}

// unlock gives the lock up.
func (f *systemFile) unlock() {
	systemLocks.mu.Lock()
	defer systemLocks.mu.Unlock()
	if f.held == unlocked {
		return
	}
	// Closing the handle does it too, if this fails.
	repeat(func() error { return f.s.calls.unlock(f.h) })
	f.forget()
}

// forget takes f's lock out of the books. The caller holds systemLocks.mu.
func (f *systemFile) forget() {
	f.held = unlocked
	systemLocks.mine[f.id]--
	if systemLocks.mine[f.id] == 0 {
		delete(systemLocks.mine, f.id)
	}
}
