package replay

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
)

// options are those of a program that records.
func options(rec *flight.Recorder, use io.IO) *pawl.Options {
	return &pawl.Options{IO: use, PageSize: 512, CacheSize: 64 * 512, CheckpointBytes: 32 << 10, OnEvent: func(e pawl.Event) {
		if e.Err == nil && (e.Kind == pawl.EventOpen || e.Kind == pawl.EventCommit || e.Kind == pawl.EventCheckpoint) {
			rec.Note(flight.Durable, e.Seq)
		}
	}}
}

// recording is what a recorder has written so far: the work in the background of an open database goes on writing.
type recording struct {
	mu      sync.Mutex
	content []byte
}

func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.content = append(r.content, p...)
	return len(p), nil
}

// Bytes returns a copy.
func (r *recording) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.content)
}

// work lets goroutines change a database, and read it.
func work(t *testing.T, db *pawl.DB, writers, commits int, seed uint64) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := range commits {
				err := db.Update(func(tx *pawl.Tx) error {
					b := tx.Root()
					for range 1 + rng.IntN(4) {
						k := fmt.Appendf(nil, "%d-%03d", w, rng.IntN(200))
						if rng.IntN(5) == 0 {
							if err := b.Delete(k); err != nil {
								return err
							}
						} else if err := b.Put(k, bytes.Repeat(k, 1+rng.IntN(90))); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				err = db.View(func(tx *pawl.Tx) error {
					for range tx.Root().Range(fmt.Appendf(nil, "%d-%03d", w, i%200), nil) {
						break
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// replayed replays a recording.
func replayed(t *testing.T, content []byte, cuts int) (*Result, error) {
	r, err := flight.NewReader(bytes.NewReader(content), int64(len(content)), "recording")
	require.NoError(t, err)
	return Run(r, "recording", Options{Cuts: cuts})
}

// A program with many goroutines, on files of the operating system, that reopens its database.
func TestRealProgram(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.flight")
	rec, err := flight.Record(io.NewSystem(), path, flight.Options{})
	require.NoError(t, err)
	last := uint64(0)
	for round := range 3 {
		db, err := pawl.Open(filepath.Join(dir, "app.pawl"), options(rec, rec))
		require.NoError(t, err)
		work(t, db, 4, effort.Of(10, 40, 400), uint64(round))
		last = db.Stats().Durable
		require.NoError(t, db.Close())
	}
	require.NoError(t, rec.Shutdown())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	res, err := replayed(t, content, effort.Of(100, 300, 5000))
	require.NoError(t, err)
	require.True(t, res.Clean(), "%s", res)
	require.Equal(t, int64(-1), res.Torn)
	require.Equal(t, "closed", res.Stopped)
	require.Positive(t, res.Reads)
	require.Greater(t, res.Images, effort.Of(50, 150, 300))
	require.Zero(t, res.Skipped)
	require.Equal(t, last, res.Durable)
	require.Len(t, res.Databases, 1)
}

// A database that was there before, and a program that dies: the recording stands alone, and wherever it breaks off what is
// there of it is clean.
func TestTornRecording(t *testing.T) {
	m := io.NewMemory(io.MemoryConfig{RealTime: true})
	var out recording
	rec, err := flight.RecordTo(m, &out, flight.Options{})
	require.NoError(t, err)
	before := options(rec, m)
	before.OnEvent = nil
	db, err := pawl.Open("app.pawl", before)
	require.NoError(t, err)
	work(t, db, 1, 30, 1)
	require.NoError(t, db.Close())
	db, err = pawl.Open("app.pawl", options(rec, rec))
	require.NoError(t, err)
	work(t, db, 1, 10, 2)
	require.NoError(t, rec.Flush())
	content := out.Bytes() // db is still open
	require.NoError(t, db.Close())

	rng := rand.New(rand.NewPCG(1, 1))
	for i := range effort.Of(10, 40, 400) {
		cut := content
		if i > 0 {
			cut = content[:32+rng.IntN(len(content)-32)]
		}
		res, err := replayed(t, cut, 30)
		require.NoError(t, err)
		require.True(t, res.Clean(), "%d bytes\n%s", len(cut), res)
		require.Empty(t, res.Stopped)
		require.LessOrEqual(t, res.Torn, int64(len(cut)))
		if i == 0 {
			require.Positive(t, res.Images)
			require.Equal(t, int64(-1), res.Torn)
		}
	}
	// Damage is not a tear.
	for range effort.Of(10, 100, 1000) {
		cut := bytes.Clone(content)
		cut[32+rng.IntN(len(cut)/2)] ^= 1 << rng.IntN(8)
		_, err := replayed(t, cut, 1)
		var damage *flight.DamageError
		require.ErrorAs(t, err, &damage)
		require.Equal(t, "recording", damage.Name)
	}
}

// wrapper is an io.IO that does something else to some files.
type wrapper struct {
	io.IO
	wrap func(io.File) io.File
	ops  []*opening
}

type opening struct {
	c io.Completion
	o io.Opening
}

func (w *wrapper) Open(c *io.Completion, o *io.Opening) {
	c.ArmSubmitted(io.KindOpen, o.Path)
	at := &opening{o: io.Opening{Path: o.Path, Flag: o.Flag, Mode: o.Mode}}
	w.ops = append(w.ops, at)
	w.IO.Open(&at.c, &at.o)
	at.c.OnRetire(func(*io.Completion) {
		*o = at.o
		if o.File != nil {
			o.File = w.wrap(o.File)
		}
		c.Finish(0, at.c.Err())
	})
}

// eager is a file whose syncs are a lie.
type eager struct{ io.File }

func (eager) Sync(c *io.Completion) {
	c.ArmSubmitted(io.KindSync, "sync")
	c.Finish(0, nil)
}

// An engine that acknowledges commits without syncing its log, or its file, is found out.
func TestMissingSyncs(t *testing.T) {
	for _, suffix := range []string{"-wal", ".pawl"} {
		var out bytes.Buffer
		rec, err := flight.RecordTo(io.NewMemory(io.MemoryConfig{RealTime: true}), &out, flight.Options{})
		require.NoError(t, err)
		careless := &wrapper{IO: rec, wrap: func(f io.File) io.File {
			if name := f.Name(); len(name) > len(suffix) && name[len(name)-len(suffix):] == suffix {
				return eager{f}
			}
			return f
		}}
		db, err := pawl.Open("app.pawl", options(rec, careless))
		require.NoError(t, err)
		work(t, db, 1, 60, 1)
		require.NoError(t, db.Close())
		require.NoError(t, rec.Close())
		res, err := replayed(t, out.Bytes(), effort.Of(150, 150, 5000))
		require.NoError(t, err)
		require.False(t, res.Clean(), "no sync of %s\n%s", suffix, res)
		require.Contains(t, res.Findings[0], "a power cut loses app.pawl", "no sync of %s", suffix)
	}
}

// A disk that loses a write, or flips a bit on the way, is told from an engine that does something wrong.
func TestLyingDisk(t *testing.T) {
	for name, lie := range map[string]func(op *io.Op){
		"lost":    func(op *io.Op) { op.Lose() },
		"flipped": func(op *io.Op) { op.CompleteFlipped(op.Length * 4) },
		"astray":  func(op *io.Op) { op.Divert(op.Offset + 512) },
	} {
		m := io.NewMemory(io.MemoryConfig{Manual: true})
		lies := map[string]bool{}
		writes := 0
		m.SetOnStall(func() bool {
			queue := m.Queue()
			for _, op := range queue {
				if op.Name() == "write" && op.File == "app.pawl" && op.Offset >= 8192 {
					if writes++; writes >= 5 {
						lies[fmt.Sprintf("%s at %d", op.File, op.Offset)] = true
						lie(op)
						continue
					}
				}
				op.Complete()
			}
			next, ok := m.NextTimer()
			if ok && len(queue) == 0 {
				m.Advance(next - m.Now())
			}
			return len(queue) > 0 || ok
		})
		var out bytes.Buffer
		rec, err := flight.RecordTo(m, &out, flight.Options{ReadData: true})
		require.NoError(t, err)
		f, err := opened(rec, "app.pawl", io.OpenWrite|io.OpenCreate)
		require.NoError(t, err)
		buf := make([]byte, 512)
		for i := range int64(8) {
			fill := bytes.Repeat([]byte{byte(i + 1)}, 512)
			require.NoError(t, wait(rec, func(c *io.Completion) { f.Write(c, [][]byte{fill}, 8192+i*2048) }))
		}
		require.NoError(t, wait(rec, func(c *io.Completion) { f.Truncate(c, 32<<10) }))
		for i := range int64(8) {
			require.NoError(t, wait(rec, func(c *io.Completion) { f.Read(c, buf, 8192+i*2048) }))
		}
		require.NoError(t, rec.Close())
		res, err := replayed(t, out.Bytes(), 0)
		require.NoError(t, err)
		require.Len(t, res.Findings, 4, "%s\n%s", name, res)
		require.Len(t, lies, 4)
		for i, finding := range res.Findings {
			require.Contains(t, finding, fmt.Sprintf("a read of app.pawl at %d, 512 bytes, of which those differ from", 8192+(4+i)*2048), name)
			require.Contains(t, finding, "the disk lied")
		}
	}
}

// opened opens a file.
func opened(use io.IO, name string, flag io.OpenFlag) (io.File, error) {
	o := io.Opening{Path: name, Flag: flag, Mode: 0o600}
	err := wait(use, func(c *io.Completion) { use.Open(c, &o) })
	return o.File, err
}

// wait submits an I/O and waits for it.
func wait(use io.IO, submit func(c *io.Completion)) error {
	var c io.Completion
	submit(&c)
	if err := use.Wait(context.Background(), &c); err != nil {
		return err
	}
	return c.Err()
}

// A program that breaks the rules is found out: a range that is used again too early, a buffer that is changed too early, a meta
// block over the only good one.
func TestOrderRules(t *testing.T) {
	begin := func() (*io.Memory, *bytes.Buffer, *flight.Recorder, io.File) {
		m, out := io.NewMemory(), new(bytes.Buffer)
		rec, err := flight.RecordTo(m, out, flight.Options{})
		require.NoError(t, err)
		f, err := opened(rec, "file", io.OpenWrite|io.OpenCreate|io.OpenExclusive)
		require.NoError(t, err)
		return m, out, rec, f
	}
	finding := func(out *bytes.Buffer, rec *flight.Recorder) string {
		require.NoError(t, rec.Close())
		res, err := replayed(t, out.Bytes(), 0)
		require.NoError(t, err)
		require.Len(t, res.Findings, 1, "%s", res)
		return res.Findings[0]
	}
	end := func(m *io.Memory) {
		for len(m.Queue()) > 0 {
			m.Queue()[0].Complete()
		}
	}
	buf := make([]byte, 4096)

	m, out, rec, f := begin()
	m.SetManual(true)
	var a, b io.Completion
	f.Write(&a, [][]byte{buf}, 8192)
	f.Write(&b, [][]byte{buf[:10]}, 12280)
	end(m)
	require.Contains(t, finding(out, rec), "an order rule is broken: #2 write file at 12280, 10 bytes is submitted over #1 write")

	m, out, rec, f = begin()
	m.SetManual(true)
	f.Write(new(io.Completion), [][]byte{bytes.Clone(buf), buf}, 8192)
	buf[7]++
	end(m)
	require.Contains(t, finding(out, rec), "8192 bytes at 8192 of file, was changed while it was under way")

	_, out, rec, f = begin()
	for _, offset := range []int64{0, 4096, 0} {
		f.Write(new(io.Completion), [][]byte{buf}, offset)
	}
	require.NoError(t, rec.Close())
	res, err := replayed(t, out.Bytes(), 0)
	require.NoError(t, err)
	require.Contains(t, res.Findings[0], "a meta block, and the other one is not synced")
}

// What something else does to a file is told; writes that fail, and names that come and go outside of the recording, are not
// taken for that.
func TestOutside(t *testing.T) {
	m, out := io.NewMemory(), new(bytes.Buffer)
	m.SetBytes("old", bytes.Repeat([]byte("x"), 3000))
	rec, err := flight.RecordTo(m, out, flight.Options{})
	require.NoError(t, err)
	f, err := opened(rec, "old", io.OpenWrite)
	require.NoError(t, err)
	buf := make([]byte, 1000)
	read := func(offset int64) {
		t.Helper()
		require.NoError(t, wait(rec, func(c *io.Completion) { f.Read(c, buf, offset) }))
	}
	read(0)
	m.SetManual(true)
	var failed io.Completion
	f.Write(&failed, [][]byte{make([]byte, 500)}, 0)
	m.Queue()[0].CompleteShort(100)
	m.Queue()[0].Fail(io.ErrNoSpace)
	m.SetManual(false)
	read(0)    // nobody knows what is there
	read(1500) // as before
	require.NoError(t, m.Flip("old", 2999, 3))
	read(1999)
	read(2000) // found
	require.NoError(t, wait(rec, f.Close))
	require.NoError(t, wait(m, func(c *io.Completion) { m.Remove(c, "old") }))
	require.ErrorIs(t, wait(rec, func(c *io.Completion) { rec.Stat(c, &io.Lookup{Path: "old"}) }), errNotExist)
	f, err = opened(rec, "old", io.OpenWrite|io.OpenCreate|io.OpenExclusive)
	require.NoError(t, err)
	require.ErrorIs(t, wait(rec, func(c *io.Completion) { f.Read(c, buf, 0) }), io.ErrShortRead)
	require.NoError(t, wait(rec, func(c *io.Completion) { f.Truncate(c, 1000) }))
	read(0)
	require.NoError(t, rec.Close())

	res, err := replayed(t, out.Bytes(), 0)
	require.NoError(t, err)
	require.Len(t, res.Findings, 1, "%s", res)
	require.Contains(t, res.Findings[0], "a read of old at 2000, 1000 bytes, got other bytes than this disk holds")
	require.Equal(t, 1, res.Skipped)
	require.Equal(t, 6, res.Reads)
}

// Each part of a bounded recording can be replayed alone, while the program goes on and after.
func TestParts(t *testing.T) {
	dir := t.TempDir()
	const history = 200 << 10
	rec, err := flight.Record(io.NewSystem(), filepath.Join(dir, "app.flight"), flight.Options{History: history})
	require.NoError(t, err)
	db, err := pawl.Open(filepath.Join(dir, "app.pawl"), options(rec, rec))
	require.NoError(t, err)
	var paths []string
	for round := range effort.Of(4, 6, 60) {
		work(t, db, 4, 20, uint64(round))
		paths = rec.Paths()
		require.LessOrEqual(t, len(paths), 3)
		if round%2 == 1 {
			require.NoError(t, db.Close())
			db, err = pawl.Open(filepath.Join(dir, "app.pawl"), options(rec, rec))
			require.NoError(t, err)
		}
	}
	require.NoError(t, db.Close())
	require.NoError(t, rec.Shutdown())
	require.ErrorIs(t, rec.Err(), flight.ErrEnded)
	paths = rec.Paths()
	require.Len(t, paths, 2)
	files, err := filepath.Glob(filepath.Join(dir, "app.flight.*"))
	require.NoError(t, err)
	require.ElementsMatch(t, paths, files, "older parts are gone")
	last := uint64(0)
	for i, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		res, err := replayed(t, content, effort.Of(50, 150, 3000))
		require.NoError(t, err)
		require.True(t, res.Clean(), "%s", res)
		require.Greater(t, res.Part, 1+i)
		require.Positive(t, res.Images)
		require.Zero(t, res.Skipped)
		require.Greater(t, res.Durable, last)
		last = res.Durable
		if i == 0 {
			require.GreaterOrEqual(t, len(content), history)
		}
	}
}

// Notes that name a database are about that one, and one that was begun later than a power cut can't be found behind it.
func TestNotes(t *testing.T) {
	m, out := io.NewMemory(io.MemoryConfig{RealTime: true}), new(recording)
	rec, err := flight.RecordTo(m, out, flight.Options{})
	require.NoError(t, err)
	dbs := make([]*pawl.DB, 2)
	for i := range dbs {
		name := fmt.Sprintf("%d.pawl", i)
		o := options(rec, rec)
		o.OnEvent = func(e pawl.Event) {
			if e.Kind == pawl.EventCommit && e.Err == nil {
				rec.Note(flight.Durable+" "+name, e.Seq)
			}
		}
		dbs[i], err = pawl.Open(name, o)
		require.NoError(t, err)
	}
	work(t, dbs[0], 1, 20, 1)
	work(t, dbs[1], 1, 5, 1)
	before := out.Bytes()
	rec.Note(flight.Durable+" 1.pawl", 20) // which is the other's
	rec.Note(flight.Begun+" 0.pawl", 3)
	require.NoError(t, rec.Flush())
	after := out.Bytes()
	for _, db := range dbs {
		require.NoError(t, db.Close())
	}
	res, err := replayed(t, before, 100)
	require.NoError(t, err)
	require.True(t, res.Clean(), "%s", res)
	require.Equal(t, []string{"0.pawl", "1.pawl"}, res.Databases)
	res, err = replayed(t, after, 100)
	require.NoError(t, err)
	require.Contains(t, res.String(), "a power cut loses 1.pawl")
	require.Contains(t, res.String(), "and 20 was acknowledged")
	require.Contains(t, res.String(), "and 3 the newest that was begun")
}

// A part that begins while the image of a file is being taken, and while a write is under way, can be replayed too.
func TestPartInsideOfImage(t *testing.T) {
	m := io.NewMemory()
	content := bytes.Repeat([]byte("content "), 100_000)
	m.SetBytes("large", content)
	rec, err := flight.Record(m, filepath.Join(t.TempDir(), "recording"), flight.Options{History: 4000})
	require.NoError(t, err)
	small, err := opened(rec, "small", io.OpenWrite|io.OpenCreate|io.OpenExclusive)
	require.NoError(t, err)
	large, err := opened(rec, "large", io.OpenWrite)
	require.NoError(t, err)
	m.SetManual(true)
	var write, read io.Completion
	data := bytes.Repeat([]byte("x"), 3000)
	small.Write(&write, [][]byte{data}, 100)
	buf := make([]byte, 1000)
	large.Read(&read, buf, 500_000)
	steps := 0
	for ; !read.Done(); steps++ {
		require.Len(t, m.Queue(), 2, "the write, and something for the image")
		m.Queue()[1].Complete()
		begin := rec.Paths()
		for steps < 3 && rec.Paths()[len(rec.Paths())-1] == begin[len(begin)-1] { // until the images of the part before are copied
			rec.Mark(string(make([]byte, 50_000)))
			time.Sleep(time.Millisecond)
		}
	}
	require.Greater(t, steps, 4)
	require.Equal(t, content[500_000:501_000], buf)
	m.Queue()[0].Complete()
	m.SetManual(false)
	for range 3 {
		require.NoError(t, wait(rec, func(c *io.Completion) { small.Read(c, buf, 200) }))
		require.NoError(t, wait(rec, func(c *io.Completion) { large.Read(c, buf, 700_000) }))
	}
	require.NoError(t, rec.Shutdown())
	require.NotContains(t, rec.Paths()[0], "recording.1")
	compared := 0
	for _, path := range rec.Paths() {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		res, err := replayed(t, content, 0)
		require.NoError(t, err)
		require.True(t, res.Clean(), "%s", res)
		require.Zero(t, res.Skipped)
		compared += res.Reads
	}
	require.GreaterOrEqual(t, compared, 6)
}

// Names of Windows have directories too.
func TestNamesOfWindows(t *testing.T) {
	require.Equal(t, "C:/data/app.pawl", unix(`C:\data\app.pawl`))
	require.Equal(t, "//host/share/x", "/"+unix(`\\host\share\x`))
	require.Equal(t, `/a\b/c`, unix(`/a\b/c`))
	s := &survey{names: map[string]string{"x": "C:/d/x"}, dirs: map[string]string{".": "C:/d"}}
	require.Equal(t, "C:/d/x", s.canonical("x"))
	require.Equal(t, "C:/d/y", s.canonical("y"))
	require.Equal(t, "C:/e/y", s.canonical(`C:\e\y`))
}
