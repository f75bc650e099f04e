package pager

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// kindOf returns how the log has the version of a page that a commit has written.
func (w *pagerWorld) kindOf(id types.PageID, seq types.Seq) wal.Kind {
	e, ok := w.p.log.Lookup(id, seq, 0)
	require.True(w.t, ok)
	require.Equal(w.t, seq, e.Version)
	return e.Kind
}

// change edits a page in a transaction of its own: a little, or all of it.
func (w *pagerWorld) change(id types.PageID, little bool) {
	for w.mark%4 == 3 == little {
		w.mark++
	}
	tx, err := w.begin()
	require.NoError(w.t, err)
	require.NoError(w.t, w.edit(tx, id))
	require.NoError(w.t, w.commit(tx, false))
}

// Each version of a page that some reader sees can be rebuilt when nothing of it is in memory, wherever checkpoints have come in
// between, and so can the newest after a power cut.
func TestEveryVersionIsRebuilt(t *testing.T) {
	for _, checkpoints := range [][]int{{}, {5}, {1, 9, 10}, {8}, {3, 17}} {
		w := newPagerWorld(t, io.NewMemory(), bigCache)
		require.NoError(t, w.open())
		require.NoError(t, w.update(false, 3, 0, 0))
		readers, kinds := make([]Reader, 22), map[wal.Kind]int{}
		for n := range readers {
			if len(checkpoints) > 0 && checkpoints[0] == n {
				require.NoError(t, w.checkpoint(CheckpointFull))
				checkpoints = checkpoints[1:]
			}
			w.change(1, n != 15)
			readers[n].Start(w.p)
			kinds[w.kindOf(1, readers[n].Seq())]++
		}
		require.Greater(t, kinds[wal.KindDelta], 14)
		require.Greater(t, kinds[wal.KindFull], 0)
		for _, n := range []int{21, 3, 0, 8, 7, 9, 14, 15, 16, 20} {
			w.cold()
			require.NoError(t, w.read(&readers[n], 1, w.models[readers[n].Seq()][1]), n)
		}
		for i := range readers { // each finds what others have left in memory
			require.NoError(t, w.read(&readers[i], 1, w.models[readers[i].Seq()][1]), i)
			readers[i].Close()
		}
		w.quiet()
		cut := &pagerWorld{t: t, m: w.m.Crash(func(int, io.Change) bool { return false }), cs: bigCache, models: w.models}
		require.NoError(t, cut.open())
		require.NoError(t, cut.verify(w.models))
		cut.models, cut.mark = w.models, w.mark
		cut.change(1, true) // on top of what was recovered
		cut.cold()
		require.NoError(t, cut.verify(cut.models))
	}
}

// How a page is logged: a little that has changed as a delta, much of it whole, and so is what is new, or what a transaction had to let
// go of to have room.
func TestWhatIsLogged(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 3, 0, 0))
	require.Equal(t, wal.KindFull, w.kindOf(1, 1))
	w.change(1, true)
	require.Equal(t, wal.KindDelta, w.kindOf(1, 2))
	e, _ := w.p.log.Lookup(1, 2, 0)
	require.Less(t, e.Length, uint32(testPageSize/4))
	w.change(1, false)
	require.Equal(t, wal.KindFull, w.kindOf(1, 3))
	row := 0
	for w.change(2, true); w.kindOf(2, w.p.log.Queued()) == wal.KindDelta; w.change(2, true) {
		count, bytes := w.p.log.Deltas(2)
		require.LessOrEqual(t, bytes, testPageSize)
		row++
		require.Equal(t, row, count)
	}
	require.Greater(t, row, 2)
	require.LessOrEqual(t, row, wal.DeltasMax)
	w.cold()
	require.NoError(t, w.verify(w.models))

	large := newPagerWorld(t, io.NewMemory(), 64<<20) // a page of the largest size, which 16 bits just count
	large.pageSize = 1 << 16
	require.NoError(t, large.open())
	require.NoError(t, large.update(false, 1, 0, 0))
	large.change(1, true)
	require.Equal(t, wal.KindDelta, large.kindOf(1, 2))
	large.cold()
	require.NoError(t, large.verify(large.models))

	small := newPagerWorld(t, io.NewMemory(), coldCache)
	require.NoError(t, small.open())
	require.NoError(t, small.update(false, 12, 0, 0))
	tx, err := small.begin()
	require.NoError(t, err)
	most := max(int64(coldCache)/2, 16*testPageSize) + 2*testPageSize
	for id := types.PageID(1); id <= 12; id++ {
		small.mark = 4 * uint64(id)
		require.NoError(t, small.edit(tx, id))
		require.LessOrEqual(t, tx.inMemory(), most)
	}
	require.NoError(t, small.commit(tx, false))
	require.Equal(t, wal.KindFull, small.kindOf(1, 2), "what it was made of was let go")
	require.Equal(t, wal.KindDelta, small.kindOf(11, 2))
	require.NoError(t, small.verify(small.models))
}

