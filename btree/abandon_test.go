package btree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

var errInjected = errors.New("injected")

// stepping is a machine of any result.
type stepping interface {
	step() (pending *io.Completion, err error)
	abort(cause error) error
	result() string // of a machine that has ended
}

type steppingOf[T any] struct {
	m     types.StateMachine[T]
	value T
}

func (s *steppingOf[T]) step() (*io.Completion, error) {
	res, err := s.m.Step()
	s.value = res.Value
	return res.Pending, err
}

func (s *steppingOf[T]) result() string { return show(s.value) }

func (s *steppingOf[T]) abort(cause error) error { return s.m.Abort(cause) }

// machine makes a machine steppable without its type.
func machine[T any](s types.Stepper[T]) stepping { return &steppingOf[T]{m: types.NewStateMachine(s)} }

// scriptedOp is one operation on a tree that a script has set up.
type scriptedOp struct {
	name  string
	setup func(x *world, m *model) // committed, then closed and opened: the cache is cold
	first func(x *world, m *model) // in the transaction, before the operation; may be nil
	op    func(x *world) stepping  // the operation
	model func(m *model)           // what it does
}

// fill puts n values of a size under keys that begin with prefix.
func fill(prefix string, n, size int) func(x *world, m *model) {
	return func(x *world, m *model) {
		for i := range n {
			k, v := fmt.Sprintf("%s%05d", prefix, i*10), bytes.Repeat([]byte{byte(i)}, size)
			x.put(0, []byte(k), v)
			m.values[k] = v
		}
	}
}

// both runs two set-ups.
func both(a, b func(x *world, m *model)) func(x *world, m *model) {
	return func(x *world, m *model) { a(x, m); b(x, m) }
}

// bucketWith makes a bucket of n values, one of which is large, with another bucket in it.
func bucketWith(name string, n int) func(x *world, m *model) {
	return func(x *world, m *model) {
		var c CreateBucket
		c.Start(x.w, 0, []byte(name))
		root := must(x, &c).Entry.Bucket.Root
		b := newModel()
		m.buckets[name] = b
		for i := range n {
			k, v := fmt.Sprintf("in%05d", i), bytes.Repeat([]byte{byte(i)}, 30)
			if i == n/2 {
				v = bytes.Repeat([]byte{7}, 3000)
			}
			x.put(root, []byte(k), v)
			b.values[k] = v
		}
		var inner CreateBucket
		inner.Start(x.w, root, []byte("inner"))
		x.put(must(x, &inner).Entry.Bucket.Root, []byte("deep"), []byte("value"))
		b.buckets["inner"] = newModel()
		b.buckets["inner"].values["deep"] = []byte("value")
	}
}

// deleteAll removes every key but each nth.
func deleteAllBut(nth int) func(x *world, m *model) {
	return func(x *world, m *model) {
		for i, k := range m.keys() {
			if i%nth != 0 && m.values[k] != nil {
				x.del(0, []byte(k))
				delete(m.values, k)
			}
		}
	}
}

// putOp is a Put of a value.
func putOp(name string, setup, first func(x *world, m *model), key string, value []byte) scriptedOp {
	return scriptedOp{
		name: name, setup: setup, first: first,
		op: func(x *world) stepping {
			p := new(Put)
			p.Start(x.w, 0, []byte(key), Entry{Kind: KindValue, Value: value}, KindsOf(KindNone, KindValue, KindLarge))
			return machine(p)
		},
		model: func(m *model) { m.values[key] = value },
	}
}

// delOp is a Delete of a value.
func delOp(name string, setup, first func(x *world, m *model), key string) scriptedOp {
	return scriptedOp{
		name: name, setup: setup, first: first,
		op: func(x *world) stepping {
			d := new(Delete)
			d.Start(x.w, 0, []byte(key), KindsOf(KindValue, KindLarge))
			return machine(d)
		},
		model: func(m *model) { delete(m.values, key) },
	}
}

const extentMax = pager.MaxExtent

