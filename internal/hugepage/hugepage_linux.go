package hugepage

import (
	"bytes"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Available reports whether the system does this: Linux from 6.1 on, unless its administrator wants no transparent huge pages at all.
var Available = sync.OnceValue(func() bool {
	mode, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return err == nil && !bytes.Contains(mode, []byte("[never]")) && try()
})

// try collapses memory of its own: from then on a failure is about the region.
func try() bool {
	memory, err := unix.Mmap(-1, 0, 2*Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(memory) }()
	first := (uintptr(unsafe.Pointer(&memory[0])) + Size - 1) / Size
	at := first*Size - uintptr(unsafe.Pointer(&memory[0]))
	memory[at] = 1
	return Region(first).Back()
}

// Back asks for a huge page behind the region, and reports whether it is there. Whoever uses the region meanwhile waits for it, some
// tenths of a millisecond. The region may be in other use by now, or in none.
func (r Region) Back() bool {
	_, _, err := unix.Syscall(unix.SYS_MADVISE, uintptr(r)*Size, Size, unix.MADV_COLLAPSE)
	return err == 0
}