// Damage to a delta, or to what it is based on, is an error that says where it is.
func TestDamagedDeltas(t *testing.T) {
	for _, at := range []struct {
		file   string
		behind int64 // the frame of the delta, or block of the base
		want   string
	}{
		{"db-wal", 40, "frame is not what was written"},
		{"db-wal", 100, "frame is not what was written"},
		{"db", 50, "checksum"},
	} {
		w := newPagerWorld(t, io.NewMemory(), bigCache)
		require.NoError(t, w.open())
		require.NoError(t, w.update(false, 1, 0, 0))
		require.NoError(t, w.checkpoint(CheckpointFull))
		w.change(1, true)
		e, _ := w.p.log.Lookup(1, 2, 0)
		offset := e.Pos.Offset
		w.cold()
		require.NoError(t, w.verify(w.models)) // the map is in memory from here
		if at.file == "db" {
			offset = w.p.placeOf(1)
			require.Positive(t, offset)
		}
		w.cold()
		b, err := w.m.Bytes(at.file)
		require.NoError(t, err)
		b[offset+at.behind] ^= 4
		w.m.SetBytes(at.file, b)
		var r Reader
		r.Start(w.p)
		err = w.read(&r, 1, w.models[2][1])
		require.ErrorIs(t, err, types.ErrCorrupt)
		var corrupt *types.CorruptError
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, at.file, corrupt.File)
		require.Equal(t, offset, corrupt.Offset)
		require.Equal(t, types.PageID(1), corrupt.Page)
		require.Contains(t, corrupt.Detail, at.want)
		r.Close()
	}
}

// What pages were made of is counted, and let go of, also where only a savepoint wants it back.
func TestBasesOfSavepoints(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 10, 0, 0))
	tx, err := w.begin()
	require.NoError(t, err)
	for id := types.PageID(1); id <= 10; id++ {
		require.NoError(t, w.edit(tx, id))
	}
	require.Equal(t, int64(20*testPageSize), tx.inMemory())
	depth := tx.Savepoint()
	for id := types.PageID(1); id <= 10; id++ {
		if id <= 5 {
			require.NoError(t, w.edit(tx, id))
		} else {
			w.free(tx, id)
		}
	}
	pages, held := 0, map[*Image]bool{}
	each := func(d *dirtyPage) {
		if d != nil && d.data != nil {
			pages++
		}
		if d != nil && d.base != nil {
			held[d.base] = true
		}
	}
	count := func() {
		pages, held = 0, map[*Image]bool{}
		for _, u := range tx.undo {
			each(u.before)
		}
		for _, d := range tx.pages.open {
			each(d)
		}
	}
	count()
	require.Len(t, held, 10)
	require.GreaterOrEqual(t, tx.inMemory()+5*testPageSize, int64((pages+len(held))*testPageSize)) // what was freed is taken off
	tx.letGoBases()
	count()
	require.Empty(t, held)
	tx.RollbackTo(depth)
	count()
	require.Empty(t, held)
	require.Equal(t, int64(10*testPageSize), tx.inMemory())
	tx.Rollback()
}

