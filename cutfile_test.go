package pawl

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// A log that refers to blocks behind the end of the database file is damage that every open finds, also one that only reads.
func TestLogRefersBehindTheFile(t *testing.T) {
	disk := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := Open(damageName, &Options{IO: disk})
	require.NoError(t, err)
	put := func(key string, n int) {
		require.NoError(t, db.Update(func(tx *Tx) error { return tx.Root().Put([]byte(key), bytes.Repeat([]byte("v"), n)) }))
	}
	put("small", 10)
	_, err = db.Checkpoint(t.Context(), Complete)
	require.NoError(t, err)
	before := db.Stats().FileBytes
	put("large", 3<<20)
	require.Greater(t, db.Stats().FileBytes, before, "the value lies behind what the file was")
	image := disk.Crash(nil)
	require.NoError(t, db.Close())

	whole, err := image.Bytes(damageName)
	require.NoError(t, err)
	for _, readOnly := range []bool{true, false} {
		for _, size := range []int64{before, before + 64<<10, before + 1<<20} {
			cut := image.Crash(nil)
			cut.SetBytes(damageName, whole[:size])
			db, err := Open(damageName, &Options{IO: cut, ReadOnly: readOnly})
			if err == nil {
				require.NoError(t, db.Close())
			}
			require.ErrorIs(t, err, ErrCorrupt, "%d of %d bytes, read-only %v", size, len(whole), readOnly)
			require.True(t, named(err), "%v", err)
			require.Contains(t, err.Error(), damageName+"-wal")
		}
	}
}
