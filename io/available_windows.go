package io

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// memoryStatus is MEMORYSTATUSEX.
type memoryStatus struct {
	length       uint32
	load         uint32
	physical     uint64
	physicalFree uint64
	pageFile     uint64
	pageFileFree uint64
	virtual      uint64
	virtualFree  uint64
	extended     uint64
}

var globalMemoryStatus = windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// platformMemory returns the bytes of the machine's memory, 0 if they can't be told.
func platformMemory() uint64 {
	if globalMemoryStatus.Find() != nil {
		return 0
	}
	var status memoryStatus
	status.length = uint32(unsafe.Sizeof(status))
	if ok, _, _ := globalMemoryStatus.Call(uintptr(unsafe.Pointer(&status))); ok == 0 {
		return 0
	}
	return status.physical
}
