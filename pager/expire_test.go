package pager

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// newExpireWorld opens a database of some pages in which readers may hold limit bytes alone.
func newExpireWorld(t *testing.T, limit int64) *pagerWorld {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.strict, w.held = true, limit
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 20, 0, 0))
	require.NoError(t, w.checkpoint(CheckpointFull))
	return w
}

// supersede makes old blocks: all pages but one are changed, and a checkpoint writes them elsewhere.
func (w *pagerWorld) supersede(but types.PageID) {
	w.t.Helper()
	tx, err := w.begin()
	require.NoError(w.t, err)
	for _, id := range w.pages() {
		if id != but {
			require.NoError(w.t, w.edit(tx, id))
		}
	}
	require.NoError(w.t, w.commit(tx, false))
	require.NoError(w.t, w.checkpoint(CheckpointFull))
}

// startRead steps a reader's Get until it reads the page's own blocks, and returns that I/O.
func (w *pagerWorld) startRead(g *Get, r *Reader, id types.PageID) *io.Op {
	w.t.Helper()
	w.cold()
	w.m.SetManual(true)
	defer w.m.SetManual(false)
	g.Start(r, id)
	for range 10 {
		res, err := g.Step()
		require.NoError(w.t, err)
		require.NotNil(w.t, res.Pending)
		op := w.m.Queue()[0]
		if g.state == getRunIn {
			return op
		}
		op.Complete()
	}
	w.t.Fatal("the page is not read")
	return nil
}

// cold empties the cache of what can be evicted.
func (w *pagerWorld) cold() {
	w.p.cache.setBudget(0)
	w.p.cache.setBudget(w.cs)
}

func TestReaderThatHoldsTooMuchExpires(t *testing.T) {
	w := newExpireWorld(t, 4096)
	var r, twin, fresh Reader
	r.Start(w.p)
	twin.Start(w.p)
	id := slices.Sorted(w.ids(r.Seq()))[0]
	var g Get
	g.Start(&r, id)
	pg, err := drivePager(w, &g)
	require.NoError(t, err)
	before := slices.Clone(pg.Data)
	require.NoError(t, r.Err())

	for range 3 {
		w.supersede(0)
	}
	require.Len(t, w.p.live, 1, "the old generation is gone")
	require.ErrorIs(t, r.Err(), types.ErrSnapshotExpired)
	require.ErrorIs(t, twin.Err(), types.ErrSnapshotExpired, "readers of one generation end together")
	require.Nil(t, r.Find(id))
	_, ok := r.Lookup(id)
	require.False(t, ok)
	g.Start(&r, id)
	_, err = drivePager(w, &g)
	require.ErrorIs(t, err, types.ErrSnapshotExpired)
	require.Equal(t, before, pg.Data, "what was returned stays valid")

	fresh.Start(w.p)
	require.NoError(t, fresh.Err())
	require.NoError(t, w.verifyAt(&fresh, w.models))
	fresh.Close()
	twin.Close()
	r.Close()
	w.quiet()
	require.NoError(t, w.fsck())
}

// ids yields the pages of a commit.
func (w *pagerWorld) ids(seq types.Seq) func(yield func(types.PageID) bool) {
	return func(yield func(types.PageID) bool) {
		for id := range w.models[seq] {
			if !yield(id) {
				return
			}
		}
	}
}

func TestReaderWithinTheLimitStays(t *testing.T) {
	for _, limit := range []int64{0, 1 << 20} {
		w := newExpireWorld(t, limit)
		var r Reader
		r.Start(w.p)
		for range 3 {
			w.supersede(0)
			w.cold()
			require.NoError(t, w.verifyAt(&r, w.models), "limit %d", limit)
		}
		require.NoError(t, r.Err())
		require.Len(t, w.p.live, 2)
		r.Close()
		w.quiet()
	}
}

