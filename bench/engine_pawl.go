package main

import (
	"errors"
	"path/filepath"

	"github.com/pawldb/pawl"
)

var pawlEngine = Engine{Name: "pawl", Module: "github.com/pawldb/pawl", Open: openPawl}

func openPawl(dir string, o EngineOptions) (Store, error) {
	db, err := pawl.Open(filepath.Join(dir, "bench.pawl"), &pawl.Options{CacheSize: o.CacheBytes})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *pawl.Tx) error {
		_, err := tx.CreateBucketIfNotExists(table)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return pawlStore{db}, nil
}

// pawlStore and its like hold one pointer each, so that making an interface of them allocates nothing.
type pawlStore struct{ db *pawl.DB }

func (s pawlStore) Update(fn func(Writer) error) error {
	return s.db.Update(func(tx *pawl.Tx) error { return fn(tx.Bucket(table)) })
}

func (s pawlStore) View(fn func(Reader) error) error {
	return s.db.View(func(tx *pawl.Tx) error { return fn(pawlReader{tx.Bucket(table)}) })
}

func (s pawlStore) Close() error { return s.db.Close() }

type pawlReader struct{ b *pawl.Bucket }

func (r pawlReader) Get(key []byte) ([]byte, error) {
	value, err := r.b.Get(key)
	if errors.Is(err, pawl.ErrNotFound) {
		return nil, errAbsent
	}
	return value, err
}

func (r pawlReader) Scan(fn func(key, value []byte) error) error {
	for key, value := range r.b.All() {
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil // what ended the loop early, View returns
}
