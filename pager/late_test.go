package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// busy reports whether nobody can take the block.
func (w *pagerWorld) busy(b types.Block) bool {
	s := w.p.space
	s.mu.Lock()
	defer s.mu.Unlock()
	g, from, _ := s.locate(types.Run{First: b, Count: 1})
	return g.busy[from/64]>>(from%64)&1 != 0
}

func TestLateReadOfSpilledPageKeepsItsBlocks(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), coldCache)
	require.NoError(t, w.open())
	tx, err := w.begin()
	require.NoError(t, err)
	for range 60 {
		require.NoError(t, w.add(tx))
	}
	var id types.PageID
	var run types.Run
	for page, d := range tx.pages.all() {
		if d.data == nil && d.run.Count == 1 {
			id, run = page, d.run
			break
		}
	}
	require.NotZero(t, id)
	w.m.SetManual(true)
	var g Get
	g.StartTx(tx, id)
	res, err := g.Step()
	require.NoError(t, err)
	require.NotNil(t, res.Pending)
	op := w.m.Queue()[0]
	op.Start()
	require.ErrorIs(t, g.Abort(errInjected), errInjected)
	tx.Rollback()
	w.now = cloneModel(w.models[0])
	require.True(t, w.busy(run.First), "a read of it is under way")
	require.True(t, w.busy(run.First) && w.p.space.leaving == 1)
	w.p.space.check()
	op.Complete()
	require.False(t, w.busy(run.First))
	w.m.SetManual(false)
	w.quiet()
}

func TestLateReadOfOldGenerationKeepsItsBlocks(t *testing.T) {
	w := newExpireWorld(t, 0)
	var r Reader
	r.Start(w.p)
	id := w.pages()[0]
	w.supersede(0)
	w.supersede(0)
	var g Get
	op := w.startRead(&g, &r, id)
	op.Start()
	run := g.run
	w.m.SetManual(true)
	require.ErrorIs(t, g.Abort(errInjected), errInjected)
	r.Close()
	require.Len(t, w.p.live, 1)
	require.True(t, w.busy(run.First))
	w.p.space.check()
	op.Complete()
	require.False(t, w.busy(run.First))
	w.m.SetManual(false)
	w.quiet()
}

func TestLateReadOfLogKeepsItsSegment(t *testing.T) {
	for _, state := range []getState{getFrame, getDeltas} {
		lateReadOfLog(t, state)
	}
}

// lateReadOfLog gives up a read of a frame of the log, a full one or a delta, that goes on.
func lateReadOfLog(t *testing.T, state getState) {
	w := newExpireWorld(t, 0)
	w.mark = 1000
	if state == getFrame {
		w.mark = 1003 // all of the page changes
	}
	id := w.pages()[0]
	tx, err := w.begin()
	require.NoError(t, err)
	require.NoError(t, w.edit(tx, id))
	require.NoError(t, w.commit(tx, false))
	var r Reader
	r.Start(w.p)
	img := r.Find(id)
	require.NotNil(t, img)
	w.cold()
	w.m.SetManual(true)
	var g Get
	g.Start(&r, id)
	res, err := g.Step()
	require.NoError(t, err)
	require.NotNil(t, res.Pending)
	require.Equal(t, state, g.state)
	op := w.m.Queue()[0]
	op.Start()
	w.p.cache.loaded(newImage(id, img.version, img.data), true, r.Seq()) // else the checkpoint would share the read
	w.next = func(q []*io.Op) *io.Op { return q[len(q)-1] }              // not that one
	w.supersede(id)
	require.ErrorIs(t, g.Abort(errInjected), errInjected)
	r.Close()
	require.Len(t, w.p.live, 2, "the snapshot is kept for the read")
	told := 0
	w.p.cfg.OnLetGo = func() { told = w.p.OpenReaders() + 1 }
	require.Equal(t, 1, w.p.OpenReaders())
	op.Complete()
	require.Len(t, w.p.live, 1)
	require.Equal(t, 1, told, "who waits for the last reader is told that there is none")
	w.m.SetManual(false)
	w.quiet()
}

// TestLateReadsOverlap has late reads that overlap, and blocks between them.
func TestLateReadsOverlap(t *testing.T) {
	s, _ := spaceFile(4096, 1000)
	s.onFree = func(types.Run) {}
	run, ok := s.take(10, 0)
	require.True(t, ok)
	require.Equal(t, uint32(10), run.Count)
	part := func(first, count int) types.Run {
		return types.Run{First: run.First + types.Block(first), Count: uint32(count)}
	}
	free, _ := s.available()
	s.lateRead(part(1, 4))
	s.lateRead(part(3, 3))
	s.lateRead(part(8, 1))
	s.release(run)
	s.check()
	now, _ := s.available()
	require.Equal(t, free+10-6, now)
	s.lateReadOver(part(1, 4))
	s.check()
	now, _ = s.available()
	require.Equal(t, free+10-4, now)
	s.lateReadOver(part(8, 1))
	s.lateReadOver(part(3, 3))
	s.check()
	now, _ = s.available()
	require.Equal(t, free+10, now)
	require.Panics(t, func() { s.lateReadOver(part(3, 3)) })
}
