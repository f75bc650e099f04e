//go:build !linux

package hugepage

// Available reports whether the system does this: not here.
func Available() bool { return false }

// Back does nothing here.
func (Region) Back() bool { return false }
