package flight_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdio "io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
)

// wait submits an I/O and waits for it.
func wait(use io.IO, submit func(c *io.Completion)) error {
	return waitFor(use, new(io.Completion), submit)
}

// opened opens a file.
func opened(t *testing.T, use io.IO, name string, flag io.OpenFlag) io.File {
	o := io.Opening{Path: name, Flag: flag, Mode: 0o600}
	require.NoError(t, wait(use, func(c *io.Completion) { use.Open(c, &o) }))
	return o.File
}

func write(f io.File, offset int64, bufs ...[]byte) func(c *io.Completion) {
	return func(c *io.Completion) { f.Write(c, bufs, offset) }
}

func read(f io.File, offset int64, buf []byte) func(c *io.Completion) {
	return func(c *io.Completion) { f.Read(c, buf, offset) }
}

// What is recorded, record by record.
func TestRecords(t *testing.T) {
	m, out := io.NewMemory(), new(bytes.Buffer)
	m.SetBytes("dir/old", append(make([]byte, 8192), "content"...))
	rec, err := flight.RecordTo(m, out, flight.Options{ReadData: true})
	require.NoError(t, err)
	f := opened(t, rec, "dir/../dir/old", io.OpenWrite)
	require.NoError(t, wait(rec, func(c *io.Completion) { f.Lock(c, true) }))
	buf := make([]byte, 3)
	require.NoError(t, wait(rec, read(f, 8193, buf)))
	require.Equal(t, "ont", string(buf))
	require.NoError(t, wait(rec, write(f, 1, []byte("ab"), []byte("c"))))
	require.ErrorIs(t, wait(rec, read(f, 9000, buf)), io.ErrShortRead)
	require.NoError(t, wait(rec, f.Sync))
	require.NoError(t, wait(rec, func(c *io.Completion) { f.Truncate(c, 5) }))
	require.NoError(t, wait(rec, func(c *io.Completion) { rec.Link(c, "dir/old", "dir/new") }))
	rec.Note("durable", 7)
	rec.Mark("here")
	require.NoError(t, wait(rec, f.Close))
	require.NoError(t, rec.Close())
	require.NoError(t, rec.Close(), "again")
	require.ErrorIs(t, rec.Err(), flight.ErrEnded)
	f = opened(t, rec, "dir/new", io.OpenWrite) // unrecorded
	require.NoError(t, wait(rec, write(f, 0, buf)))

	list, torn, err := decode(out.Bytes())
	require.NoError(t, err)
	require.Equal(t, int64(-1), torn)
	var got []string
	for i := range list {
		e := &list[i]
		got = append(got, fmt.Sprintf("%d %v #%d f%02x c%d h%d %d+%d %q %q %q", e.Kind, e.Code, e.Op, e.Flags, e.Class, e.Handle,
			e.Offset, e.Length, e.Name, e.Text, e.Data))
	}
	require.Equal(t, []string{
		`1 open #1 f01 c0 h0 -1+0 "dir/../dir/old" "" ""`,
		`2 open #1 f00 c0 h1 -1+8199 "dir/old" "" ""`,
		`1 lock #2 f01 c0 h1 -1+0 "" "" ""`,
		`2 lock #2 f00 c0 h1 -1+0 "" "" ""`,
		`3 none #0 f00 c0 h0 8192+7 "dir/old" "" "content"`,
		`4 none #0 f00 c0 h0 0+8199 "dir/old" "" ""`,
		`1 read #3 f00 c0 h1 8193+3 "" "" ""`,
		`2 read #3 f02 c0 h1 -1+3 "" "" "ont"`,
		`1 write #4 f00 c0 h1 1+3 "" "" "abc"`,
		`2 write #4 f00 c0 h1 -1+3 "" "" ""`,
		`1 read #5 f00 c0 h1 9000+3 "" "" ""`,
		`2 read #5 f00 c3 h1 -1+0 "" "read dir/old at 9000, 3 bytes: io: read past the end of the file" ""`,
		`1 sync #6 f00 c0 h1 -1+0 "" "" ""`,
		`2 sync #6 f00 c0 h1 -1+0 "" "" ""`,
		`1 truncate #7 f00 c0 h1 0+5 "" "" ""`,
		`2 truncate #7 f00 c0 h1 -1+0 "" "" ""`,
		`1 link #8 f00 c0 h0 -1+0 "dir/old" "dir/new" ""`,
		`2 link #8 f00 c0 h0 -1+0 "" "" ""`,
		`7 none #0 f00 c0 h0 0+0 "durable" "" ""`,
		`8 none #0 f00 c0 h0 0+0 "" "here" ""`,
		`1 close #9 f00 c0 h1 -1+0 "" "" ""`,
		`2 close #9 f00 c0 h1 -1+0 "" "" ""`,
		`9 none #0 f00 c0 h0 0+0 "" "closed" ""`,
	}, got)
	require.Equal(t, xxhash.Sum64String("ont"), list[7].Sum)
	require.Equal(t, xxhash.Sum64String("abc"), list[8].Sum)
	require.Equal(t, uint64(7), list[18].Sum)
	require.ErrorIs(t, list[11].Err(), io.ErrShortRead)
}

