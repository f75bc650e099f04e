//go:build linux || darwin || freebsd

package io

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func sizeOf(t *testing.T, f File) int64 {
	t.Helper()
	info, err := os.Stat(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Growing takes the space: the file has as many blocks as its size says.
func TestSystemGrowthTakesSpace(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 100))
	if err := systemDo(t, s, func(c *Completion) { f.Truncate(c, 1<<20) }); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(f.Name(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Size != 1<<20 || st.Blocks*512 < 1<<20 && h.Calls["pwrite"].Load() == 0 {
		t.Errorf("size %d, %d blocks of 512 bytes", st.Size, st.Blocks)
	}
}

// Where space can't be reserved, zeroes are written.
func TestSystemGrowthByZeroes(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 100))
	s.calls.allocate = func(handle, int64, int64) error { return unix.EOPNOTSUPP }
	h.Short(10_000)
	if err := systemDo(t, s, func(c *Completion) { f.Truncate(c, 200_000) }); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil || !bytes.Equal(got, slices.Concat(fill('a', 100), make([]byte, 199_900))) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := h.Calls["pwrite"].Load(); n < 20 {
		t.Errorf("%d writes", n)
	}
}

// A growth that finds no space leaves the old size, whatever it has got so far.
func TestSystemGrowthWithoutSpace(t *testing.T) {
	for name, prepare := range map[string]func(s *system){
		"reserving": func(s *system) {
			s.calls.allocate = func(h handle, from, to int64) error {
				s.calls.resize(h, (from+to)/2)
				return unix.ENOSPC
			}
		},
		"writing": func(s *system) {
			pwrite, left := s.calls.pwrite, 5
			s.calls.allocate = func(handle, int64, int64) error { return errors.ErrUnsupported }
			s.calls.pwrite = func(h handle, b []byte, offset int64) (int, error) {
				if left--; left < 0 {
					return -1, unix.ENOSPC
				}
				return pwrite(h, b, offset)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, f := hookedFile(t, fill('a', 100))
			prepare(s)
			err := systemDo(t, s, func(c *Completion) { f.Truncate(c, 1<<20) })
			var op *OpError
			if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &op) {
				t.Fatal(err)
			}
			if op.Op != KindTruncate || op.File != f.Name() || op.Length != 1<<20 || sizeOf(t, f) != 100 {
				t.Errorf("%v; size %d", op, sizeOf(t, f))
			}
		})
	}
}

// What the system says stays in the chain, with what callers test for.
func TestSystemErrors(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 100))
	o := Opening{Path: f.Name()}
	ops := map[string]struct {
		submit func(c *Completion)
		op     OpError
	}{
		"read":     {func(c *Completion) { f.Read(c, make([]byte, 5), 7) }, OpError{KindRead, f.Name(), 7, 5, nil}},
		"write":    {func(c *Completion) { f.Write(c, [][]byte{{1}, {2}}, 9) }, OpError{KindWrite, f.Name(), 9, 2, nil}},
		"sync":     {f.Sync, OpError{KindSync, f.Name(), -1, 0, nil}},
		"truncate": {func(c *Completion) { f.Truncate(c, 50) }, OpError{KindTruncate, f.Name(), 0, 50, nil}},
		"lock":     {func(c *Completion) { f.Lock(c, true) }, OpError{KindOpen, f.Name(), -1, 0, nil}},
		"open":     {func(c *Completion) { s.Open(c, &o) }, OpError{KindOpen, f.Name(), -1, 0, nil}},
		"stat":     {func(c *Completion) { s.Stat(c, &Lookup{Path: f.Name()}) }, OpError{KindOpen, f.Name(), -1, 0, nil}},
		"remove":   {func(c *Completion) { s.Remove(c, f.Name()) }, OpError{KindLink, f.Name(), -1, 0, nil}},
		"syncdir":  {func(c *Completion) { s.SyncDir(c, f.Name()) }, OpError{KindSyncDir, f.Name(), -1, 0, nil}},
	}
	for name, test := range ops {
		for errno, want := range map[syscall.Errno]error{
			unix.ENOSPC: ErrNoSpace, unix.EDQUOT: ErrNoSpace, unix.EFBIG: ErrNoSpace, unix.EROFS: ErrReadOnly,
			unix.EACCES: fs.ErrPermission, unix.EIO: unix.EIO,
		} {
			h.SetFail(func() error { return errno })
			err := systemDo(t, s, test.submit)
			var op *OpError
			if !errors.Is(err, want) || !errors.Is(err, errno) || !errors.As(err, &op) {
				t.Errorf("%s with %v: %v", name, errno, err)
				continue
			}
			got := *op
			got.Err = nil
			if got != test.op {
				t.Errorf("%s: error says %+v, want %+v", name, got, test.op)
			}
		}
	}
	h.SetFail(nil)
	if o.File != nil {
		t.Error("an open that failed has a file")
	}
}

