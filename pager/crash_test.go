package pager

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

var errInjected = errors.New("injected")

// checkImage opens what a disk holds, compares it with what was promised, commits, makes a checkpoint, and opens it again.
func checkImage(t testing.TB, m *io.Memory, before *pagerWorld, label func() string) {
	fail := func(what string, err error) {
		if err != nil {
			t.Fatalf("%s: %s: %v", label(), what, err)
		}
	}
	models := append([]testModel(nil), before.models...)
	w := newPagerWorld(t, m, bigCache)
	w.strict, w.mark = true, before.mark
	fail("open", w.open())
	seq := w.p.Snapshot().Seq
	if seq < before.acked || seq > before.started {
		t.Fatalf("%s: recovered commit %d, acknowledged %d, started %d", label(), seq, before.acked, before.started)
	}
	fail("verify", w.verify(models))
	w.models = models[: seq+1 : seq+1]
	fail("commit", w.update(false, 1, 1, 1))
	w.quiet()
	if seq%2 == 0 {
		fail("checkpoint", w.checkpoint(CheckpointTruncate))
		fail("fsck", w.fsck())
	}
	after := newPagerWorld(t, m.Crash(func(int, io.Change) bool { return false }), bigCache)
	fail("open again", after.open())
	if got := after.p.Snapshot().Seq; got != seq+1 {
		t.Fatalf("%s: found commit %d after commit %d was acknowledged", label(), got, seq+1)
	}
	fail("verify again", after.verify(w.models))
	fail("close", after.close())
	final := newPagerWorld(t, after.m, bigCache)
	fail("open after close", final.open())
	fail("verify after close", final.verify(w.models))
	fail("fsck after close", final.fsck())
}

// pagerCuts counts what a cut test tried.
type pagerCuts struct{ points, images, again int }

// cutEverywhere runs a script and cuts the power before each I/O.
func cutEverywhere(t *testing.T, s pagerScript, images, nested int) pagerCuts {
	var n pagerCuts
	m := io.NewMemory()
	w := newPagerWorld(t, m, s.cache)
	w.strict = true
	busy := false
	cut := func(where string) {
		busy = true
		defer func() { busy = false }()
		n.points++
		tried := 0
		for survivors, image := range m.CrashImages(uint64(n.points)) {
			// All of the first few; of many, a part that differs from point to point.
			if total := len(survivors.Changes); tried >= 8 && images > 0 && (tried+n.points)%max(1, 2*total/images) != 0 {
				tried++
				continue
			}
			label := func() string { return fmt.Sprintf("%s, cut before %s, survivors: %v", s.name, where, survivors) }
			n.images++
			if tried < nested && n.points%3 == 0 {
				n.again += cutRecovery(t, image, w, label)
			}
			tried++
			checkImage(t, image, w, label)
		}
	}
	m.SetFault(func(op *io.Op) error {
		if !busy && op.Kind != io.KindRead && op.Name() != "stat" && op.Name() != "lock" {
			cut(fmt.Sprintf("I/O %d, %v", op.Index, op))
		}
		return nil
	})
	s.run(w)
	cut("the end")
	return n
}

// cutRecovery opens a copy of image and cuts that at each of its I/Os.
func cutRecovery(t testing.TB, image *io.Memory, before *pagerWorld, label func() string) int {
	n := 0
	m := image.Crash(func(int, io.Change) bool { return false })
	busy := false
	m.SetFault(func(op *io.Op) error {
		if busy || op.Kind == io.KindRead || op.Name() == "stat" || op.Name() == "lock" {
			return nil
		}
		busy = true
		defer func() { busy = false }()
		tried := 0
		for survivors, second := range m.CrashImages(op.Index) {
			if tried++; tried > 12 {
				break
			}
			n++
			checkImage(t, second, before, func() string {
				return fmt.Sprintf("%s; recovery cut before %v, survivors: %v", label(), op, survivors)
			})
		}
		return nil
	})
	w := newPagerWorld(t, m, bigCache)
	if err := w.open(); err != nil {
		t.Fatalf("%s: %v", label(), err)
	}
	return n
}

func TestPowerCutAtEveryIO(t *testing.T) {
	for _, s := range pagerScripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			n := cutEverywhere(t, s, effort.Of(4, 24, 0), effort.Of(0, 2, 3))
			require.Greater(t, n.points, 10)
			t.Logf("%d cut points, %d disk images, %d more with recovery cut", n.points, n.images, n.again)
		})
	}
}

