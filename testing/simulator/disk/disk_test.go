package disk

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// open returns a disk and a file on it that can be written.
func open(t *testing.T, order plan.Order, name string) (*Disk, io.File) {
	d := New(io.NewMemory(), order, rand.NewPCG(1, 1))
	var c io.Completion
	o := io.Opening{Path: name, Flag: io.OpenWrite | io.OpenCreate, Mode: 0o600}
	d.Open(&c, &o)
	end(d)
	require.NoError(t, c.Err())
	o.File.Lock(new(io.Completion), true)
	end(d)
	return d, o.File
}

// another opens a file on d.
func another(d *Disk, name string) io.File {
	o := io.Opening{Path: name, Flag: io.OpenWrite | io.OpenCreate, Mode: 0o600}
	d.Open(new(io.Completion), &o)
	end(d)
	return o.File
}

// end lets all I/Os end.
func end(d *Disk) {
	for len(d.Queue()) > 0 {
		d.Step(d.Queue()[0])
	}
}

// violation returns what the disk finds wrong with fn.
func violation(fn func()) (found string) {
	defer func() {
		if v, ok := recover().(Violation); ok {
			found = v.Err.Error()
		}
	}()
	fn()
	return ""
}

// A buffer may not be changed before its write is over, nor a range be written again.
func TestRules(t *testing.T) {
	d, f := open(t, plan.Fifo, "file")
	var a, b, c io.Completion
	buf := make([]byte, 1024)
	f.Write(&a, [][]byte{buf}, 0)
	buf[7]++
	require.Contains(t, violation(func() { end(d) }), "was changed while it was under way")

	d, f = open(t, plan.Fifo, "file")
	f.Write(&b, [][]byte{buf}, 0)
	require.Contains(t, violation(func() { f.Read(&c, make([]byte, 8), 1020) }), "is not retired")

	d, f = open(t, plan.Fifo, "file")
	meta := func(offset int64) {
		f.Write(new(io.Completion), [][]byte{bytes.Repeat([]byte{byte(d.Counts.IOs)}, 4096)}, offset)
		end(d)
	}
	meta(0)
	f.Sync(new(io.Completion))
	end(d)
	meta(4096)
	require.Contains(t, violation(func() { meta(0) }), "a meta block, and the other one is not synced")
}

// metaOf returns a meta block of a write that says how long the file is, in blocks of 512 bytes.
func metaOf(number uint64, blocks int) []byte {
	block := make([]byte, 4096)
	binary.LittleEndian.PutUint32(block[metaPageSizeOff:], 512)
	binary.LittleEndian.PutUint64(block[metaWriteOff:], number)
	binary.LittleEndian.PutUint64(block[metaBlocksOff:], uint64(blocks))
	binary.LittleEndian.PutUint64(block[metaSumOff:], xxhash.Sum64(block[:metaSumOff]))
	return block
}

// script is calls on a database file, "db", and its log. do ends all I/O behind each.
type script struct {
	*Disk
	db, log io.File
}

func (s *script) do(submit func(c *io.Completion)) {
	submit(new(io.Completion))
	end(s.Disk)
}

func (s *script) write(f io.File, at int64, b byte, n int) {
	content := make([]byte, n)
	for i := range content {
		content[i] = b
	}
	s.do(func(c *io.Completion) { f.Write(c, [][]byte{content}, at) })
}

// failing does what fn does while every I/O fails.
func (s *script) failing(fn func()) {
	s.Begin([]plan.Fault{{IO: 0, Kind: plan.Fail, Times: 100}})
	fn()
	s.Begin(nil)
}

