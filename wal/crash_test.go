package wal

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// cutCounts says how much a cut test tried.
type cutCounts struct{ points, images, again int }

// checkImage opens a disk image after a power cut and compares it with what the world before the cut had promised. It then
// commits once more and opens again, which catches a log that goes on from the wrong place.
func checkImage(t testing.TB, m *io.Memory, before *logWorld, label func() string) {
	states := append([][4]uint64(nil), before.states...)
	w, got, err := reopen(t, m)
	if err != nil {
		t.Fatalf("%s: %v", label(), err)
	}
	if err := w.verify(got, states, before.acked, before.started); err != nil {
		t.Fatalf("%s: %v", label(), err)
	}
	w.states = append([][4]uint64(nil), states[:got.Last+1]...)
	if got.Last%3 == 0 && w.log.Began() { // a meta block that says where the log starts, and nothing behind it
		if err := w.checkpoint(); err != nil {
			t.Fatalf("%s: checkpoint: %v", label(), err)
		}
		m = m.Crash(func(int, io.Change) bool { return false })
		if w, got, err = reopen(t, m); err != nil {
			t.Fatalf("%s: recovery behind a checkpoint: %v", label(), err)
		}
		w.states = append([][4]uint64(nil), states[:got.Last+1]...)
	}
	again := before.pages[got.Last+1] // the very commit that was lost, if one was: a twin must not revive what followed it
	if again == nil {
		again = []types.PageID{1, 2}
	}
	if err := full(again...)(w); err != nil {
		t.Fatalf("%s: commit after recovery: %v", label(), err)
	}
	if got.Last%2 == 0 { // what a meta block says of the log must hold as well
		if err := w.checkpoint(); err != nil {
			t.Fatalf("%s: checkpoint after recovery: %v", label(), err)
		}
	}
	w2, second, err := reopen(t, m.Crash(func(int, io.Change) bool { return false }))
	if err != nil {
		t.Fatalf("%s: second recovery: %v", label(), err)
	}
	if err := w2.verify(second, w.states, w.acked, w.started); err != nil {
		t.Fatalf("%s: second recovery: %v", label(), err)
	}
}

// cutEverywhere runs a script and cuts the power before each I/O, with many choices of what survived; the recovery of the
// first few choices is cut at each of its I/Os too.
func cutEverywhere(t *testing.T, s script, nested int) cutCounts {
	var n cutCounts
	w := newLogWorld(t, io.MemoryConfig{})
	busy := false
	cut := func(where string) {
		busy = true
		defer func() { busy = false }()
		n.points++
		tried := 0
		for survivors, image := range w.m.CrashImages(uint64(n.points)) {
			label := func() string { return fmt.Sprintf("%s, cut before %s, survivors: %v", s.name, where, survivors) }
			n.images++
			if tried < nested {
				n.again += cutRecovery(t, image, w, label)
			}
			tried++
			checkImage(t, image, w, label)
		}
	}
	w.m.SetFault(func(op *io.Op) error {
		if !busy && op.Kind != io.KindRead {
			cut(fmt.Sprintf("I/O %d, %v", op.Index, op))
		}
		return nil
	})
	s.run(w)
	cut("the end")
	return n
}

// cutRecovery recovers a copy of image and cuts that at each of its I/Os.
func cutRecovery(t testing.TB, image *io.Memory, before *logWorld, label func() string) int {
	n := 0
	m := image.Crash(func(int, io.Change) bool { return false })
	busy := false
	m.SetFault(func(op *io.Op) error {
		if busy || op.Kind == io.KindRead {
			return nil
		}
		busy = true
		defer func() { busy = false }()
		at := op.Index
		for survivors, second := range m.CrashImages(at) {
			n++
			checkImage(t, second, before, func() string {
				return fmt.Sprintf("%s; recovery cut before I/O %d, %v, survivors: %v", label(), at, op, survivors)
			})
		}
		return nil
	})
	if _, _, err := reopen(t, m); err != nil {
		t.Fatalf("%s: %v", label(), err)
	}
	return n
}

func TestPowerCutAtEveryIO(t *testing.T) {
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			n := cutEverywhere(t, s, effort.Of(0, 1, 3))
			require.Greater(t, n.points, 10)
			require.Equal(t, effort.Of(0, 1, 3) > 0, n.again > 0)
			t.Logf("%d cut points, %d disk images, %d more with recovery cut", n.points, n.images, n.again)
		})
	}
}

var errInjected = errors.New("injected")

