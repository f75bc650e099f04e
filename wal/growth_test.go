package wal

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// atGrowthSync returns a log with a relaxed commit that is written and not synced, and a reservation that has grown the file: the sync
// of that is under way.
func atGrowthSync(t *testing.T) (w *logWorld, r *Reserve, sync *io.Op) {
	w = newLogWorld(t, io.MemoryConfig{Manual: true})
	w.m.SetDropOnSyncFailure(true)
	require.NoError(t, w.begin())
	require.NoError(t, w.commit(true, true, 1))
	require.NoError(t, w.commit(false, true, 2))
	r = new(Reserve)
	r.Start(w.log, 40_000, false, new(Reservation))
	for range 100 {
		res, err := r.Step()
		require.NoError(t, err)
		require.NotNil(t, res.Pending)
		op := w.m.Queue()[0]
		if op.Name() == "sync" {
			return w, r, op
		}
		op.Complete()
	}
	t.Fatal("the log does not grow")
	return nil, nil, nil
}

// The sync of what the log has grown by covers the commits that are written too. If it fails, the disk has lost them, and no later sync
// may say otherwise: whether the one who grew is there to hear of it or has given up.
func TestFailedSyncOfGrowth(t *testing.T) {
	for _, given := range []bool{false, true} {
		w, r, sync := atGrowthSync(t)
		sync.Start()
		if given {
			require.ErrorIs(t, r.Abort(errGivenUp), errGivenUp)
		}
		sync.Fail(errDisk)
		if !given {
			_, err := r.Step()
			require.ErrorIs(t, err, errDisk)
		}
		require.ErrorIs(t, w.log.Failed(), types.ErrFailed)
		require.ErrorIs(t, w.sync(), types.ErrFailed)
		require.Equal(t, types.Seq(1), w.log.Durable())
	}
}

// Of two syncs at once one may be told of the other's lost writes: that of a flush counts when that of the growth has succeeded.
func TestSyncBesideSyncOfGrowth(t *testing.T) {
	for _, fails := range []bool{false, true} {
		w, _, growth := atGrowthSync(t)
		var wait Wait
		wait.StartDurable(w.log, 2)
		res, err := wait.Step()
		require.NoError(t, err)
		require.Equal(t, io.KindSync, res.Pending.Kind())
		w.m.Queue()[1].Complete()
		res, err = wait.Step()
		require.NoError(t, err)
		require.NotNil(t, res.Pending, "the other sync is under way")
		require.Equal(t, types.Seq(1), w.log.Durable())
		if fails {
			growth.Fail(errDisk)
			_, err = wait.Step()
			require.ErrorIs(t, err, errDisk)
			require.Equal(t, types.Seq(1), w.log.Durable())
			continue
		}
		growth.Complete()
		res, err = wait.Step()
		require.NoError(t, err)
		require.Nil(t, res.Pending)
		require.Equal(t, types.Seq(2), w.log.Durable())
	}
}

var errDisk, errGivenUp = errors.New("the disk says no"), errors.New("given up")
