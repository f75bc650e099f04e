package io

import "golang.org/x/sys/unix"

// platformMemory returns the bytes of the machine's memory, 0 if they can't be told.
func platformMemory() uint64 {
	bytes, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return bytes
}