func scriptedOps() []scriptedOp {
	none := func(*world, *model) {}
	wide := fill("k", 300, 30)
	long := bytes.Repeat([]byte("large"), 700)
	huge := bytes.Repeat([]byte("huge"), extentMax/2) // two extents and a list
	withHuge := both(wide, func(x *world, m *model) {
		x.put(0, []byte("k01005"), huge)
		m.values["k01005"] = huge
	})
	// The oldest pages of the transaction are on disk when the operation comes.
	spilled := fill("s", 200, 40)
	return []scriptedOp{
		putOp("put the first key", none, nil, "a", []byte("v")),
		putOp("put into a leaf with room", fill("k", 10, 10), nil, "k00015", []byte("v")),
		putOp("put that splits or shares", wide, nil, "k01001", bytes.Repeat([]byte("v"), 80)),
		putOp("put at the end", wide, nil, "z", bytes.Repeat([]byte("v"), 90)),
		putOp("put that replaces", wide, nil, "k01000", bytes.Repeat([]byte("v"), 90)),
		putOp("put of a large value", wide, nil, "k01001", long),
		putOp("put of a value of two extents", wide, nil, "k01001", huge),
		putOp("put over a value of two extents", withHuge, nil, "k01005", []byte("v")),
		putOp("put after spills", wide, spilled, "s00005", bytes.Repeat([]byte("v"), 80)),
		delOp("delete", wide, nil, "k01000"),
		delOp("delete of a value of two extents", withHuge, nil, "k01005"),
		delOp("delete that merges", wide, deleteAllBut(3), "k01500"),
		delOp("delete that leaves little", wide, deleteAllBut(40), "k00800"),
		delOp("delete of the last key", fill("k", 1, 10), nil, "k00000"),
		delOp("delete after spills", both(wide, fill("t", 50, 30)), both(spilled, deleteAllBut(4)), "k00400"),
		{
			name: "create a bucket", setup: wide,
			op: func(x *world) stepping {
				c := new(CreateBucket)
				c.Start(x.w, 0, []byte("k01001"))
				return machine(c)
			},
			model: func(m *model) { m.buckets["k01001"] = newModel() },
		},
		{
			name: "drop a bucket", setup: both(wide, bucketWith("b", 60)),
			op: func(x *world) stepping {
				d := new(DropBucket)
				d.Start(x.w, 0, []byte("b"))
				return machine(d)
			},
			model: func(m *model) { delete(m.buckets, "b") },
		},
		{
			name: "drop a bucket after changes and spills", setup: both(wide, bucketWith("b", 60)),
			first: both(bucketWith("c", 60), spilled),
			op: func(x *world) stepping {
				d := new(DropBucket)
				d.Start(x.w, 0, []byte("c"))
				return machine(d)
			},
			model: func(m *model) { delete(m.buckets, "c") },
		},
		{
			name: "delete a range", setup: both(withHuge, bucketWith("k00505", 5)),
			op: func(x *world) stepping {
				d := new(DeleteRange)
				d.Start(x.w, 0, []byte("k00300"), []byte("k01600"))
				return machine(d)
			},
			model: func(m *model) {
				for k := range m.values {
					if k >= "k00300" && k < "k01600" {
						delete(m.values, k)
					}
				}
			},
		},
	}
}

// trial is a fresh world after a script's first part, and the model then.
type trial struct {
	*world
	m      *model
	before pager.Globals
}

// newTrial brings a world to where the operation begins, on a copy of the script's disk.
func newTrial(t testing.TB, disk *io.Memory, s scriptedOp, base *model) *trial {
	x := &world{TB: t, m: disk.Crash(func(int, io.Change) bool { return true }), pageSize: 512, cache: 24 * 512}
	x.open()
	x.begin()
	tr := &trial{world: x, m: base.clone()}
	if s.first != nil {
		s.first(x, tr.m)
	}
	tr.before = *x.tx.Globals()
	return tr
}

// prepare runs a script's set-up and returns the disk with it, closed.
func prepare(t testing.TB, s scriptedOp) (*io.Memory, *model) {
	x := &world{TB: t, m: io.NewMemory(), pageSize: 512, cache: 24 * 512}
	x.open()
	x.begin()
	base := newModel()
	s.setup(x, base)
	x.commit()
	x.close()
	return x.m, base
}

