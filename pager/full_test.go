package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// A file that can't grow by as much as is comfortable grows by what is needed, and only if that fails too is it full.
func TestGrowsByLessOnAFullDisk(t *testing.T) {
	for _, file := range []string{"db", "db-wal"} {
		for refuse := range 3 {
			m := io.NewMemory()
			w := newPagerWorld(t, m, 1<<20)
			require.NoError(t, w.open())
			for range 3 { // the log has several segments: it likes to grow by as many
				require.NoError(t, w.update(false, 20, 0, 0))
			}
			var asked []int64
			m.SetFault(func(op *io.Op) error {
				if op.Name() != "truncate" || op.File != file {
					return nil
				}
				asked = append(asked, op.Length)
				if len(asked) <= refuse {
					return io.ErrNoSpace
				}
				return nil
			})
			var err error
			for len(asked) == 0 {
				err = w.update(false, 10, 0, 0)
			}
			m.SetFault(nil)
			if refuse == 2 {
				require.ErrorIs(t, err, types.ErrFull)
				w.now = nil
			} else {
				require.NoError(t, err)
			}
			require.Len(t, asked, min(refuse+1, 2), "%s: asked for %d", file, asked)
			if refuse > 0 {
				require.Less(t, asked[1], asked[0])
			}
			require.NoError(t, w.update(false, 10, 0, 0), "with space again")
			require.NoError(t, w.verify(w.models))
			require.NoError(t, w.close())
		}
	}
}
