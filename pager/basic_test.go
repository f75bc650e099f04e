package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

func TestPagerLifecycle(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), 64<<10)
	require.NoError(t, w.open())
	require.True(t, w.info.Created)
	for i := range 40 {
		require.NoError(t, w.update(i%3 == 0, 3, 2, i%2))
		require.NoError(t, w.verify(w.models), "commit %d", i)
		if i%7 == 6 {
			require.NoError(t, w.checkpoint(CheckpointMode(i%3)))
			require.NoError(t, w.verify(w.models))
			require.NoError(t, w.fsck())
		}
		if i%13 == 12 {
			require.NoError(t, w.close())
			require.Equal(t, []string{"db"}, w.m.Names())
			require.NoError(t, w.open())
			require.True(t, w.info.Clean)
			require.NoError(t, w.verify(w.models))
			require.NoError(t, w.fsck())
		}
	}
	w.quiet()
}