// A write that the system takes no byte of, without a reason, is an error and not a loop.
func TestSystemWriteWithoutProgress(t *testing.T) {
	s, _, f := hookedFile(t, nil)
	s.calls.pwrite = func(handle, []byte, int64) (int, error) { return 0, nil }
	if err := systemDo(t, s, func(c *Completion) { f.Write(c, [][]byte{{1}}, 0) }); !errors.Is(err, errNoProgress) {
		t.Error(err)
	}
}

// Empty buffers anywhere don't look like no progress, and a vector costs few calls.
func TestSystemVectorCalls(t *testing.T) {
	s, h, f := hookedFile(t, nil)
	bufs := make([][]byte, 3*maxVector)
	for i := 2 * maxVector; i < len(bufs); i++ {
		bufs[i] = []byte{byte(i)}
	}
	if err := systemDo(t, s, func(c *Completion) { f.Write(c, bufs, 0) }); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil || !bytes.Equal(got, slices.Concat(bufs...)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := h.Calls["pwritev"].Load(); s.calls.pwritev != nil && n != 1 {
		t.Errorf("%d calls", n)
	}
}

// A pipe is not opened: that would wait for its other end.
func TestSystemPipe(t *testing.T) {
	s, h, f := hookedFile(t, nil)
	name := filepath.Join(filepath.Dir(f.Name()), "pipe")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	opens := h.Calls["open"].Load()
	o := Opening{Path: name}
	if err := systemDo(t, s, func(c *Completion) { s.Open(c, &o) }); !errors.Is(err, ErrNotRegular) {
		t.Error(err)
	}
	if n := h.Calls["open"].Load(); n != opens {
		t.Error("the pipe was opened")
	}
}

// Without links, the name is taken by a rename that replaces nothing.
func TestSystemRenameNoReplace(t *testing.T) {
	for name, rename := range map[string]func(from, to string) error{
		"call": renameNoReplace, "reserving": renameByReserving,
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for _, name := range []string{"a", "b"} {
				if err := os.WriteFile(name, []byte(name), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := rename("a", "b"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over a name: %v", err)
			}
			if err := rename("missing", "c"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("of a missing file: %v", err)
			}
			if err := rename("a", "c"); err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{"a": "", "b": "b", "c": "a"} {
				if got, _ := os.ReadFile(name); string(got) != want {
					t.Errorf("%s holds %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A directory that can't be synced is not an error where the file system says so; a missing one is.
func TestSystemSyncDirMissing(t *testing.T) {
	s, _, f := hookedFile(t, nil)
	name := filepath.Join(filepath.Dir(f.Name()), "missing", "f")
	if err := systemDo(t, s, func(c *Completion) { s.SyncDir(c, name) }); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// The system's answers that the watch, workers and waiters share: interruptions of every call are gone over.
func TestSystemInterruptions(t *testing.T) {
	s, h, f := hookedFile(t, fill('a', 100))
	o, l := Opening{Path: f.Name()}, Lookup{Path: f.Name()}
	other := f.Name() + "-2"
	for name, submit := range map[string]func(c *Completion){
		"read":     func(c *Completion) { f.Read(c, make([]byte, 100), 0) },
		"write":    func(c *Completion) { f.Write(c, [][]byte{{'a'}, {'a'}}, 0) },
		"sync":     f.Sync,
		"truncate": func(c *Completion) { f.Truncate(c, sizeOf(t, f)+10) },
		"lock":     func(c *Completion) { f.Lock(c, true) },
		"open":     func(c *Completion) { s.Open(c, &o) },
		"stat":     func(c *Completion) { s.Stat(c, &l) },
		"syncdir":  func(c *Completion) { s.SyncDir(c, f.Name()) },
	} {
		h.FailNext(3, unix.EINTR)
		if err := systemDo(t, s, submit); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, submit := range []func(c *Completion){
		func(c *Completion) { s.Link(c, f.Name(), other) },
		func(c *Completion) { s.Rename(c, other, other+"-3") },
		func(c *Completion) { s.Remove(c, other+"-3") },
		f.Close,
	} {
		h.FailNext(3, unix.EINTR)
		if err := systemDo(t, s, submit); err != nil {
			t.Error(err)
		}
	}
	if runtime.GOOS == "linux" && interrupted(unix.EIO) {
		t.Error("an I/O error counts as an interruption")
	}
}
