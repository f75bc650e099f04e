package pager

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// newManualWorld opens a database with commits that a checkpoint has work with, in manual mode.
func newManualWorld(t *testing.T, pages int) *pagerWorld {
	w := newPagerWorld(t, io.NewMemory(), 1<<20)
	w.strict = true
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, pages, 0, 0))
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.NoError(t, w.update(false, pages, pages/2, 3))
	w.m.SetManual(true)
	return w
}

// failNth makes I/Os of a kind on the database file fail, from the first-th on, count of them.
func (w *pagerWorld) failNth(kind string, first, count int, err error) *int {
	seen := new(int)
	w.m.SetFault(func(op *io.Op) error {
		if op.File != "db" || op.Name() != kind {
			return nil
		}
		*seen++
		if *seen >= first && *seen < first+count {
			return err
		}
		return nil
	})
	return seen
}

func TestCheckpointWritesAgainAfterAFailure(t *testing.T) {
	cases := []struct {
		kind   string
		first  int
		count  int
		err    error
		sticky bool
		fails  bool
	}{
		{kind: "write", first: 1, count: 1, err: errInjected},
		{kind: "write", first: 3, count: 1, err: errInjected},
		{kind: "sync", first: 1, count: 1, err: errInjected},
		{kind: "sync", first: 1, count: 2, err: errInjected, sticky: true, fails: true},
		{kind: "sync", first: 2, count: 1, err: errInjected, sticky: true, fails: true}, // that of the meta block
		{kind: "write", first: 1, count: 100, err: errInjected, fails: true},
		{kind: "write", first: 1, count: 1, err: io.ErrNoSpace, fails: true},
		{kind: "write", first: 2, count: 100, err: io.ErrNoSpace, fails: true},
	}
	for _, c := range cases {
		for _, mode := range []CheckpointMode{CheckpointPassive, CheckpointFull, CheckpointTruncate} {
			name := fmt.Sprintf("%s %d+%d %v, mode %d", c.kind, c.first, c.count, c.err, mode)
			w := newManualWorld(t, 30)
			w.m.SetDropOnSyncFailure(true)
			w.failNth(c.kind, c.first, c.count, c.err)
			var cp Checkpoint
			cp.Start(w.p, mode)
			res, err := drivePager(w, &cp)
			w.m.SetFault(nil)
			if c.fails {
				require.ErrorIs(t, err, c.err, name)
			} else {
				require.NoError(t, err, name)
				require.Equal(t, types.Seq(2), res.Covered, name)
				require.Equal(t, types.Generation(3), res.Generation, name)
				require.NotZero(t, res.Pages, name)
			}
			require.Zero(t, w.p.hurry.Load(), name)
			w.cold()
			require.NoError(t, w.verify(w.models), name)
			if c.sticky {
				require.ErrorIs(t, w.p.Failed(), types.ErrFailed, name)
				continue
			}
			require.NoError(t, w.p.Failed(), name)
			if !c.fails {
				// What the disk has now is complete: nothing of the failed attempt is relied upon.
				image := w.m.Crash(func(int, io.Change) bool { return false })
				checkImage(t, image, w, func() string { return name })
			}
			w.goesOn(func() string { return name })
		}
	}
}

// A full disk is not asked twice, and one failed write is followed by one more attempt, not by more.
func TestCheckpointTriesTwiceAtMost(t *testing.T) {
	tries := func(cause error) int {
		w := newManualWorld(t, 5)
		n := 0
		w.m.SetFault(func(op *io.Op) error {
			if op.File != "db" || op.Name() != "write" {
				return nil
			}
			if op.Length > testPageSize {
				n++ // the pages are one write; a map node or a bitmap is one block
			}
			return cause
		})
		require.ErrorIs(t, w.checkpoint(CheckpointFull), cause)
		require.NoError(t, w.p.Failed())
		w.m.SetFault(nil)
		w.quiet()
		return n
	}
	require.Equal(t, 1, tries(io.ErrNoSpace))
	require.Equal(t, 2, tries(errInjected))
}

// awaits runs a machine to its n-th wait, and returns what it waits for; nil if it ends before that.
func (w *pagerWorld) awaits(s interface {
	Step() (types.IOResult[CheckpointResult], error)
}, n int) *io.Completion {
	for i := 0; ; i++ {
		res, err := s.Step()
		require.NoError(w.t, err)
		if res.Pending == nil || i == n {
			return res.Pending
		}
		require.True(w.t, w.finish(res.Pending))
	}
}