// The order rules of databases and logs are each broken by what they forbid, and by nothing that is next to it.
func TestOrderRules(t *testing.T) {
	meta := func(s *script, slot int64, b byte) { s.write(s.db, slot*4096, b, 4096) }
	says := func(s *script, number uint64, blocks int) {
		s.do(func(c *io.Completion) { s.db.Write(c, [][]byte{metaOf(number, blocks)}, int64(number%2)*4096) })
	}
	sync := func(s *script, f io.File) { s.do(f.Sync) }
	truncate := func(s *script, f io.File, size int64) { s.do(func(c *io.Completion) { f.Truncate(c, size) }) }
	for _, c := range []struct {
		name, want string
		run        func(s *script)
	}{
		{"changed without the lock", "is not locked", func(s *script) {
			s.do(s.db.Close)
			s.write(s.log, 0, 1, 10)
		}},
		{"changed by another one who has not locked it", "is not locked", func(s *script) {
			s.do(s.db.Close)
			s.write(another(s.Disk, "db"), 0, 1, 10)
		}},
		{"lock given up too early", "gave up the lock", func(s *script) {
			s.log.Write(new(io.Completion), [][]byte{{1}}, 0)
			s.db.Close(new(io.Completion))
			s.Step(s.Queue()[1])
		}},
		{"meta block behind one that failed", "behind one that could not be written", func(s *script) {
			meta(s, 0, 1)
			sync(s, s.db)
			s.failing(func() { meta(s, 1, 2) })
			meta(s, 1, 3)
		}},
		{"meta block behind one whose sync failed", "behind one that could not be written", func(s *script) {
			meta(s, 0, 1)
			s.failing(func() { sync(s, s.db) })
			meta(s, 0, 2)
		}},
		{"the same meta block again", "", func(s *script) {
			meta(s, 0, 1)
			sync(s, s.db)
			s.failing(func() { meta(s, 0, 1) })
			meta(s, 1, 2)
		}},
		{"cut before the meta block is synced", "a meta block may be found that says 20480", func(s *script) {
			s.write(s.db, 9000, 1, 9000)
			says(s, 2, 40)
			sync(s, s.db)
			says(s, 3, 19)
			truncate(s, s.db, 19*512)
		}},
		{"cut to less than the meta block says", "a meta block may be found that says 9728", func(s *script) {
			s.write(s.db, 9000, 1, 9000)
			says(s, 2, 19)
			sync(s, s.db)
			truncate(s, s.db, 9500)
		}},
		{"cut beside a longer meta block", "a meta block may be found that says 20480", func(s *script) {
			s.write(s.db, 9000, 1, 9000)
			says(s, 2, 19)
			sync(s, s.db)
			s.db.Write(new(io.Completion), [][]byte{metaOf(3, 40)}, 4096)
			truncate(s, s.db, 19*512)
		}},
		{"cut to what all meta blocks say", "", func(s *script) {
			s.write(s.db, 9000, 1, 9000)
			says(s, 2, 40)
			sync(s, s.db)
			says(s, 3, 19)
			sync(s, s.db)
			s.db.Write(new(io.Completion), [][]byte{metaOf(4, 19)}, 0)
			truncate(s, s.db, 19*512)
		}},
		{"cut to what a meta block says that the disk has lost", "", func(s *script) {
			s.write(s.db, 9000, 1, 9000)
			says(s, 2, 40)
			sync(s, s.db)
			s.Begin([]plan.Fault{{IO: 0, Kind: plan.Lose}})
			says(s, 3, 19)
			sync(s, s.db)
			truncate(s, s.db, 19*512)
		}},
		{"cut behind a meta block that failed", "behind a meta block that could not be written", func(s *script) {
			s.write(s.db, 9000, 1, 9000)
			s.failing(func() { meta(s, 0, 1) })
			truncate(s, s.db, 9500)
		}},
		{"cut of what nothing was in, and at its time", "", func(s *script) {
			s.write(s.db, 9000, 1, 9000)
			truncate(s, s.db, 30000)
			meta(s, 0, 1)
			truncate(s, s.db, 20000)
			sync(s, s.db)
			truncate(s, s.db, 9500)
		}},
		{"log written over what is synced", "was synced, and no meta block", func(s *script) {
			s.write(s.log, 4096, 1, 100)
			sync(s, s.log)
			s.write(s.log, 0, 2, 5000)
		}},
		{"log written over what a meta block covers, or is not synced, or as it was", "", func(s *script) {
			s.write(s.log, 4096, 1, 100)
			s.write(s.log, 4096, 2, 100)
			sync(s, s.log)
			s.write(s.log, 4096, 2, 100)
			meta(s, 0, 1)
			sync(s, s.db)
			s.write(s.log, 4096, 3, 100)
		}},
		{"log written behind a failed sync", "behind a failure of the log", func(s *script) {
			s.write(s.log, 4096, 1, 100)
			s.failing(func() { sync(s, s.log) })
			s.write(s.log, 8192, 1, 100)
		}},
		{"log written behind a failed write", "behind a failure of the log", func(s *script) {
			s.failing(func() { s.write(s.log, 4096, 1, 100) })
			sync(s, s.log)
			s.write(s.log, 8192, 1, 100)
		}},
		{"log that grows, or is made anew, behind a failure", "", func(s *script) {
			s.failing(func() { s.write(s.log, 4096, 1, 100) })
			s.write(s.log, 8192, 0, 100)
			truncate(s, s.log, 0)
			s.write(s.log, 4096, 1, 100)
		}},
	} {
		d, db := open(t, plan.Fifo, "db")
		s := &script{d, db, another(d, "db-wal")}
		s.do(func(c *io.Completion) { db.Truncate(c, 20000) })
		found := violation(func() { c.run(s) })
		if c.want == "" {
			require.Empty(t, found, c.name)
		} else {
			require.Contains(t, found, c.want, c.name)
		}
	}
}