// TestFailAtEveryIO makes each I/O of each script fail, once and for good.
func TestFailAtEveryIO(t *testing.T) {
	var cases, sticky atomic.Int64
	t.Run("scripts", func(t *testing.T) {
		for _, s := range pagerScripts {
			for _, kind := range []error{errInjected, io.ErrNoSpace} {
				for mode := range 4 {
					if mode > effort.Of(0, 3, 3) || s.cache == coldCache && kind != errInjected && !effort.Long() {
						continue
					}
					t.Run(fmt.Sprintf("%s, %v, %d", s.name, kind, mode), func(t *testing.T) {
						t.Parallel()
						tried, failed := failEverywhere(t, s, kind, mode&1 != 0, mode&2 != 0)
						cases.Add(tried)
						sticky.Add(failed)
					})
				}
			}
		}
	})
	t.Logf("%d cases, %d of them sticky", cases.Load(), sticky.Load())
	require.Greater(t, cases.Load(), int64(effort.Of(100, 500, 500)))
	require.Greater(t, sticky.Load(), int64(10))
}

// failEverywhere makes each I/O of a script fail. It returns how many it tried, and how many made the database refuse writes.
func failEverywhere(t *testing.T, s pagerScript, kind error, forever, drop bool) (cases, sticky int64) {
	for k := uint64(effort.Of(len(s.name)%5, 0, 0)); ; k += uint64(effort.Of(5, 1, 1)) {
		m := io.NewMemory()
		m.SetDropOnSyncFailure(drop)
		w := newPagerWorld(t, m, s.cache)
		hit := false
		m.SetFault(func(op *io.Op) error {
			if op.Index == k || forever && op.Index > k {
				hit = true
				return kind
			}
			return nil
		})
		s.run(w)
		m.SetFault(nil)
		if !hit {
			return cases, sticky
		}
		cases++
		label := func() string {
			return fmt.Sprintf("%s, I/O %d fails with %v, forever %v, drop %v", s.name, k, kind, forever, drop)
		}
		if w.p != nil && w.p.log != nil && !w.dead {
			if w.p.Failed() != nil {
				sticky++
			} else if !forever {
				w.goesOn(label)
			}
		}
		for pick := range 3 {
			image := m.Crash(func(i int, _ io.Change) bool { return pick == 2 || pick == 1 && i%2 == 0 })
			checkImage(t, image, w, label)
		}
	}
}

// goesOn shows that a database that a fault has not made refuse writes works as before.
func (w *pagerWorld) goesOn(label func() string) {
	w.t.Helper()
	w.strict = true
	for _, s := range []step{commits(1, 2, 2, 1), fullCp, commits(1, 1, 1, 0)} {
		if err := s(w); err != nil {
			w.t.Fatalf("%s: going on: %v", label(), err)
		}
	}
	if err := w.verify(w.models); err != nil {
		w.t.Fatalf("%s: going on: %v", label(), err)
	}
	w.quiet()
	if err := w.checkpoint(CheckpointFull); err != nil {
		w.t.Fatalf("%s: going on: %v", label(), err)
	}
	if err := w.fsck(); err != nil {
		w.t.Fatalf("%s: going on: %v", label(), err)
	}
}

// TestFullDisk shows that a full disk fails transactions and nothing else, and that deleting helps.
func TestFullDisk(t *testing.T) {
	m := io.NewMemory()
	w := newPagerWorld(t, m, bigCache)
	w.strict = true
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 10, 0, 0))
	m.SetCapacity(150 << 10)
	var err error
	for range 100 {
		if err = w.update(false, 10, 0, 0); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, types.ErrFull)
	require.NoError(t, w.p.Failed())
	require.NoError(t, w.verify(w.models))
	for range 30 {
		require.NoError(t, w.update(false, 0, 0, 4), "deleting is possible on a full disk")
		require.NoError(t, w.checkpoint(CheckpointFull), "and so is a checkpoint")
	}
	require.NoError(t, w.update(false, 10, 0, 0), "there is room again")
	require.NoError(t, w.verify(w.models))
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.NoError(t, w.fsck())
	w.quiet()
}
