package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// TestReadBehindFailedLog shows what becomes of a transaction that was based on a commit which the log has then lost: what
// that commit wrote is nowhere any more, and reading it is the log's error.
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
