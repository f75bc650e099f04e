package engines

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/pawldb/pawl/io"
)

// Engine is a store under test.
type Engine struct {
	Name     string // as -engines has it
	Module   string // Go module whose version is printed
	Config   string // how it is configured, for the report
	Copies   bool   // Put copies key and value
	Volatile bool   // it is in memory, and there for orientation: nothing is there after Close
	// Open opens the store in the directory, and makes it if there is none, so that every commit is on stable storage
	// when it returns, unless the options say otherwise.
	Open func(dir string, o Options) (Store, error)
}

// Options are what may differ between the runs of an engine.
type Options struct {
	CacheBytes int64 // of a store that has a cache of its own; 0: pawl's default, for all of them
	NoSync     bool  // commits don't wait for the disk
	Cold       bool  // the store is larger than the memory
	LogBytes   int64 // of pawl: CheckpointBytes; 0: its default
}

// defaultCache returns the cache of engines that have their own: pawl's default, a quarter of the memory that the process may
// have, 64 to 256 MiB.
func defaultCache() int64 {
	return min(max(min(io.AvailableMemory(), debug.SetMemoryLimit(-1))/4, 64<<20), 256<<20)
}

// cache returns the size of the cache.
func (o Options) cache() int64 {
	if o.CacheBytes > 0 {
		return o.CacheBytes
	}
	return defaultCache()
}

// Store is an open store with one table of keys. Goroutines may share it.
type Store interface {
	// Update runs fn in a write transaction and commits it. fn is run again if the transaction met another one.
	Update(fn func(Writer) error) error
	// View runs fn in a read transaction.
	View(fn func(Reader) error) error
	// DeleteRange removes the keys >= from and < to, a nil to has no end, by the engine's quickest means.
	DeleteRange(from, to []byte) error
	// Drop removes the whole table by the engine's quickest means, and makes an empty one.
	Drop() error
	Close() error
}

// Writer is a write transaction.
type Writer interface {
	// Get is Reader's.
	Get(key []byte) ([]byte, error)
	// Put may keep key and value until the transaction ends.
	Put(key, value []byte) error
	// Delete may keep the key until the transaction ends. The key is there.
	Delete(key []byte) error
}

// Reader is a read transaction. Slices are good until its next call.
type Reader interface {
	// Get returns ErrAbsent for a key that is not there.
	Get(key []byte) ([]byte, error)
	// Scan calls fn for every pair, ascending, and returns its first error.
	Scan(fn Visit) error
	// ScanBack is Scan, descending.
	ScanBack(fn Visit) error
	// Seek calls fn for up to n pairs, ascending from the first key that is not below the one given.
	Seek(key []byte, n int, fn Visit) error
}

// Visit is called for a pair.
type Visit = func(key, value []byte) error

// ManyGetter is a Reader with a call for many keys at a time.
type ManyGetter interface {
	// GetMany sets vals, which is as long as keys; nil for an absent key. The slices are good until the next call.
	GetMany(keys, vals [][]byte) error
}

// Settler is a Store that puts work off, and can be made to do it.
type Settler interface {
	// Settle returns when flushes, compactions or checkpoints that are due have been done.
	Settle() error
}

// Holder is a Store whose View holds no snapshot.
type Holder interface {
	// Hold keeps the present state readable until release is called.
	Hold() (release func() error, err error)
}

// LogFiller is a Store that knows how full its log is.
type LogFiller interface {
	// LogFull reports whether an open after a crash would have to read about as much log as ever.
	LogFull() bool
}

// Figured is a Store with figures of its own.
type Figured interface {
	Figures() Figures
}

// Figures are what a store says of itself. Counts are since it was opened.
type Figures struct {
	Commits, Syncs         float64 // commits, and syncs of the log
	LogWritten             float64 // bytes written to the log
	CacheBytes, CacheLimit float64 // accounted for
	FileBytes, LogBytes    float64 // lengths of the main file and of the log
	FreeBytes              float64 // of the main file, free for new data
}

var (
	// ErrAbsent is Get's answer for a key that is not there.
	ErrAbsent = errors.New("absent key")
	// ErrUnsupported means that an engine can't do what is asked: no failure, but no figure either.
	ErrUnsupported = errors.New("it can't")
)

// Unsupported says why an engine can't do what is asked.
func Unsupported(why string) error { return fmt.Errorf("%w: %s", ErrUnsupported, why) }

// table is the name of the bucket, or its like, that holds the keys.
var table = []byte("bench")

// All returns the engines of this build, in the order of a table's rows.
func All() []Engine {
	all := []Engine{pawlEngine, bboltEngine, pebbleEngine, badgerEngine}
	all = append(all, cEngines...)
	return append(all, modernc, googleBTree, tidwallBTree)
}

// Baseline is the engine that ratios refer to, and Own the one that the targets are about.
const (
	Baseline = "bbolt"
	Own      = "pawl"
)

// Version returns the version of the engine's module in this program.
func (e Engine) Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown version"
	}
	for _, m := range info.Deps {
		if m.Path == e.Module && m.Replace != nil {
			return "this tree"
		}
		if m.Path == e.Module {
			return m.Version
		}
	}
	return "unknown version"
}
