package pawl

import (
	"runtime/debug"

	"github.com/pawldb/pawl/io"
)

// The bounds of the cache that Options.CacheSize 0 means. On a backend of the caller's, and in memory, it is the lower one,
// so that what a simulation does is the same on every machine.
const (
	cacheSizeMin  = 64 << 20
	cacheSizeMax  = 256 << 20
	cacheSizePart = 4 // of the memory that the process may have
)

// defaultCacheSize returns what Options.CacheSize 0 means on a backend; nil is the platform's own.
func defaultCacheSize(backend io.IO) int64 {
	if backend != nil {
		return cacheSizeMin
	}
	return cacheSizeFor(io.AvailableMemory(), debug.SetMemoryLimit(-1))
}

// cacheSizeFor returns the size for a process that may have so many bytes of memory, 0 if nobody knows, and whose runtime keeps
// to a limit (GOMEMLIMIT), the largest number if there is none.
func cacheSizeFor(available, limit int64) int64 {
	return min(max(min(available, limit)/cacheSizePart, cacheSizeMin), cacheSizeMax)
}
