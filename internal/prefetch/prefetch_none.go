//go:build !amd64 && !arm64

package prefetch

// Bytes brings b near.
func Bytes([]byte) {}

// Value brings what p points to near. p may be nil.
func Value[T any](*T) {}
