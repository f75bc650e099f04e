package pawl

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The figures follow what happens.
func TestStats(t *testing.T) {
	db, err := OpenMemory(nil)
	require.NoError(t, err)
	s := db.Stats()
	require.True(t, s.Created)
	require.Equal(t, 4096, s.PageSize)
	require.EqualValues(t, 64<<20, s.CacheLimit)
	require.LessOrEqual(t, s.FileBytes+s.LogBytes, int64(1<<20), "a new, empty database")
	for i := range 10 {
		require.NoError(t, db.Update(func(tx *Tx) error {
			return tx.Root().Put(fmt.Appendf(nil, "%d", i), make([]byte, 900))
		}))
	}
	tx, err := db.Begin(false)
	require.NoError(t, err)
	_, err = db.Checkpoint(context.Background(), Complete)
	require.NoError(t, err)
	w, err := db.Begin(true)
	require.NoError(t, err)
	s = db.Stats()
	require.EqualValues(t, 10, s.Commits)
	require.EqualValues(t, 10, s.Durable)
	require.EqualValues(t, 10, s.Covered)
	require.EqualValues(t, 1, s.Checkpoints)
	require.True(t, s.Writing)
	require.Len(t, s.Readers, 1)
	require.EqualValues(t, 10, s.Readers[0].Seq)
	require.Greater(t, s.LiveBytes, int64(9000))
	require.LessOrEqual(t, s.LiveBytes+s.FreeBytes, s.FileBytes)
	require.NoError(t, s.Failed)
	require.NoError(t, w.Rollback())
	require.NoError(t, tx.Rollback())
	require.Empty(t, db.Stats().Readers)
	require.NoError(t, db.Close())
	require.Equal(t, Stats{Path: "memory.pawl"}, db.Stats())
}

// Checkpoints come once for each CheckpointBytes of log. What readers of older states keep of the log, which no checkpoint
// could free, calls for none.
func TestCheckpointsAreAsFarApartAsTheOptionSays(t *testing.T) {
	const every = 1 << 20
	db := memory(t, &Options{CheckpointBytes: every})
	for i := range 600 {
		if i%100 == 99 {
			tx, err := db.Begin(false)
			require.NoError(t, err)
			defer func() { require.NoError(t, tx.Rollback()) }()
		}
		require.NoError(t, db.Update(func(tx *Tx) error {
			for j := range 8 {
				if err := tx.Root().Put(fmt.Appendf(nil, "%d.%d", i, j), make([]byte, 900)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	s := db.Stats()
	require.Len(t, s.Readers, 6)
	require.Greater(t, s.LogWrites, uint64(4*every))
	require.LessOrEqual(t, s.Checkpoints, s.LogWrites/every)
	require.Less(t, s.UnsavedLog, int64(3*every))
}
