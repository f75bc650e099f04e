package btree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/types"
)

// modelRun applies random operations to nested buckets and to maps.
type modelRun struct {
	*world
	rng    *rand.Rand
	now    *model // of the transaction
	saved  *model // of the newest commit
	shape  int
	maxLen int
}

// key draws a key of the run's shape. Few are drawn, so that they come again.
func (r *modelRun) key() []byte {
	limit := MaxKeySize(r.pageSize)
	switch n := r.rng.IntN(400); r.shape {
	case 0: // short
		return fmt.Appendf(nil, "%d", n)
	case 1: // a long common prefix
		return append(bytes.Repeat([]byte("p"), limit/2), fmt.Sprintf("%04d", n)...)
	case 2: // up to the limit
		k := bytes.Repeat([]byte{byte('a' + n%7)}, 1+(n*37)%limit)
		copy(k, fmt.Sprintf("%d", n))
		return k
	default: // all at the limit, told apart at the end
		k := bytes.Repeat([]byte("z"), limit)
		copy(k[limit-4:], fmt.Sprintf("%04d", n))
		return k
	}
}

// value draws a value: mostly short, at times in extents.
func (r *modelRun) value() []byte {
	n := 0
	switch r.rng.IntN(20) {
	case 0:
	case 1:
		n = r.rng.IntN(r.maxLen)
	case 2:
		n = MaxInline(r.pageSize, 10) + r.rng.IntN(5) - 2
	default:
		n = r.rng.IntN(40)
	}
	v := make([]byte, n)
	for i := range v {
		v[i] = byte(r.rng.Uint32())
	}
	return v
}

// bucket picks a bucket: its root and its model.
func (r *modelRun) bucket() (types.PageID, *model) {
	root, m := types.PageID(0), r.now
	for len(m.buckets) > 0 && r.rng.IntN(3) > 0 {
		names := m.keys()
		names = slices.DeleteFunc(names, func(k string) bool { return m.buckets[k] == nil })
		name := names[r.rng.IntN(len(names))]
		var f Find
		f.Start(r.w.Source(), root, []byte(name))
		e := must(r.world, &f)
		require.Equal(r, KindBucket, e.Kind)
		root, m = e.Bucket.Root, m.buckets[name]
	}
	return root, m
}

// operate does one random operation.
func (r *modelRun) operate() {
	root, m := r.bucket()
	key := r.key()
	switch op := r.rng.IntN(100); {
	case op < 45:
		r.opPut(root, m, key)
	case op < 70:
		old, had := m.values[string(key)]
		res := r.del(root, key)
		require.Equal(r, had, res.Deleted, "%q %v", key, old)
		delete(m.values, string(key))
	case op < 80:
		value, kind := r.get(r.w.Source(), root, key)
		want, had := m.values[string(key)]
		require.Equal(r, had, kind == KindValue || kind == KindLarge)
		require.True(r, bytes.Equal(want, value))
	case op < 84:
		r.opCreate(root, m, key)
	case op < 86:
		var d DropBucket
		d.Start(r.w, root, key)
		require.Equal(r, m.buckets[string(key)] != nil, must(r.world, &d).Deleted)
		delete(m.buckets, string(key))
	case op < 88:
		r.opRange(root, m, key, r.key())
	case op < 94:
		r.opCursor(root, m, key)
	default:
		r.opTry()
	}
}

func (r *modelRun) opPut(root types.PageID, m *model, key []byte) {
	value := r.value()
	res := r.put(root, key, value)
	require.Equal(r, m.buckets[string(key)] == nil, res.Stored)
	if res.Stored {
		m.values[string(key)] = value
	}
}

func (r *modelRun) opCreate(root types.PageID, m *model, key []byte) {
	var c CreateBucket
	c.Start(r.w, root, key)
	res := must(r.world, &c)
	_, value := m.values[string(key)]
	require.Equal(r, !value && m.buckets[string(key)] == nil, res.Created)
	if res.Created {
		m.buckets[string(key)] = newModel()
	}
}

func (r *modelRun) opRange(root types.PageID, m *model, from, to []byte) {
	if r.rng.IntN(3) > 0 { // short ones
		to = append(slices.Clone(from), 0xff)
	}
	var d DeleteRange
	d.Start(r.w, root, from, to)
	must(r.world, &d)
	for k := range m.values {
		if k >= string(from) && k < string(to) {
			delete(m.values, k)
		}
	}
}

// opCursor seeks, moves about, and deletes under the cursor.
func (r *modelRun) opCursor(root types.PageID, m *model, key []byte) {
	var c Cursor
	c.Start(r.w.Source(), root)
	c.Seek(key)
	on := must(r.world, &c)
	keys := m.keys()
	at, _ := slices.BinarySearch(keys, string(key))
	for range r.rng.IntN(8) {
		require.Equal(r, at >= 0 && at < len(keys), on)
		if !on {
			return
		}
		require.Equal(r, keys[at], string(c.Key()))
		if m.buckets[keys[at]] == nil && r.rng.IntN(3) == 0 {
			require.True(r, r.del(root, c.Key()).Deleted)
			delete(m.values, keys[at])
			keys = slices.Delete(keys, at, at+1)
			at-- // Next goes to the key behind; Prev to the one before
			if r.rng.IntN(2) == 0 {
				c.Next()
				at++
			} else {
				c.Prev()
			}
			on = must(r.world, &c)
			continue
		}
		if r.rng.IntN(3) == 0 {
			at--
			c.Prev()
		} else {
			at++
			c.Next()
		}
		on = must(r.world, &c)
	}
}

// opTry does operations in a savepoint and keeps or drops them.
func (r *modelRun) opTry() {
	before := r.now.clone()
	depth := r.w.Savepoint()
	for range r.rng.IntN(12) {
		r.operate()
	}
	if r.rng.IntN(2) == 0 {
		r.w.Release(depth)
		return
	}
	r.w.RollbackTo(depth)
	r.now = before
}

// run does about n operations in transactions.
func (r *modelRun) run(n int) {
	for done := 0; done < n; {
		r.begin()
		r.now = r.saved.clone()
		for range 1 + r.rng.IntN(80) {
			r.operate()
			done++
		}
		if r.rng.IntN(10) == 0 {
			r.rollback()
		} else {
			r.commit()
			r.saved = r.now
		}
		if r.rng.IntN(12) == 0 {
			r.view(func(src Source) { r.same(src, 0, r.saved) })
			r.check()
		}
		if r.rng.IntN(40) == 0 {
			r.close()
			r.open()
		}
	}
	r.view(func(src Source) { r.same(src, 0, r.saved) })
	r.check()
	r.close()
}

// The trees do what nested maps do, with small pages, a cache of a few pages, spills, savepoints and reopens.
func TestModel(t *testing.T) {
	operations := 4000
	if testing.Short() {
		operations = 1000
	}
	if effort.Long() {
		operations = 250_000
	}
	for shape := range 4 {
		for _, pageSize := range []int{512, 1024} {
			t.Run(fmt.Sprintf("shape=%d/page=%d", shape, pageSize), func(t *testing.T) {
				seed := uint64(shape*10000 + pageSize)
				r := &modelRun{
					world: newWorld(t, pageSize, int64(24*pageSize)),
					rng:   rand.New(rand.NewPCG(seed, 1)), saved: newModel(), shape: shape, maxLen: 4 * pageSize,
				}
				r.run(operations)
			})
		}
	}
}
