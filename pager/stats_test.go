package pager

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

func TestStatsOfANewDatabase(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	s := w.p.Stats()
	bytes, err := w.m.Bytes("db")
	require.NoError(t, err)
	require.Equal(t, testPageSize, s.PageSize)
	require.Equal(t, int64(len(bytes)), s.FileBytes)
	require.Equal(t, uint64(len(bytes)/testPageSize), s.LiveBlocks+s.FreeBlocks)
	require.Zero(t, s.HeldBlocks)
	require.Zero(t, s.LogBytes)
	require.Zero(t, s.NeedsLog)
	require.Equal(t, types.Generation(1), s.Generation)
	require.Equal(t, types.PageID(1), s.NextPage)
	require.Equal(t, int64(bigCache), s.Cache.Budget)
	require.Empty(t, s.Readers)
	require.Zero(t, s.CommitsPerGroup())
	require.Zero(t, s.Queued)
}

func TestStatsCount(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 10, 0, 0))
	require.NoError(t, w.update(false, 2, 1, 3))
	s := w.p.Stats()
	require.Equal(t, types.Seq(2), s.Durable)
	require.Equal(t, types.Seq(2), s.Visible)
	require.Equal(t, types.Seq(2), s.Queued)
	require.Zero(t, s.Covered)
	require.Equal(t, uint64(9), s.Pages)
	require.GreaterOrEqual(t, s.NextPage, types.PageID(11))
	require.Equal(t, uint64(2), s.Log.Commits)
	require.Equal(t, uint64(2), s.Log.Groups)
	require.InDelta(t, 1, s.CommitsPerGroup(), 1e-9)
	require.Positive(t, s.NeedsLog)
	require.Positive(t, s.ReservedBlocks)
	log, err := w.m.Bytes("db-wal")
	require.NoError(t, err)
	require.Equal(t, int64(len(log)), s.LogBytes)
	require.GreaterOrEqual(t, s.Cache.Images, 9)
	require.Equal(t, uint64(1), s.FileSyncs, "that of the meta block that names the log")
	before := s

	require.NoError(t, w.checkpoint(CheckpointFull))
	s = w.p.Stats()
	require.Equal(t, uint64(1), s.Checkpoint.Done)
	require.Zero(t, s.Checkpoint.Failed)
	require.GreaterOrEqual(t, s.Checkpoint.Bytes, uint64(9*testPageSize))
	require.Equal(t, before.FileSyncs+2, s.FileSyncs)
	require.Zero(t, s.NeedsLog)
	require.Equal(t, types.Generation(2), s.Generation)
	require.Equal(t, types.Seq(2), s.Covered)
	require.Equal(t, w.p.gen.used.count(), s.LiveBlocks)
	require.Zero(t, s.HeldBlocks)
	require.Equal(t, uint64(s.FileBytes)/testPageSize, s.LiveBlocks+s.FreeBlocks)

	misses, evictions := s.Cache.Misses, s.Cache.Evictions
	w.cold()
	require.NoError(t, w.verify(w.models))
	require.NoError(t, w.verify(w.models), "from memory, which counts nothing")
	s = w.p.Stats()
	require.Equal(t, uint64(9+1), s.Cache.Misses-misses, "the pages and a map node")
	require.Positive(t, s.Cache.Evictions-evictions)
	require.Equal(t, 10, s.Cache.Images)
	require.Equal(t, 1, s.Cache.MapNodes)
	require.Equal(t, int64(10*(testPageSize+imageOverhead)+tableChunkBytes), s.Cache.Bytes)
}