// failAt runs a script whose I/O number k fails, and those behind it if the fault is to stay.
func failAt(t *testing.T, s script, k uint64, kind error, forever, drop bool) (w *logWorld, hit bool) {
	w = newLogWorld(t, io.MemoryConfig{})
	w.m.SetDropOnSyncFailure(drop)
	w.m.SetFault(func(op *io.Op) error {
		if op.Index == k || forever && op.Index > k {
			hit = true
			return kind
		}
		return nil
	})
	s.run(w)
	w.m.SetFault(nil)
	return w, hit
}

// TestFailAtEveryIO makes each I/O of each script fail, once and for good, and looks at what a restart of the process and
// what a power cut find.
func TestFailAtEveryIO(t *testing.T) {
	cases := 0
	for _, s := range scripts {
		for _, kind := range []error{errInjected, io.ErrNoSpace} {
			for mode := range 4 {
				forever, drop := mode&1 != 0, mode&2 != 0
				for k := uint64(effort.Of(1+len(s.name)%4, 1, 1)); ; k += uint64(effort.Of(4, 1, 1)) {
					w, hit := failAt(t, s, k, kind, forever, drop)
					if !hit {
						break
					}
					cases++
					label := func() string {
						return fmt.Sprintf("%s, I/O %d fails with %v, forever %v, drop %v", s.name, k, kind, forever, drop)
					}
					require.NoError(t, w.log.checkNow(), label())
					if w.log.Failed() == nil && !forever {
						// Nothing sticky: the log must go on.
						require.NoError(t, full(1)(w), label())
					}
					checkRestart(t, w, label)
					checkImage(t, w.m.Crash(func(int, io.Change) bool { return false }), w, label)
					checkImage(t, w.m.Crash(func(i int, _ io.Change) bool { return i%2 == 0 }), w, label)
					checkImage(t, w.m.Crash(func(int, io.Change) bool { return true }), w, label)
				}
			}
		}
	}
	t.Logf("%d cases", cases)
	require.Greater(t, cases, effort.Of(100, 500, 500))
}

// checkRestart opens the files as a new process on the same machine would: it sees what the page cache shows, which after a
// failed sync the disk may never have got. What it serves must survive a power cut at once.
func checkRestart(t testing.TB, before *logWorld, label func() string) {
	// Files as they look now, on a disk that has what was durable: reads of m show the cache.
	m := before.m.Crash(func(int, io.Change) bool { return true })
	if before.log.Failed() != nil {
		m = before.m // the failed sync's sectors are in its cache alone
	}
	states := append([][4]uint64(nil), before.states...)
	w, got, err := reopen(t, m)
	if err != nil {
		t.Fatalf("%s: restart: %v", label(), err)
	}
	if err := w.verify(got, states, before.acked, before.started); err != nil {
		t.Fatalf("%s: restart: %v", label(), err)
	}
	cut := m.Crash(func(int, io.Change) bool { return false })
	w2, again, err := reopen(t, cut)
	if err != nil {
		t.Fatalf("%s: power cut after a restart: %v", label(), err)
	}
	if err := w2.verify(again, states, max(got.Last, before.acked), before.started); err != nil {
		t.Fatalf("%s: power cut after a restart: %v", label(), err)
	}
}

// checkNow runs the log's own checks and returns a panic as an error.
func (l *Log) checkNow() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.check()
	return nil
}

// TestFailureIsSticky shows that after a failed sync nothing is written any more, and that the commit's outcome is unknown.
func TestFailureIsSticky(t *testing.T) {
	w := newLogWorld(t, io.MemoryConfig{})
	require.NoError(t, full(1)(w))
	require.NoError(t, full(1)(w)) // has grown the log: the next commit does not
	w.m.SetFault(func(op *io.Op) error {
		if op.Kind == io.KindSync {
			return errInjected
		}
		return nil
	})
	err := full(2)(w)
	require.ErrorIs(t, err, types.ErrCommitUnknown)
	require.ErrorIs(t, err, errInjected)
	w.m.SetFault(nil)
	writes := 0
	w.m.SetTrace(func(e io.MemoryEvent) {
		if e.Op.Kind == io.KindWrite && e.Completed {
			writes++
		}
	})
	err = full(3)(w)
	require.ErrorIs(t, err, types.ErrFailed)
	require.NotErrorIs(t, err, types.ErrCommitUnknown)
	require.Zero(t, writes)
	require.Equal(t, types.Seq(2), w.log.Durable())
	require.Equal(t, types.Seq(2), w.log.Visible())
}
