package pager

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Many pages at once are freed as each alone would be: committed ones, changed ones, and new ones of the transaction; a
// rollback brings all back; and only the commit gives the ids to the next transaction.
func TestFreeAll(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), warmCache)
	require.NoError(t, w.open())
	require.NoError(t, commits(1, 60, 0, 0)(w))

	tx, err := w.begin()
	require.NoError(t, err)
	ids := w.pages()
	require.NoError(t, w.edit(tx, ids[7]))
	require.NoError(t, w.edit(tx, ids[30]))
	require.NoError(t, w.add(tx))
	added := w.pages()
	pages := tx.Globals().Pages
	gone := slices.Concat(added[3:20], added[25:40], added[60:])

	bad, ok := tx.CanFreeAll([]types.PageID{ids[2], ids[3], ids[3]})
	require.False(t, ok, "one is there twice")
	require.Equal(t, ids[3], bad)
	_, ok = tx.CanFreeAll([]types.PageID{ids[2], tx.Globals().NextPage})
	require.False(t, ok, "one was never in use")

	depth := tx.Savepoint()
	_, ok = tx.CanFreeAll(gone)
	require.True(t, ok)
	tx.FreeAll(gone)
	require.Equal(t, pages-uint64(len(gone)), tx.Globals().Pages)
	for _, id := range gone {
		require.False(t, tx.CanFree(id), "page %d", id)
		_, there := tx.Find(id)
		require.False(t, there)
	}
	require.Panics(t, func() { tx.Free(gone[0]) })
	tx.RollbackTo(depth)
	require.Equal(t, pages, tx.Globals().Pages)
	for _, id := range gone {
		require.True(t, tx.CanFree(id), "page %d", id)
	}

	tx.Savepoint()
	inner := tx.Savepoint()
	tx.FreeAll(gone)
	tx.Release(inner)
	tx.RollbackTo(1)
	require.Equal(t, pages, tx.Globals().Pages)
	require.True(t, tx.CanFree(gone[0]))

	tx.FreeAll(gone)
	for _, id := range gone {
		delete(w.now, id)
	}
	require.NoError(t, w.commit(tx, false))
	require.NoError(t, w.verify(w.models))
	require.NoError(t, commits(1, 10, 0, 0)(w))
	require.Contains(t, w.now, gone[0], "the lowest ids are used again")
	require.NoError(t, fullCp(w))
	require.NoError(t, w.verify(w.models))
	require.NoError(t, w.fsck())
}

// What the map says is free can't be freed, whoever names it: the next page may get the id.
func TestFreeWhatIsFree(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), warmCache)
	require.NoError(t, w.open())
	require.NoError(t, commits(1, 20, 0, 0)(w))
	require.NoError(t, commits(1, 0, 0, 9)(w))
	require.NoError(t, fullCp(w))
	tx, err := w.begin()
	require.NoError(t, err)
	free := tx.p.ids.free.take()
	require.NotZero(t, free)
	tx.p.ids.free.add(free)
	require.False(t, tx.CanFree(free))
	require.NoError(t, w.add(tx)) // reserves it, and takes it
	require.True(t, tx.CanFree(free))
	tx.Rollback()
}

func TestIDBits(t *testing.T) {
	s := idBits{}
	s.addRun(500, 30)
	s.addRun(1024, 512)
	s.add(7)
	s.add(9)
	s.remove(9)
	s.remove(515)
	s.remove(100_000)
	type run struct {
		first types.PageID
		count uint64
	}
	var got []run
	for first, count := range s.runs() {
		got = append(got, run{first, count})
	}
	require.Equal(t, []run{{7, 1}, {500, 15}, {516, 14}, {1024, 512}}, got)
	require.Equal(t, 1+15+14+512, s.count())
	require.True(t, s.has(1535))
	require.False(t, s.has(1536))
	for range s.runs() {
		break
	}
	s.add(100_000)
	s.remove(100_000)
	require.Len(t, s, 3, "an empty chunk goes")
}
