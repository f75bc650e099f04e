package pager

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// TestWrittenBeforePublished has somebody else write each commit as soon as it is queued: its images may not be pinned yet.
func TestWrittenBeforePublished(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 4, 0, 0))
	var stop atomic.Bool
	over := make(chan any, 1)
	go func() {
		defer func() { over <- recover() }()
		for !stop.Load() {
			var wait wal.Wait
			wait.StartIdle(w.p.log)
			m := types.NewStateMachine[struct{}](&wait)
			for {
				if res, err := m.Step(); err != nil || res.Pending == nil {
					break
				}
			}
		}
	}()
	spin := func(step func() (*io.Completion, error)) {
		for {
			c, err := step()
			require.NoError(t, err)
			if c == nil {
				return
			}
			for !c.Done() { // the other one is about to finish it
				select {
				case p := <-over:
					t.Fatal(p)
				default:
					runtime.Gosched()
				}
			}
		}
	}
	ids := w.pages()
	for range effort.Of(2000, 5000, 50_000) {
		var b Begin
		b.Start(w.p)
		var tx *Tx
		spin(func() (*io.Completion, error) {
			res, err := b.Step()
			tx = res.Value
			return res.Pending, err
		})
		for _, id := range ids {
			var g Get
			g.StartTx(tx, id)
			spin(func() (*io.Completion, error) {
				res, err := g.Step()
				if err == nil && res.Pending == nil {
					tx.Edit(res.Value)[PageHeaderSize]++
				}
				return res.Pending, err
			})
		}
		var c Commit
		c.Start(tx, true)
		spin(func() (*io.Completion, error) {
			res, err := c.Step()
			return res.Pending, err
		})
	}
	stop.Store(true)
	require.Nil(t, <-over)
}
