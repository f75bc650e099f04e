package pager

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// What large values replace is free again only behind a checkpoint, which little log would ask for: their blocks make one due, and
// no more than due.
func TestBacklogOfReferences(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), warmCache)
	require.NoError(t, w.open())
	const limit = 64 << 10
	write := func() {
		tx, err := w.begin()
		require.NoError(t, err)
		require.NoError(t, w.addExtent(tx, 30_000))
		require.NoError(t, w.commit(tx, false))
	}
	write()
	require.Less(t, w.p.Backlog(limit), int64(limit))
	require.GreaterOrEqual(t, w.p.Backlog(limit), int64(30_000))
	write()
	write()
	require.Equal(t, int64(limit), w.p.Backlog(limit))
	require.NoError(t, fullCp(w))
	require.Less(t, w.p.Backlog(limit), int64(30_000))
}

// The memory of an extent is used for the next one, with nothing of the last in it, unless a write still has it.
func TestExtentMemory(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(io.MemoryConfig{Volatile: true, Manual: true}), 16<<20)
	require.NoError(t, w.open())
	tx, err := w.begin()
	require.NoError(t, err)
	write := func(n int, mark byte) *WriteExtent {
		m := new(WriteExtent)
		m.Start(tx, bytes.Repeat([]byte{mark}, n))
		return m
	}
	at := func(m *WriteExtent) *byte { return &m.data[:1][0] }

	first := write(100_000, 1)
	memory := at(first)
	_, err = drivePager(w, first)
	require.NoError(t, err)
	require.Equal(t, int64(cap(w.p.spareExtent)), w.p.cache.figures().Held)

	second := write(70_000, 2)
	require.Same(t, memory, at(second))
	require.NotContains(t, second.data[PageHeaderSize:], byte(1))
	other := write(70_000, 3)
	require.NotSame(t, memory, at(other), "one at a time")
	_, err = drivePager(w, second)
	require.NoError(t, err)

	left := write(90_000, 4) // abandoned while its write is under way
	require.Same(t, memory, at(left))
	for range 100 {
		res, err := left.Step()
		require.NoError(t, err)
		if left.state == extentWrite {
			break
		}
		require.True(t, w.finish(res.Pending))
	}
	require.Equal(t, extentWrite, left.state)
	require.Error(t, left.Abort(io.ErrCancelled))
	require.NotSame(t, memory, at(write(90_000, 5)))
	tx.Rollback()
}
