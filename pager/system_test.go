package pager

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// systemWorld is a world on files of the operating system.
func systemWorld(t *testing.T) (*pagerWorld, io.IO) {
	backend := io.NewSystem()
	w := &pagerWorld{t: t, cs: 1 << 20, models: []testModel{{}}, strict: true}
	w.yield = func(c *io.Completion) bool {
		require.NoError(t, backend.Wait(context.Background(), c))
		return true
	}
	return w, backend
}

// openSystem opens the database at path.
func (w *pagerWorld) openSystem(backend io.IO, path string) error {
	var o Open
	cfg := w.config()
	cfg.IO, cfg.Path = backend, path
	o.Start(cfg)
	got, err := drivePager(w, &o)
	if err == nil {
		w.p, w.info = got.Pager, got.Info
	}
	return err
}

// A database on the platform's own files: made, changed, checkpointed, closed and opened again; and found whole by one
// that comes while the first is as good as dead.
func TestSystemFiles(t *testing.T) {
	w, backend := systemWorld(t)
	path := filepath.Join(t.TempDir(), "db")
	require.NoError(t, w.openSystem(backend, path))
	for round := range 3 {
		for range 10 {
			require.NoError(t, w.update(false, 5, 3, 1))
		}
		require.NoError(t, w.update(true, 2, 2, 0))
		if round == 1 {
			require.NoError(t, w.checkpoint(CheckpointPassive))
		}
		require.NoError(t, w.verify(w.models))
		require.NoError(t, w.close())
		require.NoError(t, w.openSystem(backend, path))
		require.NoError(t, w.verify(w.models))
		require.NoError(t, w.fsck())
	}

	// Another backend is refused, until the first one's files are closed under it; then it recovers from the log.
	require.NoError(t, w.update(false, 5, 3, 1))
	other, second := systemWorld(t)
	require.ErrorIs(t, other.openSystem(second, path), io.ErrLocked)
	require.NoError(t, backend.Shutdown())
	require.NoError(t, other.openSystem(second, path))
	require.Equal(t, types.Seq(len(w.models)-1), other.info.Recovery.Last)
	require.NoError(t, other.verify(w.models))
	require.NoError(t, other.close())
	require.NoError(t, second.Shutdown())
}