// Each fault is what it says, at the I/O that it names.
func TestFaults(t *testing.T) {
	for kind, want := range map[plan.FaultKind]error{
		plan.Fail: ErrInjected, plan.NoSpace: io.ErrNoSpace, plan.Cancel: io.ErrCancelled, plan.Short: nil, plan.Hold: nil, plan.Lose: nil,
	} {
		d, f := open(t, plan.Eager, "file")
		d.Begin([]plan.Fault{{IO: 1, Kind: kind}})
		cs := make([]io.Completion, 3)
		for i := range cs {
			f.Write(&cs[i], [][]byte{make([]byte, 600)}, 8192+int64(i)*600)
		}
		require.True(t, cs[0].Done() && cs[2].Done(), "%s", kind)
		require.Len(t, d.Queue(), 1, "%s: only the I/O with the fault is waited for", kind)
		end(d)
		require.ErrorIs(t, cs[1].Err(), want)
		require.NoError(t, cs[2].Err())
		require.Equal(t, 1, d.Counts.Faults[kind])
		require.Equal(t, kind == plan.Lose, d.Lied())
		require.Equal(t, kind == plan.Fail || kind == plan.Cancel, d.Failed())
	}
}

// A fault that comes more than once meets the next I/Os of its kind, in the order of their ends, until it is healed.
func TestFaultsThatLast(t *testing.T) {
	d, f := open(t, plan.Eager, "file")
	d.Begin([]plan.Fault{{IO: 0, Kind: plan.Fail, Times: 3}})
	errs := 0
	for range 5 {
		var w, s io.Completion
		f.Write(&w, [][]byte{{1}}, 9000)
		end(d)
		f.Sync(&s)
		end(d)
		require.NoError(t, s.Err())
		if w.Err() != nil {
			errs++
		}
	}
	require.Equal(t, 3, errs)
	d.Begin([]plan.Fault{{IO: 0, Kind: plan.FailSync}})
	var w, s, again io.Completion
	f.Write(&w, [][]byte{{7}}, 9000)
	end(d)
	f.Sync(&s)
	end(d)
	require.ErrorIs(t, s.Err(), ErrInjected)
	f.Sync(&again)
	end(d)
	require.NoError(t, again.Err(), "as kernels do")
}

