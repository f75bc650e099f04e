package io

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// never is a watch that does not come: a request that it would have to run stays where it is.
const never = time.Hour

// hookedFile makes a system backend and a file of the content.
func hookedFile(t testing.TB, content []byte) (*system, *SystemHooks, File) {
	t.Helper()
	_, h := NewHookedSystem()
	t.Cleanup(func() {
		if err := h.S.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return h.S, h, systemOpen(t, h.S, path, OpenWrite)
}

func systemOpen(t testing.TB, s *system, path string, flag OpenFlag) File {
	t.Helper()
	o := Opening{Path: path, Flag: flag, Mode: 0o600}
	if err := systemDo(t, s, func(c *Completion) { s.Open(c, &o) }); err != nil {
		t.Fatal(err)
	}
	return o.File
}

// systemDo submits one I/O, waits, and returns how it ended.
func systemDo(t testing.TB, s *system, submit func(c *Completion)) error {
	t.Helper()
	var c Completion
	submit(&c)
	if err := s.Wait(context.Background(), &c); err != nil {
		t.Fatal(err)
	}
	return c.Err()
}

// soon waits for what must come, and does so by itself.
func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(50 * time.Microsecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatal("still waiting for: " + what)
		}
	}
}

// withWorkers sets how many workers there may be, and how soon the watch comes.
func (s *system) withWorkers(n int, patience time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxWorkers, s.patience = n, patience
	if s.watching {
		s.timer.Reset(patience)
	}
}

func (s *system) workersNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.workers
}

// A lone read takes one system call on the caller's goroutine. No worker is allowed: it would hang if it went to one.
func TestSystemLoneRead(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 4096))
	s.withWorkers(0, never)
	defer s.withWorkers(4, never)
	buf := make([]byte, 4096)
	var c Completion
	read := func() {
		f.Read(&c, buf, 0)
		if err := s.Wait(context.Background(), &c); err != nil || c.Err() != nil {
			t.Fatal(err, c.Err())
		}
		c.Reset()
	}
	read()
	before := h.Calls["pread"].Load()
	allocs := testing.AllocsPerRun(100, read)
	if allocs != 0 {
		t.Errorf("a read allocates %v times", allocs)
	}
	if calls := h.Calls["pread"].Load() - before; calls != 101 { // AllocsPerRun warms up with one
		t.Errorf("101 reads made %d calls", calls)
	}
	for name, calls := range h.Calls {
		if n := calls.Load(); n > 1 && name != "pread" {
			t.Errorf("%d calls of %s", n, name)
		}
	}
	if !bytes.Equal(buf, fill('a', 4096)) {
		t.Error("wrong bytes")
	}
}

// The completion that is awaited is not the I/O's own.
func TestSystemWaitsOnBehalf(t *testing.T) {
	s, _, f := hookedFile(t, fill('a', 64))
	s.withWorkers(0, never)
	defer s.withWorkers(4, never)
	var a Attempt
	f.Read(a.Begin("an attempt"), make([]byte, 65), 0)
	if err := s.Wait(context.Background(), a.Over()); err != nil || !errors.Is(a.Err(), ErrShortRead) {
		t.Errorf("%v, %v", err, a.Err())
	}
	var g CompletionGroup
	var cs [5]Completion
	g.Start("a group")
	for i := range cs {
		f.Read(&cs[i], make([]byte, 1), 0)
		g.Add(&cs[i])
	}
	g.Build()
	if err := s.Wait(context.Background(), g.Completion()); err != nil || g.Completion().Err() != nil {
		t.Errorf("%v, %v", err, g.Completion().Err())
	}
}

func TestSystemNobodyWaits(t *testing.T) {
	s, _, f := hookedFile(t, fill('a', 64))
	var c [3]Completion
	buf := make([]byte, 64)
	for i := range c { // one by one: the watch starts again each time
		f.Read(&c[i], buf, 0)
		soon(t, "a read that nobody waits for", c[i].Retired)
	}
	soon(t, "the end of the watch", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.watching && s.workers == 0
	})
}

// What is queued beside the awaited request runs although its submitter waits for something else.
func TestSystemWaitsForSomethingElse(t *testing.T) {
	for name, submit := range map[string]func(f File, awaited, other *Completion, buf []byte){
		"before": func(f File, awaited, other *Completion, buf []byte) {
			f.Read(other, buf[:1], 0)
			f.Read(awaited, buf[1:2], 0)
		},
		"after": func(f File, awaited, other *Completion, buf []byte) {
			f.Read(awaited, buf[1:2], 0)
			f.Read(other, buf[:1], 0)
		},
		"callback": func(f File, awaited, other *Completion, buf []byte) {
			awaited.OnDone(func(*Completion) { f.Read(other, buf[:1], 0) })
			f.Read(awaited, buf[1:2], 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, f := hookedFile(t, fill('a', 64))
			s.withWorkers(4, never)
			var awaited, other Completion
			submit(f, &awaited, &other, make([]byte, 2))
			if err := s.Wait(context.Background(), &awaited); err != nil {
				t.Fatal(err)
			}
			soon(t, "the other read", other.Retired)
		})
	}
}

