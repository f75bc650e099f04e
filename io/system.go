package io

import (
	"cmp"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	workersPerCPU = 4
	mostWorkers   = 16
	// patience is how long a request may lie in the queue before a worker is started for it, though nobody waits.
	patience = time.Millisecond
)

// system is the backend that runs on the files of the operating system. See "The system backend" in doc.go.
//
// A submission is counted until it is retired:
//
//	submit --> inflight, active --> outcome known: inflight - 1 --> Completion.Finish has returned: active - 1
//
// Closing a file, and Shutdown, wait for active: a completion that is finished is not touched any more.
type system struct {
	calls    calls
	started  time.Time // zero of the clock
	patience time.Duration

	inflight atomic.Int64
	active   atomic.Int64
	closed   atomic.Bool // by Shutdown; set under mu

	queue
	// path takes reads, writes and syncs, and the queue what it refuses. nil: the queue gets everything.
	path   dataPath
	files  map[*systemFile]struct{} // open; guarded by mu
	timers map[*Completion]*systemTimer
	idle   *sync.Cond // Shutdown waits on it for active and workers to be 0
}

// dataPath is a way around the queue for reads, writes and syncs of a system backend. Its methods are called with
// system.mu held, but for that of Canceller.
type dataPath interface {
	Canceller // of all I/O on files; it passes on what it has not taken

	// divert takes an armed request over that is counted, and reports whether it did. It ends with system.end.
	divert(c *Completion, f *systemFile) bool
	// tend has what was taken go on although nobody may wait.
	tend()
	// look is what the watch does: it tends what was there at the last look too. It reports whether anything was taken
	// that has not ended.
	look() (busy bool)
}

// NewSystem returns the backend of the platform's own files, clock and random bytes. It costs no goroutine and no
// system call while nothing is in flight. Shutdown closes the files that are open.
//
// Opened files lock with the system's advisory locks for whole files: they bind all who ask for them, on local file
// systems at least.
func NewSystem() IO { return newSystem(platformCalls()) }

func newSystem(c calls) *system {
	s := &system{
		calls: c, started: time.Now(), patience: patience,
		files: map[*systemFile]struct{}{}, timers: map[*Completion]*systemTimer{},
	}
	s.idle = sync.NewCond(&s.mu)
	s.maxWorkers = min(workersPerCPU*runtime.GOMAXPROCS(0), mostWorkers)
	return s
}

// submit counts an armed request and puts it into the queue, or refuses it.
func (s *system) submit(c *Completion, f *systemFile) {
	s.mu.Lock()
	if s.closed.Load() || f != nil && f.closing.Load() {
		s.mu.Unlock()
		c.Finish(0, c.failure(ErrClosed))
		return
	}
	s.inflight.Add(1)
	s.active.Add(1)
	if f != nil {
		if c.Request.Op == opClose {
			f.closing.Store(true) // before the look at f.active: whoever ends the last request looks the other way
			if f.active.Load() > 0 {
				f.closer = c
				s.mu.Unlock()
				return
			}
		} else {
			f.active.Add(1)
		}
	}
	if s.path == nil || !s.path.divert(c, f) {
		s.put(c)
	}
	s.watch()
	s.mu.Unlock()
}

// failure wraps err with what c asked for.
func (c *Completion) failure(err error) error {
	switch err.(type) {
	case *OpError, *LockedError:
		return err
	}
	r := &c.Request
	e := &OpError{Op: c.kind, File: r.Path, Offset: -1, Err: classify(err)}
	if f, ok := r.File.(*systemFile); ok {
		e.File = f.name
	}
	switch r.Op {
	case opLink, opRename:
		e.Err = fmt.Errorf("to %s: %w", r.NewPath, e.Err)
	case opRead:
		e.Offset, e.Length = r.Offset, int64(len(r.Buf))
	case opWrite:
		e.Offset, e.Length = r.Offset, total(r.Bufs)
	case opTruncate:
		e.Offset, e.Length = 0, r.Offset
	}
	return e
}

// run carries a request out that was taken from the queue. It reports whether others came into the queue while the
// outcome was handed over: the callbacks' own, or what waited for this.
func (s *system) run(c *Completion) (more bool) {
	f, _ := c.Request.File.(*systemFile)
	op := c.Request.Op
	if c.Done() && op != opClose { // cancelled before there was a canceller to tell
		return s.end(c, f, 0, ErrCancelled)
	}
	n, err := s.perform(c, f)
	if err != nil {
		return s.end(c, f, 0, c.failure(err))
	}
	if op == opOpen {
		return s.endOpen(c)
	}
	return s.end(c, f, n, nil)
}

// end hands the outcome over. It reports whether others came into the queue meanwhile.
func (s *system) end(c *Completion, f *systemFile, n int, err error) (more bool) {
	before := s.seq.Load()
	if f != nil && c.Request.Op == opClose {
		f = nil // a close is not among what it waits for
	}
	s.inflight.Add(-1)
	c.Finish(n, err) // c may be in its next life from here
	s.over(f)
	return s.seq.Load() != before
}

