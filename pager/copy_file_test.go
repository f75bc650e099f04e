package pager

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// TestCopyFile copies to a file of its own; a name that is taken is refused and left alone.
func TestCopyFile(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.strict = true
	require.NoError(t, w.open())
	w.populate(6)
	var r Reader
	r.Start(w.p)
	var f CopyFile
	f.Start(&r, "sub/copy")
	size, err := drivePager[int64](w, &f)
	require.NoError(t, err)
	file, err := w.m.Bytes("sub/copy")
	require.NoError(t, err)
	require.Len(t, file, int(size))
	require.Zero(t, w.p.cache.figures().Held)
	require.Equal(t, []string{"db", "db-wal", "sub/copy"}, w.m.Names())
	w.checkCopy(file, r.Seq())

	f.Start(&r, "sub/copy")
	_, err = drivePager[int64](w, &f)
	require.ErrorIs(t, err, fs.ErrExist)
	again, err := w.m.Bytes("sub/copy")
	require.NoError(t, err)
	require.True(t, bytes.Equal(file, again))
	r.Close()
	w.quiet()
}

// TestCopyFileLosesTheRaceForTheName takes the name while the copy is written.
func TestCopyFileLosesTheRaceForTheName(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	w.populate(2)
	var r Reader
	r.Start(w.p)
	w.m.SetFault(func(op *io.Op) error {
		if op.Name() == "link" {
			w.m.SetBytes("copy", []byte("somebody else's"))
		}
		return nil
	})
	var f CopyFile
	f.Start(&r, "copy")
	_, err := drivePager[int64](w, &f)
	require.ErrorIs(t, err, fs.ErrExist)
	r.Close()
	require.Equal(t, []string{"copy", "db", "db-wal"}, w.m.Names())
	got, err := w.m.Bytes("copy")
	require.NoError(t, err)
	require.Equal(t, "somebody else's", string(got))
}

// copyFileWorld is a small database with everything in it, partly in the log.
func copyFileWorld(t testing.TB, m *io.Memory) *pagerWorld {
	w := newPagerWorld(t, m, bigCache)
	w.strict = true
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 30, 0, 0))
	require.NoError(t, extents(900, 3000)(w))
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.NoError(t, w.update(false, 4, 6, 5))
	require.NoError(t, extents(700)(w))
	w.p.cache.setBudget(0) // pages in the log are read
	w.p.cache.setBudget(tinyCache)
	return w
}

// TestCopyFileCutAtEveryIO cuts the power before each I/O of a copy: there is no file of the name, or a whole one,
// and the source is as it was.
func TestCopyFileCutAtEveryIO(t *testing.T) {
	m := io.NewMemory()
	w := copyFileWorld(t, m)
	var r Reader
	r.Start(w.p)
	points, images, whole, busy := 0, 0, 0, false
	cut := func(where string) {
		busy = true
		defer func() { busy = false }()
		points++
		tried := 0
		for survivors, image := range m.CrashImages(uint64(points)) {
			if tried++; tried > effort.Of(6, 30, 1000) && (tried+points)%max(1, len(survivors.Changes)/8) != 0 {
				continue
			}
			images++
			label := fmt.Sprintf("cut before %s, survivors %v", where, survivors)
			if slices.Contains(image.Names(), "copy") {
				file, err := image.Bytes("copy")
				require.NoError(t, err, label)
				whole++
				if whole%effort.Of(20, 5, 1) == 1 || effort.Of(20, 5, 1) == 1 {
					w.checkCopy(file, r.Seq())
				} else {
					require.True(t, copyOpens(w, file, r.Seq()), label)
				}
			}
			if images%10 == 0 {
				source := newPagerWorld(t, image, bigCache)
				require.NoError(t, source.open(), label)
				require.NoError(t, source.verify(w.models), label)
			}
		}
	}
	m.SetFault(func(op *io.Op) error {
		if !busy && op.Kind != io.KindRead && op.Name() != "stat" {
			cut(op.String())
		}
		return nil
	})
	var f CopyFile
	f.Start(&r, "copy")
	_, err := drivePager[int64](w, &f)
	require.NoError(t, err)
	cut("the end")
	m.SetFault(nil)
	image := m.Crash(func(int, io.Change) bool { return false })
	require.True(t, slices.Contains(image.Names(), "copy"), "a copy that is reported survives")
	r.Close()
	w.quiet()
	t.Logf("%d cut points, %d images, %d of them with a copy", points, images, whole)
	require.Greater(t, points, 8)
	require.Greater(t, whole, 3)
}

// copyOpens reports whether a file is a clean database with the pages of commit seq.
func copyOpens(w *pagerWorld, file []byte, seq types.Seq) bool {
	m := io.NewMemory()
	m.SetBytes("db", file)
	c := newPagerWorld(w.t, m, bigCache)
	return c.open() == nil && c.info.Clean && c.p.Snapshot().Seq == seq && c.verify(w.models) == nil && c.fsck() == nil
}