// A callback's I/O is not forgotten, whoever ran the callback: a timer, a worker, a cancel.
func TestSystemCallbackSubmits(t *testing.T) {
	s, _, f := hookedFile(t, fill('a', 64))
	s.withWorkers(4, never)
	var timer, first, second, third Completion
	buf := make([]byte, 3)
	timer.OnDone(func(*Completion) { f.Read(&first, buf[:1], 0) })
	first.OnDone(func(*Completion) { f.Read(&second, buf[1:2], 0) })
	s.Timer(&timer, 1)
	soon(t, "the chain of callbacks", second.Retired)

	s.withWorkers(4, patience) // what a cancel sets off is for the watch
	s.Poll()
	var queued Completion
	queued.OnDone(func(*Completion) { f.Read(&third, buf[2:], 0) })
	f.Read(&queued, buf[:1], 0)
	if !queued.Cancel() {
		t.Fatal("not cancelled")
	}
	soon(t, "the read that the cancel set off", third.Retired)
}

// A close that waits for I/O is carried out by whoever ends that.
func TestSystemCloseBehindRead(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 64))
	s.withWorkers(4, never)
	var read, closing Completion
	f.Read(&read, make([]byte, 1), 0)
	f.Close(&closing)
	if err := s.Wait(context.Background(), &read); err != nil || read.Err() != nil {
		t.Fatal(err, read.Err())
	}
	soon(t, "the close", closing.Retired)
	if closing.Err() != nil || h.Calls["close"].Load() != 1 {
		t.Errorf("close: %v, %d calls", closing.Err(), h.Calls["close"].Load())
	}
	if err := systemDo(t, s, f.Close); !errors.Is(err, ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

// The children of a group are under way together, one of them on the waiter's goroutine.
func TestSystemGroupInParallel(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 64))
	s.withWorkers(3, never)
	_, release := h.Hold()
	var g CompletionGroup
	var cs [4]Completion
	g.Start("a group")
	for i := range cs {
		f.Read(&cs[i], make([]byte, 1), int64(i))
		g.Add(&cs[i])
	}
	g.Build()
	done := make(chan error)
	go func() { done <- s.Wait(context.Background(), g.Completion()) }()
	soon(t, "four reads under way", func() bool { return h.Calls["pread"].Load() == 4 })
	if n := s.workersNow(); n != 3 {
		t.Errorf("%d workers", n)
	}
	release()
	if err := <-done; err != nil || g.Completion().Err() != nil {
		t.Error(err, g.Completion().Err())
	}
	soon(t, "the end of the workers", func() bool { return s.workersNow() == 0 })
}

// More requests than workers: these stay bounded, and all is done.
func TestSystemBoundedWorkers(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 64))
	s.withWorkers(2, never)
	_, release := h.Hold()
	var cs [50]Completion
	for i := range cs {
		f.Read(&cs[i], make([]byte, 1), int64(i))
	}
	if n := s.Poll(); n != 0 {
		t.Error("Poll claims what workers do")
	}
	soon(t, "two reads under way", func() bool { return h.Calls["pread"].Load() == 2 })
	if n := s.workersNow(); n != 2 || s.InFlight() != len(cs) {
		t.Errorf("%d workers, %d in flight", n, s.InFlight())
	}
	release()
	for i := range cs {
		soon(t, "all reads", cs[i].Retired)
	}
	soon(t, "the end of the workers", func() bool { return s.workersNow() == 0 })
}

func TestSystemCancelQueued(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 64))
	s.withWorkers(0, never)
	defer s.withWorkers(4, never)
	var cs [5]Completion
	for i := range cs {
		f.Read(&cs[i], make([]byte, 1), int64(i))
	}
	for _, i := range []int{2, 0, 4, 3, 1} { // out of the middle, the front, the end
		if !cs[i].Cancel() || !cs[i].Retired() {
			t.Errorf("read %d: %v, retired %v", i, cs[i].State(), cs[i].Retired())
		}
	}
	if n := h.Calls["pread"].Load(); n != 0 || s.InFlight() != 0 || s.oldest != nil || s.newest != nil {
		t.Errorf("%d calls, %d in flight, queue from %p to %p", n, s.InFlight(), s.oldest, s.newest)
	}
}