// The log that a reader alone needs counts too: its window is kept, and nothing else of the generation differs.
func TestHeldLogCounts(t *testing.T) {
	w := newExpireWorld(t, 0)
	require.NoError(t, w.update(false, 0, 15, 0))
	require.NoError(t, w.update(false, 0, 15, 0))
	var r Reader
	r.Start(w.p) // behind its generation: it reads frames of the log
	for range 4 {
		for range 3 {
			require.NoError(t, w.update(false, 0, 15, 0))
		}
		require.NoError(t, w.checkpoint(CheckpointFull))
	}
	old := w.p.live[0]
	judge := func() (blocks uint64, log int64) {
		w.p.mu.Lock()
		defer w.p.mu.Unlock()
		w.p.snapshots = w.p.readers.live(w.p.snapshots, &w.p.published)
		return w.p.heldAlone(old)
	}
	blocks, log := judge()
	require.Positive(t, blocks)
	require.Positive(t, log)
	free, _ := w.p.space.available()
	used := w.p.log.Stats().UsedBytes
	r.Close()
	freed, _ := w.p.space.available()
	require.Equal(t, blocks, freed-free, "blocks that came free with the reader")
	require.Equal(t, log, used-w.p.log.Stats().UsedBytes, "bytes of the log that did")
}

// References of the log keep blocks that no generation has any more.
func TestHeldReferencesCount(t *testing.T) {
	w := newExpireWorld(t, 0)
	require.NoError(t, extents(3000, 2000)(w))
	var r Reader
	r.Start(w.p)
	tx, err := w.begin()
	require.NoError(t, err)
	for id, c := range w.now {
		if c.extent > 0 {
			w.free(tx, id)
		}
	}
	require.NoError(t, w.commit(tx, false))
	require.NoError(t, w.checkpoint(CheckpointFull))
	old := w.p.live[0]
	w.p.mu.Lock()
	w.p.snapshots = w.p.readers.live(w.p.snapshots, &w.p.published)
	blocks, _ := w.p.heldAlone(old)
	w.p.mu.Unlock()
	require.GreaterOrEqual(t, blocks, uint64(10), "the extents' blocks")
	free, _ := w.p.space.available()
	require.NoError(t, w.verifyAt(&r, w.models))
	r.Close()
	freed, _ := w.p.space.available()
	require.Equal(t, blocks, freed-free)
}

// A read under way keeps what the reader holds until it is retired, whatever the reader is told.
func TestExpiryWaitsForReads(t *testing.T) {
	for _, end := range []string{"arrives", "abandoned", "fails"} {
		w := newExpireWorld(t, 4096)
		var r Reader
		r.Start(w.p)
		id := slices.Sorted(w.ids(r.Seq()))[3]
		var g Get
		op := w.startRead(&g, &r, id)
		op.Start()
		for range 3 {
			w.supersede(id)
		}
		var err error
		require.Len(t, w.p.live, 2, "the read may still touch blocks of the old generation")
		require.ErrorIs(t, r.Err(), types.ErrSnapshotExpired)

		switch end {
		case "arrives":
			op.Complete()
			require.Len(t, w.p.live, 2, "the operation has not seen it yet")
			_, err = g.Step()
		case "fails":
			op.Fail(errInjected)
			_, err = g.Step()
		case "abandoned":
			_, err = g.Step()
			require.Len(t, w.p.live, 2, "resolved is not retired")
			op.Complete()
		}
		require.ErrorIs(t, err, types.ErrSnapshotExpired, end)
		require.Len(t, w.p.live, 1, end)
		r.Close()
		w.quiet()
		require.NoError(t, w.fsck())
	}
}

// An operation that joined another one's read, and one that was abandoned before, end their holds once.
func TestExpiryWithSharedReads(t *testing.T) {
	w := newExpireWorld(t, 4096)
	var r Reader
	r.Start(w.p)
	id := slices.Sorted(w.ids(r.Seq()))[3]
	var first, second Get
	w.startRead(&first, &r, id)
	second.Start(&r, id)
	res, err := second.Step()
	require.NoError(t, err)
	require.NotNil(t, res.Pending)
	require.Len(t, w.m.Queue(), 1)
	require.Equal(t, int32(2), r.slot.reads.Load())
	require.ErrorIs(t, first.Abort(errInjected), errInjected)
	require.Equal(t, int32(1), r.slot.reads.Load())
	for range 3 {
		w.supersede(id)
	}
	require.Len(t, w.p.live, 2)
	require.ErrorIs(t, second.Abort(errInjected), errInjected)
	require.Zero(t, r.slot.reads.Load())
	require.Len(t, w.p.live, 1)
	r.Close()
	w.quiet()
}