// A change is with the operating system before the backend has it, and its end is recorded before anybody is told.
func TestOrderOfRecords(t *testing.T) {
	m, out := io.NewMemory(), new(bytes.Buffer)
	rec, err := flight.RecordTo(m, out, flight.Options{})
	require.NoError(t, err)
	newest := func() flight.Event {
		list, torn, err := decode(out.Bytes())
		require.NoError(t, err)
		require.Equal(t, int64(-1), torn)
		return list[len(list)-1]
	}
	submissions := 0
	m.SetTrace(func(e io.MemoryEvent) {
		switch name := e.Op.Name(); name {
		case "write", "truncate", "link", "rename", "remove", "open":
			if !e.Completed {
				submissions++
				require.Equal(t, flight.Submit, newest().Kind)
				require.Equal(t, name, newest().Code.String())
			}
		}
	})
	f := opened(t, rec, "file", io.OpenWrite|io.OpenCreate|io.OpenExclusive)
	ends := 0
	for _, submit := range []func(c *io.Completion){
		write(f, 0, []byte("content")), read(f, 0, make([]byte, 7)), f.Sync, func(c *io.Completion) { f.Truncate(c, 3) },
		func(c *io.Completion) { rec.Link(c, "file", "other") }, func(c *io.Completion) { rec.Rename(c, "other", "new") },
		func(c *io.Completion) { rec.Remove(c, "new") }, func(c *io.Completion) { rec.SyncDir(c, "new") }, f.Close,
	} {
		var c io.Completion
		c.OnDone(func(*io.Completion) {
			ends++
			require.NoError(t, rec.Flush())
			require.Equal(t, flight.End, newest().Kind)
		})
		require.NoError(t, waitFor(rec, &c, submit))
	}
	require.Equal(t, 6, submissions)
	require.Equal(t, 9, ends)
	require.NoError(t, rec.Close())
}

// waitFor submits an I/O with c and waits for it.
func waitFor(use io.IO, c *io.Completion, submit func(c *io.Completion)) error {
	submit(c)
	if err := use.Wait(context.Background(), c); err != nil {
		return err
	}
	return c.Err()
}

// failing is a writer that takes so many bytes and no more.
type failing struct{ left int }

var errFull = errors.New("full")

func (w *failing) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// A recording that can't be written harms nobody, wherever that begins: what is held back for an image goes on too.
func TestRecordingFails(t *testing.T) {
	for left := 0; left < 4000; left += 37 {
		m := io.NewMemory()
		m.SetBytes("file", bytes.Repeat([]byte{1}, 1000))
		rec, err := flight.RecordTo(m, &failing{left}, flight.Options{})
		if left < 32 {
			require.ErrorIs(t, err, errFull, "%d bytes", left)
			continue
		}
		require.NoError(t, err)
		f := opened(t, rec, "file", io.OpenWrite)
		buf := make([]byte, 1000)
		for i := range int64(10) {
			require.NoError(t, wait(rec, write(f, i*100, []byte{2})))
			require.NoError(t, wait(rec, read(f, 0, buf)))
			rec.Mark("a mark")
		}
		require.Equal(t, byte(2), buf[900])
		require.NoError(t, wait(rec, f.Close))
		require.Zero(t, rec.InFlight())
		if left < 2000 {
			require.ErrorIs(t, rec.Err(), errFull, "%d bytes", left)
			require.ErrorIs(t, rec.Close(), errFull)
		}
		require.NoError(t, rec.Shutdown())
	}
}

