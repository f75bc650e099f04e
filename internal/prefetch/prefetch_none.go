//go:build !amd64 && !arm64

package prefetch

// Bytes brings b near.
func Bytes([]byte) {}

// From brings size bytes from p on near. p may be nil.
func From(*byte, int) {}

// Value brings what p points to near. p may be nil.
func Value[T any](*T) {}
