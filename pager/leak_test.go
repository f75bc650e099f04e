package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// noLeaks checks that the blocks that are taken are those that references in the log name, each once, and that no
// page in use is given out as free. No transaction or checkpoint is under way.
func (w *pagerWorld) noLeaks() {
	p := w.p
	named := map[types.Block]bool{}
	for _, y := range p.log.Layers() {
		for _, run := range p.log.References(y) {
			for b := run.First; b < run.End(); b++ {
				require.False(w.t, named[b], "two references name block %d", b)
				named[b] = true
			}
		}
	}
	taken := 0
	for i := range p.space.groups {
		g := &p.space.groups[i]
		if g.taken == nil {
			continue
		}
		bits := len(g.taken) * 64
		for at := nextSet(g.taken, 0, bits); at < bits; at = nextSet(g.taken, at+1, bits) {
			taken++
			b := types.Block(i)*p.space.geometry.chunk + types.Block(at)
			require.True(w.t, named[b], "block %d is taken, and no reference names it", b)
		}
	}
	require.Equal(w.t, len(named), taken, "blocks that references name and that are taken")
	for _, gen := range p.live {
		require.True(w.t, gen == p.gen, "generation %d is kept for no reader", gen.number)
	}
	if seq := p.log.Queued(); int(seq) < len(w.models) {
		for id := range w.models[seq] {
			free := int(id/64) < len(p.ids.free.words) && p.ids.free.words[id/64]>>(id%64)&1 != 0
			require.False(w.t, free, "page %d is in use and free", id)
		}
		w.noLostIDs(w.models[seq])
	}
}

// noLostIDs checks that every page id is in use, free, or will be found in the map. After a recovery there are
// others, which the next open finds.
func (w *pagerWorld) noLostIDs(model testModel) {
	p := w.p
	if !w.info.Created && !w.info.Clean {
		return
	}
	for id := types.PageID(1); id < p.queued.NextPage; id++ {
		_, used := model[id]
		free := int(id/64) < len(p.ids.free.words) && p.ids.free.words[id/64]>>(id%64)&1 != 0
		ahead := !p.ids.scanned && uint64(id)/p.fanout() >= p.ids.scan
		require.True(w.t, used || free || ahead, "page id %d is lost", id)
	}
}

// TestManyGenerations goes through many checkpoints under readers of several generations, so that blocks of pages,
// map nodes and extents are given up and used again for other things, with caches that hold everything, something,
// next to nothing.
func TestManyGenerations(t *testing.T) {
	for _, cache := range []int64{bigCache, tinyCache, coldCache} {
		w := newPagerWorld(t, io.NewMemory(), cache)
		w.strict = true
		require.NoError(t, w.open())
		require.NoError(t, w.update(false, 100, 0, 0))
		for range 4 {
			require.NoError(t, manyReaders(7)(w))
			require.NoError(t, w.checkpoint(CheckpointFull))
			w.quiet()
			require.NoError(t, w.verify(w.models))
			require.NoError(t, w.fsck())
			require.NoError(t, spilledSavepoints(w))
			require.NoError(t, rollback(30)(w))
			require.NoError(t, rollbackInSavepoint(w))
			w.quiet()
			require.NoError(t, reopenCleanly(w))
			require.NoError(t, w.verify(w.models))
		}
	}
}

// TestGrowthIsAlone shows that a growth that was given up keeps the file's length to itself until the system is
// done with it.
func TestGrowthIsAlone(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	w.m.SetManual(true)
	first, second := growFile{p: w.p, more: 200}, growFile{p: w.p, more: 400}
	_, err := first.Step()
	require.NoError(t, err)
	under := w.m.Queue()[0]
	under.Start()
	require.ErrorIs(t, first.Abort(io.ErrCancelled), io.ErrCancelled)
	res, err := second.Step()
	require.NoError(t, err)
	require.NotNil(t, res.Pending)
	require.Equal(t, []*io.Op{under}, w.m.Queue())
	under.Complete()
	_, err = drivePager(w, &second)
	require.NoError(t, err)
	w.m.SetManual(false)
	require.NoError(t, w.update(false, 3, 0, 0))
	w.quiet()
}
