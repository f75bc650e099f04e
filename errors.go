package pawl

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Errors of callers, matched with errors.Is.
var (
	// ErrNotFound means that there is no such key.
	ErrNotFound = errors.New("pawl: key not found")
	// ErrIsBucket means that a bucket's name was used as a key.
	ErrIsBucket = errors.New("pawl: is a bucket")
	// ErrNotBucket means that a key was used as a bucket's name.
	ErrNotBucket = errors.New("pawl: is not a bucket")
	// ErrBucketNotFound means that there is no such bucket.
	ErrBucketNotFound = errors.New("pawl: bucket not found")
	// ErrBucketExists means that there is such a bucket already.
	ErrBucketExists = errors.New("pawl: bucket exists")
	// ErrKeyEmpty means a key, or a bucket's name, of 0 bytes.
	ErrKeyEmpty = errors.New("pawl: key is empty")
	// ErrKeyTooLarge means a key, or a bucket's name, of more than MaxKeySize bytes.
	ErrKeyTooLarge = errors.New("pawl: key is too large")
	// ErrValueTooLarge means a value of more than MaxValueSize bytes; also one that Get can't return since a slice can't be
	// so long on a 32-bit machine, where Reader can read it.
	ErrValueTooLarge = btree.ErrValueTooLarge
	// ErrTxClosed means that the transaction was committed or rolled back before.
	ErrTxClosed = errors.New("pawl: transaction is closed")
	// ErrTxReadOnly means that a read transaction was asked to change something.
	ErrTxReadOnly = errors.New("pawl: transaction is read-only")
	// ErrTxManaged means that Commit or Rollback was called on a transaction that View, Update or Batch ends.
	ErrTxManaged = errors.New("pawl: transaction is managed by View, Update or Batch")
	// ErrTxNested means that a write transaction was begun with the context of another one of the same database: it would
	// wait for itself.
	ErrTxNested = errors.New("pawl: write transaction inside of a write transaction")
	// ErrCursor means that a cursor is at no entry.
	ErrCursor = errors.New("pawl: cursor is at no key")
	// ErrClosed means that the database was closed.
	ErrClosed = errors.New("pawl: database is closed")
	// ErrReadOnly means that the database was opened read-only, or that the medium does not accept changes.
	ErrReadOnly = io.ErrReadOnly
	// ErrOptions means that an option has a value that it can't have.
	ErrOptions = errors.New("pawl: wrong option")
)

// Errors that come from below.
var (
	ErrCorrupt         = types.ErrCorrupt         // damaged bytes on disk; *CorruptError says where
	ErrCommitUnknown   = types.ErrCommitUnknown   // the commit may be there or not after a reopen
	ErrFailed          = types.ErrFailed          // the database refuses writes after a failed write or sync
	ErrFull            = types.ErrFull            // no room on the disk, or below Options.MaxSize
	ErrTxBusy          = btree.ErrBusy            // the transaction is in use by another goroutine, or by an unfinished operation
	ErrSnapshotExpired = types.ErrSnapshotExpired // the reader held more than Options.MaxHeldBytes
	ErrLocked          = io.ErrLocked             // another open excludes this one; *LockedError says which process
	ErrNotDatabase     = types.ErrNotDatabase     // not a pawl database
	ErrVersion         = types.ErrVersion         // a format that this version does not read
	ErrPageSize        = types.ErrPageSize        // the file has another page size than Options.PageSize
	ErrLogMissing      = types.ErrLogMissing      // the database needs its log, and there is none
	ErrLogMismatch     = types.ErrLogMismatch     // the log beside the database belongs to another one
)

// CorruptError says where damage is. It matches ErrCorrupt.
type CorruptError = types.CorruptError

// LockedError says which process has the database open. It matches ErrLocked.
type LockedError = io.LockedError

// OpenTxError is returned by CloseContext if transactions were still open, or a checkpoint under way, when its context ended.
type OpenTxError struct {
	Writer     bool          // a write transaction is open
	Checkpoint bool          // one is under way
	Readers    []OpenTx      // read transactions
	Waited     time.Duration // by CloseContext
	Err        error         // of the context
}

// OpenTx is an open transaction.
type OpenTx struct {
	Seq   uint64        // of the commit that it reads
	Age   time.Duration // see TxStats
	Stack string        // where it was begun, with Options.Debug
}

// Error names the transactions.
func (e *OpenTxError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pawl: still open after %v: %d readers", e.Waited.Round(time.Millisecond), len(e.Readers))
	if e.Writer {
		b.WriteString(" and the writer")
	}
	if e.Checkpoint {
		b.WriteString(" and a checkpoint")
	}
	for _, r := range e.Readers {
		fmt.Fprintf(&b, "; reader of commit %d for %v", r.Seq, r.Age.Round(time.Millisecond))
		if r.Stack != "" {
			b.WriteString(" begun at\n" + r.Stack)
		}
	}
	return b.String()
}

// Unwrap returns the context's error.
func (e *OpenTxError) Unwrap() error { return e.Err }