func TestStatsOfFailures(t *testing.T) {
	w := newManualWorld(t, 20)
	w.m.SetDropOnSyncFailure(true)
	before := w.p.Stats()
	w.failNth("sync", 1, 1, errInjected)
	require.NoError(t, w.checkpoint(CheckpointFull))
	s := w.p.Stats()
	require.Equal(t, before.Checkpoint.Failed+1, s.Checkpoint.Failed)
	require.Equal(t, before.Checkpoint.Done+1, s.Checkpoint.Done)
	require.Equal(t, before.FailedFileSyncs+1, s.FailedFileSyncs)
	require.Equal(t, before.FileSyncs+3, s.FileSyncs)

	require.NoError(t, w.update(false, 1, 0, 0))
	w.failNth("sync", 2, 1, errInjected)
	err := w.checkpoint(CheckpointFull)
	require.ErrorIs(t, err, types.ErrFailed)
	require.ErrorIs(t, err, errInjected)
	require.Equal(t, s.Checkpoint.Failed+1, w.p.Stats().Checkpoint.Failed, "a meta block that failed")
	require.Equal(t, s.Checkpoint.Done, w.p.Stats().Checkpoint.Done)
}

func TestStatsOfTheWriter(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), tinyCache)
	require.NoError(t, w.open())
	require.False(t, w.p.Stats().Writing)
	tx, err := w.begin()
	require.NoError(t, err)
	for range 10 {
		require.NoError(t, w.add(tx))
	}
	require.NoError(t, w.gather(tx, 0))
	var waiting Begin
	waiting.Start(w.p)
	res, err := waiting.Step()
	require.NoError(t, err)
	require.NotNil(t, res.Pending)
	s := w.p.Stats()
	require.True(t, s.Writing)
	require.Equal(t, 1, s.WritersWaiting)
	require.Equal(t, int64(10*testPageSize), s.DirtyBytes)
	require.Zero(t, s.SpilledPages)
	require.Len(t, s.Readers, 1)
	require.True(t, s.Readers[0].Own)
	require.ErrorIs(t, waiting.Abort(errInjected), errInjected)

	for range 30 {
		require.NoError(t, w.add(tx))
	}
	require.NoError(t, w.gather(tx, 0))
	s = w.p.Stats()
	require.LessOrEqual(t, s.DirtyBytes, w.p.dirtyMax())
	require.Equal(t, int64(40*testPageSize), s.DirtyBytes+int64(s.SpilledPages)*testPageSize)
	require.GreaterOrEqual(t, s.HeldBlocks, s.SpilledPages)
	tx.Rollback()
	s = w.p.Stats()
	require.False(t, s.Writing)
	require.Zero(t, s.DirtyBytes)
	require.Zero(t, s.HeldBlocks, "what was spilled is free")
}

func TestStatsOfReaders(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.clock = true
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 20, 0, 0))
	require.NoError(t, w.checkpoint(CheckpointFull))
	w.m.Advance(1000)
	var old, twin, fresh Reader
	old.Start(w.p)
	w.m.Advance(500)
	require.NoError(t, w.update(false, 0, 5, 0))
	twin.Start(w.p)
	w.supersede(0)
	fresh.Start(w.p)
	s := w.p.Stats()
	require.Len(t, s.Readers, 3)
	require.Equal(t, types.Seq(1), s.OldestReader)
	a, b, c := s.Readers[0], s.Readers[1], s.Readers[2]
	require.Equal(t, []types.Seq{1, 2, 3}, []types.Seq{a.Seq, b.Seq, c.Seq})
	require.Equal(t, []types.Generation{2, 2, 3}, []types.Generation{a.Generation, b.Generation, c.Generation})
	require.Equal(t, []int{2, 2, 1}, []int{a.Sharing, b.Sharing, c.Sharing})
	require.GreaterOrEqual(t, a.HeldBlocks, uint64(20))
	require.Equal(t, a.HeldBlocks, b.HeldBlocks)
	require.Equal(t, s.HeldBlocks, a.HeldBlocks)
	require.Zero(t, c.HeldBytes(testPageSize))
	require.Equal(t, int64(a.HeldBlocks)*testPageSize+a.HeldLogBytes, a.HeldBytes(testPageSize))

	old.Close()
	require.Equal(t, b.HeldBlocks, w.p.Stats().Readers[0].HeldBlocks, "the other one of the generation keeps it")
	free := w.p.Stats().FreeBlocks
	twin.Close()
	s = w.p.Stats()
	require.Equal(t, a.HeldBlocks, s.FreeBlocks-free, "what was said to be held has come free")
	require.Zero(t, s.HeldBlocks)
	require.Len(t, s.Readers, 1)
	require.Equal(t, s.Visible, s.OldestReader)
	fresh.Close()
	require.Empty(t, w.p.Stats().Readers)
}