// A waiter under a context leaves a read that is under way; its buffer stays the read's.
func TestSystemContextLeavesHeldRead(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 64))
	started, release := h.Hold()
	ctx, cancel := context.WithCancel(context.Background())
	var c Completion
	f.Read(&c, make([]byte, 64), 0)
	done := make(chan error)
	go func() { done <- s.Wait(ctx, &c) }()
	started()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || c.Done() {
		t.Errorf("wait: %v, read is %v", err, c.State())
	}
	if !c.Cancel() || c.Retired() || s.InFlight() != 1 {
		t.Errorf("read is %v, retired %v, %d in flight", c.State(), c.Retired(), s.InFlight())
	}
	release()
	soon(t, "retirement", c.Retired)
}

func TestSystemManyReaders(t *testing.T) {
	content := make([]byte, 1<<18)
	rand.NewChaCha8([32]byte{1}).Read(content)
	s, _, f := hookedFile(t, content)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			buf := make([]byte, 5000)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var c Completion
			for i := range 300 {
				off, n := rng.IntN(len(content)-len(buf)), rng.IntN(len(buf))
				f.Read(&c, buf[:n], int64(off))
				wait := context.Background()
				if i%4 == 0 {
					wait = ctx
				}
				if err := s.Wait(wait, &c); err != nil || c.Err() != nil || !bytes.Equal(buf[:n], content[off:off+n]) {
					t.Errorf("read of %d bytes at %d: %v, %v", n, off, err, c.Err())
					return
				}
				c.Reset()
			}
		})
	}
	wg.Wait()
	soon(t, "the end of the workers", func() bool { return s.workersNow() == 0 })
}

// Goroutines submit, wait, cancel, leave and forget in every order; nothing is lost.
func TestSystemStorm(t *testing.T) {
	s, _, f := hookedFile(t, fill('a', 1<<16))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 2))
			for range 150 {
				cs := make([]Completion, 1+rng.IntN(8))
				for i := range cs {
					switch rng.IntN(8) {
					case 0:
						s.Timer(&cs[i], int64(rng.IntN(200_000)))
					case 1:
						s.Stat(&cs[i], &Lookup{Path: f.Name()})
					case 2:
						f.Write(&cs[i], [][]byte{fill('a', 10)}, int64(rng.IntN(1<<15)))
					default:
						f.Read(&cs[i], make([]byte, 100), int64(rng.IntN(1<<15)))
					}
				}
				for i := range cs {
					switch rng.IntN(4) {
					case 0:
						cs[i].Cancel()
					case 1:
						if err := s.Wait(context.Background(), &cs[i]); err != nil {
							t.Error(err)
						}
					case 2:
						ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(100))*time.Microsecond)
						s.Wait(ctx, &cs[i])
						cancel()
					}
				}
				for i := range cs {
					for start := time.Now(); !cs[i].Retired(); runtime.Gosched() {
						if time.Since(start) > 30*time.Second {
							t.Errorf("%v is %v and not retired", cs[i].Kind(), cs[i].State())
							return
						}
					}
					if err := cs[i].Err(); err != nil && !errors.Is(err, ErrCancelled) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := s.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// Shutdown waits for requests that nobody else waits for, closes files, and leaves no goroutine.
func TestSystemShutdown(t *testing.T) {
	_, h := NewHookedSystem()
	s := h.S
	s.withWorkers(4, never)
	path := filepath.Join(t.TempDir(), "f")
	f := systemOpen(t, s, path, OpenWrite|OpenCreate)
	systemOpen(t, s, path, OpenWrite)
	started, release := h.Hold()
	var held, queued, timer Completion
	f.Write(&held, [][]byte{fill('a', 10)}, 0)
	s.Poll()
	started()
	f.Sync(&queued)
	s.Timer(&timer, int64(never))
	down := make(chan error)
	go func() { down <- s.Shutdown() }()
	soon(t, "the sync", queued.Retired)
	soon(t, "the end of the timer", timer.Retired)
	if !errors.Is(timer.Err(), ErrClosed) || held.Done() {
		t.Errorf("timer %v, write %v", timer.Err(), held.State())
	}
	release()
	if err := <-down; err != nil {
		t.Error(err)
	}
	if !held.Retired() || held.Err() != nil || s.workersNow() != 0 || s.watching || s.InFlight() != 0 {
		t.Errorf("write retired %v, %v; %d workers, watching %v, %d in flight", held.Retired(), held.Err(), s.workersNow(),
			s.watching, s.InFlight())
	}
	if n := h.Calls["close"].Load(); n != 2 {
		t.Errorf("%d closes of 2 files", n)
	}
	if err := s.Shutdown(); err != nil {
		t.Errorf("second Shutdown: %v", err)
	}
}

// An open that is cancelled under way leaves no file behind.
func TestSystemCancelOpenUnderWay(t *testing.T) {
	s, h, f := hookedFile(t, nil)
	under, on := make(chan struct{}), make(chan struct{})
	open := s.calls.open
	s.calls.open = func(path string, flag OpenFlag, mode uint32) (handle, error) {
		close(under)
		<-on
		return open(path, flag, mode)
	}
	var c Completion
	o := Opening{Path: f.Name()}
	s.Open(&c, &o)
	s.Poll()
	<-under
	c.Cancel()
	close(on)
	soon(t, "retirement", c.Retired)
	if o.File != nil || h.Calls["close"].Load() != 1 || len(s.files) != 1 {
		t.Errorf("file %v, %d closes, %d files", o.File, h.Calls["close"].Load(), len(s.files))
	}
}

func TestSystemNames(t *testing.T) {
	s, _, f := hookedFile(t, fill('a', 7))
	dir := filepath.Dir(f.Name())
	t.Chdir(dir)
	rel := systemOpen(t, s, "f", 0)
	if rel.Name() != f.Name() || !filepath.IsAbs(rel.Name()) {
		t.Errorf("names %q and %q", rel.Name(), f.Name())
	}
	for name, err := range map[string]error{"": fs.ErrNotExist, "nodir/f": fs.ErrNotExist, ".": ErrNotRegular} {
		o := Opening{Path: name, Flag: OpenWrite | OpenCreate}
		if got := systemDo(t, s, func(c *Completion) { s.Open(c, &o) }); !errors.Is(got, err) || o.File != nil {
			t.Errorf("open of %q: %v", name, got)
		}
	}
	for _, flag := range []OpenFlag{OpenCreate, OpenExclusive | OpenWrite} {
		o := Opening{Path: "f", Flag: flag}
		if err := systemDo(t, s, func(c *Completion) { s.Open(c, &o) }); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("open with flags %b: %v", flag, err)
		}
	}
	err := systemDo(t, s, func(c *Completion) { s.Link(c, "f", "f") })
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(fmt.Sprint(err), "link f: to f:") {
		t.Errorf("link onto itself: %v", err)
	}
}