// A fault for a class of I/O waits for the next one of it.
func TestAimedFaults(t *testing.T) {
	d, f := open(t, plan.Eager, "db")
	log := another(d, "db-wal")
	d.Begin([]plan.Fault{{IO: 1, Kind: plan.Fail, Of: "log write"}, {IO: 1, Kind: plan.Fail, Of: "file sync"}})
	write := func(f io.File, at int64) error {
		var c io.Completion
		f.Write(&c, [][]byte{{1}}, at)
		end(d)
		return c.Err()
	}
	require.NoError(t, write(log, 0), "the number has not come")
	require.NoError(t, write(f, 9000))
	require.ErrorIs(t, write(log, 4096), ErrInjected)
	var s, again io.Completion
	log.Sync(&s)
	end(d)
	require.NoError(t, s.Err())
	f.Sync(&again)
	end(d)
	require.ErrorIs(t, again.Err(), ErrInjected)
	require.NoError(t, write(f, 9001))
}

// A refused I/O has failed when its submission returns, however I/Os end; so have the next ones of its kind, if it says so.
func TestRefuse(t *testing.T) {
	for _, order := range []plan.Order{plan.Eager, plan.Fifo} {
		d, f := open(t, order, "file")
		d.Begin([]plan.Fault{{IO: 1, Kind: plan.Refuse, Times: 2}})
		cs := make([]io.Completion, 5)
		for i := range cs {
			f.Write(&cs[i], [][]byte{make([]byte, 600)}, 8192+int64(i)*600)
			require.Equal(t, i == 1 || i == 2, cs[i].Done() && cs[i].Err() != nil, "%s %d", order, i)
			if i == 2 {
				var s io.Completion
				f.Sync(&s)
				end(d)
				require.NoError(t, s.Err())
			}
		}
		require.ErrorIs(t, cs[1].Err(), ErrInjected)
		end(d)
		require.NoError(t, cs[0].Err())
		require.NoError(t, cs[4].Err())
		require.True(t, d.Failed())
		require.Equal(t, 2, d.Counts.Faults[plan.Refuse])
	}
}

// A cut by a fault leaves the survivors that it names.
func TestCutAs(t *testing.T) {
	for image := range 2 {
		d, f := open(t, plan.Fifo, "file")
		var s, w io.Completion
		f.Truncate(new(io.Completion), 512)
		end(d)
		f.Sync(&s)
		d.SyncDir(new(io.Completion), "file")
		end(d)
		f.Write(&w, [][]byte{make([]byte, 512)}, 0)
		d.Begin([]plan.Fault{{IO: 0, Kind: plan.Cut, Arg: int64(image)}})
		d.base = d.Queue()[0].Index
		require.Equal(t, 2, d.Images())
		struck := d.Step(d.Queue()[0])
		require.Equal(t, plan.Cut, struck)
		require.True(t, d.CutDue())
		d.Cut()
		require.False(t, d.CutDue())
		content, err := d.Bytes("file")
		require.NoError(t, err)
		require.Len(t, content, 512)
	}
}

// I/Os are numbered from the beginning of their era, whatever the one before ended with.
func TestFaultsOfEveryEra(t *testing.T) {
	d, f := open(t, plan.Fifo, "db")
	write := func() error {
		var c io.Completion
		f.Write(&c, [][]byte{{1}}, 8192)
		require.Zero(t, d.Number(d.Queue()[0]), "the first of its era")
		end(d)
		return c.Err()
	}
	again := func(from *Disk) {
		from.Begin(nil)
		d, f = from, another(from, "db")
		f.Lock(new(io.Completion), true)
		end(d)
		d.Begin([]plan.Fault{{IO: 0, Kind: plan.Fail}})
		require.ErrorIs(t, write(), ErrInjected)
		d.Begin([]plan.Fault{{IO: 1, Kind: plan.Fail}})
		require.NoError(t, write())
	}
	d.Begin([]plan.Fault{{IO: 0, Kind: plan.Fail}})
	require.ErrorIs(t, write(), ErrInjected)
	d.Cut()
	again(d)
	d.CutAs(0)
	d.Cut()
	again(d)
	d.Kill()
	again(d)
	f.Close(new(io.Completion))
	end(d)
	again(d.Keep().Disk(plan.Fifo))
}