// run steps the operation and stops at await number at, if there is one, with the completion that it waits for.
func (tr *trial) run(op stepping, at int) (pending *io.Completion, awaits int) {
	for {
		pending, err := op.step()
		require.NoError(tr, err)
		if pending == nil {
			return nil, awaits
		}
		submitted := len(tr.world.m.Queue())
		again, err := op.step()
		require.NoError(tr, err)
		require.Same(tr, pending, again, "a second step waits for something else")
		require.Len(tr, tr.world.m.Queue(), submitted, "a second step submits")
		if awaits == at {
			return pending, awaits
		}
		awaits++
		tr.settle(pending)
	}
}

// settle completes I/O until c has resolved.
func (tr *trial) settle(c *io.Completion) {
	for range 10000 {
		q := tr.world.m.Queue()
		if c.Done() {
			return
		}
		require.NotEmpty(tr, q, "deadlock")
		q[0].Complete()
	}
}

// unchanged checks that the transaction is as it was, goes on with it, commits, and checks all.
func (tr *trial) unchanged() {
	tr.world.m.SetManual(false)
	for _, op := range tr.world.m.Queue() {
		op.Complete()
	}
	require.False(tr, tr.w.Busy())
	require.Equal(tr, tr.before.Root, tr.tx.Globals().Root)
	require.Equal(tr, tr.before.Pages, tr.tx.Globals().Pages)
	tr.same(tr.w.Source(), 0, tr.m)
	tr.put(0, []byte("goes on"), []byte("yes"))
	tr.m.values["goes on"] = []byte("yes")
	tr.finish()
}

// finish commits and checks everything, and once more after a reopen.
func (tr *trial) finish() {
	tr.commit()
	tr.view(func(src Source) { tr.same(src, 0, tr.m) })
	tr.check()
	tr.close()
	tr.open()
	tr.view(func(src Source) { tr.same(src, 0, tr.m) })
	tr.check()
	tr.close()
}

// At every await of every operation: abandon it there, or let the I/O that it waits for fail. The
// transaction is then as it was before the operation, goes on and commits, and no page is lost.
func TestAbandonAndFailEverywhere(t *testing.T) {
	points := 0
	for _, s := range append(scriptedOps(), scriptedReads()...) {
		t.Run(s.name, func(t *testing.T) {
			disk, base := prepare(t, s)
			awaits := 0
			for at := 0; ; at++ {
				tr := newTrial(t, disk, s, base)
				tr.world.m.SetManual(true)
				op := s.op(tr.world)
				pending, _ := tr.run(op, at)
				if pending == nil {
					tr.world.m.SetManual(false)
					s.model(tr.m)
					tr.same(tr.w.Source(), 0, tr.m)
					tr.finish()
					break
				}
				awaits++
				require.ErrorIs(t, op.abort(errInjected), errInjected)
				tr.unchanged()

				tr = newTrial(t, disk, s, base)
				tr.world.m.SetManual(true)
				op = s.op(tr.world)
				pending, _ = tr.run(op, at)
				if q := tr.world.m.Queue(); len(q) > 0 {
					for !pending.Done() {
						q = tr.world.m.Queue()
						require.NotEmpty(t, q)
						q[len(q)-1].Fail(errInjected)
					}
					_, err := op.step()
					require.ErrorIs(t, err, errInjected)
					tr.unchanged()
				}
			}
			t.Logf("%d awaits", awaits)
			points += awaits
		})
	}
	require.Greater(t, points, 60)
}

// The eager run and the run in which every I/O yields leave the same bytes.
func TestEagerAndYieldingRunsAgree(t *testing.T) {
	for _, s := range scriptedOps() {
		t.Run(s.name, func(t *testing.T) {
			disk, base := prepare(t, s)
			var files [2][][]byte
			for i, manual := range []bool{false, true} {
				tr := newTrial(t, disk, s, base)
				tr.world.m.SetManual(manual)
				pending, _ := tr.run(s.op(tr.world), -1)
				require.Nil(t, pending)
				tr.world.m.SetManual(false)
				tr.commit()
				names := tr.world.m.Names()
				slices.Sort(names)
				for _, name := range names {
					b, err := tr.world.m.Bytes(name)
					require.NoError(t, err)
					files[i] = append(files[i], b)
				}
			}
			require.Len(t, files[0], 2)
			for i := range files[0] {
				require.True(t, bytes.Equal(files[0][i], files[1][i]), "file %d differs", i)
			}
		})
	}
}
