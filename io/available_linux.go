package io

import "golang.org/x/sys/unix"

// platformMemory returns the bytes of the machine's memory, 0 if they can't be told.
func platformMemory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
