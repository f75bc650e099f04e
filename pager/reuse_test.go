package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// reuse abandons a machine at its n-th await, with the I/O there under way, starts the same machine again, and only then lets
// the old I/O end: beside the new run's first await. It reports whether there was such an await.
func reuse[T any](w *pagerWorld, s types.Stepper[T], start func(), n int) bool {
	start()
	for range n {
		res, err := s.Step()
		require.NoError(w.t, err)
		if res.Pending == nil {
			return false
		}
		w.finish(res.Pending)
	}
	res, err := s.Step()
	require.NoError(w.t, err)
	if res.Pending == nil {
		return false
	}
	old := w.m.Queue()
	for _, op := range old {
		op.Start()
	}
	require.ErrorIs(w.t, s.Abort(io.ErrCancelled), io.ErrCancelled)
	start()
	_, err = s.Step()
	require.NoError(w.t, err)
	for _, op := range old {
		op.Complete()
	}
	_, err = drivePager(w, s)
	require.NoError(w.t, err)
	return true
}

// The memory of a machine that was abandoned can be used at once, though its I/O goes on: what that refers to is not in it.
func TestMachineIsUsedAgainAtOnce(t *testing.T) {
	awaits := 0
	for n := range 8 {
		w := newPagerWorld(t, io.NewMemory(io.MemoryConfig{Manual: true}), 32*testPageSize)
		require.NoError(t, w.open())
		tx, err := w.begin()
		require.NoError(t, err)
		extent := new(WriteExtent)
		if reuse(w, extent, func() { extent.Start(tx, make([]byte, 60*testPageSize)) }, n) {
			awaits++
		}
		for !tx.NeedsRoom() {
			var ids ReserveIDs
			ids.Start(tx, 1)
			_, err := drivePager(w, &ids)
			require.NoError(t, err)
			_, data := tx.New()
			fillPage(data, 1)
		}
		room := new(MakeRoom)
		if reuse(w, room, func() { room.Start(tx) }, n) {
			awaits++
		}
		tx.Rollback()
		w.quiet()
		require.NoError(t, w.close())
	}
	require.GreaterOrEqual(t, awaits, 3, "a file that grows, an extent, a batch of pages")
}
