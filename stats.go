package pawl

import (
	"time"

	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// Stats are figures of an open database: of now or, where it is said, since it was opened. They are gathered while others go
// on, so two of them may be of slightly different moments.
type Stats struct {
	Path     string
	PageSize int // bytes

	FileBytes   int64 // length of the database file
	LiveBytes   int64 // of it in use by the newest checkpoint; this and the next two are 0 in a read-only open
	FreeBytes   int64 // of it free for new pages
	HeldBytes   int64 // of it neither: kept by readers of older states, by the log, or by what is under way
	LogBytes    int64 // length of the log's file
	UnsavedLog  int64 // bytes of the log that are not in the database file yet: an open after a crash would read them
	LogSegments int
	Pages       int64 // in use, large values counting one for each MiB

	Seq        uint64 // newest commit that a new read transaction sees
	Durable    uint64 // newest commit on stable storage
	Covered    uint64 // newest commit in the database file
	Generation uint64 // of the database file: checkpoints in its life

	CacheLimit     int64  // bytes: Options.CacheSize
	CacheBytes     int64  // in use
	CacheImages    int    // pages in memory
	CacheMisses    uint64 // since the open: pages that had to be read. Hits are not counted: that would cost more than a hit
	CacheEvictions uint64 // since the open

	Commits   uint64 // since the open
	Groups    uint64 // since the open: writes of the log that they shared
	LogSyncs  uint64 // since the open
	LogWrites uint64 // since the open: bytes written to the log
	FileSyncs uint64 // since the open: of the database file

	Checkpoints       uint64 // since the open
	CheckpointsFailed uint64 // since the open
	CheckpointBytes   uint64 // since the open: written to the database file
	LastCheckpoint    time.Duration
	LastCheckpointErr error // of the last one that was asked for or due; nil: it was done

	Writing        bool  // a write transaction is open
	WritersWaiting int   // for its turn
	DirtyBytes     int64 // of its changed pages that are in memory, and of the versions that they were made of
	Readers        []ReaderStats

	Failed error // why the database refuses writes; nil: it does not

	Created   bool   // by this open
	Clean     bool   // the database was closed before this open
	Recovered int    // commits that this open found in the log
	Dropped   string // what this open found behind the log's end and dropped; empty: nothing
}

// ReaderStats is an open read transaction.
type ReaderStats struct {
	Seq     uint64        // newest commit that it sees
	Age     time.Duration // since it was begun: see TxStats
	Held    int64         // bytes of file and log that it, and others of the same checkpoint, alone keep from being used again
	Expired bool          // it was ended for what it held
}

// Stats returns the database's figures. It needs no I/O. After Close it returns the path alone.
func (db *DB) Stats() Stats {
	if db.isClosed() {
		return Stats{Path: db.path}
	}
	p := db.p.Stats()
	size := int64(p.PageSize)
	s := Stats{
		Path: db.path, PageSize: p.PageSize,
		FileBytes: p.FileBytes, LiveBytes: int64(p.LiveBlocks) * size, FreeBytes: int64(p.FreeBlocks) * size,
		HeldBytes: int64(p.HeldBlocks) * size, LogBytes: p.LogBytes, UnsavedLog: p.NeedsLog,
		LogSegments: p.Log.Segments, Pages: int64(p.Pages),
		Seq: uint64(p.Visible), Durable: uint64(p.Durable), Covered: uint64(p.Covered), Generation: uint64(p.Generation),
		CacheLimit: p.Cache.Budget, CacheBytes: p.Cache.Bytes, CacheImages: p.Cache.Images, CacheMisses: p.Cache.Misses,
		CacheEvictions: p.Cache.Evictions,
		Commits:        p.Log.Commits, Groups: p.Log.Groups, LogSyncs: p.Log.Syncs, LogWrites: p.Log.BytesWritten,
		FileSyncs: p.FileSyncs, Checkpoints: p.Checkpoint.Done, CheckpointsFailed: p.Checkpoint.Failed,
		CheckpointBytes: p.Checkpoint.Bytes, LastCheckpoint: time.Duration(p.Checkpoint.LastNanos),
		Writing: p.Writing, WritersWaiting: p.WritersWaiting, DirtyBytes: p.DirtyBytes, Failed: db.p.Failed(),
		Created: db.info.Created, Clean: db.info.Clean, Recovered: db.info.Recovery.Commits,
	}
	if d := db.info.Recovery.Discarded; d != nil {
		s.Dropped = recoveryDetail(db.info.Recovery)
	}
	db.ckpt.mu.Lock()
	s.LastCheckpointErr = db.ckpt.err
	db.ckpt.mu.Unlock()
	for i := range p.Readers {
		if r := &p.Readers[i]; !r.Own {
			s.Readers = append(s.Readers, readerStats(r, p.PageSize))
		}
	}
	return s
}

// readerStats returns what callers see of a reader.
func readerStats(r *pager.ReaderStats, pageSize int) ReaderStats {
	return ReaderStats{
		Seq: uint64(r.Seq), Age: time.Duration(r.AgeNanos), Held: r.HeldBytes(pageSize), Expired: r.Expired,
	}
}

// openReaders returns the transactions that read, as CloseContext names them.
func (db *DB) openReaders(now int64) []OpenTx {
	var open []OpenTx
	db.p.EachReader(func(seq types.Seq, opened int64) {
		open = append(open, OpenTx{Seq: uint64(seq), Age: time.Duration(now - opened)})
	})
	return open
}
