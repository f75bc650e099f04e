package btree

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// world is a database whose trees a test changes and reads, on one goroutine.
type world struct {
	testing.TB
	m        *io.Memory
	p        *pager.Pager
	pageSize int
	cache    int64

	tx *pager.Tx
	w  *Writer
}

// newWorld opens a new database.
func newWorld(t testing.TB, pageSize int, cache int64) *world {
	x := &world{TB: t, m: io.NewMemory(io.MemoryConfig{Volatile: true}), pageSize: pageSize, cache: cache}
	x.open()
	return x
}

// drive runs a machine to its end. Every wait is stepped twice.
func drive[T any](x *world, s types.Stepper[T]) (T, error) {
	x.Helper()
	m := types.NewStateMachine(s)
	for range 100_000_000 {
		res, err := m.Step()
		if err != nil || res.Pending == nil {
			return res.Value, err
		}
		for range 1000 {
			q := x.m.Queue()
			if res.Pending.Done() || len(q) == 0 {
				break
			}
			q[0].Complete()
		}
		if !res.Pending.Done() {
			x.Fatalf("deadlock: %v %q", res.Pending.Kind(), res.Pending.Reason())
		}
	}
	x.Fatal("machine does not end")
	panic("unreachable")
}

// must is drive for what can't fail.
func must[T any](x *world, s types.Stepper[T]) T {
	x.Helper()
	v, err := drive(x, s)
	require.NoError(x, err)
	return v
}

func (x *world) open() {
	x.Helper()
	var o pager.Open
	o.Start(pager.Config{IO: x.m, Path: "db", PageSize: x.pageSize, CacheSize: x.cache, FileMode: 0o600})
	x.p = must(x, &o).Pager
}

func (x *world) close() {
	x.Helper()
	var c pager.Close
	c.Start(x.p)
	must(x, &c)
}

// begin begins a transaction.
func (x *world) begin() {
	x.Helper()
	var b pager.Begin
	b.Start(x.p)
	x.tx = must(x, &b)
	x.w = NewWriter(x.tx)
}

// commit commits it.
func (x *world) commit() {
	x.Helper()
	var c pager.Commit
	c.Start(x.tx, false)
	must(x, &c)
	x.tx, x.w = nil, nil
}

// rollback rolls it back.
func (x *world) rollback() {
	x.tx.Rollback()
	x.tx, x.w = nil, nil
}

// view calls fn with a reader of the newest commit.
func (x *world) view(fn func(src Source)) {
	x.Helper()
	var r pager.Reader
	r.Start(x.p)
	defer r.Close()
	fn(FromReader(&r))
}

// put stores a value of any length.
func (x *world) put(root types.PageID, key, value []byte) PutResult {
	x.Helper()
	var p Put
	p.Start(x.w, root, key, Entry{Kind: KindValue, Value: value}, KindsOf(KindNone, KindValue, KindLarge))
	return must(x, &p)
}

// del removes a value.
func (x *world) del(root types.PageID, key []byte) DeleteResult {
	x.Helper()
	var d Delete
	d.Start(x.w, root, key, KindsOf(KindValue, KindLarge))
	return must(x, &d)
}

// get reads a value.
func (x *world) get(src Source, root types.PageID, key []byte) (value []byte, kind Kind) {
	x.Helper()
	var f Find
	f.Start(src, root, key)
	e := must(x, &f)
	if e.Kind != KindLarge {
		return e.Value, e.Kind
	}
	var r ReadLarge
	r.Start(src, e.Large)
	return must(x, &r), e.Kind
}

// check checks all trees of the newest commit.
func (x *world) check() CheckReport {
	x.Helper()
	var report CheckReport
	x.view(func(src Source) {
		var c Check
		c.Start(src)
		report = must(x, &c)
	})
	require.NoError(x, errors.Join(report.Problems...))
	return report
}

// model is what a bucket should hold.
type model struct {
	values  map[string][]byte
	buckets map[string]*model
}

func newModel() *model {
	return &model{values: map[string][]byte{}, buckets: map[string]*model{}}
}

// clone copies a model.
func (m *model) clone() *model {
	c := &model{values: maps.Clone(m.values), buckets: map[string]*model{}}
	for k, b := range m.buckets {
		c.buckets[k] = b.clone()
	}
	return c
}

// keys returns the keys of values and buckets, sorted.
func (m *model) keys() []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(m.values)), maps.Keys(m.buckets))
	slices.Sort(keys)
	return keys
}

// same compares a tree with a model, forward and backward.
func (x *world) same(src Source, root types.PageID, m *model) {
	x.Helper()
	keys := m.keys()
	var c Cursor
	c.Start(src, root)
	c.First()
	for i, key := range keys {
		require.True(x, must(x, &c), "key %d of %d, %q", i, len(keys), key)
		require.Equal(x, key, string(c.Key()))
		e := c.Entry()
		if b := m.buckets[key]; b != nil {
			require.Equal(x, KindBucket, e.Kind)
			x.same(src, e.Bucket.Root, b)
		} else {
			x.sameValue(src, e, m.values[key])
		}
		c.Next()
	}
	require.False(x, must(x, &c))
	c.Last()
	for i := len(keys) - 1; i >= 0; i-- {
		require.True(x, must(x, &c))
		require.Equal(x, keys[i], string(c.Key()))
		c.Prev()
	}
	require.False(x, must(x, &c))
}

// sameValue compares an entry with a value.
func (x *world) sameValue(src Source, e Entry, want []byte) {
	x.Helper()
	got := e.Value
	if e.Kind == KindLarge {
		var r ReadLarge
		r.Start(src, e.Large)
		got = must(x, &r)
	} else {
		require.Equal(x, KindValue, e.Kind)
	}
	if string(got) != string(want) {
		x.Fatalf("value of %d bytes, %d expected, or others", len(got), len(want))
	}
}
