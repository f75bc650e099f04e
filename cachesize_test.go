package pawl

import (
	"math"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

func TestCacheSizeFor(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ available, limit, want int64 }{
		{0, math.MaxInt64, 64},
		{0, 4096, 64},
		{100, math.MaxInt64, 64},
		{256, math.MaxInt64, 64},
		{400, math.MaxInt64, 100},
		{1024, math.MaxInt64, 256},
		{4096, math.MaxInt64, 256},
		{4096, 512, 128},
		{4096, 0, 64},
		{512, 4096, 128},
	} {
		limit := c.limit
		if limit != math.MaxInt64 {
			limit *= mib
		}
		require.Equal(t, c.want*mib, cacheSizeFor(c.available*mib, limit), "%+v", c)
	}
}

// The machine decides on its own files alone: what a simulation does must not depend on it.
func TestDefaultCacheSize(t *testing.T) {
	limit := func(o *Options, path string) int64 {
		db, err := Open(path, o)
		require.NoError(t, err)
		defer db.Close()
		return db.Stats().CacheLimit
	}
	path := filepath.Join(t.TempDir(), "db")
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	debug.SetMemoryLimit(math.MaxInt64)
	require.Equal(t, cacheSizeFor(io.AvailableMemory(), math.MaxInt64), limit(nil, path))
	debug.SetMemoryLimit(600 << 20)
	require.Equal(t, cacheSizeFor(io.AvailableMemory(), 600<<20), limit(nil, path))
	require.EqualValues(t, 1<<20, limit(&Options{CacheSize: 1 << 20}, path))

	debug.SetMemoryLimit(4 << 30)
	system := io.NewSystem()
	require.EqualValues(t, 64<<20, limit(&Options{IO: system}, path))
	require.EqualValues(t, 64<<20, limit(&Options{IO: io.NewMemory()}, "db"))
	db, err := OpenMemory(nil)
	require.NoError(t, err)
	require.EqualValues(t, 64<<20, db.Stats().CacheLimit)
	require.NoError(t, db.Close())
}
