package pawltest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pawldb/pawl/io"
)

// run is the IO of one run of the program. Each I/O is carried out within its submission, under the disk's lock; its
// completion finishes when the lock is free again.
//
//	alive --kill--> dead: every I/O fails, but Close, which does nothing
//	  \---Shutdown--> closed
type run struct {
	d   *Disk
	mem *io.Memory
	rng *rand.ChaCha8

	// guarded by d.mu
	dead   error // what everything fails with
	closed bool
	timers map[*io.Completion]*time.Timer
	files  map[*file]struct{}
}

func newRun(d *Disk, number uint64) *run {
	var seed [32]byte
	source := rand.NewPCG(d.seed, number)
	for i := range seed {
		seed[i] = byte(source.Uint64() >> 56)
	}
	return &run{d: d, mem: d.mem, rng: rand.NewChaCha8(seed), timers: map[*io.Completion]*time.Timer{}, files: map[*file]struct{}{}}
}

// timers are completions that have to be ended outside of the lock.
type timers []*io.Completion

func (list timers) end(err error) {
	for _, c := range list {
		c.Finish(0, err)
	}
}

// kill makes everything fail with err from here on. The caller holds d.mu.
func (r *run) kill(err error) timers {
	r.dead = err
	return r.stopTimers()
}

func (r *run) stopTimers() timers {
	var list timers
	for c, t := range r.timers {
		t.Stop()
		list = append(list, c)
	}
	clear(r.timers)
	return list
}

// request is what an I/O is about.
type request struct {
	kind    io.Kind
	what    string // as "write"
	file    string
	offset  int64 // -1: none
	length  int64
	changes bool // it is one of those that CutAt counts
}

func (q *request) String() string {
	if q.offset < 0 {
		return q.what + " " + q.file
	}
	return fmt.Sprintf("%s %s at %d, %d bytes", q.what, q.file, q.offset, q.length)
}

func (q *request) fail(err error) error {
	return &io.OpError{Op: q.kind, File: q.file, Offset: q.offset, Length: q.length, Err: err}
}

// do ends c with the outcome of an I/O that submit carries out, unless the power is gone or something is to go wrong.
func (r *run) do(c *io.Completion, q request, submit func(inner *io.Completion)) {
	c.ArmSubmitted(q.kind, q.file)
	r.d.mu.Lock()
	n, cut, err := r.carryOut(&q, submit)
	r.d.mu.Unlock()
	cut.end(ErrPowerCut)
	c.Finish(n, err)
}

// carryOut does one I/O. The caller holds d.mu; nothing calls back.
func (r *run) carryOut(q *request, submit func(inner *io.Completion)) (int, timers, error) {
	d := r.d
	d.used = true
	switch {
	case r.dead != nil:
		return 0, nil, q.fail(r.dead)
	case r.closed:
		return 0, nil, q.fail(io.ErrClosed)
	}
	var inner io.Completion
	if q.changes {
		d.changes++
		if d.changes == d.cutAt {
			// What was under way counts as written and not synced: any part of it may survive. A sync makes nothing durable.
			if q.kind != io.KindSync && q.kind != io.KindSyncDir {
				submit(&inner)
			}
			return 0, d.cut("in the middle of " + q.String()), q.fail(ErrPowerCut)
		}
	}
	if d.due(q.kind) {
		d.history = append(d.history, "failed: "+q.String())
		r.mem.SetFault(func(*io.Op) error { return ErrInjected })
		defer r.mem.SetFault(nil)
	}
	submit(&inner)
	return inner.N(), nil, inner.Err()
}

// Open opens or creates a file.
func (r *run) Open(c *io.Completion, o *io.Opening) {
	o.File, o.Real, o.Size, o.ID = nil, "", 0, io.FileID{}
	got := io.Opening{Path: o.Path, Flag: o.Flag, Mode: o.Mode}
	var opened *file
	c.ArmSubmitted(io.KindOpen, o.Path)
	r.d.mu.Lock()
	q := request{kind: io.KindOpen, what: "open", file: o.Path, offset: -1, changes: o.Flag&io.OpenCreate != 0}
	_, cut, err := r.carryOut(&q, func(inner *io.Completion) { r.mem.Open(inner, &got) })
	if err == nil {
		opened = &file{run: r, File: got.File}
		r.files[opened] = struct{}{}
	}
	r.d.mu.Unlock()
	cut.end(ErrPowerCut)
	if err != nil {
		c.Finish(0, err)
		return
	}
	if !c.Done() {
		o.File, o.Real, o.Size, o.ID = opened, got.Real, got.Size, got.ID
	}
	if !c.Finish(0, nil) { // it was given up meanwhile
		opened.Close(new(io.Completion))
	}
}

// Stat looks a name up.
func (r *run) Stat(c *io.Completion, l *io.Lookup) {
	l.Real, l.Size, l.ID = "", 0, io.FileID{}
	q := request{kind: io.KindOpen, what: "stat", file: l.Path, offset: -1}
	r.do(c, q, func(inner *io.Completion) { r.mem.Stat(inner, l) })
}

// Link gives a file an additional name.
func (r *run) Link(c *io.Completion, oldName, newName string) {
	q := request{kind: io.KindLink, what: "link", file: oldName, offset: -1, changes: true}
	r.do(c, q, func(inner *io.Completion) { r.mem.Link(inner, oldName, newName) })
}

