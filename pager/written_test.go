package pager

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// A commit may be written by another goroutine, which steps the log, as soon as it is in the log's queue.
func TestCommitIsWrittenByAnotherGoroutine(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), 1<<20)
	require.NoError(t, w.open())
	var stop atomic.Bool
	var others sync.WaitGroup
	others.Go(func() {
		for !stop.Load() {
			var idle wal.Wait
			idle.StartIdle(w.p.log)
			m := types.NewStateMachine[struct{}](&idle)
			for {
				res, err := m.Step()
				if err != nil || res.Pending == nil {
					break
				}
				_ = res.Pending.Park(t.Context(), nil)
			}
		}
	})
	for range 3000 {
		var begin Begin
		begin.Start(w.p)
		tx, err := drivePager(w, &begin)
		require.NoError(t, err)
		var ids ReserveIDs
		ids.Start(tx, 1)
		_, err = drivePager(w, &ids)
		require.NoError(t, err)
		tx.New()
		c := new(Commit)
		c.Start(tx, true)
		m := types.NewStateMachine[struct{}](c)
		for {
			res, err := m.Step()
			require.NoError(t, err)
			if res.Pending == nil {
				break
			}
			require.NoError(t, res.Pending.Park(t.Context(), nil))
		}
	}
	stop.Store(true)
	others.Wait()
}
