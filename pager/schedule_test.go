package pager

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// routine is a client of a random schedule: a function that runs as a coroutine, and yields what it waits for.
type routine struct {
	name    string
	next    func() (*io.Completion, bool)
	stop    func()
	pending *io.Completion
	abandon bool
}

// pagerSchedule runs clients in random order on one goroutine, completes I/O in random order, abandons clients, fails I/O, and
// cuts the power now and then.
type pagerSchedule struct {
	*pagerWorld
	rng      *rand.Rand
	routines []*routine
	faults   bool
	label    string

	cuts, abandoned, commits, reads, checkpoints, expired int
	copies, names                                         int
}

// start adds a client.
func (s *pagerSchedule) start(name string, body func()) {
	r := &routine{name: name}
	r.next, r.stop = iter.Pull(func(yield func(*io.Completion) bool) {
		s.yieldFor(r, yield)
		body()
	})
	s.routines = append(s.routines, r)
}

// yieldFor makes finish, while r runs, hand its completion to the scheduler.
func (s *pagerSchedule) yieldFor(r *routine, yield func(*io.Completion) bool) {
	s.yields[r] = func(c *io.Completion) bool {
		if !yield(c) {
			return false
		}
		left := r.abandon
		r.abandon = false
		return !left
	}
	s.yield = s.yields[r]
}

// step lets a client run until it waits again.
func (s *pagerSchedule) step(r *routine) {
	s.yield = s.yields[r]
	c, ok := r.next()
	s.yield = nil
	r.pending = c
	if !ok {
		delete(s.yields, r)
		for i, other := range s.routines {
			if other == r {
				s.routines = append(s.routines[:i], s.routines[i+1:]...)
				break
			}
		}
	}
}

// writer is a client that commits once.
func (s *pagerSchedule) writer() {
	relaxed := s.rng.IntN(3) == 0
	adds, edits, frees := s.rng.IntN(6), s.rng.IntN(4), s.rng.IntN(3)
	if s.rng.IntN(6) == 0 {
		adds = 25
	}
	extent := s.rng.IntN(5) == 0
	tx, err := s.begin()
	if err != nil {
		return
	}
	work := func() error {
		if extent {
			if err := s.addExtent(tx, 1+s.rng.IntN(2500)); err != nil {
				return err
			}
		}
		for range edits {
			if ids := s.pages(); len(ids) > 0 {
				if err := s.edit(tx, ids[s.rng.IntN(len(ids))]); err != nil {
					return err
				}
			}
		}
		for range frees {
			if ids := s.pages(); len(ids) > 0 {
				s.free(tx, ids[s.rng.IntN(len(ids))])
			}
		}
		for range adds {
			if err := s.add(tx); err != nil {
				return err
			}
		}
		return nil
	}
	for err = work(); err != nil; {
		if !errors.Is(err, io.ErrCancelled) || s.rng.IntN(2) == 0 {
			tx.Rollback()
			return
		}
		err = nil // an abandoned operation leaves the transaction as it was: it goes on
	}
	if s.rng.IntN(8) == 0 {
		tx.Rollback()
		return
	}
	if s.pagerWorld.commit(tx, relaxed) == nil {
		s.commits++
	}
}

// reader is a client that reads its snapshot, which must not change, while others go on.
func (s *pagerSchedule) reader() {
	var r Reader
	r.Start(s.p)
	defer r.Close()
	if s.rng.IntN(4) == 0 {
		s.copier(&r)
		return
	}
	for range 1 + s.rng.IntN(3) {
		err := s.verifyAt(&r, s.models)
		if s.held > 0 && errors.Is(err, types.ErrSnapshotExpired) {
			s.expired++
			return
		}
		if err != nil && !errors.Is(err, errInjected) && !errors.Is(err, io.ErrCancelled) {
			s.t.Fatalf("%s: reader: %v", s.label, err)
		}
		s.reads++
	}
}

// checkpointer is a client that makes a checkpoint.
func (s *pagerSchedule) checkpointer() {
	if s.checkpoint(CheckpointMode(s.rng.IntN(3))) == nil {
		s.checkpoints++
	}
}

// flusher is the background's work: it carries on flushes whose committers have left.
func (s *pagerSchedule) flusher() {
	var w wal.Wait
	w.StartIdle(s.p.log)
	_, _ = drivePager[struct{}](s.pagerWorld, &w)
}