func TestStatsTimeCheckpoints(t *testing.T) {
	for _, clock := range []bool{true, false} {
		w := newPagerWorld(t, io.NewMemory(), bigCache)
		w.clock = clock
		require.NoError(t, w.open())
		require.NoError(t, w.update(false, 20, 0, 0))
		w.m.SetManual(true)
		var cp Checkpoint
		cp.Start(w.p, CheckpointFull)
		require.NotNil(t, w.awaits(&cp, 0))
		w.m.Advance(7000)
		_, err := drivePager(w, &cp)
		require.NoError(t, err)
		want := int64(0)
		if clock {
			want = 7000
		}
		require.Equal(t, want, w.p.Stats().Checkpoint.LastNanos)
	}
}

// Stats beside readers, a writer and checkpoints on other goroutines.
func TestStatsRace(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), tinyCache)
	w.clock = true
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 12, 0, 0))
	var stop atomic.Bool
	var expired, right atomic.Int64
	var group sync.WaitGroup
	group.Go(func() {
		for !stop.Load() {
			readMarks(t, w, &expired, &right)
		}
	})
	group.Go(func() {
		for !stop.Load() {
			s := w.p.Stats()
			if s.Covered > s.Durable || s.LiveBlocks > uint64(s.FileBytes)/testPageSize {
				// Durable is older than Covered by what came between the two looks.
				if s.Covered > w.p.log.Durable() {
					t.Errorf("covered %d, durable %d", s.Covered, s.Durable)
				}
			}
		}
	})
	for n := 0; n < effort.Of(40, 100, 500) || right.Load() == 0 && n < 100_000; n++ { // the reader may start late
		w.commitMarks(t)
	}
	stop.Store(true)
	group.Wait()
	require.Zero(t, expired.Load())
	require.Positive(t, right.Load())
}

func TestStatsReadOnly(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 5, 0, 0))
	require.NoError(t, w.close())
	cfg := w.config()
	cfg.ReadOnly = true
	var o Open
	o.Start(cfg)
	got, err := drivePager(w, &o)
	require.NoError(t, err)
	s := got.Pager.Stats()
	require.Equal(t, uint64(5), s.Pages)
	require.Positive(t, s.FileBytes)
	require.Zero(t, s.LiveBlocks+s.FreeBlocks+s.HeldBlocks)
}

// Readers don't look at the clock: their age is told from the first commit behind their beginning, or the first look at them. With
// ExactAges it is what it is.
func TestAgesOfReaders(t *testing.T) {
	for _, exact := range []bool{false, true} {
		w := newPagerWorld(t, io.NewMemory(), bigCache)
		w.clock, w.exactAges = true, exact
		require.NoError(t, w.open())
		require.NoError(t, w.update(false, 20, 0, 0))
		w.m.Advance(1000)
		var first, second Reader
		first.Start(w.p)
		w.m.Advance(500)
		require.NoError(t, w.update(false, 0, 5, 0))
		second.Start(w.p)
		ages := func() []int64 {
			w.m.Advance(100)
			s := w.p.Stats()
			require.Len(t, s.Readers, 2)
			require.Equal(t, s.Readers[0].AgeNanos, first.Stats().AgeNanos)
			return []int64{s.Readers[0].AgeNanos, s.Readers[1].AgeNanos}
		}
		if exact {
			require.Equal(t, []int64{600, 100}, ages())
			require.Equal(t, []int64{700, 200}, ages())
		} else {
			require.Equal(t, []int64{100, 0}, ages(), "since the commit, and since now")
			require.Equal(t, []int64{200, 100}, ages())
		}
		first.Close()
		second.Close()
		second.Start(w.p)
		require.Zero(t, w.p.Stats().Readers[0].AgeNanos, "of another reader, in a place that was used before")
		second.Close()
	}
}
