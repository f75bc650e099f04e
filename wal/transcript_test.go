package wal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/golden"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// actor is a machine of any result: what it ends with is words.
type actor struct {
	step  func() (pending *io.Completion, result string, err error)
	abort func(cause error) error
}

func actorOf[T any](s types.Stepper[T], show func(T) string) actor {
	return actor{
		step: func() (*io.Completion, string, error) {
			res, err := s.Step()
			if err != nil || res.Pending != nil {
				return res.Pending, "", err
			}
			return nil, show(res.Value), nil
		},
		abort: s.Abort,
	}
}

// scene is a log that something has happened to, and a machine that is to be played on it.
type scene struct {
	set  func(w *logWorld) *logWorld // in automatic mode
	make func(w *logWorld) actor
}

// setBy makes a set of steps.
func setBy(steps ...func(*logWorld) error) func(w *logWorld) *logWorld {
	return func(w *logWorld) *logWorld {
		for _, step := range steps {
			require.NoError(w.t, step(w))
		}
		return w
	}
}

// afterCut is what a new process finds when the power went, with no more than was synced.
func afterCut(steps ...func(*logWorld) error) func(w *logWorld) *logWorld {
	return func(w *logWorld) *logWorld {
		return emptied(setBy(steps...)(w), w.m.Crash(func(int, io.Change) bool { return false }))
	}
}

// emptied is a new process on a disk, whose log nobody has looked at.
func emptied(before *logWorld, m *io.Memory) *logWorld {
	w := &logWorld{t: before.t, m: m}
	b, err := m.Bytes("db")
	require.NoError(w.t, err)
	w.meta = decodeTestMeta(b)
	w.gen = w.meta.gen
	w.log = New(w.config(), w.meta.gen, w.meta.covered)
	w.openMeta()
	return w
}

func queued(full bool, pages ...types.PageID) func(w *logWorld) error {
	return func(w *logWorld) error { return w.commit(full, false, pages...) }
}

func done(struct{}) string { return "done" }

// reserveFor is a Reserve of so many bytes.
func reserveFor(bytes int64) func(w *logWorld) actor {
	return func(w *logWorld) actor {
		var r Reservation
		m := new(Reserve)
		m.Start(w.log, bytes, false, &r)
		return actorOf(m, func(struct{}) string {
			n := r.bytes
			r.Release()
			return fmt.Sprintf("%d bytes, given back", n)
		})
	}
}

func waitVisible(seq types.Seq) func(w *logWorld) actor {
	return func(w *logWorld) actor {
		m := new(Wait)
		m.StartVisible(w.log, seq)
		return actorOf(m, done)
	}
}

func waitDurable(seq types.Seq) func(w *logWorld) actor {
	return func(w *logWorld) actor {
		m := new(Wait)
		m.StartDurable(w.log, seq)
		return actorOf(m, done)
	}
}

func closeLog(remove bool) func(w *logWorld) actor {
	return func(w *logWorld) actor {
		m := new(Close)
		m.Start(w.log, remove)
		return actorOf(m, done)
	}
}

func recoverLog(w *logWorld) actor {
	m := new(Recover)
	m.Start(w.log, w.meta.start, w.meta.write, w.meta.covered, 1000, false)
	return actorOf(m, func(r Recovery) string {
		words := fmt.Sprintf("commit %d, %d commits in %d groups, %d bytes", r.Last, r.Commits, r.Groups, r.Bytes)
		if r.Discarded != nil {
			words += fmt.Sprintf("; dropped commit %d at %d: %s", r.Discarded.First, r.Discarded.Offset, r.Discarded.Reason)
		}
		return words
	})
}

func begun(w *logWorld) error { return w.begin() }

// scenes enter every state of every machine of the package.
var scenes = map[string]scene{
	"create": {setBy(), func(w *logWorld) actor {
		m := new(Create)
		m.Start(w.log)
		return actorOf(m, func(s Start) string { return fmt.Sprintf("starts at %d, %d places", s.Offset, s.Places) })
	}},
	"reserve what is there":    {setBy(begun, full(1), full(1)), reserveFor(1000)},
	"reserve more":             {setBy(begun, full(1)), reserveFor(40000)},
	"wait for a full commit":   {setBy(begun, full(1), queued(true, 1, 2)), waitVisible(2)},
	"wait for two commits":     {setBy(begun, full(1), queued(true, 1), queued(true, 2)), waitVisible(3)},
	"wait for a relaxed one":   {setBy(begun, full(1), queued(false, 1)), waitVisible(2)},
	"sync of relaxed commits":  {setBy(begun, full(1), queued(false, 1), queued(false, 2)), waitDurable(3)},
	"group over segments":      {setBy(begun, full(1), many(12, queued(true, 1, 2, 3, 4))), waitVisible(13)},
	"wait for what is durable": {setBy(begun, full(1)), waitVisible(1)},
	"trim": {func(w *logWorld) *logWorld {
		w = setBy(begun, many(20, full(1, 2, 3, 4)), checkpoint)(w)
		w.trimming = true
		require.NoError(w.t, w.checkpoint())
		w.trimming = false
		return w
	}, func(w *logWorld) actor {
		m := new(Trim)
		m.Start(w.log)
		return actorOf(m, done)
	}},
	"close":             {setBy(begun, full(1)), closeLog(false)},
	"close and remove":  {setBy(begun, full(1), checkpoint), closeLog(true)},
	"recover":           {afterCut(begun, full(1), full(2, 3)), recoverLog},
	"recover segments":  {afterCut(begun, full(1, 2, 3, 4), full(1, 2, 3, 4), full(1, 2, 3, 4)), recoverLog},
	"recover a tear":    {tear, recoverLog},
	"recover nothing":   {afterCut(begun), recoverLog},
	"recover a missing": {missing, recoverLog},
	"stale":             {stale, checkStale},
	"no stale log":      {setBy(), checkStale},
}