// A link to a missing name is followed when the file is made, and one that leads to itself is not followed for ever.
func TestSystemDanglingLinks(t *testing.T) {
	s, _, f := hookedFile(t, nil)
	dir := filepath.Dir(f.Name())
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"one": "two", "two": filepath.Join("d", "end"), "circle": "circle"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	if g := systemOpen(t, s, filepath.Join(dir, "one"), OpenWrite|OpenCreate); g.Name() != filepath.Join(dir, "d", "end") {
		t.Errorf("made %s", g.Name())
	}
	o := Opening{Path: filepath.Join(dir, "circle"), Flag: OpenWrite | OpenCreate}
	if err := systemDo(t, s, func(c *Completion) { s.Open(c, &o) }); err == nil {
		t.Error("a link to itself was opened")
	}
}

func TestSystemBadRanges(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 7))
	const far = 1<<63 - 1
	for name, submit := range map[string]func(c *Completion){
		"read before":  func(c *Completion) { f.Read(c, make([]byte, 1), -1) },
		"read far":     func(c *Completion) { f.Read(c, make([]byte, 1), far) },
		"write before": func(c *Completion) { f.Write(c, [][]byte{{1}}, -1) },
		"write far":    func(c *Completion) { f.Write(c, [][]byte{{1}}, far) },
		"truncate":     func(c *Completion) { f.Truncate(c, -1) },
	} {
		if err := systemDo(t, s, submit); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := h.Calls["pread"].Load() + h.Calls["pwrite"].Load() + h.Calls["resize"].Load(); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestSystemVector(t *testing.T) {
	bufs := [][]byte{make([]byte, 3), nil, make([]byte, 4), make([]byte, 5)}
	for _, test := range []struct{ most, limit, want int }{
		{9, 99, 4}, {2, 99, 2}, {9, 12, 4}, {9, 11, 3}, {9, 6, 2}, {9, 2, 0},
	} {
		if got := len(vectorOf(bufs, test.most, test.limit)); got != test.want {
			t.Errorf("at most %d buffers and %d bytes: %d, want %d", test.most, test.limit, got, test.want)
		}
	}
}

// A change of the lock that is refused leaves the old one.
func TestSystemLockChangeRefused(t *testing.T) {
	s, _, a := hookedFile(t, nil)
	b := systemOpen(t, s, a.Name(), OpenWrite)
	c := systemOpen(t, s, a.Name(), 0)
	lock := func(f File, exclusive bool) error {
		return systemDo(t, s, func(c *Completion) { f.Lock(c, exclusive) })
	}
	for _, f := range []File{a, b} {
		if err := lock(f, false); err != nil {
			t.Fatal(err)
		}
	}
	var locked *LockedError
	if err := lock(a, true); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("change to exclusive beside a shared lock: %v", err)
	}
	if err := systemDo(t, s, b.Close); err != nil {
		t.Fatal(err)
	}
	if err := lock(c, true); !errors.Is(err, ErrLocked) {
		t.Errorf("the shared lock is gone: %v", err)
	}
	if err := lock(a, true); err != nil {
		t.Errorf("change to exclusive: %v", err)
	}
	if err := lock(c, false); !errors.Is(err, ErrLocked) {
		t.Errorf("shared beside exclusive: %v", err)
	}
	if err := lock(a, false); err != nil {
		t.Errorf("change back to shared: %v", err)
	}
	if err := lock(c, false); err != nil {
		t.Errorf("shared beside shared: %v", err)
	}
}

const lockChild = "PAWL_TEST_LOCK_FILE" // set in the process that holds the lock

// TestSystemLockAcrossProcesses runs the test binary again: that process holds the lock until its input ends.
func TestSystemLockAcrossProcesses(t *testing.T) {
	if path := os.Getenv(lockChild); path != "" {
		holdLock(t, path)
		return
	}
	s, _, f := hookedFile(t, nil)
	pid, end := startLockChild(t, f.Name())
	for _, exclusive := range []bool{true, false} {
		var locked *LockedError
		err := systemDo(t, s, func(c *Completion) { f.Lock(c, exclusive) })
		if !errors.As(err, &locked) || locked.Path != f.Name() {
			t.Fatalf("lock that another process holds: %v", err)
		}
		switch {
		case runtime.GOOS == "linux" && procLocksNames(t, f) && locked.PID != pid:
			t.Errorf("holder %d, want %d", locked.PID, pid)
		case locked.PID != 0 && locked.PID != pid:
			t.Errorf("holder %d, want %d or unknown", locked.PID, pid)
		}
	}
	end()
	if err := systemDo(t, s, func(c *Completion) { f.Lock(c, true) }); err != nil {
		t.Errorf("lock after the other process has ended: %v", err)
	}
}

// A wait under a context gives the request to a worker at once.
func TestSystemContextStartsWorker(t *testing.T) {
	s, _, f := hookedFile(t, fill('a', 64))
	s.withWorkers(1, never)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var c Completion
	f.Read(&c, make([]byte, 64), 0)
	if err := s.Wait(ctx, &c); err != nil || c.Err() != nil {
		t.Errorf("%v, %v", err, c.Err())
	}
}

// A close is not even queued while I/O of its file is under way.
func TestSystemCloseIsKeptBack(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 64))
	started, release := h.Hold()
	var read, closing Completion
	f.Read(&read, make([]byte, 1), 0)
	s.Poll()
	started()
	f.Close(&closing)
	s.mu.Lock()
	queued, kept := s.oldest, f.(*systemFile).closer
	s.mu.Unlock()
	if queued != nil || kept != &closing {
		t.Errorf("queued %p, kept back %p, want %p", queued, kept, &closing)
	}
	release()
	soon(t, "the close", closing.Retired)
	if !read.Retired() || read.Err() != nil || closing.Err() != nil {
		t.Errorf("read retired %v, %v; close %v", read.Retired(), read.Err(), closing.Err())
	}
}

// Shutdown returns after the last worker has ended, not only after the last request.
func TestSystemShutdownWaitsForWorkers(t *testing.T) {
	_, h := NewHookedSystem()
	s := h.S
	s.mu.Lock()
	s.workers++ // one that has run its last request and is about to end
	s.mu.Unlock()
	var ended atomic.Bool
	early := make(chan bool)
	go func() {
		err := s.Shutdown()
		early <- err != nil || !ended.Load()
	}()
	soon(t, "the start of Shutdown", s.closed.Load)
	for range 100 {
		runtime.Gosched()
	}
	ended.Store(true)
	s.mu.Lock()
	s.hungry++ // so much for the books that work keeps
	s.mu.Unlock()
	s.work()
	if <-early {
		t.Error("Shutdown returned before the worker had ended, or failed")
	}
}
