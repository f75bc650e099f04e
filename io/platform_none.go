//go:build !linux && !darwin && !freebsd && !windows

package io

import "errors"

// handle is an open file of the operating system. There is none here.
type handle = int

// noHandle is the handle of no file.
const noHandle handle = -1

// platformCalls returns calls that are unsupported: here databases are in memory, or on a backend of the program.
func platformCalls() calls {
	const none = noHandle
	unsupported := errors.ErrUnsupported
	return calls{
		open:     func(string, OpenFlag, uint32) (handle, error) { return none, unsupported },
		close:    func(handle) error { return unsupported },
		describe: func(handle) (fileInfo, error) { return fileInfo{}, unsupported },
		stat:     func(string) (fileInfo, error) { return fileInfo{}, unsupported },
		pread:    func(handle, []byte, int64) (int, error) { return 0, unsupported },
		pwrite:   func(handle, []byte, int64) (int, error) { return 0, unsupported },
		sync:     func(handle) error { return unsupported },
		resize:   func(handle, int64) error { return unsupported },
		allocate: func(handle, int64, int64) error { return unsupported },
		lock:     func(handle, bool) error { return unsupported },
		unlock:   func(handle) error { return unsupported },
		link:     func(string, string) error { return unsupported },
		rename:   func(string, string) error { return unsupported },
		remove:   func(string) error { return unsupported },
		syncDir:  func(string) error { return unsupported },
	}
}

// interrupted reports whether err means that a call did nothing and wants to be made again.
func interrupted(error) bool { return false }

// classify puts the error of this package that callers test for in front of what the system says.
func classify(err error) error { return err }

// lockHolder returns 0: there are no locks.
func lockHolder(FileID) int { return 0 }