// A recording does not replace another one, and says which options mean nothing.
func TestRecordErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recording")
	for _, o := range []flight.Options{{}, {History: 1}} {
		rec, err := flight.Record(io.NewMemory(), path, o)
		require.NoError(t, err)
		require.Len(t, rec.Paths(), 1)
		_, err = flight.Record(io.NewMemory(), path, o)
		require.ErrorIs(t, err, fs.ErrExist)
		require.NoError(t, rec.Close())
	}
	_, err := flight.Record(io.NewMemory(), path, flight.Options{History: -1})
	require.ErrorIs(t, err, flight.ErrOptions)
	_, err = flight.RecordTo(io.NewMemory(), stdio.Discard, flight.Options{History: 1})
	require.ErrorIs(t, err, flight.ErrOptions)
	_, err = flight.Record(io.NewMemory(), filepath.Join(path, "below", "a file"), flight.Options{})
	require.Error(t, err)
}

// I/O of a file whose content is known allocates nothing.
func TestAllocations(t *testing.T) {
	m := io.NewMemory(io.MemoryConfig{Volatile: true})
	rec, err := flight.RecordTo(m, stdio.Discard, flight.Options{})
	require.NoError(t, err)
	f := opened(t, rec, "file", io.OpenWrite|io.OpenCreate|io.OpenExclusive)
	buf := make([]byte, 4096)
	bufs := [][]byte{buf[:1000], buf[1000:]}
	var c io.Completion
	require.Zero(t, testing.AllocsPerRun(100, func() {
		f.Write(&c, bufs, 0)
		c.Reset()
		f.Read(&c, buf, 0)
		c.Reset()
		f.Sync(&c)
		c.Reset()
	}))
}

// Reads by many goroutines wait for the image of a file that another process has changed after it was opened; some give up.
func TestImageIsWaitedFor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for round := range effort.Of(5, 30, 300) {
		require.NoError(t, os.WriteFile(name, make([]byte, 10), 0o600))
		path := filepath.Join(t.TempDir(), "recording")
		rec, err := flight.Record(io.NewSystem(), path, flight.Options{})
		require.NoError(t, err)
		f := opened(t, rec, name, io.OpenWrite)
		content := bytes.Repeat([]byte{byte(round + 1)}, 1<<20)
		require.NoError(t, os.WriteFile(name, content, 0o600)) // it has the lock that the opener waits for
		var wg sync.WaitGroup
		for i := range int64(8) {
			wg.Go(func() {
				buf := make([]byte, 1000)
				var c io.Completion
				if i == 7 {
					f.Write(&c, [][]byte{buf}, 9000)
				} else {
					f.Read(&c, buf, i*1000)
				}
				if i%3 == 0 {
					c.Cancel()
				}
				if err := rec.Wait(context.Background(), &c); err != nil {
					t.Error(err)
				}
				if i%3 != 0 && (c.Err() != nil || i < 7 && !bytes.Equal(buf, content[:1000])) {
					t.Errorf("I/O %d got %v, %d", i, c.Err(), buf[0])
				}
			})
		}
		wg.Wait()
		require.NoError(t, wait(rec, f.Close))
		require.Zero(t, rec.InFlight())
		require.NoError(t, rec.Shutdown())
		image, ends := make([]byte, 1<<20), 0
		for _, e := range readAll(t, path) {
			switch e.Kind {
			case flight.Submit:
				require.True(t, e.Code == flight.Open || ends > 0, "%v before the image is whole", e.Code)
			case flight.Image:
				copy(image[e.Offset:], e.Data)
			case flight.ImageEnd:
				ends++
			}
		}
		require.Equal(t, 1, ends)
		require.True(t, bytes.Equal(content, image))
	}
}

