package engines

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/pawldb/pawl"
)

var pawlEngine = Engine{
	Name: Own, Module: "github.com/pawldb/pawl", Open: openPawl, Copies: true,
	Config: "defaults (cache of a quarter of memory, 64 to 256 MiB; checkpoint at 64 MiB of log), data in a bucket; relaxed: Durability Relaxed",
}

func openPawl(dir string, o Options) (Store, error) {
	options := pawl.Options{CacheSize: o.CacheBytes, CheckpointBytes: o.LogBytes}
	if o.NoSync {
		options.Durability = pawl.Relaxed
	}
	db, err := pawl.Open(filepath.Join(dir, "bench.pawl"), &options)
	if err != nil {
		return nil, err
	}
	s := pawlStore{db}
	if err := db.Update(s.create); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// pawlStore and its like hold one pointer each, so that making an interface of them allocates nothing.
type pawlStore struct{ db *pawl.DB }

func (s pawlStore) create(tx *pawl.Tx) error {
	_, err := tx.CreateBucketIfNotExists(table)
	return err
}

func (s pawlStore) Update(fn func(Writer) error) error {
	return s.db.Update(func(tx *pawl.Tx) error { return fn(pawlTable{tx.Bucket(table)}) })
}

func (s pawlStore) View(fn func(Reader) error) error {
	return s.db.View(func(tx *pawl.Tx) error { return fn(pawlTable{tx.Bucket(table)}) })
}

func (s pawlStore) DeleteRange(from, to []byte) error {
	return s.db.Update(func(tx *pawl.Tx) error { return tx.Bucket(table).DeleteRange(from, to) })
}

func (s pawlStore) Drop() error {
	return s.db.Update(func(tx *pawl.Tx) error { return errors.Join(tx.DeleteBucket(table), s.create(tx)) })
}

func (s pawlStore) Close() error { return s.db.Close() }

func (s pawlStore) Settle() error {
	_, err := s.db.Checkpoint(context.Background(), pawl.Complete)
	return err
}

// LogFull: a checkpoint begins at 64 MiB.
func (s pawlStore) LogFull() bool { return s.db.Stats().UnsavedLog > 60<<20 }

func (s pawlStore) Figures() Figures {
	st := s.db.Stats()
	return Figures{
		Commits: float64(st.Commits), Syncs: float64(st.LogSyncs), LogWritten: float64(st.LogWrites),
		CacheBytes: float64(st.CacheBytes), CacheLimit: float64(st.CacheLimit),
		FileBytes: float64(st.FileBytes), LogBytes: float64(st.LogBytes), FreeBytes: float64(st.FreeBytes),
	}
}

type pawlTable struct{ b *pawl.Bucket }

func (t pawlTable) Get(key []byte) ([]byte, error) {
	value, err := t.b.Get(key)
	if errors.Is(err, pawl.ErrNotFound) {
		return nil, ErrAbsent
	}
	return value, err
}

func (t pawlTable) Put(key, value []byte) error { return t.b.Put(key, value) }

func (t pawlTable) Delete(key []byte) error { return t.b.Delete(key) }

func (t pawlTable) GetMany(keys, vals [][]byte) error { return t.b.GetMany(keys, vals) }

// What ends a loop early, View returns.
func (t pawlTable) Scan(fn Visit) error {
	for key, value := range t.b.All() {
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (t pawlTable) ScanBack(fn Visit) error {
	for key, value := range t.b.Backward() {
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (t pawlTable) Seek(key []byte, n int, fn Visit) error {
	if n == 0 {
		return nil
	}
	for key, value := range t.b.Range(key, nil) {
		if err := fn(key, value); err != nil {
			return err
		}
		if n--; n == 0 {
			break
		}
	}
	return nil
}
