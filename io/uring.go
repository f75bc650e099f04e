package io

// UringOptions are the options of NewUring. The zero value is a good one.
type UringOptions struct {
	// Entries is how many reads, writes and syncs the kernel has at a time; more than that wait for their turn. 0: 256.
	// The kernel rounds up to a power of two, and has a limit of its own.
	Entries int
}

// NewUring returns the backend of the platform's own files whose batches of reads, writes and syncs go through io_uring; see
// "The io_uring backend" in the package's comment. All else it does as NewSystem's does. It costs no goroutine and no system
// call while nothing is in flight. Shutdown frees the ring.
//
// Where there is no io_uring the error matches errors.ErrUnsupported and says what forbids it: the operating system, the
// kernel's age, its settings, a filter of system calls (seccomp), a limit of memory. NewUring has tried out all that the
// backend needs; if a filter of system calls that comes later forbids entering the ring, the backend goes on without it.
func NewUring(o UringOptions) (IO, error) { return openUring(o) }
