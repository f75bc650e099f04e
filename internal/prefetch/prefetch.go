//go:build amd64 || arm64

package prefetch

import "unsafe"

// Bytes brings b near.
func Bytes(b []byte) { lines(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))) }

// From brings size bytes from p on near. p may be nil.
func From(p *byte, size int) {
	if p != nil {
		lines(unsafe.Pointer(p), uintptr(size))
	}
}

// Value brings what p points to near. p may be nil.
func Value[T any](p *T) {
	if p != nil {
		lines(unsafe.Pointer(p), unsafe.Sizeof(*p))
	}
}

// lines brings the cache lines from p on near, for size bytes.
//
//go:noescape
func lines(p unsafe.Pointer, size uintptr)
