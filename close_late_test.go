package pawl

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Begin that was allowed before Close, and asks for the writer's turn behind it, learns that the database is closed.
func TestBeginBehindClose(t *testing.T) {
	db, err := OpenMemory(nil)
	require.NoError(t, err)
	b := newBeginWrite(db, context.Background())
	require.NoError(t, b.mayWrite())
	require.NoError(t, db.Close())
	b.await()
	res, err := b.Step()
	require.ErrorIs(t, err, ErrClosed)
	require.Nil(t, res.Pending)
}

// The same goes for a checkpoint, which a writer can wait for.
func TestCheckpointBehindClose(t *testing.T) {
	db, err := OpenMemory(nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *Tx) error { return tx.Root().Put([]byte("key"), []byte("value")) }))
	require.NoError(t, db.Close())
	res, err := (&checkpointOp{db: db, mode: Passive}).Step()
	require.Error(t, err)
	require.Nil(t, res.Pending)
}
