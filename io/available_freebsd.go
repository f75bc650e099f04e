package io

import "golang.org/x/sys/unix"

// platformMemory returns the bytes of the machine's memory, 0 if they can't be told. The figure is as long as a pointer.
func platformMemory() uint64 {
	const name = "hw.physmem"
	if bytes, err := unix.SysctlUint64(name); err == nil {
		return bytes
	}
	bytes, err := unix.SysctlUint32(name)
	if err != nil {
		return 0
	}
	return uint64(bytes)
}
