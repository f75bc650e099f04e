package wal

import (
	"sync"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Log appends one thing.
type Log struct {
	mu   sync.Mutex
	file io.File
	done bool
	c    io.Completion
}

// Step is a machine's.
func (l *Log) Step() (types.IOResult[bool], error) {
	l.mu.Lock()
	done := l.done
	l.mu.Unlock()
	if !done {
		if l.file == nil {
			panic(invariant.Failf("wal: no file"))
		}
		l.file.Sync(&l.c)
		return types.Wait[bool](&l.c)
	}
	return types.Done(true)
}
