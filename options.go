package pawl

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math/bits"
	"time"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/io"
)

// Durability says when a commit is done.
type Durability uint8

const (
	// Full commits are on stable storage when they return.
	Full Durability = iota
	// Relaxed commits are with the operating system when they return: they survive the death of the process. They are on
	// stable storage within Options.SyncInterval.
	Relaxed
)

// String returns the name.
func (d Durability) String() string {
	switch d {
	case Full:
		return "full"
	case Relaxed:
		return "relaxed"
	}
	return fmt.Sprintf("Durability(%d)", uint8(d))
}

// MaxValueSize is the length of the longest value.
const MaxValueSize = btree.MaxValueSize

// MaxKeySize returns the length of the longest key, or bucket's name, in a database of that page size: 7/32 of a page, so
// 896 bytes of 4096; a little less in pages of 512.
func MaxKeySize(pageSize int) int { return btree.MaxKeySize(pageSize) }

// Options say how to open a database. The zero value of each is its default, and a nil *Options is all defaults.
type Options struct {
	// CacheSize bounds the memory that the database accounts for: page images, changed pages of the transaction under way
	// included. 0: a quarter of the memory that the process may have, at least 64 MiB and at most 256 MiB: the machine's, or
	// what its control groups or GOMEMLIMIT allow; where that can't be told, with IO set, and in memory, 64 MiB. It is at least
	// 64 pages of PageSize, and 256 KiB where that is 0.
	CacheSize int64
	// PageSize is that of a new database: 512 to 65536, a power of two. 0: 4096. If the file has another one, Open fails
	// with ErrPageSize; with 0 it takes the file's.
	PageSize int
	// ReadOnly opens without writing anything: a log is replayed in memory. Any number of such opens share a database
	// that nobody writes to.
	ReadOnly bool
	// MustExist makes a missing file an error (fs.ErrNotExist) instead of creating it. ReadOnly implies it.
	MustExist bool
	// LockTimeout is how long Open waits for another open, of this process or another, to let go of the database. 0: 1 s.
	// Below 0: not at all.
	LockTimeout time.Duration
	// Durability is that of transactions that don't set their own.
	Durability Durability
	// SyncInterval is how long a Relaxed commit may not be on stable storage yet; longer while an automatic checkpoint is
	// under way. 0: 100 ms.
	SyncInterval time.Duration
	// CheckpointBytes is how long the log gets before it is moved into the database file; less long if the pages that it has changes
	// of come to four times as much, or its index to a quarter of the cache. 0: 64 MiB. Writers wait for the checkpoint if
	// any of that is twice as much. As many bytes of large values, which are not in the log, make one due too.
	CheckpointBytes int64
	// MaxHeldBytes bounds what readers of an older state keep from being used again, blocks and log, that nobody else
	// keeps: those that keep more are ended, and their transactions answer with ErrSnapshotExpired. Slices that they
	// read stay valid. 0: no bound.
	MaxHeldBytes int64
	// MaxSize bounds the bytes of database file and log together; beyond is ErrFull. 0: no bound but the disk's.
	MaxSize int64
	// FileMode is the permission bits of a new database. 0: 0o600.
	FileMode fs.FileMode
	// IO is the backend. nil: the platform's files. The database does not shut it down.
	IO io.IO
	// Logger takes notes of what an operator may want to know: recoveries, failures, stalls. nil: none.
	Logger *slog.Logger
	// OnEvent is called for what happens in the database, on the goroutine to which it happens, with no lock held. It
	// must not wait for the database. nil: nothing is called.
	OnEvent func(Event)
	// NoHugePages leaves the memory of page images as the Go runtime has it. Else, on Linux 6.1 or later and on the platform's files,
	// regions of 2 MiB that are mostly page images are put on huge pages of the processor, once they have been read: lookups take less
	// time, and the process up to a third of such a region more memory. Where the system's transparent_hugepage is "never" none are.
	NoHugePages bool
	// Debug keeps the stack of each transaction's begin, for OpenTxError, and a checksum of each slice of a page that a
	// transaction returns: its end panics, and names the page, if the caller has written to one. That costs more than a
	// small transaction, and the memory of all that it has read until its end.
	Debug bool
}

// withDefaults returns the options that hold, or an ErrOptions.
func (o *Options) withDefaults() (Options, error) {
	var d Options
	if o != nil {
		d = *o
	}
	wrong := func(name string, value any) (Options, error) {
		return Options{}, fmt.Errorf("%w: %s is %v", ErrOptions, name, value)
	}
	switch {
	case d.CacheSize < 0:
		return wrong("CacheSize", d.CacheSize)
	case d.PageSize != 0 && (d.PageSize < 512 || d.PageSize > 65536 || bits.OnesCount(uint(d.PageSize)) != 1):
		return wrong("PageSize", d.PageSize)
	case d.Durability > Relaxed:
		return wrong("Durability", d.Durability)
	case d.SyncInterval < 0:
		return wrong("SyncInterval", d.SyncInterval)
	case d.CheckpointBytes < 0:
		return wrong("CheckpointBytes", d.CheckpointBytes)
	case d.MaxHeldBytes < 0:
		return wrong("MaxHeldBytes", d.MaxHeldBytes)
	case d.MaxSize < 0:
		return wrong("MaxSize", d.MaxSize)
	case d.FileMode&^fs.ModePerm != 0:
		return wrong("FileMode", d.FileMode)
	}
	if d.CacheSize == 0 {
		d.CacheSize = defaultCacheSize(d.IO)
	}
	setDefault(&d.LockTimeout, time.Second)
	setDefault(&d.SyncInterval, 100*time.Millisecond)
	setDefault(&d.CheckpointBytes, 64<<20)
	setDefault(&d.FileMode, 0o600)
	pageSize := d.PageSize
	setDefault(&pageSize, 4096)
	d.CacheSize = max(d.CacheSize, 64*int64(pageSize))
	return d, nil
}

// setDefault sets what was left zero.
func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