// Rename gives a file another name.
func (r *run) Rename(c *io.Completion, oldName, newName string) {
	q := request{kind: io.KindLink, what: "rename", file: oldName, offset: -1, changes: true}
	r.do(c, q, func(inner *io.Completion) { r.mem.Rename(inner, oldName, newName) })
}

// Remove deletes a name.
func (r *run) Remove(c *io.Completion, name string) {
	q := request{kind: io.KindLink, what: "remove", file: name, offset: -1, changes: true}
	r.do(c, q, func(inner *io.Completion) { r.mem.Remove(inner, name) })
}

// SyncDir makes the names in the directory that holds name durable.
func (r *run) SyncDir(c *io.Completion, name string) {
	q := request{kind: io.KindSyncDir, what: "syncdir", file: name, offset: -1, changes: true}
	r.do(c, q, func(inner *io.Completion) { r.mem.SyncDir(inner, name) })
}

// Timer finishes after nanos nanoseconds, or at the end of the run.
func (r *run) Timer(c *io.Completion, nanos int64) {
	c.ArmSubmitted(io.KindTimer, "timer")
	c.Request.Canceller = r
	r.d.mu.Lock()
	err := r.dead
	if err == nil && r.closed {
		err = io.ErrClosed
	}
	if err == nil && nanos > 0 {
		r.timers[c] = time.AfterFunc(time.Duration(nanos), func() { r.fire(c, nil) })
		r.d.mu.Unlock()
		return
	}
	r.d.mu.Unlock()
	c.Finish(0, err)
}

// fire ends a timer unless somebody else has.
func (r *run) fire(c *io.Completion, err error) {
	r.d.mu.Lock()
	t, ok := r.timers[c]
	delete(r.timers, c)
	r.d.mu.Unlock()
	if ok {
		t.Stop()
		c.Finish(0, err)
	}
}

// CancelRequest implements io.Canceller, for timers: no other I/O can be given up.
func (r *run) CancelRequest(c *io.Completion) { r.fire(c, io.ErrCancelled) }

// Now returns nanoseconds since the power was switched on.
func (r *run) Now() int64 { return r.mem.Now() }

// Random fills buf with bytes that follow from the seed, others in each run.
func (r *run) Random(buf []byte) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	_, _ = r.rng.Read(buf)
}

// Wait sleeps until c has resolved: whoever resolves it is another goroutine, since I/O ends where it is submitted.
func (r *run) Wait(ctx context.Context, c *io.Completion) error { return c.Park(ctx, nil) }

// Poll returns 0: what can finish without waiting has.
func (r *run) Poll() int { return 0 }

// InFlight returns the number of timers that run.
func (r *run) InFlight() int {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	return len(r.timers)
}

// Shutdown ends timers, closes the files, and refuses what is submitted later.
func (r *run) Shutdown() error {
	r.d.mu.Lock()
	r.closed = true
	for f := range r.files {
		f.release()
	}
	timers := r.stopTimers()
	r.d.mu.Unlock()
	timers.end(io.ErrClosed)
	return nil
}

// file is an open file of a run. What is not here, the name, is the memory's.
type file struct {
	io.File
	run *run
}

// release closes the file of the memory. The caller holds d.mu.
func (f *file) release() {
	delete(f.run.files, f)
	if f.run.dead == nil { // what the dead hold goes with their memory
		f.File.Close(new(io.Completion))
	}
}

// Read fills buf from the file at offset.
func (f *file) Read(c *io.Completion, buf []byte, offset int64) {
	q := request{kind: io.KindRead, what: "read", file: f.Name(), offset: offset, length: int64(len(buf))}
	f.run.do(c, q, func(inner *io.Completion) { f.File.Read(inner, buf, offset) })
}

// Write writes the buffers one after the other at offset.
func (f *file) Write(c *io.Completion, bufs [][]byte, offset int64) {
	q := request{kind: io.KindWrite, what: "write", file: f.Name(), offset: offset, changes: true}
	for _, b := range bufs {
		q.length += int64(len(b))
	}
	f.run.do(c, q, func(inner *io.Completion) { f.File.Write(inner, bufs, offset) })
}

// Sync makes what has finished so far durable.
func (f *file) Sync(c *io.Completion) {
	q := request{kind: io.KindSync, what: "sync", file: f.Name(), offset: -1, changes: true}
	f.run.do(c, q, f.File.Sync)
}

// Truncate sets the size.
func (f *file) Truncate(c *io.Completion, size int64) {
	q := request{kind: io.KindTruncate, what: "truncate", file: f.Name(), offset: 0, length: size, changes: true}
	f.run.do(c, q, func(inner *io.Completion) { f.File.Truncate(inner, size) })
}

// Lock takes the file's lock if it is free.
func (f *file) Lock(c *io.Completion, exclusive bool) {
	q := request{kind: io.KindOpen, what: "lock", file: f.Name(), offset: -1}
	f.run.do(c, q, func(inner *io.Completion) { f.File.Lock(inner, exclusive) })
}

// Close closes the file. It ends well when the power is off too: there is nothing that it could lose.
func (f *file) Close(c *io.Completion) {
	c.ArmSubmitted(io.KindOpen, f.Name())
	f.run.d.mu.Lock()
	_, open := f.run.files[f]
	f.release()
	f.run.d.mu.Unlock()
	if !open {
		c.Finish(0, &io.OpError{Op: io.KindOpen, File: f.Name(), Offset: -1, Err: io.ErrClosed})
		return
	}
	c.Finish(0, nil)
}