// A reader that is ended while a version is rebuilt for it learns of it at its next step, and what it reads stays until then.
func TestReaderExpiresInRebuild(t *testing.T) {
	for _, state := range []getState{getDeltas, getBase} {
		w := newExpireWorld(t, 1)
		id := w.pages()[0]
		w.change(id, true)
		w.change(id, true)
		var r Reader
		r.Start(w.p)
		img := r.Find(id)
		require.NotNil(t, img)
		w.cold()
		w.m.SetManual(true)
		var g Get
		g.Start(&r, id)
		for {
			res, err := g.Step()
			require.NoError(t, err)
			require.NotNil(t, res.Pending)
			if g.state == state {
				break
			}
			w.m.Queue()[0].Complete()
		}
		queue := w.m.Queue()
		require.NotEmpty(t, queue)
		for _, op := range queue {
			op.Start()
		}
		w.p.cache.loaded(newImage(id, img.version, img.data), true, r.Seq()) // else the checkpoint would share the reads
		w.next = func(q []*io.Op) *io.Op { return q[len(q)-1] }              // not those
		w.supersede(0)
		require.Error(t, r.Err(), "it was ended")
		require.Positive(t, r.slot.reads.Load(), "and its reads go on")
		_, err := g.Step()
		require.ErrorIs(t, err, types.ErrSnapshotExpired)
		r.Close()
		for _, op := range queue {
			if slices.Contains(w.m.Queue(), op) { // the checkpoint may have wanted the same node of the map
				op.Complete()
			}
		}
		w.m.SetManual(false)
		w.next = nil
		require.Zero(t, w.p.OpenReaders())
		w.quiet()
	}
}

// A version that was visible when the next one was published leaves memory with the commit after that, whatever page that one changes,
// unless a reader sees it.
func TestSupersededVersionsLeave(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 3, 0, 0))
	versions := func() (n int) {
		for img := w.p.cache.table.first(1); img != nil; img = img.prev.Load() {
			n++
		}
		return n
	}
	w.change(1, true)
	require.Equal(t, 2, versions())
	w.change(2, true)
	require.Equal(t, 1, versions())

	var r Reader
	r.Start(w.p)
	w.change(1, true)
	w.change(1, true)
	w.change(2, true)
	require.Equal(t, 2, versions(), "the reader's, and the newest")
	require.NoError(t, w.read(&r, 1, w.models[r.Seq()][1]))
	r.Close()
	w.change(1, true)
	w.change(2, true)
	require.Equal(t, 1, versions())
}

// A transaction's pages come by id, whatever was put in and taken out between two passes.
func TestPagesInOrder(t *testing.T) {
	var s dirtySet
	s.ready()
	check := func(want ...types.PageID) {
		var got []types.PageID
		for id, d := range s.all() {
			require.Equal(t, id, d.id)
			got = append(got, id)
		}
		require.Equal(t, want, got)
	}
	for _, id := range []types.PageID{30, 10, 20} {
		s.set(id, s.make(dirtyPage{data: make([]byte, 8)}))
	}
	check(10, 20, 30)
	s.add(5, s.make(dirtyPage{data: make([]byte, 8)}))
	check(5, 10, 20, 30)
	s.remove(10)
	check(5, 20, 30)
	other := s.make(dirtyPage{data: make([]byte, 16), run: types.Run{First: 7, Count: 1}})
	s.set(20, other)
	for id, d := range s.all() {
		require.True(t, id != 20 || d == other, "the state that it has now")
	}
	s.drop(other, true)
	require.True(t, s.packs(20))
	require.False(t, s.packs(5))
	require.False(t, s.packs(21))
	check(5, 20, 30)
	require.NotNil(t, s.get(20))
	require.False(t, s.packs(20))
	check(5, 20, 30)
}
