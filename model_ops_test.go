package pawl

import (
	"bytes"
	"errors"
	"fmt"
	stdio "io"
	"iter"
	"slices"
	"strings"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// modelTx is a transaction and the model of what it sees.
type modelTx struct {
	*modelRun
	tx      *Tx
	root    *modelBucket
	handles []modelHandle
	cursors []*modelCursor
	depth   int        // of savepoints
	calls   int        // of OnCommit that are due
	beside  chan error // of a reader that stays: what the comparison beside found
}

// modelHandle is a bucket's handle and where it looks.
type modelHandle struct {
	b    *Bucket
	path []string
}

// modelCursor is a cursor, and its position.
type modelCursor struct {
	modelHandle
	c     *Cursor
	known bool // key is a position
	on    bool // the cursor is at it
	key   string
}

// pick returns a handle: one that was used before, or a new one, at times of what is not there.
func (t *modelTx) pick() modelHandle {
	if len(t.handles) > 0 && t.rng.IntN(3) > 0 {
		return t.handles[t.rng.IntN(len(t.handles))]
	}
	h := modelHandle{t.tx.Root(), nil}
	for m := t.root; len(h.path) < modelDepth && t.rng.IntN(3) > 0; {
		var name string
		if t.rng.IntN(20) > 0 {
			below := slices.DeleteFunc(slices.Clone(m.entries), func(e modelEntry) bool { return e.bucket == nil })
			if len(below) == 0 {
				break
			}
			e := below[t.rng.IntN(len(below))]
			name, m = e.key, e.bucket
		} else {
			name = string(t.key())
			e := m.get(name)
			if m = new(modelBucket); e != nil && e.bucket != nil {
				m = e.bucket
			}
		}
		h.path = below(h.path, name)
		if t.rng.IntN(2) == 0 {
			h.b = h.b.Bucket([]byte(name))
		} else {
			h.b = t.tx.Bucket(names(h.path)...)
		}
	}
	if len(t.handles) >= 8 {
		t.handles = slices.Delete(t.handles, 0, 1)
	}
	t.handles = append(t.handles, h)
	return h
}

// readable returns a handle of a bucket that is there; one that is not is checked on the way.
func (t *modelTx) readable() (modelHandle, *modelBucket) {
	for {
		h := t.pick()
		m, err := t.root.at(h.path)
		if err == nil {
			return h, m
		}
		require.ErrorIs(t, h.b.Err(), err)
		require.False(t, h.b.Exists())
		_, got := h.b.Get([]byte("k"))
		require.ErrorIs(t, got, err)
		if t.tx.Writable() {
			require.ErrorIs(t, h.b.Put([]byte("k"), nil), err)
			require.ErrorIs(t, h.b.DeleteRange(nil, nil), err)
		}
	}
}

// edit returns the bucket at a path, which is there, as one that may be changed.
func (t *modelTx) edit(path []string) *modelBucket {
	own := func(m *modelBucket) *modelBucket {
		if m.epoch == t.epoch {
			return m
		}
		return &modelBucket{epoch: t.epoch, seq: m.seq, entries: slices.Clone(m.entries)}
	}
	t.root = own(t.root)
	m := t.root
	for _, name := range path {
		e := m.get(name)
		e.bucket = own(e.bucket)
		m = e.bucket
	}
	return m
}

// someKey draws a key, mostly one that is there.
func (t *modelTx) someKey(m *modelBucket) []byte {
	if len(m.entries) > 0 && t.rng.IntN(2) == 0 {
		return []byte(m.entries[t.rng.IntN(len(m.entries))].key)
	}
	return t.key()
}

// read does one random operation that changes nothing.
func (t *modelTx) read() {
	t.done++
	h, m := t.readable()
	key := t.someKey(m)
	e := m.get(string(key))
	switch op := t.rng.IntN(100); {
	case op < 40:
		t.readKey(h.b, key, e)
	case op < 50:
		t.readMany(h.b, m)
	case op < 58:
		t.readRange(h.b, m)
	case op < 64:
		t.readStream(h.b, key, e)
	case op < 67:
		require.Equal(t, m.seq, h.b.Sequence())
	case op < 70:
		t.readBuckets(h.b, m)
	case op < 71:
		s, err := h.b.Stats()
		require.NoError(t, err)
		keys := int64(len(m.within(nil, nil)))
		require.Equal(t, keys, s.Keys)
		require.Equal(t, int64(len(m.entries))-keys, s.Buckets)
	default:
		t.moveCursors()
	}
}

// readKey compares what is under a key with what the model has.
func (t *modelTx) readKey(b *Bucket, key []byte, e *modelEntry) {
	has, err := b.Has(key)
	require.NoError(t, err)
	require.Equal(t, e != nil && e.bucket == nil, has)
	if t.rng.IntN(3) == 0 {
		got, err := b.GetAppend([]byte("before"), key)
		if e == nil || e.bucket != nil {
			require.Error(t, err)
			require.Equal(t, "before", string(got))
			return
		}
		require.NoError(t, err)
		require.True(t, string(got) == "before"+e.value, "%q", key)
		return
	}
	got, err := b.Get(key)
	switch {
	case e == nil:
		require.ErrorIs(t, err, ErrNotFound)
	case e.bucket != nil:
		require.ErrorIs(t, err, ErrIsBucket)
	default:
		require.NoError(t, err, "%q", key)
		require.NoError(t, e.is(key, got))
		t.keep(got, e.value)
	}
}

// readMany looks many keys up at once.
func (t *modelTx) readMany(b *Bucket, m *modelBucket) {
	keys := make([][]byte, t.rng.IntN(20))
	bucket := false
	for i := range keys {
		keys[i] = t.someKey(m)
		if e := m.get(string(keys[i])); e != nil && e.bucket != nil {
			bucket = true
		}
	}
	vals := make([][]byte, len(keys))
	err := b.GetMany(keys, vals)
	if bucket {
		require.ErrorIs(t, err, ErrIsBucket)
		return
	}
	require.NoError(t, err)
	for i, key := range keys {
		e := m.get(string(key))
		require.Equal(t, e == nil, vals[i] == nil)
		if e != nil {
			require.NoError(t, e.is(key, vals[i]))
		}
	}
}

// readRange loops over a range, in either direction, and may leave it early.
func (t *modelTx) readRange(b *Bucket, m *modelBucket) {
	var loop iter.Seq2[[]byte, []byte]
	var want []modelEntry
	from, to := t.key(), t.key()
	backward := t.rng.IntN(2) == 0
	switch t.rng.IntN(4) {
	case 0:
		from, to = nil, nil
		if loop = b.All(); backward {
			loop = b.Backward()
		}
		want = m.within(nil, nil)
	case 1:
		prefix := from[:t.rng.IntN(len(from)+1)]
		if loop = b.Prefix(prefix); backward {
			loop = b.PrefixBackward(prefix)
		}
		want = slices.DeleteFunc(m.within(nil, nil), func(e modelEntry) bool { return !strings.HasPrefix(e.key, string(prefix)) })
	default:
		if t.rng.IntN(5) == 0 {
			to = nil
		}
		if loop = b.Range(from, to); backward {
			loop = b.RangeBackward(from, to)
		}
		want = m.within(from, to)
	}
	if backward {
		slices.Reverse(want)
	}
	if leave := t.rng.IntN(60); leave < len(want) {
		want = want[:leave+1]
	} else {
		want = append(want, modelEntry{}) // never reached
	}
	i := 0
	for k, v := range loop {
		require.NoError(t, want[i].is(k, v))
		if i++; i == len(want) {
			return
		}
	}
	require.Equal(t, len(want)-1, i, "from %q to %q, backward: %v", from, to, backward)
}

// readStream reads a value with a reader.
func (t *modelTx) readStream(b *Bucket, key []byte, e *modelEntry) {
	r, err := b.Reader(key)
	if e == nil || e.bucket != nil {
		require.Error(t, err)
		return
	}
	require.NoError(t, err)
	require.EqualValues(t, len(e.value), r.Size())
	from := t.rng.IntN(len(e.value) + 1)
	_, err = r.Seek(int64(from), stdio.SeekStart)
	require.NoError(t, err)
	got, err := stdio.ReadAll(r)
	require.NoError(t, err)
	require.True(t, string(got) == e.value[from:])
}

// readBuckets compares the names of the buckets below, and what ForEach shows.
func (t *modelTx) readBuckets(b *Bucket, m *modelBucket) {
	var want, got []string
	for _, e := range m.entries {
		if e.bucket != nil {
			want = append(want, e.key)
		}
	}
	for name, bucket := range b.Buckets() {
		got = append(got, string(name))
		require.Equal(t, m.get(string(name)).bucket.seq, bucket.Sequence())
	}
	require.Equal(t, want, got)
	i := 0
	require.NoError(t, b.ForEach(func(k, v []byte) error {
		require.NoError(t, m.entries[i].is(k, v))
		i++
		return nil
	}))
	require.Len(t, m.entries, i)
}

// moveCursors moves a cursor about, and in a write transaction deletes with it and beside it.
func (t *modelTx) moveCursors() {
	var c *modelCursor
	if len(t.cursors) > 0 && t.rng.IntN(3) > 0 {
		c = t.cursors[t.rng.IntN(len(t.cursors))]
		if _, err := t.root.at(c.path); err != nil {
			return // a move would make the transaction fail
		}
	} else {
		h, _ := t.readable()
		c = &modelCursor{modelHandle: h, c: h.b.Cursor()}
		if len(t.cursors) >= 4 {
			t.cursors = slices.Delete(t.cursors, 0, 1)
		}
		t.cursors = append(t.cursors, c)
	}
	for range t.rng.IntN(12) {
		t.moveCursor(c)
		if !t.tx.Writable() || t.rng.IntN(3) > 0 {
			continue
		}
		switch t.rng.IntN(3) {
		case 0:
			t.deleteAt(c)
		case 1:
			t.delete(c.b, c.path, t.someKey(t.edit(c.path)))
		default:
			t.put(c.b, c.path, t.key())
		}
	}
}

// moveCursor moves a cursor once.
func (t *modelTx) moveCursor(c *modelCursor) {
	m, err := t.root.at(c.path)
	require.NoError(t, err)
	i, found := m.find(c.key)
	var k, v []byte
	switch op := t.rng.IntN(20); {
	case op == 0:
		k, v = c.c.First()
		i, c.known = 0, len(m.entries) > 0
	case op == 1:
		k, v = c.c.Last()
		i, c.known = len(m.entries)-1, len(m.entries) > 0
	case op < 5:
		key := t.key()
		if t.rng.IntN(20) == 0 {
			key = nil
		}
		k, v = c.c.Seek(key)
		c.known, c.key = true, string(key)
		i, _ = m.find(c.key)
	case op < 13:
		k, v = c.c.Next()
		if !c.known {
			i = 0
		} else if found {
			i++
		}
	default:
		k, v = c.c.Prev()
		if i--; !c.known {
			i = len(m.entries) - 1
		}
	}
	require.NoError(t, c.c.Err())
	if c.on = i >= 0 && i < len(m.entries); !c.on {
		require.Nil(t, k)
		require.Nil(t, v)
		return
	}
	require.NoError(t, m.entries[i].is(k, v))
	c.known, c.key = true, m.entries[i].key
}

// deleteAt deletes with a cursor.
func (t *modelTx) deleteAt(c *modelCursor) {
	m := t.edit(c.path)
	err := c.c.Delete()
	e := m.get(c.key)
	switch {
	case !c.on:
		require.ErrorIs(t, err, ErrCursor)
	case e != nil && e.bucket != nil:
		require.ErrorIs(t, err, ErrIsBucket)
	default:
		require.NoError(t, err)
		m.drop(c.key)
	}
}

// write does one random operation, mostly one that changes something.
func (t *modelTx) write() {
	op := t.rng.IntN(200)
	if op < 40 {
		t.read()
		return
	}
	t.done++
	h, m := t.readable()
	switch {
	case op < 110:
		t.put(h.b, h.path, t.someKey(m))
	case op < 118:
		t.putIfAbsent(h, t.someKey(m))
	case op < 128:
		t.putReader(h, t.someKey(m))
	case op < 160:
		t.delete(h.b, h.path, t.someKey(m))
	case op < 163:
		t.deleteRange(h)
	case op < 172:
		t.createBucket(h, t.someKey(m))
	case op < 174:
		t.createBuckets(h.path)
	case op < 178:
		t.deleteBucket(h, t.someKey(m))
	case op < 183:
		t.moveBucket(h, t.someKey(m))
	case op < 188:
		t.sequence(h)
	case op < 190:
		t.refused(h, m)
	default:
		t.try()
	}
}

func (t *modelTx) put(b *Bucket, path []string, key []byte) {
	value := t.value()
	err := b.Put(key, []byte(value))
	m := t.edit(path)
	if e := m.get(string(key)); e != nil && e.bucket != nil {
		require.ErrorIs(t, err, ErrIsBucket)
		return
	}
	require.NoError(t, err)
	m.set(modelEntry{key: string(key), value: value})
}

func (t *modelTx) putIfAbsent(h modelHandle, key []byte) {
	value := t.value()
	stored, err := h.b.PutIfAbsent(key, []byte(value))
	m := t.edit(h.path)
	e := m.get(string(key))
	require.Equal(t, e == nil, stored)
	if e != nil && e.bucket != nil {
		require.ErrorIs(t, err, ErrIsBucket)
		return
	}
	require.NoError(t, err)
	if stored {
		m.set(modelEntry{key: string(key), value: value})
	}
}

func (t *modelTx) putReader(h modelHandle, key []byte) {
	value := t.value()
	if t.shape.huge && t.rng.IntN(40) == 0 {
		value = t.random(t.rng.IntN(3 << 20))
	}
	oops := errors.New("oops")
	var r stdio.Reader = strings.NewReader(value)
	fails := t.rng.IntN(8) == 0
	if fails {
		r = stdio.MultiReader(r, iotest.ErrReader(oops))
	}
	n, err := h.b.PutReader(key, r)
	m := t.edit(h.path)
	switch e := m.get(string(key)); {
	case fails:
		require.ErrorIs(t, err, oops)
	case e != nil && e.bucket != nil:
		require.ErrorIs(t, err, ErrIsBucket)
	default:
		require.NoError(t, err)
		require.EqualValues(t, len(value), n)
		m.set(modelEntry{key: string(key), value: value})
	}
}

func (t *modelTx) delete(b *Bucket, path []string, key []byte) {
	err := b.Delete(key)
	m := t.edit(path)
	if e := m.get(string(key)); e != nil && e.bucket != nil {
		require.ErrorIs(t, err, ErrIsBucket)
		return
	}
	require.NoError(t, err)
	m.drop(string(key))
}

func (t *modelTx) deleteRange(h modelHandle) {
	m := t.edit(h.path)
	from, to := t.someKey(m), t.someKey(m)
	switch t.rng.IntN(10) {
	case 0:
		from = nil
	case 1:
		to = nil
	case 2, 3, 4, 5, 6: // a short one
		i, _ := m.find(string(from))
		if i += t.rng.IntN(10); i < len(m.entries) {
			to = []byte(m.entries[i].key)
		}
	}
	require.NoError(t, h.b.DeleteRange(from, to))
	for _, e := range m.within(from, to) {
		m.drop(e.key)
	}
}

func (t *modelTx) createBucket(h modelHandle, key []byte) {
	if len(h.path) >= modelDepth {
		return
	}
	m := t.edit(h.path)
	b, err := t.tx.CreateBucket(names(below(h.path, string(key)))...)
	switch e := m.get(string(key)); {
	case e == nil:
		require.NoError(t, err)
		require.True(t, b.Exists())
		m.set(modelEntry{key: string(key), bucket: &modelBucket{epoch: t.epoch}})
	case e.bucket != nil:
		require.ErrorIs(t, err, ErrBucketExists)
	default:
		require.ErrorIs(t, err, ErrNotBucket)
	}
}

// createBuckets makes the buckets of a whole path.
func (t *modelTx) createBuckets(path []string) {
	path = slices.Clone(path[:t.rng.IntN(len(path)+1)])
	for len(path) < 1 || len(path) < modelDepth && t.rng.IntN(2) == 0 {
		path = append(path, string(t.key()))
	}
	b, err := t.tx.CreateBucketIfNotExists(names(path)...)
	for i := range path {
		if _, at := t.root.at(path[:i+1]); errors.Is(at, ErrNotBucket) {
			require.ErrorIs(t, err, ErrNotBucket)
			return
		}
	}
	require.NoError(t, err)
	require.True(t, b.Exists())
	for i, name := range path {
		m := t.edit(path[:i])
		if m.get(name) == nil {
			m.set(modelEntry{key: name, bucket: &modelBucket{epoch: t.epoch}})
		}
	}
}

func (t *modelTx) deleteBucket(h modelHandle, key []byte) {
	m := t.edit(h.path)
	err := t.tx.DeleteBucket(names(below(h.path, string(key)))...)
	switch e := m.get(string(key)); {
	case e == nil:
		require.ErrorIs(t, err, ErrBucketNotFound)
	case e.bucket == nil:
		require.ErrorIs(t, err, ErrNotBucket)
	default:
		require.NoError(t, err)
		m.drop(string(key))
	}
}

func (t *modelTx) moveBucket(h modelHandle, key []byte) {
	to, m := t.readable()
	from, target := below(h.path, string(key)), below(to.path, string(t.someKey(m)))
	err := t.tx.MoveBucket(names(from), names(target))
	want := func() error {
		if len(target) > len(from) && slices.Equal(from, target[:len(from)]) {
			return ErrBucketExists
		}
		if _, err := t.root.at(from); err != nil || slices.Equal(from, target) {
			return err
		}
		switch e := m.get(target[len(target)-1]); {
		case e == nil:
			return nil
		case e.bucket != nil:
			return ErrBucketExists
		}
		return ErrNotBucket
	}()
	require.ErrorIs(t, err, want, "from %q to %q", from, target)
	if want != nil || slices.Equal(from, target) {
		return
	}
	parent := t.edit(h.path)
	bucket := parent.get(string(key)).bucket
	parent.drop(string(key))
	t.edit(to.path).set(modelEntry{key: target[len(target)-1], bucket: bucket})
}

func (t *modelTx) sequence(h modelHandle) {
	m := t.edit(h.path)
	if t.rng.IntN(2) == 0 {
		m.seq = t.rng.Uint64()
		require.NoError(t, h.b.SetSequence(m.seq))
		return
	}
	n, err := h.b.NextSequence()
	require.NoError(t, err)
	m.seq++
	require.Equal(t, m.seq, n)
}

// refused tries what can't be done.
func (t *modelTx) refused(h modelHandle, m *modelBucket) {
	require.ErrorIs(t, h.b.Put(nil, []byte("v")), ErrKeyEmpty)
	long := bytes.Repeat([]byte("k"), MaxKeySize(t.shape.pageSize)+1)
	require.ErrorIs(t, h.b.Put(long, nil), ErrKeyTooLarge)
	_, err := t.tx.CreateBucket(names(below(h.path, string(long)))...)
	require.ErrorIs(t, err, ErrKeyTooLarge)
	_, err = t.tx.WriteTo(stdio.Discard)
	require.ErrorIs(t, err, ErrTxWritable)
	require.NoError(t, h.b.Delete(long))
	require.Equal(t, m.seq, h.b.Sequence())
}

// try does operations in a savepoint that is kept, or left by an error or a panic.
func (t *modelTx) try() {
	if t.depth == 4 {
		return
	}
	before, calls := t.root, t.calls
	t.epoch++ // before stays as it is
	t.depth++
	oops := errors.New("oops")
	end := t.rng.IntN(4)
	run := func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = v.(error)
			}
		}()
		return t.tx.Try(func() error {
			for range t.rng.IntN(15) {
				t.write()
			}
			t.onCommit()
			switch end {
			case 0:
				return oops
			case 1:
				panic(fmt.Errorf("panic: %w", oops))
			}
			return nil
		})
	}
	err := run()
	t.depth--
	if end > 1 {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, oops)
	t.root, t.calls = before, calls
	t.epoch++
}

// onCommit asks for a call, which the commit has to make.
func (t *modelTx) onCommit() {
	t.calls++
	t.tx.OnCommit(func() { t.called.Add(1) })
}

// keep keeps a slice, which has to stay as it is.
func (r *modelRun) keep(got []byte, want string) {
	if r.rng.IntN(20) == 0 {
		r.kept[r.rng.IntN(len(r.kept))] = modelSlice{got, want}
	}
}

// modelSlice is a slice that a read returned, and what it holds.
type modelSlice struct {
	got  []byte
	want string
}

// keptSlices looks at the slices that were kept, long after what they were read from has changed.
func (r *modelRun) keptSlices() {
	for i := range r.kept {
		require.True(r, string(r.kept[i].got) == r.kept[i].want)
	}
}

// sameCounts has Check find nothing, and as many keys and buckets as the model has.
func sameCounts(tx *Tx, m *modelBucket) error {
	report, err := tx.Check(tx.Context())
	if err = errors.Join(err, report.Err()); err != nil {
		return err
	}
	keys, trees := m.count()
	if report.Keys != keys || report.Trees != trees {
		return fmt.Errorf("%d keys in %d buckets, not %d in %d", report.Keys, report.Trees, keys, trees)
	}
	return nil
}
