package io

import (
	"errors"

	"golang.org/x/sys/unix"
)

var platformPwritev = unix.Pwritev

// platformSync flushes the drive's cache too, which fsync does not do here. File systems that can't are synced as far
// as they go.
func platformSync(h handle) error {
	_, err := unix.FcntlInt(uintptr(h), unix.F_FULLFSYNC, 0)
	if cannot(err) {
		return unix.Fsync(h)
	}
	return err
}

// cannot reports whether err means that the file system does not know the call.
func cannot(err error) bool {
	return err == unix.EINVAL || err == unix.ENOTTY || err == unix.ENODEV || errors.Is(err, errors.ErrUnsupported)
}

// platformAllocate reserves blocks behind the last one that the file has, and sets the size.
func platformAllocate(h handle, from, to int64) error {
	store := unix.Fstore_t{Flags: unix.F_ALLOCATEALL, Posmode: unix.F_PEOFPOSMODE, Length: to - from}
	err := unix.FcntlFstore(uintptr(h), unix.F_PREALLOCATE, &store)
	switch {
	case err == nil:
		return unix.Ftruncate(h, to)
	case cannot(err):
		return errors.ErrUnsupported
	}
	return err
}

// renameNoReplace renames if nothing has the new name.
func renameNoReplace(oldName, newName string) error {
	err := unix.RenamexNp(oldName, newName, unix.RENAME_EXCL)
	if cannot(err) {
		return renameByReserving(oldName, newName)
	}
	return err
}

// lockHolder returns 0: the system does not tell who holds a lock by flock.
func lockHolder(FileID) int { return 0 }