func TestCheckpointAbortedAtEachWait(t *testing.T) {
	for _, mode := range []CheckpointMode{CheckpointPassive, CheckpointFull, CheckpointTruncate} {
		for n := 0; ; n++ {
			w := newManualWorld(t, 30)
			var cp Checkpoint
			cp.Start(w.p, mode)
			if w.awaits(&cp, n) == nil {
				require.GreaterOrEqual(t, n, 4, "a map node, the pages, their sync, the meta block")
				break
			}
			require.ErrorIs(t, cp.Abort(errInjected), errInjected)
			for q := w.m.Queue(); len(q) > 0; q = w.m.Queue() {
				q[0].Complete()
			}
			require.Zero(t, w.m.InFlight())
			w.goesOn(func() string { return fmt.Sprintf("mode %d, abandoned at wait %d", mode, n) })
		}
	}
}

func TestCheckpointWaitsForItsTurn(t *testing.T) {
	w := newManualWorld(t, 30)
	var first, second Checkpoint
	first.Start(w.p, CheckpointPassive)
	second.Start(w.p, CheckpointFull)
	require.NotNil(t, w.awaits(&first, 0))
	c := w.awaits(&second, 0)
	require.Equal(t, "another checkpoint", c.Reason())
	require.Equal(t, int32(1), w.p.hurry.Load())
	_, err := drivePager(w, &first)
	require.NoError(t, err)
	require.True(t, c.Done())
	res, err := drivePager(w, &second)
	require.NoError(t, err)
	require.Zero(t, res.Pages, "the first has done it all")
	require.Equal(t, w.p.gen.number, res.Generation)
	require.Zero(t, w.p.hurry.Load())
	w.quiet()
}

// pacedWorld is a manual world with a rate limit of 64 KiB a second; the log is written already.
func pacedWorld(t *testing.T) *pagerWorld {
	w := newManualWorld(t, 300)
	w.p.cfg.CheckpointRate = 64 << 10
	return w
}

func TestCheckpointKeepsToItsRate(t *testing.T) {
	w := pacedWorld(t)
	rate := w.p.cfg.CheckpointRate
	var written, largest, submitted int64
	w.m.SetTrace(func(e io.MemoryEvent) {
		if e.Op.File != "db" || e.Op.Name() != "write" || e.Completed || e.Op.Offset < 2*metaSlotSize {
			return
		}
		submitted++
		require.LessOrEqual(t, float64(written), float64(rate)*float64(w.m.Now())/1e9+1,
			"what was written before the one that is submitted is paid for")
		written += e.Op.Length
		largest = max(largest, e.Op.Length)
	})
	var cp Checkpoint
	cp.Start(w.p, CheckpointPassive)
	waits := 0
	for {
		res, err := cp.Step()
		require.NoError(t, err)
		if res.Pending == nil {
			require.Equal(t, written, res.Value.Bytes)
			break
		}
		if at, ok := w.m.NextTimer(); ok {
			require.Equal(t, "the rate limit of checkpoints", res.Pending.Reason())
			waits++
			w.m.Advance(at - w.m.Now() - 1)
			before := submitted
			again, err := cp.Step()
			require.NoError(t, err)
			require.Same(t, res.Pending, again.Pending)
			require.Equal(t, before, submitted)
			require.Equal(t, 1, w.m.InFlight()-len(w.m.Queue()), "one timer")
			w.m.Advance(1)
			continue
		}
		require.True(t, w.finish(res.Pending))
	}
	require.Greater(t, waits, 3)
	took := float64(w.m.Now()) / 1e9
	require.GreaterOrEqual(t, took, float64(written-largest)/float64(rate))
	require.LessOrEqual(t, took, float64(written)/float64(rate)+0.001, "it is not slower than it need be")
	w.quiet()
	require.NoError(t, w.verify(w.models))
	require.NoError(t, w.fsck())
}

