package pager

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// noLinks is a backend on a file system without links: Link renames, as a Submitter's contract says.
type noLinks struct{ io.IO }

func (n noLinks) Link(c *io.Completion, oldName, newName string) { n.Rename(c, oldName, newName) }

// A new database gets its name by a rename where there are no links. The temporary name is gone by then, which is no error.
func TestCreateWithoutLinks(t *testing.T) {
	w, backend := systemWorld(t)
	path := filepath.Join(t.TempDir(), "db")
	require.NoError(t, w.openSystem(noLinks{backend}, path))
	require.True(t, w.info.Created)
	require.NoError(t, w.update(false, 5, 3, 1))
	require.NoError(t, w.close())
	require.NoError(t, w.openSystem(noLinks{backend}, path))
	require.NoError(t, w.verify(w.models))
	require.NoError(t, w.close())
	left, err := filepath.Glob(path + ".new-*")
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, backend.Shutdown())
}

// Close removes the log that it has open: not another file that has got its name, and not nothing with an error.
func TestCloseLeavesForeignLog(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *io.Memory)
		want   []string
	}{
		{"its own", func(*io.Memory) {}, []string{"db"}},
		{"removed", func(m *io.Memory) { m.Remove(new(io.Completion), "db-wal") }, []string{"db"}},
		{"replaced", func(m *io.Memory) {
			m.SetBytes("other", []byte("another log"))
			m.Rename(new(io.Completion), "other", "db-wal")
		}, []string{"db", "db-wal"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := io.NewMemory()
			w := newPagerWorld(t, m, 1<<20)
			require.NoError(t, w.open())
			require.NoError(t, w.update(false, 5, 3, 1))
			c.change(m)
			require.NoError(t, w.close())
			require.Equal(t, c.want, m.Names())
			require.NoError(t, w.open())
			require.Equal(t, types.Seq(len(w.models)-1), w.p.Snapshot().Seq)
			require.NoError(t, w.close())
		})
	}
}
