package pawl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/wal"
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
	closed  chan struct{} // when Close has ended
	ended   chan struct{} // a token when a transaction ended while closing
	waits   waitList
	batch   batcher

	background context.Context // ends with Close
	stop       context.CancelFunc
	wake       chan struct{} // a token: there is work for the background goroutine
	stopped    chan struct{}
	relaxed    atomic.Bool // a commit may not be on stable storage
	writer     atomic.Bool // a write transaction is open
	remains    remains
	stacks     sync.Map     // *Tx to txStack, with Options.Debug
	failed     atomic.Bool  // EventFailure was sent
	full       atomic.Int64 // bytes of file and log when they last could not grow; 0: they could
	ckpt       ckptFigures
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
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, fmt.Errorf("%w: the path is empty", ErrOptions)
	}
	db := &DB{
		opts: opts, io: opts.IO, path: path, closed: make(chan struct{}), ended: make(chan struct{}, 1),
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	if db.io == nil {
		db.io, db.own = io.NewSystem(), true
	}
	db.background, db.stop = context.WithCancel(context.Background())
	if err := db.open(ctx); err != nil {
		db.stop()
		if db.own {
			err = errors.Join(err, db.io.Shutdown())
		}
		return nil, err
	}
	go db.work()
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

// lockPause is how often Open looks whether the lock is free.
const lockPause = 20 * time.Millisecond

// open opens the file, and tries again while it is locked.
func (db *DB) open(ctx context.Context) error {
	began := db.io.Now()
	for {
		var o pager.Open
		o.Start(db.config())
		got, err := run(ctx, db, "open", &o)
		if err == nil {
			db.p, db.info = got.Pager, got.Info
			db.path = db.p.Path()
			break
		}
		if !errors.Is(err, io.ErrLocked) || time.Duration(db.io.Now()-began) >= db.opts.LockTimeout {
			return err
		}
		var pause io.Completion
		db.io.Timer(&pause, int64(lockPause))
		if err := db.io.Wait(ctx, &pause); err != nil {
			pause.Cancel()
			return err
		}
	}
	if !db.info.Clean && !db.info.Created {
		r := db.info.Recovery
		db.event(Event{Kind: EventRecovery, Seq: db.seq(), Bytes: r.Bytes, Detail: recoveryDetail(r)})
	}
	db.event(Event{Kind: EventOpen, Seq: db.seq(), Duration: time.Duration(db.io.Now() - began)})
	return nil
}

// config returns what the pager is to open.
func (db *DB) config() pager.Config {
	o := &db.opts
	return pager.Config{
		IO: db.io, Path: db.path, PageSize: o.PageSize, CacheSize: o.CacheSize, ReadOnly: o.ReadOnly,
		MustExist: o.MustExist || o.ReadOnly, FileMode: uint32(o.FileMode & fs.ModePerm), MaxSize: o.MaxSize, Clock: true,
		MaxHeldBytes: o.MaxHeldBytes,
		OnRecovery:   func() { db.event(Event{Kind: EventRecoveryBegin}) },
		OnLetGo:      db.signalEnd,
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

// Sync waits until every commit that a reader can see is on stable storage.
func (db *DB) Sync() error { return db.SyncContext(context.Background()) }

// SyncContext is Sync, given up when ctx ends.
func (db *DB) SyncContext(ctx context.Context) error {
	if db.closing.Load() {
		return ErrClosed
	}
	return db.sync(ctx)
}

// sync makes all commits durable.
func (db *DB) sync(ctx context.Context) error {
	db.relaxed.Store(false)
	var w wal.Wait
	w.StartDurable(db.p.Log(), db.p.Snapshot().Seq)
	_, err := run(ctx, db, "sync", &w)
	if err != nil {
		db.relaxed.Store(true)
	}
	return err
}

// CheckpointMode says how much a checkpoint does.
type CheckpointMode = pager.CheckpointMode

// The forms of checkpoint.
const (
	// Passive moves what is on stable storage when it begins into the database file.
	Passive = pager.CheckpointPassive
	// Complete makes every commit that was made before it durable first, and moves it.
	Complete = pager.CheckpointFull
	// Truncate does what Complete does, and gives free space at the ends of file and log back to the file system.
	Truncate = pager.CheckpointTruncate
)

// CheckpointResult says what a checkpoint did.
type CheckpointResult struct {
	Covered uint64 // newest commit that is in the database file
	Pages   int    // pages and extents that were moved
	Bytes   int64  // written to the database file
}

// Checkpoint moves commits from the log into the database file. It is never needed: the database does it by itself when the
// log gets long, and when it is closed. An error leaves everything as it was; the log still has the commits.
func (db *DB) Checkpoint(ctx context.Context, mode CheckpointMode) (CheckpointResult, error) {
	switch {
	case db.closing.Load():
		return CheckpointResult{}, ErrClosed
	case db.opts.ReadOnly:
		return CheckpointResult{}, ErrReadOnly
	case mode > Truncate:
		return CheckpointResult{}, fmt.Errorf("%w: checkpoint mode %d", ErrOptions, mode)
	}
	return db.checkpoint(ctx, mode)
}

// checkpoint makes one and counts it.
func (db *DB) checkpoint(ctx context.Context, mode CheckpointMode) (CheckpointResult, error) {
	db.event(Event{Kind: EventCheckpointBegin})
	began := db.io.Now()
	var c pager.Checkpoint
	c.Start(db.p, mode)
	res, err := run(ctx, db, "checkpoint", &c)
	took := time.Duration(db.io.Now() - began)
	db.ckpt.mu.Lock()
	db.ckpt.err = err
	db.ckpt.mu.Unlock()
	db.signalEnd() // it was registered like a reader
	db.event(Event{Kind: EventCheckpoint, Duration: took, Seq: uint64(res.Covered), Bytes: res.Bytes, Err: err})
	return CheckpointResult{Covered: uint64(res.Covered), Pages: res.Pages, Bytes: res.Bytes}, err
}

// Close waits for open transactions, moves the log into the database file, and closes it. New transactions get ErrClosed
// from the start. After an error nothing is lost: the next Open recovers. So it does when the database has failed before,
// with ErrFailed: then Close leaves the files as they are, which is no error of its own.
func (db *DB) Close() error { return db.CloseContext(context.Background()) }

// CloseContext is Close, but gives up with an *OpenTxError, the database still open, if ctx ends while transactions are. A
// second Close waits for the first and returns nil.
func (db *DB) CloseContext(ctx context.Context) error {
	if !db.closing.CompareAndSwap(false, true) {
		select {
		case <-db.closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := db.drain(ctx); err != nil {
		db.closing.Store(false)
		return err
	}
	db.stop()
	<-db.stopped
	var c pager.Close
	c.Start(db.p)
	_, err := run(context.Background(), db, "close", &c)
	db.remains.wait(db.io)
	db.event(Event{Kind: EventClose, Seq: db.seq(), Err: err})
	if db.own {
		err = errors.Join(err, db.io.Shutdown())
	}
	close(db.closed)
	return err
}

// drain waits until no transaction is open. Transactions that begin look at closing after they have registered.
func (db *DB) drain(ctx context.Context) error {
	began := time.Now()
	for db.p.OpenReaders() > 0 {
		select {
		case <-db.ended:
		case <-ctx.Done():
			return db.openTxs(time.Since(began), ctx.Err())
		}
	}
	return nil
}

// signalEnd tells Close that a transaction ended.
func (db *DB) signalEnd() {
	if db.closing.Load() {
		select {
		case db.ended <- struct{}{}:
		default:
		}
	}
}

// openTxs says what is open.
func (db *DB) openTxs(waited time.Duration, cause error) error {
	e := &OpenTxError{Waited: waited, Err: cause, Writer: db.writer.Load()}
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

// recoveryDetail says what a recovery found.
func recoveryDetail(r wal.Recovery) string {
	detail := fmt.Sprintf("%d commits in %d groups, %d bytes", r.Commits, r.Groups, r.Bytes)
	if d := r.Discarded; d != nil {
		detail += fmt.Sprintf("; an unfinished group from commit %d at offset %d was dropped: %s", d.First, d.Offset, d.Reason)
	}
	return detail
}