// The images of a part are what the files held when it began, whatever was written, cut and failed before.
func TestPartImages(t *testing.T) {
	m := io.NewMemory()
	path := filepath.Join(t.TempDir(), "recording")
	rec, err := flight.Record(m, path, flight.Options{History: 60 << 10})
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(7, 7))
	files := map[string]io.File{}
	for _, name := range []string{"a", "b"} {
		m.SetBytes(name, bytes.Repeat([]byte(name), 100_000))
		files[name] = opened(t, rec, name, io.OpenWrite)
	}
	rec.Note("early", 42)
	rec.Note("early", 41)
	states := map[string]map[string][]byte{} // by mark
	for i := range effort.Of(200, 600, 6000) {
		name := []string{"a", "b"}[rng.IntN(2)]
		f := files[name]
		offset := int64(rng.IntN(200_000))
		if rng.IntN(12) == 0 {
			require.NoError(t, wait(rec, func(c *io.Completion) { f.Truncate(c, offset) }))
		} else {
			b := bytes.Repeat([]byte{byte(i)}, rng.IntN(9000))
			if rng.IntN(10) == 0 {
				clear(b)
			}
			require.NoError(t, wait(rec, write(f, offset, b)))
		}
		mark := fmt.Sprint(i)
		states[mark] = map[string][]byte{}
		for name := range files {
			states[mark][name], err = m.Bytes(name)
			require.NoError(t, err)
		}
		rec.Mark(mark)
	}
	require.NoError(t, rec.Shutdown())
	require.Len(t, rec.Paths(), 2)
	for i, path := range rec.Paths() {
		held, marks := map[string][]byte{}, 0
		list := readAll(t, path)
		names := map[uint32]string{}
		require.Equal(t, flight.Note, list[0].Kind)
		require.Equal(t, "early", list[0].Name)
		require.Equal(t, uint64(42), list[0].Sum)
		for _, e := range list {
			if e.Kind == flight.Handle {
				held[e.Name], names[e.Handle] = make([]byte, e.Length), e.Name
				require.NotZero(t, e.Flags&flight.Known)
			}
		}
		for _, e := range list {
			if e.Kind == flight.Image {
				require.NotZero(t, e.Flags&flight.AtStart)
				copy(held[e.Name][e.Offset:], e.Data)
			}
		}
		resize := func(name string, size int64) {
			b := make([]byte, size)
			copy(b, held[name])
			held[name] = b
		}
		for _, e := range list {
			name := names[e.Handle]
			switch {
			case e.Kind == flight.Submit && e.Code == flight.Write && e.Length > 0:
				resize(name, max(int64(len(held[name])), e.Offset+e.Length))
				copy(held[name][e.Offset:], e.Data)
			case e.Kind == flight.Submit && e.Code == flight.Truncate:
				resize(name, e.Length)
			case e.Kind == flight.Mark:
				marks++
				for name, content := range states[e.Text] {
					require.True(t, bytes.Equal(content, held[name]), "%s, mark %s: %s differs", path, e.Text, name)
				}
			}
		}
		if i == 0 { // the last part may have begun behind the last mark
			require.Positive(t, marks)
		}
	}
}

// Whatever bytes there are, a reader returns events, an end, or an error that names the place.
func FuzzReader(f *testing.F) {
	out := new(bytes.Buffer)
	rec, err := flight.RecordTo(io.NewMemory(), out, flight.Options{ReadData: true})
	require.NoError(f, err)
	var c io.Completion
	o := io.Opening{Path: "file", Flag: io.OpenWrite | io.OpenCreate}
	rec.Open(&c, &o)
	for range 3 {
		c.Reset()
		o.File.Write(&c, [][]byte{[]byte("content")}, 5)
		rec.Note("durable", 1)
	}
	require.NoError(f, rec.Close())
	f.Add(out.Bytes(), 40, byte(0))
	f.Add(out.Bytes(), 40, byte(1))
	f.Add(out.Bytes()[:out.Len()-9], 500, byte(0x80))
	f.Add([]byte{}, 0, byte(0))
	f.Fuzz(func(t *testing.T, content []byte, at int, flip byte) {
		content = bytes.Clone(content)
		if at >= 0 && at < len(content) {
			content[at] ^= flip
		}
		list, torn, err := decode(content)
		var damage *flight.DamageError
		switch {
		case errors.As(err, &damage):
			require.True(t, damage.Offset >= 0 && damage.Offset < int64(len(content)))
			require.ErrorIs(t, err, flight.ErrDamaged)
		case err != nil:
			require.True(t, errors.Is(err, flight.ErrNotRecording) || errors.Is(err, flight.ErrVersion), "%v", err)
		default:
			require.Less(t, torn, int64(max(1, len(content))))
		}
		for _, e := range list {
			require.True(t, e.At >= 32 && e.At < int64(len(content)))
		}
	})
}
