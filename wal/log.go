package wal

import (
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Config describes a log. Fields are required unless a zero is said to mean something.
type Config struct {
	IO           io.Submitter
	Path         string // of the log file
	Database     [16]byte
	PageSize     int    // bytes of a page image
	FirstSegment uint32 // bytes of the segment at place 0; 0: 64 KiB, less if pages are below 4 KiB; raised to what the page size needs
	Segment      uint32 // bytes of the others; 0: 512 KiB, less likewise; raised likewise
	MaxGroup     int64  // bytes of queued commits joined into one group, unless the first alone is larger; 0: 4 MiB
	MaxUnsynced  int64  // bytes of relaxed commits written but not synced that make the next flush sync; 0: 8 MiB

	// Limit is asked before the file grows to size bytes; its error fails the reservation. nil: no limit.
	Limit func(size int64) error

	// Observer is told what happens to commits. nil: nobody is.
	Observer Observer
}

// Observer is told, in order, by whoever steps the flush, with no lock of the log held. It must not step the log. Failed alone may come
// from elsewhere, when an I/O beside the flush has failed: then an Advanced that was on its way may still come behind it, and what it
// says above the durable commit does not count.
type Observer interface {
	// Written says that the frames of commits can be read from the log, so that their images need not stay in memory.
	Written(commits []*Commit)
	// Advanced says that the watermarks have moved to these.
	Advanced(durable, visible types.Seq)
	// Failed says that a write or sync has failed: every commit above the durable one has failed, and no more is taken.
	Failed(err error)
}

// Start is what the meta block keeps of a log: where recovery begins.
type Start struct {
	Epoch, Serial         uint64 // of the segment
	Place                 uint32 // of the segment
	Offset                int64  // in the file, a multiple of LogBlockSize within the segment, or its end
	Chain                 uint64 // value there
	FirstSegment, Segment uint32 // geometry, bytes
	Places                uint32 // segments that the file has at the least
}

// Position returns the start as a position.
func (s Start) Position() Position { return Position{s.Epoch, s.Serial, s.Offset} }

// segment is what is known of one place of the file.
type segment struct {
	place         int
	epoch, serial uint64 // of the use; serial 0: free
	min, max      types.Seq
	idle          int // recyclings since it was last in use, for Trim
}

// free reports whether nothing refers to the segment's bytes.
func (s *segment) free() bool { return s.serial == 0 }

// Log is the write-ahead log of one open of a database. Its machines and methods may be used from many goroutines.
type Log struct {
	cfg  Config
	geo  geometry
	name string // base name of the file, for errors

	mu       sync.Mutex
	file     io.File   // nil until Create or Recover
	fileID   io.FileID // of it
	segments []segment
	epoch    uint64 // of this open
	serial   uint64 // last one given to a segment
	fresh    bool   // the next group must begin a new segment: the end is a predecessor's of another open
	began    bool   // the meta block names this log: groups may be written
	readOnly bool

	growth   *growthSync // under way
	growing  bool        // a Reserve adds places behind the last: PlanTrim waits for another time
	promised int         // places that groups say the file has
	proven   int         // what the last durable group or meta block says of them: fewer are damage
	unproven int         // the most that groups behind the durable commit say: any of them may be the last after a cut
	fileEnd  int64

	at        Position // where the next group starts: right behind the last, or, once that is durable, at the next log block
	atPlace   int      // of the segment that holds at, as a rule: see current
	chain     uint64   // there
	synced    end      // behind the group of the durable commit
	metaWrite uint64   // number of the newest durable meta write

	durable, visible, queued types.Seq
	written                  types.Seq
	unsynced                 int64 // bytes written since the last sync
	syncWanted               types.Seq
	telling                  bool      // the observer is being told that durable, visible and written have moved
	toldDurable, toldVisible types.Seq // while telling: what they were before, which waits still go by
	toldWritten              types.Seq
	failed                   error

	first, last *Commit // queued, not yet in a group
	reserved    int64   // bytes reserved for commits that are not laid out yet
	reservers   int64   // those commits
	spare       int64   // bytes kept for a transaction that frees space

	entries     []indexEntry // of the commit that is being queued
	index       index
	indexBytes  atomic.Int64 // of memory
	newestBytes atomic.Int64 // of the newest layer
	flush       flush
	leader      *Wait // steps the flush
	waiters     waitList
	resize      types.Turn // the file's length
	digest      xxhash.Digest
	stats       Stats
}

// end is a place where the chain may go on.
type end struct {
	at    Position
	place int
	chain uint64
}

// Stats are figures of a log since its open, and of its file now.
type Stats struct {
	Segments, FreeSegments int
	FileBytes              int64 // length of the file
	UsedBytes              int64 // of segments in use
	ReservedBytes          int64
	UnsyncedBytes          int64

	Commits, Groups     uint64
	Writes, Syncs       uint64 // of groups
	BytesWritten        uint64
	Growths, Recyclings uint64
	Trims               uint64
}

// New returns a log that has no file yet: Recover or Create gives it one. covered is the newest commit that generation
// gen of the database file holds; the index begins there.
func New(cfg Config, gen types.Generation, covered types.Seq) *Log {
	if cfg.MaxGroup == 0 {
		cfg.MaxGroup = 4 << 20
	}
	if cfg.MaxUnsynced == 0 {
		cfg.MaxUnsynced = 8 << 20
	}
	l := &Log{
		cfg:  cfg,
		geo:  defaultGeometry(cfg.PageSize, cfg.FirstSegment, cfg.Segment),
		name: path.Base(cfg.Path),

		durable: covered, visible: covered, queued: covered, written: covered,
	}
	l.spare = alignUp(int64(groupHeaderSize+spareFrames*maxFrame(cfg.PageSize)), LogBlockSize)
	l.index.layers = []*layer{newLayer(gen)}
	l.flush.log = l
	return l
}

// Durable returns the newest commit known to be on stable storage.
func (l *Log) Durable() types.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Visible returns the newest commit that new readers may see.
func (l *Log) Visible() types.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.visible
}

