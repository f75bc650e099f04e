package io

import (
	"errors"
	"fmt"
)

// Errors that callers of a backend test with errors.Is. A missing or existing name is fs.ErrNotExist or
// fs.ErrExist; what the operating system says besides stays in the chain.
var (
	// ErrCancelled is how a completion ends that its owner gave up.
	ErrCancelled = errors.New("io: cancelled")
	// ErrShortRead means that the file ends inside the range that a read asked for.
	ErrShortRead = errors.New("io: read past the end of the file")
	// ErrNoSpace means that the file system, or a limit set for the backend, has no room for a write or a growth.
	ErrNoSpace = errors.New("io: no space left")
	// ErrReadOnly means that the file or the medium does not accept changes.
	ErrReadOnly = errors.New("io: read-only")
	// ErrNotRegular means that a name leads to a directory, a device or a pipe.
	ErrNotRegular = errors.New("io: not a regular file")
	// ErrClosed means that the file or the backend was closed before the submission.
	ErrClosed = errors.New("io: closed")
	// ErrLocked means that another open holds a lock that excludes the one asked for.
	ErrLocked = errors.New("io: locked")
	// ErrInterrupted is how Park ends when its caller has other work.
	ErrInterrupted = errors.New("io: interrupted")
	// ErrDeadlock means that a single-threaded event loop was asked to wait and nothing under way can ever
	// resolve the completion.
	ErrDeadlock = errors.New("io: deadlock")
)

// LockedError says who holds the lock that was asked for. It matches ErrLocked.
type LockedError struct {
	Path string
	PID  int // process that holds it; 0 where the platform does not tell
}

// Error names the file and the holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("io: %s is locked by another process", e.Path)
	}
	return fmt.Sprintf("io: %s is locked by process %d", e.Path, e.PID)
}

// Unwrap returns ErrLocked.
func (e *LockedError) Unwrap() error { return ErrLocked }

// OpError says which operation failed on which file, where, and why.
type OpError struct {
	Op     Kind
	File   string // name that the file was opened with
	Offset int64  // first byte of the range; -1 where there is none
	Length int64  // bytes asked for, or the size asked for by a truncate
	Err    error
}

// Error names the operation, the file and the range.
func (e *OpError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%v %s: %v", e.Op, e.File, e.Err)
	}
	return fmt.Sprintf("%v %s at %d, %d bytes: %v", e.Op, e.File, e.Offset, e.Length, e.Err)
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }
