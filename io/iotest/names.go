package iotest

import (
	"bytes"
	"errors"
	"io/fs"

	"github.com/pawldb/pawl/io"
)

// tryOpen returns the error of an Open, and closes what it opened.
func (h *harness) tryOpen(base string, flag io.OpenFlag) error {
	h.Helper()
	o := io.Opening{Path: h.name(base), Flag: flag, Mode: 0o600}
	err := h.end(func(c *io.Completion) { h.IO.Open(c, &o) })
	if (err == nil) != (o.File != nil) {
		h.Fatalf("open %s: %v with file %v", base, err, o.File)
	}
	if err == nil {
		h.close(o.File)
	}
	return err
}

func testOpenFlags(h *harness) {
	const create, exclusive = io.OpenWrite | io.OpenCreate, io.OpenWrite | io.OpenCreate | io.OpenExclusive
	for _, step := range []struct {
		flag io.OpenFlag
		want error
	}{
		{0, fs.ErrNotExist}, {io.OpenWrite, fs.ErrNotExist}, {exclusive, nil}, {exclusive, fs.ErrExist}, {create, nil},
		{io.OpenWrite, nil}, {0, nil},
	} {
		if err := h.tryOpen("f", step.flag); !errors.Is(err, step.want) {
			h.Errorf("open with flags %b: %v, want %v", step.flag, err, step.want)
		}
	}
	f := h.create("g", pattern(1, 77))
	o := io.Opening{Path: h.name("g"), Flag: create}
	h.must(func(c *io.Completion) { h.IO.Open(c, &o) })
	if o.Size != 77 || o.Real == "" || o.Real != o.File.Name() {
		h.Errorf("open reports size %d, path %q, name %q", o.Size, o.Real, o.File.Name())
	}
	h.close(o.File)
	h.close(f)
}

func testReadOnlyFile(h *harness) {
	h.close(h.create("f", pattern(1, 100)))
	f := h.open("f", 0)
	if err := h.end(func(c *io.Completion) { f.Write(c, [][]byte{{1}}, 0) }); !errors.Is(err, io.ErrReadOnly) {
		h.Errorf("write of a file opened for reading: %v", err)
	}
	if err := h.end(func(c *io.Completion) { f.Truncate(c, 0) }); !errors.Is(err, io.ErrReadOnly) {
		h.Errorf("truncate of a file opened for reading: %v", err)
	}
	if !bytes.Equal(h.read(f, 0, 100), pattern(1, 100)) {
		h.Error("content has changed")
	}
	h.close(f)
}

func testLocks(h *harness) {
	a := h.create("f", nil)
	b, r := h.open("f", io.OpenWrite), h.open("f", 0)
	lock := func(f io.File, exclusive bool) error {
		return h.end(func(c *io.Completion) { f.Lock(c, exclusive) })
	}
	refused := func(what string, err error) {
		h.Helper()
		var locked *io.LockedError
		if !errors.Is(err, io.ErrLocked) || !errors.As(err, &locked) || locked.Path == "" {
			h.Errorf("%s: %v", what, err)
		}
	}
	if err := lock(a, true); err != nil {
		h.Fatal(err)
	}
	refused("second exclusive lock in one process", lock(b, true))
	refused("shared lock beside an exclusive one", lock(r, false))
	h.close(a)
	if err := lock(b, false); err != nil {
		h.Errorf("shared lock after the exclusive one has gone: %v", err)
	}
	if err := lock(r, false); err != nil {
		h.Errorf("second shared lock: %v", err)
	}
	a = h.open("f", io.OpenWrite)
	refused("exclusive lock beside shared ones", lock(a, true))
	h.close(b)
	refused("exclusive lock beside one shared one", lock(a, true))
	h.close(r)
	if err := lock(a, true); err != nil {
		h.Errorf("exclusive lock after all shared ones have gone: %v", err)
	}
	// Another open of the file that is closed must not take the lock along.
	h.close(h.open("f", io.OpenWrite))
	b = h.open("f", io.OpenWrite)
	refused("lock after the close of another open", lock(b, true))
	h.close(a)
	h.close(b)
}

func testLockHeldUntilClosed(h *harness) {
	if h.Hold == nil {
		h.Skip("the backend can't hold I/O")
	}
	a := h.create("f", pattern(1, 100))
	b := h.open("f", io.OpenWrite)
	h.must(func(c *io.Completion) { a.Lock(c, true) })
	hold := h.Hold()
	var write, closing io.Completion
	a.Write(&write, [][]byte{pattern(2, 100)}, 0)
	done := h.background(&write)
	hold.Started()
	write.Cancel()
	a.Close(&closing)
	if err := h.end(func(c *io.Completion) { b.Lock(c, true) }); !errors.Is(err, io.ErrLocked) {
		h.Errorf("lock while a write under the lock is under way: %v", err)
	}
	hold.Release()
	h.wait(&closing)
	h.retired(&write)
	<-done
	h.must(func(c *io.Completion) { b.Lock(c, true) })
	h.close(b)
}

