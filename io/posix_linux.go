package io

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var platformPwritev = unix.Pwritev

// platformSync flushes data, and the size with what else is needed to read it back; times may be lost.
func platformSync(h handle) error { return unix.Fdatasync(h) }

// platformAllocate reserves blocks, which read as zeroes until they are written, and sets the size.
func platformAllocate(h handle, from, to int64) error {
	err := unix.Fallocate(h, 0, from, to-from)
	if err == unix.EINVAL || err == unix.ENODEV {
		return errors.ErrUnsupported
	}
	return err
}

// renameNoReplace renames if nothing has the new name.
func renameNoReplace(oldName, newName string) error {
	err := unix.Renameat2(unix.AT_FDCWD, oldName, unix.AT_FDCWD, newName, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		return renameByReserving(oldName, newName)
	}
	return err
}

// lockHolder returns the process that holds a lock of the file by flock, or 0: in /proc/locks each line of one is
//
//	1: FLOCK  ADVISORY  WRITE 708 00:13:12951 0 EOF
//
// with the process and the file's device, in hexadecimal, and inode. File systems that show another device here than
// to stat, and processes of another namespace, are not found.
func lockHolder(id FileID) int {
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	return holderIn(string(text), id)
}

// holderIn looks for the holder in the text of /proc/locks. Lines of processes that wait have an arrow in the second
// column.
func holderIn(text string, id FileID) int {
	want := fmt.Sprintf("%02x:%02x:%d", unix.Major(id.Device), unix.Minor(id.Device), id.Inode)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != want {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}
