package engines

import (
	"bytes"
	"errors"
	"path/filepath"

	"go.etcd.io/bbolt"
)

var bboltEngine = Engine{
	Name: Baseline, Module: "go.etcd.io/bbolt", Open: openBbolt,
	Config: "defaults (array freelist, written with each commit); memory map; relaxed: NoSync",
}

func openBbolt(dir string, o Options) (Store, error) {
	options := *bbolt.DefaultOptions
	options.NoSync = o.NoSync
	db, err := bbolt.Open(filepath.Join(dir, "bench.bolt"), 0o600, &options)
	if err != nil {
		return nil, err
	}
	s := bboltStore{db}
	if err := db.Update(s.create); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

type bboltStore struct{ db *bbolt.DB }

func (s bboltStore) create(tx *bbolt.Tx) error {
	_, err := tx.CreateBucketIfNotExists(table)
	return err
}

func (s bboltStore) Update(fn func(Writer) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return fn(bboltTable{tx.Bucket(table)}) })
}

func (s bboltStore) View(fn func(Reader) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return fn(bboltTable{tx.Bucket(table)}) })
}

// DeleteRange deletes by cursor, in one transaction.
func (s bboltStore) DeleteRange(from, to []byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		c := tx.Bucket(table).Cursor()
		for {
			n := 0
			for key, _ := c.Seek(from); key != nil && (to == nil || bytes.Compare(key, to) < 0); key, _ = c.Next() {
				if err := c.Delete(); err != nil {
					return err
				}
				n++
			}
			if n == 0 { // a pass may skip what a deletion has moved
				return nil
			}
		}
	})
}

func (s bboltStore) Drop() error {
	return s.db.Update(func(tx *bbolt.Tx) error { return errors.Join(tx.DeleteBucket(table), s.create(tx)) })
}

func (s bboltStore) Close() error { return s.db.Close() }

type bboltTable struct{ b *bbolt.Bucket }

func (t bboltTable) Get(key []byte) ([]byte, error) {
	value := t.b.Get(key)
	if value == nil {
		return nil, ErrAbsent
	}
	return value, nil
}

func (t bboltTable) Put(key, value []byte) error { return t.b.Put(key, value) }

func (t bboltTable) Delete(key []byte) error { return t.b.Delete(key) }

func (t bboltTable) Scan(fn Visit) error {
	c := t.b.Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (t bboltTable) ScanBack(fn Visit) error {
	c := t.b.Cursor()
	for key, value := c.Last(); key != nil; key, value = c.Prev() {
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (t bboltTable) Seek(key []byte, n int, fn Visit) error {
	c := t.b.Cursor()
	for key, value := c.Seek(key); key != nil && n > 0; key, value = c.Next() {
		if err := fn(key, value); err != nil {
			return err
		}
		n--
	}
	return nil
}
