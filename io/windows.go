//go:build windows

package io

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// handle is an open file of the operating system.
type handle = windows.Handle

// noHandle is the handle of no file.
const noHandle = windows.InvalidHandle

// platformCalls returns the system calls themselves. The handles are synchronous; each transfer names its offset.
func platformCalls() calls {
	return calls{
		open:     windowsOpen,
		close:    windows.CloseHandle,
		describe: windowsDescribe,
		stat:     windowsStat,
		pread:    windowsRead,
		pwrite:   windowsWrite,
		sync:     windows.FlushFileBuffers, // the drive's cache too
		resize:   windowsResize,
		allocate: func(h handle, _, to int64) error { return windowsResize(h, to) }, // clusters come with the size
		lock:     windowsLock,
		unlock:   windowsUnlock,
		link:     windowsLink,
		rename:   func(from, to string) error { return move(from, to, windows.MOVEFILE_REPLACE_EXISTING) },
		remove:   windowsRemove,
		syncDir:  func(string) error { return nil }, // names are journaled, and directories can't be flushed
	}
}

// interrupted reports whether err means that a call did nothing and wants to be made again.
func interrupted(error) bool { return false }

// classify puts the error of this package that callers test for in front of what the system says.
func classify(err error) error {
	var errno windows.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED,
		windows.ERROR_FILE_TOO_LARGE:
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case windows.ERROR_WRITE_PROTECT:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}

// lockHolder returns 0: the system does not tell who holds a lock.
func lockHolder(FileID) int { return 0 }

// windowsOpen opens a file so that others may rename or remove it meanwhile, as they may elsewhere.
func windowsOpen(path string, flag OpenFlag, mode uint32) (handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return noHandle, err
	}
	access := uint32(windows.GENERIC_READ)
	if flag&OpenWrite != 0 {
		access |= windows.GENERIC_WRITE
	}
	how := uint32(windows.OPEN_EXISTING)
	switch {
	case flag&OpenExclusive != 0:
		how = windows.CREATE_NEW
	case flag&OpenCreate != 0:
		how = windows.OPEN_ALWAYS
	}
	attributes := uint32(windows.FILE_ATTRIBUTE_NORMAL)
	if flag&OpenCreate != 0 && mode&0o200 == 0 {
		attributes = windows.FILE_ATTRIBUTE_READONLY
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	return windows.CreateFile(name, access, share, nil, how, attributes, 0)
}

func windowsDescribe(h handle) (fileInfo, error) {
	var d windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &d); err != nil {
		return fileInfo{}, err
	}
	return fileInfo{
		size:    int64(d.FileSizeHigh)<<32 | int64(d.FileSizeLow),
		id:      FileID{Device: uint64(d.VolumeSerialNumber), Inode: uint64(d.FileIndexHigh)<<32 | uint64(d.FileIndexLow)},
		regular: d.FileAttributes&(windows.FILE_ATTRIBUTE_DIRECTORY|windows.FILE_ATTRIBUTE_DEVICE) == 0,
	}, nil
}

func windowsStat(path string) (fileInfo, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return fileInfo{}, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	// No access is asked for, so that files that another process keeps to itself can be looked up too.
	h, err := windows.CreateFile(name, 0, share, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return fileInfo{}, err
	}
	info, err := windowsDescribe(h)
	if closed := windows.CloseHandle(h); err == nil {
		err = closed
	}
	return info, err
}

// at returns the structure that gives a transfer its offset.
func at(offset int64) windows.Overlapped {
	return windows.Overlapped{Offset: uint32(offset), OffsetHigh: uint32(offset >> 32)}
}

func windowsRead(h handle, buf []byte, offset int64) (int, error) {
	var n uint32
	place := at(offset)
	err := windows.ReadFile(h, buf, &n, &place)
	if err == windows.ERROR_HANDLE_EOF {
		return 0, nil
	}
	return int(n), err
}

func windowsWrite(h handle, buf []byte, offset int64) (int, error) {
	var n uint32
	place := at(offset)
	err := windows.WriteFile(h, buf, &n, &place)
	return int(n), err
}

func windowsResize(h handle, size int64) error {
	info := struct{ EndOfFile int64 }{size}
	return windows.SetFileInformationByHandle(h, windows.FileEndOfFileInfo, (*byte)(unsafe.Pointer(&info)),
		uint32(unsafe.Sizeof(info)))
}

// lockByte is the byte that stands for the whole file. Locks are mandatory here: one on bytes that the file has would
// keep others from reading them.
const lockByte = 1<<63 - 2

// windowsLock takes or changes the lock of the handle. A lock can't be changed: the old one goes first.
func windowsLock(h handle, exclusive bool) error {
	if err := windowsUnlock(h); err != nil {
		return err
	}
	how := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	place := at(lockByte)
	err := windows.LockFileEx(h, how, 0, 1, 0, &place)
	if err == windows.ERROR_LOCK_VIOLATION || err == windows.ERROR_IO_PENDING {
		return errBusy
	}
	return err
}

func windowsUnlock(h handle) error {
	place := at(lockByte)
	err := windows.UnlockFileEx(h, 0, 1, 0, &place)
	if err == windows.ERROR_NOT_LOCKED {
		return nil
	}
	return err
}

// windowsLink links, or renames without replacing where the file system has no links.
func windowsLink(oldName, newName string) error {
	from, err := windows.UTF16PtrFromString(oldName)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(newName)
	if err != nil {
		return err
	}
	err = windows.CreateHardLink(to, from, 0)
	if err == windows.ERROR_INVALID_FUNCTION || err == windows.ERROR_NOT_SUPPORTED {
		return move(oldName, newName, 0)
	}
	return err
}

func move(oldName, newName string, flags uint32) error {
	from, err := windows.UTF16PtrFromString(oldName)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(newName)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(from, to, flags)
}

func windowsRemove(name string) error {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	return windows.DeleteFile(p)
}