// pausedCheckpoint returns a passive checkpoint that waits for its rate, and what it waits for.
func (w *pagerWorld) pausedCheckpoint() (*Checkpoint, *io.Completion) {
	cp := new(Checkpoint)
	cp.Start(w.p, CheckpointPassive)
	for {
		res, err := cp.Step()
		require.NoError(w.t, err)
		require.NotNil(w.t, res.Pending)
		if _, ok := w.m.NextTimer(); ok {
			return cp, res.Pending
		}
		require.True(w.t, w.finish(res.Pending))
	}
}

func TestWaitersLiftTheRate(t *testing.T) {
	for _, who := range []string{"full", "truncate", "close"} {
		w := pacedWorld(t)
		cp, paused := w.pausedCheckpoint()
		require.False(t, paused.Done())

		var full Checkpoint
		var cl Close
		var err error
		switch who {
		case "full":
			full.Start(w.p, CheckpointFull)
			_, err = full.Step()
		case "truncate":
			full.Start(w.p, CheckpointTruncate)
			_, err = full.Step()
		case "close":
			cl.Start(w.p)
			_, err = cl.Step()
		}
		require.NoError(t, err)
		require.True(t, paused.Done(), who)
		require.NoError(t, paused.Err(), "it goes on")
		_, err = drivePager(w, cp)
		require.NoError(t, err)
		if who == "close" {
			_, err = drivePager(w, &cl)
		} else {
			_, err = drivePager(w, &full)
		}
		require.NoError(t, err)
		require.Zero(t, w.m.Now(), "nobody has waited for the clock")
		require.Zero(t, w.p.hurry.Load())
	}
}

// Another passive one does not lift it, and one that leaves before its turn puts it back.
func TestRateComesBack(t *testing.T) {
	w := pacedWorld(t)
	cp, paused := w.pausedCheckpoint()
	var passive, full Checkpoint
	passive.Start(w.p, CheckpointPassive)
	_, err := passive.Step()
	require.NoError(t, err)
	require.False(t, paused.Done())
	require.ErrorIs(t, passive.Abort(errInjected), errInjected)

	full.Start(w.p, CheckpointFull)
	_, err = full.Step()
	require.NoError(t, err)
	require.True(t, paused.Done())
	require.ErrorIs(t, full.Abort(errInjected), errInjected)
	var res types.IOResult[CheckpointResult]
	timers := 0
	for {
		res, err = cp.Step()
		require.NoError(t, err)
		if res.Pending == nil {
			break
		}
		if at, ok := w.m.NextTimer(); ok {
			timers++
			w.m.Advance(at - w.m.Now())
			continue
		}
		require.True(t, w.finish(res.Pending))
	}
	require.Positive(t, timers, "it keeps to the rate again")
	w.quiet()
}

func TestPausedCheckpointIsAborted(t *testing.T) {
	w := pacedWorld(t)
	cp, _ := w.pausedCheckpoint()
	require.ErrorIs(t, cp.Abort(errInjected), errInjected)
	for q := w.m.Queue(); len(q) > 0; q = w.m.Queue() {
		q[0].Complete()
	}
	require.Zero(t, w.m.InFlight(), "no timer is left")
	w.p.cfg.CheckpointRate = 0
	w.goesOn(func() string { return "abandoned in a pause" })
}

// A machine that was never stepped holds nothing.
func TestCheckpointAbortedUnstepped(t *testing.T) {
	w := newManualWorld(t, 5)
	var cp Checkpoint
	cp.Start(w.p, CheckpointFull)
	require.ErrorIs(t, cp.Abort(errInjected), errInjected)
	require.Zero(t, w.p.hurry.Load())
	w.quiet()
}

// While a checkpoint plans its bitmaps, a transaction on another goroutine makes the file longer: bitmaps, length and set of the
// generation are of one length, whichever that is. No schedule of yields shows it, since there is none between.
func TestPlanBitmapsWhileTheFileGrows(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), 1<<20)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 3, 0, 0))
	require.NoError(t, w.checkpoint(CheckpointFull))
	p := w.p
	for range 20 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 2000 {
				if n, ok := p.space.lengthFor(1, 0); ok {
					p.space.grow(n)
				}
			}
		}()
		for ended := false; !ended; {
			a := &attempt{p: p, from: p.gen}
			a.used, a.blocksSet = p.gen.used.edit(), p.gen.used.blocks()
			a.planBitmaps()
			require.Equal(t, a.next.used.blocks(), a.next.blocks)
			select {
			case <-done:
				ended = true
			default:
			}
		}
	}
}