// TestCopyFileFailsAtEveryIO makes each I/O of a copy fail: nothing is left behind, and the source goes on.
func TestCopyFileFailsAtEveryIO(t *testing.T) {
	cases, failed := 0, 0
	for _, forever := range []bool{false, true} {
		for k := uint64(0); ; k++ {
			m := io.NewMemory()
			w := copyFileWorld(t, m)
			var r Reader
			r.Start(w.p)
			first, hit := uint64(0), ""
			m.SetFault(func(op *io.Op) error {
				if first == 0 {
					first = op.Index
				}
				cleaning := hit != "" && (op.Name() == "close" || op.Name() == "remove" && hit != "remove")
				if op.Index == first+k || forever && op.Index > first+k && !cleaning {
					if hit == "" {
						hit = op.Name()
					}
					return errInjected
				}
				return nil
			})
			var f CopyFile
			f.Start(&r, "copy")
			_, err := drivePager[int64](w, &f)
			m.SetFault(nil)
			if hit == "" {
				require.NoError(t, err)
				break
			}
			cases++
			label := func() string { return fmt.Sprintf("I/O %d, %s, forever %v", k, hit, forever) }
			if err == nil && !forever && hit == "read" {
				file, err := m.Bytes("copy") // the read ahead of a map node is made again when the node is needed
				require.NoError(t, err)
				w.checkCopy(file, r.Seq())
				r.Close()
				continue
			}
			require.ErrorIs(t, err, errInjected, label())
			failed++
			r.Close()
			require.Zero(t, m.InFlight(), label())
			require.Zero(t, w.p.cache.figures().Held, label())
			if !(forever && hit == "remove") {
				require.Equal(t, []string{"db", "db-wal"}, m.Names(), label())
			}
			w.goesOn(label)
		}
	}
	t.Logf("%d cases, %d failed copies", cases, failed)
	require.Greater(t, failed, cases*3/4)
	require.Greater(t, cases, 40)
}

// TestCopyFullDisk shows that a copy that finds no room leaves none taken.
func TestCopyFullDisk(t *testing.T) {
	m := io.NewMemory()
	w := copyFileWorld(t, m)
	var r Reader
	r.Start(w.p)
	used := 0
	for _, name := range m.Names() {
		file, err := m.Bytes(name)
		require.NoError(t, err)
		used += len(file)
	}
	m.SetCapacity(int64(used + 20*testPageSize))
	var f CopyFile
	f.Start(&r, "copy")
	_, err := drivePager[int64](w, &f)
	require.ErrorIs(t, err, io.ErrNoSpace)
	require.Equal(t, []string{"db", "db-wal"}, m.Names())
	r.Close()
	m.SetCapacity(0)
	w.goesOn(func() string { return "a full disk" })
}

// stepTwice steps a copy of a file by hand: at each wait it steps again, which changes nothing, and at wait number
// stop it aborts. It returns the number of waits, and whether it came to the end.
func stepTwice(t *testing.T, m *io.Memory, f *CopyFile, stop int, started bool) (waits int, ended bool) {
	submitted := 0
	m.SetTrace(func(e io.MemoryEvent) {
		if !e.Completed {
			submitted++
		}
	})
	defer m.SetTrace(nil)
	for {
		res, err := f.Step()
		require.NoError(t, err)
		if res.Pending == nil {
			return waits, true
		}
		before := submitted
		again, err := f.Step()
		require.NoError(t, err)
		require.Same(t, res.Pending, again.Pending)
		require.Equal(t, before, submitted, "a step while waiting submits nothing")
		if waits == stop {
			for _, op := range m.Queue() {
				if started {
					op.Start()
				}
			}
			require.ErrorIs(t, f.Abort(io.ErrCancelled), io.ErrCancelled)
			return waits, false
		}
		waits++
		// What was submitted last is completed first: waits end in any order.
		for i := 0; !res.Pending.Done(); i++ {
			q := m.Queue()
			require.NotEmpty(t, q)
			q[len(q)-1].Complete()
			if !res.Pending.Done() {
				again, err := f.Step()
				require.NoError(t, err)
				require.Same(t, res.Pending, again.Pending)
			}
		}
	}
}

// TestCopyFileStepsAndAborts aborts a copy at each of its waits, with I/O that can be stopped and I/O that can't.
func TestCopyFileStepsAndAborts(t *testing.T) {
	for _, started := range []bool{false, true} {
		for stop := 0; ; stop++ {
			m := io.NewMemory()
			w := copyFileWorld(t, m)
			var r Reader
			r.Start(w.p)
			m.SetManual(true)
			var f CopyFile
			f.Start(&r, "copy")
			_, ended := stepTwice(t, m, &f, stop, started)
			label := func() string { return fmt.Sprintf("aborted at wait %d, I/O started %v", stop, started) }
			if !ended {
				seq := r.Seq()
				r.Close()
				reads := slices.ContainsFunc(m.Queue(), func(op *io.Op) bool { return op.Name() == "read" && op.Started && op.File != "copy" })
				held := false
				w.p.readers.each(0, func(s *Snapshot, _ int64) { held = held || s.Seq == seq })
				if held && !reads {
					t.Fatalf("%s: a reader is held and no read is under way", label())
				}
				for q := m.Queue(); len(q) > 0; q = m.Queue() {
					q[0].Complete()
				}
			} else {
				r.Close()
			}
			m.SetManual(false)
			require.Zero(t, m.InFlight(), label())
			require.Zero(t, w.p.cache.figures().Held, label())
			require.Empty(t, w.p.cache.loads, label())
			w.quiet()
			if ended {
				require.Equal(t, []string{"copy", "db", "db-wal"}, m.Names())
				file, err := m.Bytes("copy")
				require.NoError(t, err)
				w.checkCopy(file, types.Seq(len(w.models)-1))
				require.Greater(t, stop, 10)
				break
			}
			require.Equal(t, []string{"db", "db-wal"}, m.Names(), label())
			w.goesOn(label)
		}
	}
}