// endOpen is end for an open that succeeded. If it was cancelled while it was under way it leaves no file behind.
func (s *system) endOpen(c *Completion) (more bool) {
	before := s.seq.Load()
	o := c.Request.Arg.(*Opening)
	file := o.File.(*systemFile)
	s.inflight.Add(-1)
	c.pins.Add(1) // o is the backend's until the retirement
	if !c.Finish(0, nil) {
		o.File = nil
		s.drop(file)
	}
	c.unpin()
	s.over(nil)
	return s.seq.Load() != before
}

// over ends the counting of a request, of file f if that is not nil.
func (s *system) over(f *systemFile) {
	if f != nil && f.active.Add(-1) == 0 && f.closing.Load() {
		s.mu.Lock()
		if c := f.closer; c != nil {
			f.closer = nil
			s.put(c)
			s.watch()
		}
		s.mu.Unlock()
	}
	if s.active.Add(-1) == 0 && s.closed.Load() {
		s.mu.Lock()
		s.idle.Broadcast()
		s.mu.Unlock()
	}
}

// CancelRequest implements Canceller: what lies in the queue ends at once, what is under way in its own time. Requests
// of the callbacks that ran before are left to waiters and the watch: to grant them would start others of the queue,
// which are perhaps about to be cancelled.
func (s *system) CancelRequest(c *Completion) {
	s.mu.Lock()
	if c.kind == KindTimer {
		t := s.timers[c]
		delete(s.timers, c)
		s.mu.Unlock()
		if t != nil { // else it is firing, and that ends it
			t.timer.Stop()
			s.end(c, nil, 0, ErrCancelled)
		}
		return
	}
	if !c.Request.Queued || c.Request.Op == opClose { // a close goes on
		s.mu.Unlock()
		return
	}
	s.take(c)
	s.mu.Unlock()
	f, _ := c.Request.File.(*systemFile)
	if s.end(c, f, 0, ErrCancelled) {
		s.handOver()
	}
}

// InFlight returns how many submitted completions are not retired.
func (s *system) InFlight() int { return int(s.inflight.Load()) }

// Shutdown refuses new submissions, ends timers with ErrClosed, waits for what is in flight and closes the files that
// are open. When it returns no goroutine of the backend is left. Its error is that of the first close that failed.
func (s *system) Shutdown() error {
	s.mu.Lock()
	s.closed.Store(true)
	var ended []*systemTimer
	for _, t := range s.timers {
		ended = append(ended, t)
	}
	clear(s.timers)
	s.mu.Unlock()
	for _, t := range ended {
		t.timer.Stop()
		s.end(t.c, nil, 0, ErrClosed)
	}

	s.mu.Lock()
	for s.active.Load() > 0 || s.workers > 0 {
		s.spread()
		s.idle.Wait()
	}
	s.unwatch()
	files := s.files
	s.files = map[*systemFile]struct{}{}
	for f := range files {
		f.closing.Store(true)
	}
	s.mu.Unlock()
	var err error
	for f := range files {
		err = cmp.Or(err, f.release())
	}
	return err
}

// Random fills buf from the system's source.
func (s *system) Random(buf []byte) {
	cryptorand.Read(buf) // never fails: the runtime ends the program if the system has none
}

// Now returns nanoseconds since NewSystem.
func (s *system) Now() int64 { return int64(time.Since(s.started)) }

// repeat makes a call again for as long as it is interrupted.
func repeat(call func() error) error {
	for {
		err := call()
		if err == nil || !interrupted(err) {
			return err
		}
		runtime.Gosched()
	}
}

// perform does what c asks for and returns the number of bytes moved.
func (s *system) perform(c *Completion, f *systemFile) (int, error) {
	r := &c.Request
	switch r.Op {
	case opRead:
		return len(r.Buf), f.read(r.Buf, r.Offset)
	case opWrite:
		n := total(r.Bufs)
		return int(n), f.write(r.Bufs, r.Offset, n)
	case opSync:
		return 0, f.sync()
	case opTruncate:
		return 0, f.truncate(r.Offset)
	case opLock:
		return 0, f.lock(r.Offset != 0)
	case opClose:
		return 0, s.drop(f)
	case opOpen:
		return 0, s.open(r.Arg.(*Opening))
	case opStat:
		return 0, s.stat(r.Arg.(*Lookup))
	case opLink:
		return 0, repeat(func() error { return s.calls.link(r.Path, r.NewPath) })
	case opRename:
		return 0, repeat(func() error { return s.calls.rename(r.Path, r.NewPath) })
	case opRemove:
		return 0, repeat(func() error { return s.calls.remove(r.Path) })
	case opSyncDir:
		return 0, repeat(func() error { return s.calls.syncDir(filepath.Dir(r.Path)) })
	}
	return 0, errors.ErrUnsupported
}

// drop closes f and forgets it.
func (s *system) drop(f *systemFile) error {
	s.mu.Lock()
	f.closing.Store(true)
	_, open := s.files[f]
	delete(s.files, f)
	s.mu.Unlock()
	if !open {
		return nil
	}
	return f.release()
}
