package disk

import (
	"math/rand/v2"
	"testing"

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
	return d, o.File
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
		f.Write(new(io.Completion), [][]byte{make([]byte, 4096)}, offset)
		end(d)
	}
	meta(0)
	f.Sync(new(io.Completion))
	end(d)
	meta(4096)
	require.Contains(t, violation(func() { meta(0) }), "a meta block, and the other one is not synced")
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
