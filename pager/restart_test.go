package pager

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
)

// TestRestartBehindFailedSync fails each sync of each script, with the system dropping what the sync did not write:
// reads go on showing it. The process ends there, a new one opens the same files, and works. It must not trust what
// it reads: a power cut at any of its I/Os leaves what it has served.
func TestRestartBehindFailedSync(t *testing.T) {
	cases, images := 0, 0
	for _, s := range pagerScripts {
		for fail := 0; ; fail += effort.Of(4, 1, 1) {
			m := io.NewMemory()
			m.SetDropOnSyncFailure(true)
			w := newPagerWorld(t, m, s.cache)
			syncs, hit := 0, false
			m.SetFault(func(op *io.Op) error {
				if op.Kind != io.KindSync {
					return nil
				}
				syncs++
				hit = hit || syncs-1 == fail
				if syncs-1 == fail {
					return errInjected
				}
				return nil
			})
			err := w.open()
			for i := 0; err == nil && i < len(s.steps); i++ {
				err = s.steps[i](w)
			}
			m.SetFault(nil)
			if !hit {
				break
			}
			if w.p != nil && !w.dead { // the end of a process closes its files
				w.p.file.Close(new(io.Completion))
				w.p.log.Discard(func() {})
			}
			cases++
			images += restart(t, w, func() string { return fmt.Sprintf("%s, sync %d fails", s.name, fail) })
		}
	}
	t.Logf("%d cases, %d images", cases, images)
	require.Greater(t, cases, effort.Of(20, 100, 100))
}

// restart opens the files that before had open, works, and cuts the power before each I/O. It returns how many disk
// images it has looked at.
func restart(t *testing.T, before *pagerWorld, label func() string) int {
	m := before.m
	w := newPagerWorld(t, m, coldCache)
	w.models, w.mark = append([]testModel(nil), before.models...), before.mark
	w.acked, w.started = before.acked, before.started
	busy, images := false, 0
	cut := func(where string) {
		if busy {
			return
		}
		busy = true
		defer func() { busy = false }()
		image, which := diskImages(m, images)
		images++
		checkPrefix(t, image, w, func() string {
			return fmt.Sprintf("%s, restarted, cut %s: %s", label(), where, which)
		})
	}
	m.SetFault(func(op *io.Op) error {
		if op.Kind != io.KindRead && op.Name() != "stat" && op.Name() != "lock" {
			cut(fmt.Sprintf("before %v", op))
		}
		return nil
	})
	defer m.SetFault(nil)
	must := func(what string, err error) {
		if err != nil {
			t.Fatalf("%s: %s behind the restart: %v", label(), what, err)
		}
	}
	must("open", w.open())
	seq := w.p.Snapshot().Seq
	if seq < w.acked || seq > w.started {
		t.Fatalf("%s: recovered commit %d, acknowledged %d, started %d", label(), seq, w.acked, w.started)
	}
	must("verify", w.verify(w.models))
	w.acked, w.started, w.models = seq, seq, w.models[:seq+1:seq+1] // what was served is promised
	cut("behind the open")
	must("commit", w.update(false, 2, 1, 1))
	must("spill", spilling(17, 1, 1)(w))
	must("verify", w.verify(w.models))
	must("checkpoint", w.checkpoint(CheckpointFull))
	must("close", w.close())
	cut("behind the close")
	return images
}