// TestRandomSchedulesExpire runs the clients of a random schedule with a limit that ends readers: what they read is right, or
// they are told.
func TestRandomSchedulesExpire(t *testing.T) {
	expired, reads := 0, 0
	for seed := range uint64(effort.Of(6, 40, 1000)) {
		m := io.NewMemory(io.MemoryConfig{Seed: seed})
		w := newPagerWorld(t, m, tinyCache)
		w.yields = map[*routine]func(*io.Completion) bool{}
		w.held = 2048
		require.NoError(t, w.open())
		m.SetManual(true)
		s := &pagerSchedule{pagerWorld: w, rng: rand.New(rand.NewPCG(seed, 3)), label: "expire"}
		s.run(1500)
		s.drain()
		w.quiet()
		require.NoError(t, w.verify(w.models))
		require.NoError(t, w.checkpoint(CheckpointFull))
		require.NoError(t, w.fsck())
		expired, reads = expired+s.expired, reads+s.reads
	}
	t.Logf("%d reads of everything, %d readers expired", reads, expired)
	require.Positive(t, expired)
	require.Greater(t, reads, expired)
}

// TestExpiryStress ends readers on many goroutines beside a writer that checkpoints: whatever a reader gets is its snapshot's.
func TestExpiryStress(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), tinyCache)
	w.held = 2048
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 12, 0, 0))
	var stop atomic.Bool
	var expired, right atomic.Int64
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for !stop.Load() {
				readMarks(t, w, &expired, &right)
			}
		})
	}
	rounds := effort.Of(60, 200, 2000)
	for i := 0; i < rounds || expired.Load() == 0 && i < 100*rounds; i++ {
		w.commitMarks(t)
	}
	stop.Store(true)
	group.Wait()
	t.Logf("%d pages read, %d readers expired", right.Load(), expired.Load())
	require.Positive(t, expired.Load())
	w.quiet()
}

// commitMarks changes twelve pages to say which commit wrote them, and makes a checkpoint.
func (w *pagerWorld) commitMarks(t *testing.T) {
	p := w.p
	var b Begin
	b.Start(p)
	tx, err := driveParked(w, &b)
	require.NoError(t, err)
	for id := types.PageID(1); id <= 12; id++ {
		var g Get
		g.StartTx(tx, id)
		pg, err := driveParked(w, &g)
		require.NoError(t, err)
		fillPage(tx.Edit(pg), uint64(tx.Seq()))
	}
	var c Commit
	c.Start(tx, false)
	_, err = driveParked(w, &c)
	require.NoError(t, err)
	var cp Checkpoint
	cp.Start(p, CheckpointFull)
	_, err = driveParked(w, &cp)
	require.NoError(t, err)
}

// readMarks reads pages of a snapshot, several times, until it expires.
func readMarks(t *testing.T, w *pagerWorld, expired, right *atomic.Int64) {
	var r Reader
	r.Start(w.p)
	defer r.Close()
	if r.Seq() < 2 {
		return
	}
	for n := range 60 {
		var g Get
		g.Start(&r, types.PageID(1+n%12))
		pg, err := driveParked(w, &g)
		switch {
		case errors.Is(err, types.ErrSnapshotExpired):
			expired.Add(1)
			return
		case err != nil:
			t.Error(err)
			return
		}
		if mark := binary.LittleEndian.Uint64(pg.Data[PageHeaderSize:]); types.Seq(mark) != r.Seq() {
			t.Errorf("a reader of commit %d sees page %d as of commit %d", r.Seq(), pg.ID, mark)
			return
		}
		right.Add(1)
	}
}

// driveParked runs a machine on a goroutine beside others.
func driveParked[T any](w *pagerWorld, s types.Stepper[T]) (T, error) {
	m := types.NewStateMachine(s)
	for {
		res, err := m.Step()
		if err != nil || res.Pending == nil {
			return res.Value, err
		}
		if err := w.m.Wait(context.Background(), res.Pending); err != nil {
			return res.Value, err
		}
	}
}

// The hot path allocates nothing, limit or not.
func TestExpiringReaderAllocatesNothing(t *testing.T) {
	w := newExpireWorld(t, 1<<20)
	id := slices.Sorted(w.ids(1))[0]
	var r Reader
	n := testing.AllocsPerRun(100, func() {
		r.Start(w.p)
		var g Get
		g.Start(&r, id)
		if res, err := g.Step(); err != nil || res.Pending != nil || r.Find(id) == nil {
			t.Error("not in memory")
		}
		r.Close()
	})
	require.Zero(t, n)
}
