package iotest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/pawldb/pawl/io"
)

// Backend is what the suite tests, and what it may do to it. A nil hook leaves out the tests that need it.
type Backend struct {
	IO  io.IO
	Dir string // an existing, empty directory for the suite's names

	// Short cuts every transfer of more than n bytes to n bytes, at the place where the system would; 0: no more.
	Short func(n int)

	// Interrupt makes the next n system calls fail as if a signal had come (EINTR, EAGAIN).
	Interrupt func(n int)

	// Hold keeps reads and writes submitted from now on from finishing. Other I/O goes on. Until Release the
	// suite submits few enough of them that every one can be under way at a time.
	Hold func() Hold

	// Symlink makes newName a symbolic link to oldName.
	Symlink func(oldName, newName string) error

	// Advance moves a virtual clock; nil: the clock goes by itself.
	Advance func(nanos int64)
}

// Hold is how the suite controls I/O that Backend.Hold keeps from finishing.
type Hold struct {
	Started func() // returns when a read or write submitted since is under way, so that a cancel can't stop it
	Release func() // lets all go on, and stops holding
}

// Run runs the suite on backends made by newIO, one for each test. It shuts each down itself.
func Run(t *testing.T, newIO func(t *testing.T) Backend) {
	tests := []struct {
		name string
		run  func(h *harness)
	}{
		{"WriteReadBack", testWriteReadBack},
		{"VectoredWrite", testVectoredWrite},
		{"GrowByWrite", testGrowByWrite},
		{"Truncate", testTruncate},
		{"ShortRead", testShortRead},
		{"Overlapping", testOverlapping},
		{"RandomAgainstModel", testRandomAgainstModel},
		{"ShortTransfers", testShortTransfers},
		{"Interrupted", testInterrupted},
		{"OpenFlags", testOpenFlags},
		{"ReadOnlyFile", testReadOnlyFile},
		{"Locks", testLocks},
		{"LockHeldUntilClosed", testLockHeldUntilClosed},
		{"Link", testLink},
		{"Rename", testRename},
		{"Remove", testRemove},
		{"RemoveOpenFile", testRemoveOpenFile},
		{"SyncDir", testSyncDir},
		{"Stat", testStat},
		{"Symlink", testSymlink},
		{"CancelAtOnce", testCancelAtOnce},
		{"CancelUnderWay", testCancelUnderWay},
		{"CancelAfterEnd", testCancelAfterEnd},
		{"CloseWaits", testCloseWaits},
		{"ClosedFile", testClosedFile},
		{"SharedRead", testSharedRead},
		{"Callbacks", testCallbacks},
		{"CallbackSubmits", testCallbackSubmits},
		{"CallbackOnFailure", testCallbackOnFailure},
		{"Group", testGroup},
		{"GroupCancel", testGroupCancel},
		{"GroupFailure", testGroupFailure},
		{"Hammer", testHammer},
		{"Poll", testPoll},
		{"WaitContext", testWaitContext},
		{"WaitHeldContext", testWaitHeldContext},
		{"WaitYield", testWaitYield},
		{"Timer", testTimer},
		{"TimerCancel", testTimerCancel},
		{"Clock", testClock},
		{"Random", testRandom},
		{"Shutdown", testShutdown},
		{"ShutdownWaits", testShutdownWaits},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := &harness{T: t, Backend: newIO(t)}
			test.run(h)
			if t.Failed() {
				return // what is left in flight after a failure says nothing
			}
			if n := h.IO.InFlight(); n != 0 {
				t.Errorf("%d completions in flight at the end", n)
			}
			if err := h.IO.Shutdown(); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
	}
}

// patience bounds how long the suite waits for what must happen; no outcome depends on it otherwise.
const patience = 30 * time.Second

// harness is one backend under one test.
type harness struct {
	*testing.T
	Backend
}

// name returns the path of a file of the test.
func (h *harness) name(base string) string { return filepath.Join(h.Dir, base) }

// wait runs the event loop until c has resolved.
func (h *harness) wait(c *io.Completion) {
	h.Helper()
	if err := h.IO.Wait(context.Background(), c); err != nil {
		h.Fatalf("wait for %v: %v", c.Kind(), err)
	}
	if !c.Done() {
		h.Fatalf("wait for %v returned, and it is %v", c.Kind(), c.State())
	}
}

// end submits one I/O, waits, and returns its error. Nothing was cancelled, so it is retired.
func (h *harness) end(submit func(c *io.Completion)) error {
	h.Helper()
	c := new(io.Completion)
	submit(c)
	h.wait(c)
	h.retired(c)
	if c.State() != io.Succeeded && c.State() != io.Failed {
		h.Fatalf("%v ended as %v", c.Kind(), c.State())
	}
	return c.Err()
}

// must submits one I/O that has to succeed.
func (h *harness) must(submit func(c *io.Completion)) {
	h.Helper()
	if err := h.end(submit); err != nil {
		h.Fatal(err)
	}
}

// retired polls until c is retired: an event loop may need to be asked.
func (h *harness) retired(c *io.Completion) {
	h.Helper()
	h.eventually(c.Retired, "completion of a %v is %v and not retired", c.Kind(), c.State())
}

// eventually polls until ok returns true.
func (h *harness) eventually(ok func() bool, format string, args ...any) {
	h.Helper()
	for start := time.Now(); !ok(); {
		if time.Since(start) > patience {
			h.Fatalf(format, args...)
		}
		h.IO.Poll()
		time.Sleep(20 * time.Microsecond)
	}
}

// open opens a file that has to open.
func (h *harness) open(base string, flag io.OpenFlag) io.File {
	h.Helper()
	o := io.Opening{Path: h.name(base), Flag: flag, Mode: 0o600}
	h.must(func(c *io.Completion) { h.IO.Open(c, &o) })
	if o.File == nil {
		h.Fatalf("open %s succeeded without a file", base)
	}
	return o.File
}

// create makes a file with the content.
func (h *harness) create(base string, content []byte) io.File {
	h.Helper()
	f := h.open(base, io.OpenWrite|io.OpenCreate|io.OpenExclusive)
	if len(content) > 0 {
		h.write(f, 0, content)
	}
	return f
}

func (h *harness) write(f io.File, offset int64, bufs ...[]byte) {
	h.Helper()
	length := 0
	for _, b := range bufs {
		length += len(b)
	}
	var c io.Completion
	f.Write(&c, bufs, offset)
	h.wait(&c)
	h.retired(&c)
	if c.Err() != nil || c.N() != length {
		h.Fatalf("write of %d bytes at %d: %d, %v", length, offset, c.N(), c.Err())
	}
}

func (h *harness) read(f io.File, offset int64, length int) []byte {
	h.Helper()
	buf := make([]byte, length)
	var c io.Completion
	f.Read(&c, buf, offset)
	h.wait(&c)
	h.retired(&c)
	if c.Err() != nil || c.N() != length {
		h.Fatalf("read of %d bytes at %d: %d, %v", length, offset, c.N(), c.Err())
	}
	return buf
}

func (h *harness) close(f io.File) {
	h.Helper()
	h.must(f.Close)
}

// size asks Stat.
func (h *harness) size(base string) int64 {
	h.Helper()
	l := io.Lookup{Path: h.name(base)}
	h.must(func(c *io.Completion) { h.IO.Stat(c, &l) })
	return l.Size
}

// stat returns the error of a Stat.
func (h *harness) stat(base string) error {
	h.Helper()
	l := io.Lookup{Path: h.name(base)}
	return h.end(func(c *io.Completion) { h.IO.Stat(c, &l) })
}

// pattern returns n bytes that differ by position and by seed.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
