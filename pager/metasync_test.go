package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// A commit's sync of the file is under way while a checkpoint writes its meta block, and fails: the system has lost that block, too,
// though reads show it. The checkpoint's own sync then succeeds, and what it says is not to be believed.
func TestMetaLostByAnothersSync(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(io.MemoryConfig{Manual: true}), bigCache)
	w.m.SetDropOnSyncFailure(true)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 3, 0, 0))
	attempt := newAttempt(w.p, CheckpointFull)
	meta := func() *io.Op {
		for _, op := range w.m.Queue() {
			if op.Kind == io.KindWrite && !ofLog(op) && op.Offset < 2*metaSlotSize {
				return op
			}
		}
		return nil
	}
	for meta() == nil {
		res, err := attempt.Step()
		require.NoError(t, err)
		require.NotNil(t, res.Pending)
		if meta() == nil {
			w.finish(res.Pending)
		}
	}
	other := newFileSync(w.p)
	_, err := other.Step()
	require.NoError(t, err)
	sync := w.m.Queue()[len(w.m.Queue())-1]
	require.Equal(t, "sync", sync.Name())
	meta().Complete()
	sync.FailLosing(errInjected)
	_, err = other.Step()
	require.ErrorIs(t, err, errInjected)

	_, err = drivePager(w, attempt)
	require.ErrorIs(t, err, errInjected)
	require.ErrorIs(t, w.p.Failed(), types.ErrFailed)
	checkPrefix(t, w.m.Crash(nil), w, func() string { return "nothing survives" })
}
