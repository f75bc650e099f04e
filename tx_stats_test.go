package pawl

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// What a transaction has changed, what a reader keeps from being used again, and how long they are open.
func TestTxStats(t *testing.T) {
	m := io.NewMemory()
	m.Advance(1) // a clock that says 0 is taken to say 1
	db, err := Open("db", &Options{IO: m})
	require.NoError(t, err)
	fill := func(tx *Tx) error {
		for i := range 500 {
			if err := tx.Root().Put(fmt.Appendf(nil, "%d", i), make([]byte, 900)); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, db.Update(fill))
	reader, err := db.Begin(false)
	require.NoError(t, err)
	s, err := reader.Stats()
	require.NoError(t, err)
	require.Equal(t, TxStats{Seq: 1}, s)

	writer, err := db.Begin(true)
	require.NoError(t, err)
	s, err = writer.Stats()
	require.NoError(t, err)
	require.Equal(t, TxStats{Seq: 2}, s)
	require.NoError(t, fill(writer))
	m.Advance(int64(time.Minute))
	s, err = writer.Stats()
	require.NoError(t, err)
	require.Equal(t, time.Minute, s.Age)
	require.Greater(t, s.ChangedPages, 100)
	require.EqualValues(t, s.ChangedPages*4096, s.ChangedBytes)
	require.NoError(t, writer.Commit())
	_, err = writer.Stats()
	require.ErrorIs(t, err, ErrTxClosed)

	_, err = db.Checkpoint(context.Background(), Complete) // the reader's checkpoint is the one before
	require.NoError(t, err)
	require.NoError(t, db.Update(fill))
	_, err = db.Checkpoint(context.Background(), Complete)
	require.NoError(t, err)
	s, err = reader.Stats()
	require.NoError(t, err)
	require.Equal(t, time.Minute, s.Age)
	require.Positive(t, s.Held)
	require.Equal(t, db.Stats().Readers[0].Held, s.Held)
	require.NoError(t, reader.Rollback())
	_, err = reader.Stats()
	require.ErrorIs(t, err, ErrTxClosed)
	require.NoError(t, db.Close())
}