func checkStale(w *logWorld) actor {
	m := new(CheckStale)
	m.Start(w.log, w.meta.write)
	return actorOf(m, func(s StaleLog) string { return fmt.Sprintf("%+v", s) })
}

// tear leaves half of the newest group.
func tear(w *logWorld) *logWorld {
	w = setBy(begun, full(1), full(2, 3))(w)
	at := w.log.at.Offset
	require.NoError(w.t, w.commit(false, true, 1, 2, 3))
	m := w.m.Crash(func(int, io.Change) bool { return true })
	b, err := m.Bytes("db-wal")
	require.NoError(w.t, err)
	clear(b[at+600 : at+700])
	m.SetBytes("db-wal", b)
	return emptied(w, m)
}

// missing has lost its log.
func missing(w *logWorld) *logWorld {
	w = setBy(begun, full(1))(w)
	m := w.m.Crash(func(int, io.Change) bool { return true })
	var c io.Completion
	m.Remove(&c, "db-wal")
	require.NoError(w.t, c.Err())
	return emptied(w, m)
}

// stale is a clean database beside a log that it does not need any more.
func stale(w *logWorld) *logWorld {
	w = setBy(begun, full(1), checkpoint)(w)
	meta := w.meta
	meta.needsLog, meta.start, meta.write = false, Start{}, meta.write+1
	_, err := w.writeMeta(meta)
	require.NoError(w.t, err)
	return emptied(w, w.m.Crash(func(int, io.Change) bool { return true }))
}

// marks says how far the log is, and what is held in it.
func (w *logWorld) marks() string {
	l := w.log
	l.mu.Lock()
	words := fmt.Sprintf("queued %d, written %d, visible %d, durable %d; %d bytes reserved",
		l.queued, l.written, l.visible, l.durable, l.reserved)
	if l.failed != nil {
		words += "; failed"
	}
	l.mu.Unlock()
	var k types.TurnTicket
	if l.resize.Acquire(&k, "a test") != nil {
		words += "; the file's length is held"
	}
	l.resize.Release(&k)
	size := "no file"
	if b, err := w.m.Bytes("db-wal"); err == nil {
		size = fmt.Sprintf("%d bytes", len(b))
	}
	return fmt.Sprintf("%s; %s; %d I/Os in flight", words, size, w.m.InFlight())
}

func (s scene) play(t *testing.T) string {
	var out strings.Builder
	fresh := func() (*logWorld, actor, *[]string) {
		w := s.set(newLogWorld(t, io.MemoryConfig{}))
		w.m.SetManual(true)
		var log []string
		w.m.SetTrace(func(e io.MemoryEvent) {
			if !e.Completed {
				_, words, _ := strings.Cut(e.Op.String(), " ")
				log = append(log, words)
			}
		})
		return w, s.make(w), &log
	}
	w, a, log := fresh()
	waits := 0
	for {
		*log = nil
		pending, result, err := a.step()
		for _, words := range *log {
			fmt.Fprintf(&out, "submits %s\n", words)
		}
		if err != nil {
			fmt.Fprintf(&out, "fails: %v\n", err)
			break
		}
		if pending == nil {
			fmt.Fprintf(&out, "ends: %s\n", result)
			break
		}
		waits++
		what := pending.Reason()
		if pending.Kind() != io.KindYield {
			what = fmt.Sprintf("%v, %s", pending.Kind(), what)
		}
		*log = nil
		again, _, err := a.step()
		fmt.Fprintf(&out, "%d. waits for %s", waits, what)
		if again != pending || err != nil || len(*log) > 0 {
			fmt.Fprintf(&out, "; STEPPED AGAIN it waits for %v, error %v, submits %v", again, err, *log)
		}
		fmt.Fprintf(&out, "\n   %s\n", w.marks())
		w.finish(pending)
		if err := pending.Err(); err != nil { // what a driver does
			fmt.Fprintf(&out, "fails: %v\n", a.abort(err))
			break
		}
	}
	fmt.Fprintf(&out, "%s\n", w.marks())
	for at := range waits {
		w, a, log := fresh()
		for i := 0; ; i++ {
			pending, _, err := a.step()
			require.NoError(t, err)
			require.NotNil(t, pending)
			if i == at {
				break
			}
			w.finish(pending)
		}
		for _, op := range w.m.Queue() {
			op.Start() // a cancel resolves at once and retires late
		}
		require.ErrorIs(t, a.abort(errInjected), errInjected)
		*log = nil
		for q := w.m.Queue(); len(q) > 0; q = w.m.Queue() {
			q[0].Complete()
		}
		fmt.Fprintf(&out, "abandoned at %d", at+1)
		if len(*log) > 0 {
			fmt.Fprintf(&out, ", then %s", strings.Join(*log, ", "))
		}
		fmt.Fprintf(&out, ": %s\n", w.marks())
	}
	return out.String()
}

// TestTranscripts plays every machine of the package through each of its waits, with two steps at each, and leaves it at each.
func TestTranscripts(t *testing.T) {
	played := map[string]bool{}
	golden.Run(t, "testdata/machines.txt", func(t *testing.T, cmd golden.Command) string {
		s, ok := scenes[cmd.String(t, "scene")]
		require.True(t, ok, cmd.Pos)
		played[cmd.String(t, "scene")] = true
		return s.play(t)
	})
	require.Len(t, played, len(scenes))
}
