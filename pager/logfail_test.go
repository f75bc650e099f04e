package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// TestReadBehindFailedLog shows what becomes of a transaction that was based on a commit which the log has then
// lost: what that commit wrote is nowhere any more, and reading it is the log's error.
func TestReadBehindFailedLog(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), coldCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 3, 0, 0))
	w.m.SetManual(true)
	first, err := w.begin()
	require.NoError(t, err)
	require.NoError(t, w.edit(first, 1))
	w.models = append(w.models, w.now)
	var c Commit
	c.Start(first, false)
	for len(w.m.Queue()) == 0 || !c.Queued() {
		res, err := c.Step()
		require.NoError(t, err)
		if !c.Queued() {
			require.True(t, w.finish(res.Pending))
		}
	}
	second, err := w.begin()
	require.NoError(t, err)
	require.Equal(t, first.seq+1, second.seq)
	w.m.Queue()[0].Fail(errInjected)
	_, err = c.Step()
	require.ErrorIs(t, err, types.ErrCommitUnknown)
	w.m.SetManual(false)

	var g Get
	g.StartTx(second, 1)
	_, err = drivePager(w, &g)
	require.ErrorIs(t, err, types.ErrFailed)
	require.ErrorIs(t, err, errInjected)
	g.StartTx(second, 2)
	_, err = drivePager(w, &g)
	require.NoError(t, err, "what was durable can be read")
	second.Rollback()
	require.NoError(t, w.verify(w.models[:w.acked+1]))
	w.quiet()
}

// TestSnapshotFallsBack shows that readers see the last durable commit once the log has failed, not the relaxed one
// that was visible, and that a reader that has begun on that one goes on.
func TestSnapshotFallsBack(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 3, 0, 0))
	durable := w.p.Snapshot().Seq
	require.NoError(t, w.update(true, 1, 2, 0))
	models := append([]testModel(nil), w.models...)
	require.Equal(t, durable+1, w.p.Snapshot().Seq)
	var early Reader
	early.Start(w.p)
	w.m.SetFault(func(op *io.Op) error {
		if ofLog(op) {
			return errInjected
		}
		return nil
	})
	require.ErrorIs(t, w.update(false, 0, 1, 0), types.ErrFailed)
	w.m.SetFault(nil)
	require.Equal(t, durable, w.p.Snapshot().Seq)
	require.NoError(t, w.verify(models))
	require.NoError(t, w.verifyAt(&early, models))
	early.Close()
	w.quiet()
}

// TestTwoFailedSyncsInARow shows that a second failed sync of the file in a row is sticky, and that a good one
// between them makes the first forgotten.
func TestTwoFailedSyncsInARow(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	fail := false
	w.m.SetFault(func(op *io.Op) error {
		if fail && op.Kind == io.KindSync && !ofLog(op) {
			return errInjected
		}
		return nil
	})
	try := func(failing bool) error {
		fail = failing
		defer func() { fail = false }()
		_, err := drivePager(w, newAttempt(w.p, CheckpointFull)) // Checkpoint would try again
		return err
	}
	for range 3 {
		require.NoError(t, w.update(false, 2, 1, 0))
		require.ErrorIs(t, try(true), errInjected)
		require.NoError(t, w.p.Failed())
		require.NoError(t, try(false))
	}
	require.NoError(t, w.update(false, 2, 1, 0))
	require.ErrorIs(t, try(true), errInjected)
	require.ErrorIs(t, try(true), errInjected)
	require.ErrorIs(t, w.p.Failed(), types.ErrFailed)
	require.ErrorIs(t, try(false), types.ErrFailed)
	require.NoError(t, w.verify(w.models))
}
