//go:build linux || darwin || freebsd

package io

import "golang.org/x/sys/unix"

// platformLock takes or changes the lock of the open file, which other opens respect, also those of this process.
func platformLock(h handle, exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	err := unix.Flock(h, how|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return errBusy
	}
	return err
}

// platformUnlock gives the lock up now: closing alone would leave it to a child that is between fork and exec.
func platformUnlock(h handle) error { return unix.Flock(h, unix.LOCK_UN) }
