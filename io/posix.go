//go:build linux || darwin || freebsd

package io

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// handle is an open file of the operating system.
type handle = int

// noHandle is the handle of no file.
const noHandle handle = -1

// platformCalls returns the system calls themselves.
func platformCalls() calls {
	return calls{
		open:     posixOpen,
		close:    posixClose,
		describe: posixDescribe,
		stat:     posixStat,
		pread:    unix.Pread,
		pwrite:   unix.Pwrite,
		pwritev:  platformPwritev,
		sync:     platformSync,
		resize:   unix.Ftruncate,
		allocate: platformAllocate,
		lock:     platformLock,
		unlock:   platformUnlock,
		link:     posixLink,
		rename:   unix.Rename,
		remove:   unix.Unlink,
		syncDir:  posixSyncDir,
	}
}

// interrupted reports whether err means that a call did nothing and wants to be made again.
func interrupted(err error) bool { return err == unix.EINTR || err == unix.EAGAIN }

// classify puts the error of this package that callers test for in front of what the system says.
func classify(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case unix.ENOSPC, unix.EDQUOT, unix.EFBIG:
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case unix.EROFS:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}

func posixOpen(path string, flag OpenFlag, mode uint32) (handle, error) {
	how := unix.O_RDONLY | unix.O_CLOEXEC
	if flag&OpenWrite != 0 {
		how = unix.O_RDWR | unix.O_CLOEXEC
	}
	if flag&OpenCreate != 0 {
		how |= unix.O_CREAT
	}
	if flag&OpenExclusive != 0 {
		how |= unix.O_EXCL
	}
	return unix.Open(path, how, mode&0o777)
}

// posixClose closes h. An interrupted close is not made again: the number may be another file's by then.
func posixClose(h handle) error {
	err := unix.Close(h)
	if err == unix.EINTR {
		return nil
	}
	return err
}

func posixDescribe(h handle) (fileInfo, error) {
	var st unix.Stat_t
	if err := unix.Fstat(h, &st); err != nil {
		return fileInfo{}, err
	}
	return posixInfo(&st), nil
}

func posixStat(path string) (fileInfo, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileInfo{}, err
	}
	return posixInfo(&st), nil
}

func posixInfo(st *unix.Stat_t) fileInfo {
	return fileInfo{
		size:    st.Size,
		id:      FileID{Device: uint64(st.Dev), Inode: st.Ino},
		regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
	}
}

// posixLink links, or renames without replacing where the file system has no links.
func posixLink(oldName, newName string) error {
	err := unix.Link(oldName, newName)
	if err != unix.EPERM && err != unix.EMLINK && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if other := renameNoReplace(oldName, newName); !errors.Is(other, errors.ErrUnsupported) {
		return other
	}
	return err
}

// renameByReserving renames without replacing where no call does: it takes the new name with an empty file, which only
// one of several can, and replaces that. A crash in between leaves the empty file.
func renameByReserving(oldName, newName string) error {
	if _, err := posixStat(oldName); err != nil {
		return err
	}
	h, err := unix.Open(newName, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := posixClose(h); err != nil {
		return err
	}
	if err := unix.Rename(oldName, newName); err != nil {
		unix.Unlink(newName)
		return err
	}
	return nil
}

// posixSyncDir syncs a directory. Some file systems refuse that; those write names through.
func posixSyncDir(dir string) error {
	h, err := unix.Open(filepath.Clean(dir), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = platformSync(h)
	if err == unix.EINVAL || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	if closed := posixClose(h); err == nil {
		err = closed
	}
	return err
}
