package pawl

import (
	"context"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// DB is an open database. Its methods may be called from any goroutine.
type DB struct {
	opts Options
	io   io.IO
	own  bool // the IO was made here
	p    *pager.Pager
	info pager.OpenInfo
	path string

	closing atomic.Bool
	moving  atomic.Int32  // checkpoints under way: Close waits for them, as for transactions
	closed  chan struct{} // when Close has ended
	closer  types.Turn    // one Close at a time
	ended   bell          // rings when a transaction ended while closing, or background work
	waits   waitList
	batch   batcher

	wake      bell // rings when there is background work
	bg        background
	loaded    atomic.Bool // much was read into the cache since pages were last looked for
	huge      hugePages
	relaxed   atomic.Bool              // a commit may not be on stable storage
	writer    atomic.Pointer[Tx]       // the write transaction that is open
	spare     atomic.Pointer[machines] // for the next write transaction
	slabs     sync.Pool                // of *txSlab
	remains   remains
	stacks    sync.Map     // *Tx to txStack, with Options.Debug
	abandoned atomic.Bool  // a commit is with the log, and nobody waits for it
	failed    atomic.Bool  // EventFailure was sent
	full      atomic.Int64 // bytes of file and log when they last could not grow; 0: they could
	ckpt      ckptFigures
}

// ckptFigures are what Stats says of checkpoints beside the pager's figures.
type ckptFigures struct {
	mu  sync.Mutex
	err error // of the last one
}

// Open opens the database at path, and makes it if it is missing. nil options are the defaults. One process at a time opens
// a database for writing; links to it are resolved first.
//
// Errors: ErrOptions; ErrLocked if another open excludes this one for LockTimeout; ErrNotDatabase, ErrVersion, ErrPageSize;
// ErrLogMissing and ErrLogMismatch; ErrCorrupt; fs.ErrNotExist, and what the file system says.
func Open(path string, o *Options) (*DB, error) {
	return OpenContext(context.Background(), path, o)
}

// OpenContext is Open, given up when ctx ends.
func OpenContext(ctx context.Context, path string, o *Options) (*DB, error) {
	db := new(DB)
	open := &openOp{db: db, path: path, o: o}
	if err := open.begin(); err != nil { // run needs the IO
		return nil, err
	}
	if _, err := run(ctx, db, "open", open); err != nil {
		return nil, err
	}
	db.startWork()
	return db, nil
}

// OpenMemory opens a new database in memory; Close loses it. Options.IO, MustExist and ReadOnly are ignored.
func OpenMemory(o *Options) (*DB, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.IO, opts.MustExist, opts.ReadOnly = io.NewMemory(io.MemoryConfig{RealTime: true, Volatile: true}), false, false
	return Open("memory.pawl", &opts)
}

// config returns what the pager is to open.
func (db *DB) config() pager.Config {
	o := &db.opts
	var loaded func()
	if o.IO == nil && !o.NoHugePages {
		loaded = db.loadedMuch
	}
	return pager.Config{
		IO: db.io, Path: db.path, PageSize: o.PageSize, CacheSize: o.CacheSize, ReadOnly: o.ReadOnly,
		MustExist: o.MustExist || o.ReadOnly, FileMode: uint32(o.FileMode & fs.ModePerm), MaxSize: o.MaxSize, Clock: true, ExactAges: o.Debug,
		MaxHeldBytes: o.MaxHeldBytes,
		OnRecovery:   func() { db.event(Event{Kind: EventRecoveryBegin}) },
		OnLetGo:      db.ended.ring,
		OnLoaded:     loaded,
		OnFailed: func(err error) {
			if db.failed.CompareAndSwap(false, true) {
				db.event(Event{Kind: EventFailure, Err: err})
			}
		},
	}
}

// seq returns the newest commit that readers see.
func (db *DB) seq() uint64 { return uint64(db.p.Snapshot().Seq) }

// Path returns the path of the database file, links resolved.
func (db *DB) Path() string { return db.path }

// Close waits for open transactions, moves the log into the database file, and closes it. New transactions get ErrClosed
// from the start. After an error nothing is lost: the next Open recovers. So it does when the database has failed before,
// with ErrFailed: then Close leaves the files as they are, which is no error of its own.
func (db *DB) Close() error { return db.CloseContext(context.Background()) }

// CloseContext is Close, but gives up with an *OpenTxError, the database still open, if ctx ends while transactions are. A
// second Close waits for the first and returns nil, or takes over if the first gives up.
func (db *DB) CloseContext(ctx context.Context) error {
	_, err := run(ctx, db, "close", &closeOp{db: db})
	return err
}

// signalEnd tells Close that a transaction ended.
func (db *DB) signalEnd() {
	if db.closing.Load() {
		db.ended.ring()
	}
}

// openTxs says what is open.
func (db *DB) openTxs(waited time.Duration, cause error) error {
	e := &OpenTxError{Waited: waited, Err: cause, Writer: db.writer.Load() != nil, Checkpoint: db.moving.Load() > 0}
	now := db.io.Now()
	e.Readers = db.openReaders(now)
	if db.opts.Debug {
		e.Readers = e.Readers[:0]
		db.stacks.Range(func(key, value any) bool {
			tx, at := key.(*Tx), value.(txStack)
			e.Readers = append(e.Readers, OpenTx{Seq: tx.Seq(), Age: time.Duration(now - at.opened), Stack: at.stack})
			return true
		})
	}
	return e
}
