package io

import "errors"

// fileInfo is what the operating system says of a file.
type fileInfo struct {
	size    int64
	id      FileID
	regular bool // no directory, device or pipe
}

// calls are the system calls that the backend makes. Each returns what one call of the operating system did: a short
// transfer, an interruption. The code above them continues and repeats. Tests put their own in between.
type calls struct {
	open     func(path string, flag OpenFlag, mode uint32) (handle, error)
	close    func(h handle) error
	describe func(h handle) (fileInfo, error)
	stat     func(path string) (fileInfo, error) // follows links

	pread   func(h handle, buf []byte, offset int64) (int, error) // 0 at the end of the file
	pwrite  func(h handle, buf []byte, offset int64) (int, error)
	pwritev func(h handle, bufs [][]byte, offset int64) (int, error) // nil where there is none; up to maxVector buffers
	sync    func(h handle) error
	resize  func(h handle, size int64) error

	// allocate grows the file from one size to another with space behind every byte. errors.ErrUnsupported means
	// that the file system can't, and that the file is as it was. After other errors its size may be anything between.
	allocate func(h handle, from, to int64) error

	lock   func(h handle, exclusive bool) error // errBusy if somebody else has it
	unlock func(h handle) error

	link    func(oldName, newName string) error // without replacing
	rename  func(oldName, newName string) error // replacing
	remove  func(name string) error
	syncDir func(dir string) error
}

const (
	maxVector   = 1024    // IOV_MAX of every system that has pwritev
	maxTransfer = 1 << 30 // bytes; some systems take no more than 2 GiB at a time
)

// errBusy means that another open holds the lock.
var errBusy = errors.New("io: lock is held")
