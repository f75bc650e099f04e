package io

import "context"

// File is an open file. It only submits: every method returns at once, and its outcome is in the completion. Nothing
// here runs the event loop, so code that holds a File can't block by accident.
//
// The completion that is passed in must be idle. Buffers, and the slice of buffers of a Write, belong to the file
// until the completion is retired. Order between I/Os under way is not promised, not even on one range: an owner
// waits for retirement of one before it submits another that overlaps.
type File interface {
	// Name returns the path that the file was opened with, links resolved, for messages.
	Name() string

	// Read fills buf from the file at offset. Fewer bytes than that are ErrShortRead.
	Read(c *Completion, buf []byte, offset int64)

	// Write writes the buffers one after the other at offset, growing the file if it ends before that.
	Write(c *Completion, bufs [][]byte, offset int64)

	// Sync makes what earlier, finished writes and truncates changed survive a power cut: data, size, and what
	// is needed to read it back. A write that is under way may be in or out. After a failure nothing is known
	// of any write since the last good sync, and a later success does not vouch for them.
	Sync(c *Completion)

	// Truncate sets the size. Growing reserves space where the file system can, so that later writes below size
	// don't meet ErrNoSpace; the new bytes read as zeroes.
	Truncate(c *Completion, size int64)

	// Lock takes the file's lock, shared or exclusive, if it is free, and fails with LockedError if it is not.
	// A second open in one process counts like another process. Close gives it up.
	Lock(c *Completion, exclusive bool)

	// Close refuses new I/O and finishes when all I/O under way is retired and the file is closed.
	Close(c *Completion)
}

// OpenFlag says how to open. The zero value opens an existing file for reading.
type OpenFlag uint8

// Flags of Open, combined with |.
const (
	OpenWrite     OpenFlag = 1 << iota // for reading and writing
	OpenCreate                         // make it if it is missing; with OpenWrite
	OpenExclusive                      // fail with fs.ErrExist if it is there; with OpenCreate
)

// FileID tells whether two names lead to one file: the device and inode, or what the platform has instead.
type FileID struct{ Device, Inode uint64 }

// Opening is the request and the result of an Open. It belongs to the backend until the completion is retired.
type Opening struct {
	Path string // in: name; symbolic links are followed
	Flag OpenFlag
	Mode uint32 // permission bits of a new file

	File File   // out: nil unless it succeeded
	Real string // out: the path with links resolved
	Size int64  // out: bytes
	ID   FileID // out
}

// Lookup is the request and the result of a Stat.
type Lookup struct {
	Path string // in; symbolic links are followed

	Real string // out; of a missing file where its name leads, empty if that is nowhere
	Size int64  // out: bytes
	ID   FileID // out
}

// Submitter is what the layers below the driver see of an IO: everything but its event loop.
type Submitter interface {
	// Open opens or creates a file.
	Open(c *Completion, o *Opening)
	// Stat looks a name up. A missing file is fs.ErrNotExist.
	Stat(c *Completion, l *Lookup)
	// Link gives the file oldName the additional name newName, and fails with fs.ErrExist if that is taken. Where the
	// file system has no links it renames without replacing.
	Link(c *Completion, oldName, newName string)
	// Rename gives the file oldName the name newName, replacing what is there.
	Rename(c *Completion, oldName, newName string)
	// Remove deletes a name.
	Remove(c *Completion, name string)
	// SyncDir makes earlier Links, Renames, Removes and creations in the directory that holds name survive a power cut.
	SyncDir(c *Completion, name string)
	// Timer finishes after nanos nanoseconds of this IO's clock.
	Timer(c *Completion, nanos int64)
	// Now returns this IO's clock, monotonic, in nanoseconds from an arbitrary start.
	Now() int64
	// Random fills buf with bytes that no other open of a database gets.
	Random(buf []byte)
}

// IO is a backend: submission, and the event loop that only drivers see.
type IO interface {
	Submitter

	// Wait runs the event loop until c has resolved and returns nil; the outcome is in c. If ctx is done first it
	// returns the context's error and c goes on. A nil ctx is never done. A backend that can tell that nothing
	// under way can resolve c returns ErrDeadlock.
	Wait(ctx context.Context, c *Completion) error

	// Poll finishes what can be finished without waiting, and returns how many completions that resolved.
	Poll() int

	// InFlight returns how many submitted completions are not retired.
	InFlight() int

	// Shutdown refuses new submissions, waits until all that is in flight is retired, and frees what the backend
	// holds. Files that are still open are closed.
	Shutdown() error
}

// Canceller is the backend's side of Completion.Cancel. It is told once, after c has resolved as Cancelled, and
// calls Finish when the I/O can't touch anything any more: at once if it had not started.
type Canceller interface {
	CancelRequest(c *Completion)
}

// Request is what a submission asked for. It lies inside the Completion so that submitting allocates nothing; only
// the backend reads and writes it.
type Request struct {
	Canceller Canceller
	Next      *Completion // the backend's queue
	Prev      *Completion // the same, for one that is taken out of the middle
	Seq       uint64      // place in the order of submissions
	Queued    bool        // Next and Prev are in use
	File      File
	Buf       []byte
	Bufs      [][]byte
	Offset    int64 // offset, size or nanoseconds
	Path      string
	NewPath   string
	Op        uint8 // the backend's own code
	Arg       any   // *Opening or *Lookup
}
