package main

import (
	"errors"
	"runtime/debug"
)

// Engine is a store under test.
type Engine struct {
	Name   string // as -engines has it
	Module string // Go module whose version is printed
	// Open opens the store in the directory, and makes it if there is none, so that every commit is on stable storage
	// when it returns and everything else is the store's default.
	Open func(dir string, o EngineOptions) (Store, error)
}

// EngineOptions are what may differ from a store's defaults.
type EngineOptions struct {
	CacheBytes int64 // of a store that has a cache of its own; 0: its default
}

// Store is an open store with one table of keys. Goroutines may share it.
type Store interface {
	// Update runs fn in a write transaction and commits it.
	Update(fn func(Writer) error) error
	// View runs fn in a read transaction.
	View(fn func(Reader) error) error
	Close() error
}

// Writer is a write transaction.
type Writer interface {
	// Put keeps key and value until the transaction ends.
	Put(key, value []byte) error
}

// Reader is a read transaction. Slices are good until it ends.
type Reader interface {
	// Get returns errAbsent for a key that is not there.
	Get(key []byte) ([]byte, error)
	// Scan calls fn for every pair, ascending, and returns its first error.
	Scan(fn func(key, value []byte) error) error
}

// errAbsent is Get's answer for a key that is not there.
var errAbsent = errors.New("absent key")

// table is the name of the bucket, or its like, that holds the keys.
var table = []byte("bench")

// engines are all there are, in the order of the table's rows.
var engines = []Engine{pawlEngine, bboltEngine}

// baseline is the engine that the ratios refer to.
const baseline = "bbolt"

// version returns the version of the engine's module in this program.
func (e Engine) version() string {
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