// Queued returns the newest commit that was queued.
func (l *Log) Queued() types.Seq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued
}

// Failed returns the error that made the log refuse writes, or nil. It matches types.ErrFailed.
func (l *Log) Failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// UnsyncedBytes returns the bytes of groups that were written but not synced.
func (l *Log) UnsyncedBytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unsynced
}

// SetMeta tells the number of the newest durable meta write, which headers and groups carry from now on.
func (l *Log) SetMeta(write uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.metaWrite = write
	l.at = l.at.block() // a group at a log block says so
}

// Fix returns the newest durable commit and the position behind its group: what a checkpoint takes as its end.
func (l *Log) Fix() (types.Seq, Start) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable, l.startAt(l.synced)
}

// startAt returns e as the meta block keeps it.
func (l *Log) startAt(e end) Start {
	return Start{
		Epoch: e.at.Epoch, Serial: e.at.Serial, Place: uint32(e.place), Offset: e.at.Offset, Chain: e.chain,
		FirstSegment: uint32(l.geo.first), Segment: uint32(l.geo.size), Places: uint32(l.promised),
	}
}

// Promised returns how many segments the file has as far as the log counts on them: what a meta block says of it.
func (l *Log) Promised() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.promised
}

// Bytes returns the bytes from start to where the next group will begin, whole segments between them included: what
// recovery would read.
func (l *Log) Bytes(start Start) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.Serial == start.Serial {
		return l.at.Offset - start.Offset
	}
	n := l.geo.end(int(start.Place)) - start.Offset + l.at.Offset - l.geo.start(l.geo.place(max(l.at.Offset-1, 0)))
	if between := int64(l.at.Serial) - int64(start.Serial) - 1; between > 0 {
		n += between * l.geo.size
		if first := l.segments[0].serial; first > start.Serial && first < l.at.Serial {
			n -= l.geo.size - l.geo.first
		}
	}
	return n
}

// Stats returns the log's figures.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Segments, s.UnsyncedBytes, s.ReservedBytes = len(l.segments), l.unsynced, l.reserved
	for i := range l.segments {
		n := l.geo.length(i)
		s.FileBytes += n
		if l.segments[i].free() {
			s.FreeSegments++
		} else {
			s.UsedBytes += n
		}
	}
	return s
}

// corruptf returns an error about the bytes at offset of the log file.
func (l *Log) corruptf(offset int64, format string, args ...any) error {
	return &types.CorruptError{File: l.name, Offset: offset, Detail: fmt.Sprintf(format, args...)}
}

// check walks what the lock guards and panics on a contradiction. The caller holds the lock.
func (l *Log) check() {
	if !invariant.Enabled {
		return
	}
	if l.durable > l.written || l.visible > l.written || l.written > l.queued || l.durable > l.visible && l.failed == nil {
		panic(invariant.Failf("wal: durable %d, visible %d, written %d, queued %d",
			l.durable, l.visible, l.written, l.queued))
	}
	serials := map[uint64]int{}
	for i := range l.segments {
		s := &l.segments[i]
		if s.place != i {
			panic(invariant.Failf("wal: segment %d says place %d", i, s.place))
		}
		if other, twice := serials[s.serial]; twice && !s.free() {
			panic(invariant.Failf("wal: serial %d at places %d and %d", s.serial, other, i))
		}
		serials[s.serial] = i
	}
	if l.reserved < 0 || l.reserved > l.capacity() || l.reservers < 0 || l.reserved > 0 != (l.reservers > 0) {
		panic(invariant.Failf("wal: %d bytes reserved of %d, for %d commits", l.reserved, l.capacity(), l.reservers))
	}
}
