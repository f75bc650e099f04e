//go:build !linux && !darwin && !freebsd && !windows

package io

// platformMemory returns the bytes of the machine's memory: here they can't be told.
func platformMemory() uint64 { return 0 }
