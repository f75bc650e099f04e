package io

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// platformPwritev is missing: vectors go out as one pwrite a buffer.
var platformPwritev func(h handle, bufs [][]byte, offset int64) (int, error)

// platformSync flushes data and metadata.
func platformSync(h handle) error { return unix.Fsync(h) }

// platformAllocate reserves blocks and sets the size. The call returns the error instead of setting errno.
func platformAllocate(h handle, from, to int64) error {
	length := to - from
	var result uintptr
	var errno unix.Errno
	switch {
	case unsafe.Sizeof(uintptr(0)) == 8:
		result, _, errno = unix.Syscall(unix.SYS_POSIX_FALLOCATE, uintptr(h), uintptr(from), uintptr(length))
	case alignedPairs: // 64-bit arguments begin at an even register
		result, _, errno = unix.Syscall6(unix.SYS_POSIX_FALLOCATE, uintptr(h), 0, uintptr(from), uintptr(from>>32),
			uintptr(length), uintptr(length>>32))
	default:
		result, _, errno = unix.Syscall6(unix.SYS_POSIX_FALLOCATE, uintptr(h), uintptr(from), uintptr(from>>32),
			uintptr(length), uintptr(length>>32), 0)
	}
	if errno == 0 {
		errno = unix.Errno(result)
	}
	switch errno {
	case 0:
		return nil
	case unix.EINVAL, unix.ENODEV: // file systems that copy on write
		return errors.ErrUnsupported
	}
	return errno
}

// renameNoReplace renames if nothing has the new name.
func renameNoReplace(oldName, newName string) error { return renameByReserving(oldName, newName) }

// lockHolder returns 0: the system does not tell who holds a lock by flock.
func lockHolder(FileID) int { return 0 }
