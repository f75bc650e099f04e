package pawl

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// A writer that was let in before Close may come to its stall's checkpoint when Close is under way: then there is none, whatever
// becomes of Close's own.
func TestNoCheckpointBesideClose(t *testing.T) {
	m := io.NewMemory()
	db, err := OpenAsync("db", &Options{IO: m}).Run(t.Context())
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *Tx) error { return tx.Root().Put(b("k"), b("v")) }))
	m.SetManual(true)
	c := db.Async().Close()
	res, err := c.Step()
	require.NoError(t, err)
	require.NotNil(t, res.Pending)
	stall := &checkpointOp{db: db, mode: Passive} // as a Begin has it that has got past its look at the close
	_, err = stall.Step()
	require.ErrorIs(t, err, ErrClosed)
	require.Zero(t, db.moving.Load())
	for err == nil || res.Pending != nil {
		if len(m.Queue()) > 0 {
			if op := m.Queue()[0]; op.Name() == "write" {
				op.Fail(errDisk) // the checkpoint's
			} else {
				op.Complete()
			}
		}
		if res, err = c.Step(); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, errDisk)
}