func testLink(h *harness) {
	f := h.create("a", pattern(1, 50))
	h.touch("b")
	link := func(from, to string) error {
		return h.end(func(c *io.Completion) { h.IO.Link(c, h.name(from), h.name(to)) })
	}
	if err := link("a", "b"); !errors.Is(err, fs.ErrExist) {
		h.Errorf("link over a name: %v", err)
	}
	if err := link("missing", "c"); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("link of a missing file: %v", err)
	}
	if err := link("a", "c"); err != nil {
		h.Fatal(err)
	}
	g := h.open("c", 0)
	if !bytes.Equal(h.read(g, 0, 50), pattern(1, 50)) {
		h.Error("the new name leads to something else")
	}
	h.close(g)
	if h.size("b") != 0 {
		h.Error("a refused link has changed what was there")
	}
	h.close(f)
}

// touch makes an empty file and closes it.
func (h *harness) touch(base string) {
	h.Helper()
	h.close(h.create(base, nil))
}

func testRename(h *harness) {
	h.close(h.create("a", pattern(1, 50)))
	h.close(h.create("b", pattern(2, 60)))
	rename := func(from, to string) error {
		return h.end(func(c *io.Completion) { h.IO.Rename(c, h.name(from), h.name(to)) })
	}
	if err := rename("missing", "c"); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("rename of a missing file: %v", err)
	}
	if err := rename("a", "b"); err != nil {
		h.Fatal(err)
	}
	if err := h.stat("a"); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("old name after a rename: %v", err)
	}
	f := h.open("b", 0)
	if h.size("b") != 50 || !bytes.Equal(h.read(f, 0, 50), pattern(1, 50)) {
		h.Error("rename did not replace what was there")
	}
	h.close(f)
}

func testRemove(h *harness) {
	h.touch("a")
	remove := func() error { return h.end(func(c *io.Completion) { h.IO.Remove(c, h.name("a")) }) }
	if err := remove(); err != nil {
		h.Fatal(err)
	}
	if err := h.stat("a"); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("stat of a removed name: %v", err)
	}
	if err := remove(); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("second remove: %v", err)
	}
	h.touch("a") // the name is free again
}

func testRemoveOpenFile(h *harness) {
	f := h.create("a", pattern(1, 50))
	if err := h.end(func(c *io.Completion) { h.IO.Remove(c, h.name("a")) }); err != nil {
		h.close(f)
		h.Skip("the system does not remove open files:", err)
	}
	g := h.create("a", pattern(2, 50))
	if !bytes.Equal(h.read(f, 0, 50), pattern(1, 50)) || !bytes.Equal(h.read(g, 0, 50), pattern(2, 50)) {
		h.Error("an open file does not keep its content after its name has gone to another")
	}
	h.close(f)
	h.close(g)
}

func testSyncDir(h *harness) {
	h.touch("a")
	h.must(func(c *io.Completion) { h.IO.SyncDir(c, h.name("a")) })
	h.must(func(c *io.Completion) { h.IO.Remove(c, h.name("a")) })
	h.must(func(c *io.Completion) { h.IO.SyncDir(c, h.name("a")) }) // the name need not exist
	if err := h.stat("a"); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("removed name after SyncDir: %v", err)
	}
}

func testStat(h *harness) {
	if err := h.stat("a"); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("stat of a missing file: %v", err)
	}
	f := h.create("a", pattern(1, 123))
	h.touch("b")
	look := func(base string) io.Lookup {
		l := io.Lookup{Path: h.name(base)}
		h.must(func(c *io.Completion) { h.IO.Stat(c, &l) })
		return l
	}
	a, b := look("a"), look("b")
	if a.Size != 123 || a.Real != f.Name() {
		h.Errorf("stat reports size %d and path %q, the open file is %q", a.Size, a.Real, f.Name())
	}
	if a.ID == b.ID || a.ID == (io.FileID{}) {
		h.Errorf("ids of two files: %v and %v", a.ID, b.ID)
	}
	o := io.Opening{Path: h.name("a")}
	h.must(func(c *io.Completion) { h.IO.Open(c, &o) })
	if o.ID != a.ID {
		h.Errorf("open reports id %v, stat %v", o.ID, a.ID)
	}
	h.close(o.File)
	h.close(f)
	h.must(func(c *io.Completion) { h.IO.Rename(c, h.name("a"), h.name("c")) })
	if got := look("c").ID; got != a.ID {
		h.Errorf("id changes from %v to %v with a rename", a.ID, got)
	}
}

func testSymlink(h *harness) {
	if h.Symlink == nil {
		h.Skip("the backend has no symbolic links")
	}
	f := h.create("target", pattern(1, 10))
	for from, to := range map[string]string{"link": "target", "dangling": "nothing"} {
		if err := h.Symlink(h.name(to), h.name(from)); err != nil {
			h.Skip("no symbolic links here:", err)
		}
	}
	o := io.Opening{Path: h.name("link")}
	h.must(func(c *io.Completion) { h.IO.Open(c, &o) })
	if o.Real != f.Name() || o.File.Name() != f.Name() {
		h.Errorf("open through a link: path %q, name %q, want %q", o.Real, o.File.Name(), f.Name())
	}
	if !bytes.Equal(h.read(o.File, 0, 10), pattern(1, 10)) {
		h.Error("content through a link differs")
	}
	l := io.Lookup{Path: h.name("link")}
	h.must(func(c *io.Completion) { h.IO.Stat(c, &l) })
	if l.Real != f.Name() || l.ID != o.ID {
		h.Errorf("stat through a link: path %q, id %v", l.Real, l.ID)
	}
	if err := h.stat("dangling"); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("stat of a dangling link: %v", err)
	}
	h.close(o.File)
	h.close(f)
}
