package engines

import (
	"errors"
	stdio "io"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

var pebbleEngine = Engine{
	Name: "pebble", Module: "github.com/cockroachdb/pebble/v2", Open: openPebble, Copies: true,
	Config: "pebble.Sync, a block cache as large as pawl's, 64 MiB memtables, bloom filters of 10 bits a key on every level, " +
		"two compactions at once; reads without a snapshot; relaxed: pebble.NoSync",
}

func openPebble(dir string, o Options) (Store, error) {
	options := pebble.Options{
		CacheSize: o.cache(), MemTableSize: 64 << 20, Logger: silent{},
		FormatMajorVersion:          pebble.FormatNewest,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		MemTableStopWritesThreshold: 4,
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		options.Levels[i].FilterType = pebble.TableFilter
	}
	db, err := pebble.Open(dir, &options)
	if err != nil {
		return nil, err
	}
	write := pebble.Sync
	if o.NoSync {
		write = pebble.NoSync
	}
	return &pebbleStore{db: db, write: write}, nil
}

type pebbleStore struct {
	db    *pebble.DB
	write *pebble.WriteOptions
}

func (s *pebbleStore) Update(fn func(Writer) error) error {
	b := pebbleBatch{pebbleReader{s: s}, s.db.NewBatch()}
	err := errors.Join(fn(&b), b.done())
	if err == nil {
		err = b.b.Commit(s.write)
	}
	return errors.Join(err, b.b.Close())
}

func (s *pebbleStore) View(fn func(Reader) error) error {
	r := pebbleReader{s: s}
	return errors.Join(fn(&r), r.done())
}

// DeleteRange writes one tombstone for the range.
func (s *pebbleStore) DeleteRange(from, to []byte) error {
	if to == nil {
		to = pastAll
	}
	return s.db.DeleteRange(from, to, s.write)
}

// pastAll is above every key of the benchmarks.
var pastAll = []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")

func (s *pebbleStore) Drop() error { return s.DeleteRange([]byte{0}, nil) }

func (s *pebbleStore) Close() error { return s.db.Close() }

// Settle flushes, and waits until no compaction is under way or has been for a while.
func (s *pebbleStore) Settle() error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	const (
		pause = 2 * time.Millisecond
		quiet = 5 // pauses in a row
	)
	still := 0
	for limit := time.Now().Add(10 * time.Minute); still < quiet; time.Sleep(pause) {
		if time.Now().After(limit) {
			return errors.New("pebble: compactions go on after 10 minutes")
		}
		still++
		if m := s.db.Metrics(); m.Compact.NumInProgress+m.Flush.NumInProgress > 0 {
			still = 0
		}
	}
	return nil
}

// Hold is a snapshot.
func (s *pebbleStore) Hold() (func() error, error) { return s.db.NewSnapshot().Close, nil }

type pebbleReader struct {
	s      *pebbleStore
	closer stdio.Closer // of the last value
}

// done gives back what the last value is in.
func (r *pebbleReader) done() error {
	if r.closer == nil {
		return nil
	}
	err := r.closer.Close()
	r.closer = nil
	return err
}

func (r *pebbleReader) Get(key []byte) ([]byte, error) {
	if err := r.done(); err != nil {
		return nil, err
	}
	value, closer, err := r.s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrAbsent
	}
	r.closer = closer
	return value, err
}

func (r *pebbleReader) Scan(fn Visit) error {
	return r.walk(fn, (*pebble.Iterator).First, (*pebble.Iterator).Next)
}

func (r *pebbleReader) ScanBack(fn Visit) error {
	return r.walk(fn, (*pebble.Iterator).Last, (*pebble.Iterator).Prev)
}

func (r *pebbleReader) Seek(key []byte, n int, fn Visit) error {
	start := func(i *pebble.Iterator) bool { return n > 0 && i.SeekGE(key) }
	next := func(i *pebble.Iterator) bool { n--; return n > 0 && i.Next() }
	return r.walk(fn, start, next)
}

// walk calls fn for what an iterator finds.
func (r *pebbleReader) walk(fn Visit, start, next func(*pebble.Iterator) bool) (err error) {
	i, err := r.s.db.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	for ok := start(i); ok; ok = next(i) {
		value, err := i.ValueAndErr()
		if err != nil {
			return err
		}
		if err := fn(i.Key(), value); err != nil {
			return err
		}
	}
	return i.Error()
}

// pebbleBatch reads what is committed, and writes to a batch.
type pebbleBatch struct {
	pebbleReader
	b *pebble.Batch
}

func (b *pebbleBatch) Put(key, value []byte) error { return b.b.Set(key, value, nil) }

func (b *pebbleBatch) Delete(key []byte) error { return b.b.Delete(key, nil) }

// silent logs nothing.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}
