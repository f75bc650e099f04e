package main

import (
	"errors"
	"path/filepath"

	"go.etcd.io/bbolt"
)

var bboltEngine = Engine{Name: "bbolt", Module: "go.etcd.io/bbolt", Open: openBbolt}

func openBbolt(dir string, _ EngineOptions) (Store, error) {
	db, err := bbolt.Open(filepath.Join(dir, "bench.bolt"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(table)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return bboltStore{db}, nil
}

type bboltStore struct{ db *bbolt.DB }

func (s bboltStore) Update(fn func(Writer) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return fn(tx.Bucket(table)) })
}

func (s bboltStore) View(fn func(Reader) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return fn(bboltReader{tx.Bucket(table)}) })
}

func (s bboltStore) Close() error { return s.db.Close() }

type bboltReader struct{ b *bbolt.Bucket }

func (r bboltReader) Get(key []byte) ([]byte, error) {
	value := r.b.Get(key)
	if value == nil {
		return nil, errAbsent
	}
	return value, nil
}

func (r bboltReader) Scan(fn func(key, value []byte) error) error {
	c := r.b.Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}
