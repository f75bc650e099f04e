package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// What the owner of a page made, or made of what it had looked at, it need not look at again; what was made of bytes that
// nobody has looked at, it must.
func TestImagesOfCommitsAreAsKnownAsWhatTheyWereMadeOf(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), 64<<10)
	require.NoError(t, w.open())
	image := func(id types.PageID) *Image {
		var r Reader
		r.Start(w.p)
		defer r.Close()
		if img := r.Find(id); img != nil {
			return img
		}
		var g Get
		g.Start(&r, id)
		pg, err := drivePager(w, &g)
		require.NoError(t, err)
		return pg.Image
	}
	require.NoError(t, w.update(false, 1, 0, 0))
	id := w.pages()[0]
	require.True(t, image(id).Checked(), "a new page")
	require.NoError(t, w.update(false, 0, 1, 0))
	require.True(t, image(id).Checked(), "made of a new page")

	require.NoError(t, w.close())
	require.NoError(t, w.open())
	require.False(t, image(id).Checked(), "read from the file")
	require.NoError(t, w.update(false, 0, 1, 0))
	require.False(t, image(id).Checked(), "made of what nobody has looked at")
	image(id).SetChecked()
	require.NoError(t, w.update(false, 0, 1, 0))
	require.True(t, image(id).Checked(), "made of what was looked at")
	w.quiet()
}
