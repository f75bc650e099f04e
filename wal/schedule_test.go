package wal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// client is one waiting commit of a random schedule.
type client struct {
	wait    Wait
	seq     types.Seq
	full    bool
	sync    bool // waits for durable
	written bool // waits for written, and has no commit of its own
	pending *io.Completion
}

// schedule steps waits and completes I/O in random order, abandons some, fails some I/O, and cuts the power now and then.
type schedule struct {
	*logWorld
	rng     *rand.Rand
	clients []*client
	cuts    int
	early   int
	left    int
	written int
}

// step steps one client and notes how it ends.
func (s *schedule) step(c *client) {
	before := c.pending
	if before != nil && before.Done() && before.Err() != nil {
		s.end(c, c.wait.Abort(before.Err()))
		return
	}
	unfinished := before != nil && !before.Done()
	submitted := len(s.m.Queue())
	res, err := c.wait.Step()
	if unfinished && err == nil && res.Pending != nil {
		s.early++
		if res.Pending != before && !before.Done() && before.Kind() != io.KindYield {
			s.t.Fatalf("stepped early, it waits for something else: %v %q", res.Pending.Kind(), res.Pending.Reason())
		}
		if res.Pending == before && len(s.m.Queue()) != submitted {
			s.t.Fatal("stepped early, it submitted I/O")
		}
	}
	if err != nil || res.Pending == nil {
		s.end(c, err)
		return
	}
	c.pending = res.Pending
}

// end takes a client out and notes an acknowledgement.
func (s *schedule) end(c *client, err error) {
	for i, other := range s.clients {
		if other == c {
			s.clients = append(s.clients[:i], s.clients[i+1:]...)
			break
		}
	}
	if err == nil && c.written {
		require.GreaterOrEqual(s.t, s.log.written, c.seq)
		s.written++
	}
	if err == nil && (c.full || c.sync) {
		s.acked = max(s.acked, c.seq)
	}
}

// cut compares some disk images with what has been promised up to now.
func (s *schedule) cut(label string) {
	tried := 0
	for survivors, image := range s.m.CrashImages(s.rng.Uint64()) {
		if tried > 6 && s.rng.IntN(20) != 0 {
			continue
		}
		tried++
		s.cuts++
		checkImage(s.t, image, s.logWorld, func() string { return fmt.Sprintf("%s, survivors %v", label, survivors) })
	}
}

// run goes through n random events.
func (s *schedule) run(n int, faults bool, label string) {
	for range n {
		queue := s.m.Queue()
		switch k := s.rng.IntN(100); {
		case k < 25 && len(s.clients) < 8 && s.log.Failed() == nil:
			c := &client{full: s.rng.IntN(2) == 0}
			pages := []types.PageID{types.PageID(1 + s.rng.IntN(4))}
			if s.rng.IntN(8) == 0 {
				pages = []types.PageID{1, 2, 3, 4}
			}
			if s.commit(c.full, false, pages...) != nil {
				continue
			}
			c.seq = s.log.Queued()
			c.wait.StartVisible(s.log, c.seq)
			if s.rng.IntN(6) == 0 {
				c.sync = true
				c.wait.StartDurable(s.log, c.seq)
			}
			s.clients = append(s.clients, c)
			if w := (&client{written: true}); s.rng.IntN(4) == 0 && w.wait.StartWritten(s.log) {
				w.seq = w.wait.seq
				s.clients = append(s.clients, w)
			}
		case k < 60 && len(s.clients) > 0:
			s.step(s.clients[s.rng.IntN(len(s.clients))])
		case k < 66 && len(s.clients) > 0:
			c := s.clients[s.rng.IntN(len(s.clients))]
			s.left++
			s.end(c, c.wait.Abort(io.ErrCancelled))
		case k < 68 && faults && len(queue) > 0:
			queue[s.rng.IntN(len(queue))].Fail(errInjected)
		case k < 70:
			s.cut(label)
		case k == 71 && s.log.Failed() == nil && len(s.clients) == 0 && len(queue) == 0:
			_ = s.checkpoint()
		case len(queue) > 0:
			queue[s.rng.IntN(len(queue))].Complete()
		}
	}
}

// TestRandomSchedules lets several commits wait at once, on one goroutine, and shows that leadership is never lost, that
// acknowledgements hold through power cuts, and that stepping early changes nothing.
func TestRandomSchedules(t *testing.T) {
	cuts, early, left, written, failed := 0, 0, 0, 0, 0
	seeds := uint64(effort.Of(15, 60, 2000))
	for seed := range seeds {
		faults := seed%3 == 0
		label := fmt.Sprintf("seed %d", seed)
		w := newLogWorld(t, io.MemoryConfig{Manual: true, Seed: seed})
		s := &schedule{logWorld: w, rng: rand.New(rand.NewPCG(seed, 1))}
		require.NoError(t, w.begin(), label)
		s.run(300, faults, label)
		// Everyone must come to an end once I/O does.
		for i := 0; len(s.clients) > 0; i++ {
			require.Less(t, i, 1000, "%s: %d clients wait for ever", label, len(s.clients))
			// Only those are stepped whose completion has resolved: a wake-up that got lost shows as a deadlock.
			for _, c := range append([]*client(nil), s.clients...) {
				if c.pending == nil || c.pending.Done() {
					s.step(c)
				}
			}
			if q := w.m.Queue(); len(q) > 0 {
				q[0].Complete()
			}
		}
		var idle Wait
		idle.StartIdle(w.log)
		_, err := drive(w, &idle)
		require.NoError(t, err, label)
		require.False(t, w.log.PendingFlush(), label)
		if w.log.Failed() == nil {
			require.Nil(t, w.log.leader, label)
			require.Equal(t, w.log.Queued(), w.log.Visible(), label)
			require.Zero(t, w.log.reserved, label)
		} else {
			failed++
			require.LessOrEqual(t, w.log.Visible(), w.log.Durable(), label)
		}
		require.Nil(t, w.log.waiters.first, label)
		s.cut(label + ", the end")
		cuts, early, left, written = cuts+s.cuts, early+s.early, left+s.left, written+s.written
	}
	t.Logf("%d seeds, %d failed logs, %d disk images, %d early steps, %d abandoned waits", seeds, failed, cuts, early, left)
	require.Greater(t, failed, 0)
	require.Greater(t, early, 100)
	require.Greater(t, left, 100)
	require.Greater(t, written, 50)
}