// cut compares some disk images with what has been promised.
func (s *pagerSchedule) cut() {
	saved := s.yield
	s.yield = nil
	defer func() { s.yield = saved }()
	tried := 0
	for survivors, image := range s.m.CrashImages(s.rng.Uint64()) {
		if tried++; tried > 4 && s.rng.IntN(30) != 0 {
			continue
		}
		s.cuts++
		checkImage(s.t, image, s.pagerWorld, func() string { return fmt.Sprintf("%s, survivors %v", s.label, survivors) })
	}
}

// run goes through n random events.
func (s *pagerSchedule) run(n int) {
	for range n {
		queue := s.m.Queue()
		switch k := s.rng.IntN(1000); {
		case k < 60 && len(s.routines) < 8:
			s.start("writer", s.writer)
		case k < 90 && len(s.routines) < 8:
			s.start("reader", s.reader)
		case k < 105 && len(s.routines) < 8:
			s.start("checkpoint", s.checkpointer)
		case k < 115 && len(s.routines) < 8:
			s.start("flush", s.flusher)
		case k < 125 && len(s.routines) > 0:
			r := s.routines[s.rng.IntN(len(s.routines))]
			if r.pending != nil {
				s.abandoned++
				r.abandon = true
				s.step(r)
			}
		case k < 128 && s.faults && len(queue) > 0:
			queue[s.rng.IntN(len(queue))].Fail(errInjected)
		case k < 130:
			s.cut()
		case k < 600 && len(s.routines) > 0:
			s.step(s.routines[s.rng.IntN(len(s.routines))])
		case len(queue) > 0:
			queue[s.rng.IntN(len(queue))].Complete()
		}
	}
}

// drain lets everyone come to an end: only clients whose completion has resolved are stepped, so that a lost wake-up shows.
func (s *pagerSchedule) drain() {
	for i := 0; len(s.routines) > 0; i++ {
		if i > 100000 {
			for _, r := range s.routines {
				s.t.Errorf("%s: %s waits for %v %q", s.label, r.name, r.pending.Kind(), r.pending.Reason())
			}
			s.t.FailNow()
		}
		for _, r := range append([]*routine(nil), s.routines...) {
			if r.pending == nil || r.pending.Done() {
				s.step(r)
			}
		}
		if q := s.m.Queue(); len(q) > 0 {
			q[s.rng.IntN(len(q))].Complete()
		} else if s.p.log.PendingFlush() {
			s.start("flush", s.flusher)
		}
	}
	for q := s.m.Queue(); len(q) > 0; q = s.m.Queue() {
		q[0].Complete()
	}
}

// TestRandomSchedules runs writers, readers, checkpoints and flushes beside each other.
func TestRandomSchedules(t *testing.T) {
	var cuts, abandoned, commits, reads, checkpoints, copies, failed int
	for seed := range uint64(effort.Of(10, 60, 3000)) {
		m := io.NewMemory(io.MemoryConfig{Seed: seed})
		cache := int64(bigCache)
		switch seed % 4 {
		case 0, 2:
			cache = tinyCache
		case 3:
			cache = coldCache
		}
		m.SetDropOnSyncFailure(seed%6 >= 3)
		w := newPagerWorld(t, m, cache)
		w.yields = map[*routine]func(*io.Completion) bool{}
		require.NoError(t, w.open())
		m.SetManual(true)
		s := &pagerSchedule{
			pagerWorld: w, rng: rand.New(rand.NewPCG(seed, 2)), faults: seed%3 == 0, label: fmt.Sprintf("seed %d", seed),
		}
		s.run(1500)
		s.drain()
		if w.p.Failed() == nil {
			w.quiet()

			require.NoError(t, w.verify(w.models), s.label)
			require.NoError(t, w.checkpoint(CheckpointFull), s.label)
			require.NoError(t, w.fsck(), s.label)
		} else {
			failed++
			require.ErrorIs(t, w.p.Failed(), types.ErrFailed)
		}
		s.cut()
		cuts, abandoned, commits = cuts+s.cuts, abandoned+s.abandoned, commits+s.commits
		reads, checkpoints, copies = reads+s.reads, checkpoints+s.checkpoints, copies+s.copies
	}
	t.Logf("%d commits, %d checkpoints, %d reads of everything, %d copies, %d abandoned, %d images, %d failed for good",
		commits, checkpoints, reads, copies, abandoned, cuts, failed)
	require.Greater(t, copies, 10)
	require.Greater(t, commits, 100)
	require.Greater(t, checkpoints, 10)
	require.Greater(t, abandoned, 20)
}
