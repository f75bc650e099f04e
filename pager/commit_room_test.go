package pager

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// roomWorld has commits queued behind a write of the log that does not complete. All other I/O does.
type roomWorld struct {
	*pagerWorld
	stuck   []*io.Op
	commits []*Commit
}

func newRoomWorld(t *testing.T, cache int64) *roomWorld {
	w := &roomWorld{pagerWorld: newPagerWorld(t, io.NewMemory(), cache)}
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 3, 0, 0))
	w.m.SetManual(true)
	w.next = func(q []*io.Op) *io.Op { return q[w.other(q)] }
	return w
}

// other returns the first I/O that is not stuck, -1 if there is none.
func (w *roomWorld) other(q []*io.Op) int {
	return slices.IndexFunc(q, func(op *io.Op) bool { return !slices.Contains(w.stuck, op) })
}

// queue commits n new pages, as far as that goes. It reports whether the commit is with the log.
func (w *roomWorld) queue(n int, relaxed bool) bool {
	tx, err := w.begin()
	require.NoError(w.t, err)
	for range n {
		require.NoError(w.t, w.add(tx))
	}
	w.models = append(w.models[:tx.seq], maps.Clone(w.now))
	c := new(Commit)
	c.Start(tx, relaxed)
	w.commits = append(w.commits, c)
	for range 1000 {
		res, err := c.Step()
		require.NoError(w.t, err)
		require.NotNil(w.t, res.Pending)
		if c.Queued() && len(w.stuck) == 0 {
			w.stuck = slices.Clone(w.m.Queue())
			require.NotEmpty(w.t, w.stuck)
		}
		for q := w.m.Queue(); !res.Pending.Done(); q = w.m.Queue() {
			if w.other(q) < 0 {
				return c.Queued()
			}
			w.next(q).Complete()
		}
	}
	w.t.Fatal("commit does not get on")
	panic("unreachable")
}

// fill queues commits until one waits for room, and checks that memory is as it must be meanwhile.
func (w *roomWorld) fill(relaxed bool) {
	for range 40 {
		queued := w.queue(6, relaxed)
		s := w.p.cache.figures()
		require.LessOrEqual(w.t, s.Pinned, w.p.pinnedMax())
		require.LessOrEqual(w.t, s.Resident+s.Table+s.Held, w.cs)
		if !queued {
			require.Greater(w.t, len(w.commits), 2, "the first ones fit")
			require.Equal(w.t, commitDrain, w.last().state)
			return
		}
	}
	w.t.Fatal("40 commits are queued behind a write")
}

func (w *roomWorld) last() *Commit { return w.commits[len(w.commits)-1] }

// release lets the log's write complete, and all commits.
func (w *roomWorld) release() {
	w.m.SetManual(false)
	for _, op := range w.stuck {
		op.Complete()
	}
	w.finishAll()
}

func (w *roomWorld) finishAll() {
	for _, c := range w.commits {
		_, err := drivePager(w.pagerWorld, c)
		require.NoError(w.t, err)
	}
	w.stuck, w.commits = nil, nil
	require.Zero(w.t, w.p.cache.figures().Pinned)
	require.NoError(w.t, w.verify(w.models))
	w.quiet()
}

func TestCommitsWaitForRoomInTheCache(t *testing.T) {
	for _, relaxed := range []bool{false, true} {
		w := newRoomWorld(t, 32<<10)
		w.fill(relaxed)
		for range 3 { // stepped early it stays where it is
			res, err := w.last().Step()
			require.NoError(t, err)
			require.NotNil(t, res.Pending)
		}
		w.release()
		require.NoError(t, w.update(relaxed, 3, 2, 1))
	}
}

// A commit that waits for room carries the flush on when those whose commits it waits for have left.
func TestCommitThatWaitsForRoomLeads(t *testing.T) {
	w := newRoomWorld(t, 32<<10)
	w.fill(false)
	last := w.last()
	for _, c := range w.commits[:len(w.commits)-1] {
		require.ErrorIs(t, c.Abort(errInjected), errInjected)
	}
	w.commits = []*Commit{last}
	w.release()
}

// Until it is queued an error, or Abort, fails the transaction alone.
func TestCommitThatWaitsForRoomFails(t *testing.T) {
	w := newRoomWorld(t, 32<<10)
	w.fill(false)
	last := w.last()
	seq := last.Seq()
	require.ErrorIs(t, last.Abort(errInjected), errInjected)
	require.False(t, last.Queued())
	w.commits, w.models = w.commits[:len(w.commits)-1], w.models[:seq]
	require.False(t, w.queue(6, false), "the next one has its turn, and its number")
	require.Equal(t, seq, w.last().Seq())
	w.release()

	w = newRoomWorld(t, 32<<10)
	w.fill(false)
	for _, op := range w.stuck {
		op.Fail(errInjected)
	}
	for i, c := range w.commits {
		_, err := drivePager(w.pagerWorld, c)
		require.ErrorIs(t, err, errInjected)
		if i < len(w.commits)-1 {
			require.ErrorIs(t, err, types.ErrCommitUnknown)
			continue
		}
		require.ErrorIs(t, err, types.ErrFailed)
		require.NotErrorIs(t, err, types.ErrCommitUnknown, "it was not on its way")
	}
	w.m.SetManual(false)
	require.Zero(t, w.p.cache.figures().Pinned)
	require.NoError(t, w.verify(w.models[:2]))
}

// A commit that takes more than there may be has to wait for others, and goes ahead when there are none.
func TestLargeCommitTakesTheRoomThereIs(t *testing.T) {
	w := newRoomWorld(t, 16<<10)
	const pages = 16 // that don't spill yet
	require.Greater(t, int64(pages*(testPageSize+imageOverhead)), w.p.pinnedMax())
	require.True(t, w.queue(pages, false), "nothing else is pinned")
	require.Greater(t, w.p.cache.figures().Pinned, w.p.pinnedMax())
	w.release()

	w.m.SetManual(true)
	require.True(t, w.queue(1, false))
	require.False(t, w.queue(pages, false))
	w.release()
}

// Whoever has no others to wait for pays nothing.
func TestRoomInTheCacheAllocatesNothing(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), coldCache)
	require.NoError(t, w.open())
	c := Commit{p: w.p, staged: &staged{images: make([]*Image, 100)}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		c.state = commitRoom
		c.room()
		require.Equal(t, commitReserve, c.state)
	}))
}
