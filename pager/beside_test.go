package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// The log can fail by an I/O beside its flush, while that is about to tell how far it has got. What it tells then publishes nothing that
// the failure has taken back.
func TestAdvancedBehindFailure(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 3, 0, 0))
	durable := w.p.Snapshot().Seq
	require.NoError(t, w.update(true, 1, 2, 0))
	w.m.SetFault(func(op *io.Op) error {
		if ofLog(op) {
			return errInjected
		}
		return nil
	})
	require.ErrorIs(t, w.update(false, 0, 1, 0), types.ErrFailed)
	require.Equal(t, durable, w.p.Snapshot().Seq)
	w.p.Advanced(durable, durable+1)
	require.Equal(t, durable, w.p.Snapshot().Seq)
}

// A sync that begins behind that of a meta block, and fails, says nothing about the meta block.
func TestSyncBehindMeta(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 3, 0, 0))
	w.m.SetManual(true)
	syncOfFile := func(op *io.Op) bool { return op.Kind == io.KindSync && !ofLog(op) }
	var c Checkpoint
	c.Start(w.p, CheckpointFull)
	var other *fileSync
	failed := false
	for range 1000 {
		res, err := c.Step()
		require.NoError(t, err)
		if res.Pending == nil {
			require.True(t, failed)
			require.NoError(t, w.p.Failed())
			return
		}
		op := w.m.Queue()[0]
		if syncOfFile(op) && c.try.meta != nil && other == nil {
			other = newFileSync(w.p)
			waits, err := other.Step()
			require.NoError(t, err)
			waits.Pending.OnDone(func(*io.Completion) { // its turn comes, on another goroutine
				_, _ = other.Step()
				for _, op := range w.m.Queue() {
					if syncOfFile(op) {
						failed = true
						op.Fail(errInjected)
					}
				}
			})
		}
		op.Complete()
	}
	t.Fatal("the checkpoint does not end")
}
