package wal

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Whatever has changed, a delta leads from one image to the other, and takes no more than it may.
func TestDeltas(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	staged := 0
	var differ Differ
	for range 3000 {
		size := []int{512, 4096, 1 << 16}[rng.IntN(3)]
		base := make([]byte, size)
		for i := range base {
			base[i] = byte(rng.Uint32() >> rng.IntN(32))
		}
		image := slices.Clone(base)
		for range rng.IntN(12) {
			from := rng.IntN(size)
			end := min(size, from+1+rng.IntN(1+rng.IntN(size/2)))
			for i := from; i < end; i++ {
				image[i] = byte(rng.Uint32())
			}
			switch rng.IntN(5) {
			case 0:
				copy(image[from:end], base[from/2:])
			case 1:
				clear(image[from:end])
			case 2: // a word more in an array
				copy(image[min(size, from+word):], image[from:end])
			case 3: // or some fewer
				copy(image[from:end], image[min(size, from+word*(1+rng.IntN(4))):])
			}
		}
		limit := rng.IntN(size)
		parts, ok := differ.Diff(base, image, limit)
		if !ok {
			continue
		}
		staged++
		c := NewCommit(9)
		c.Full(1, base, 0, 0)
		before := c.bytes
		c.Delta(7, 3, parts, xxhash.Sum64(base), xxhash.Sum64(image))
		f := &c.frames[1]
		require.LessOrEqual(t, int(f.header.size()), limit)
		require.Equal(t, before+f.header.size(), c.bytes)
		require.Empty(t, deltaProblem(f.lower, 9, size))
		e, l := framed(f, size)
		apply := func(raw, base []byte, before types.Seq) ([]byte, error) {
			got, was := make([]byte, size), slices.Clone(base)
			sum, err := l.Apply(e.Entry, raw, base, got, before, xxhash.Sum64(base))
			require.Equal(t, was, base, "the base is left alone")
			require.True(t, err != nil || sum == xxhash.Sum64(got))
			return got, err
		}
		got, err := apply(e.raw, base, 3)
		require.NoError(t, err)
		require.Equal(t, image, got)
		_, err = apply(e.raw, base, 2)
		require.ErrorIs(t, err, types.ErrCorrupt, "another version")
		other := slices.Clone(base)
		other[rng.IntN(size)]++
		_, err = apply(e.raw, other, 3)
		require.ErrorIs(t, err, types.ErrCorrupt, "another base")
		bad := slices.Clone(e.raw)
		bad[rng.IntN(frameHeaderSize+len(f.lower))] ^= 1 << rng.IntN(8)
		_, err = apply(bad, base, 3)
		require.ErrorIs(t, err, types.ErrCorrupt, "flipped")
		l.segments[0].serial++
		_, err = apply(bad, base, 3)
		require.ErrorIs(t, err, ErrMoved, "recycled")
	}
	require.Greater(t, staged, 500)
	same := make([]byte, 512)
	_, ok := differ.Diff(same, same, 512)
	require.False(t, ok, "nothing has changed")
}

// The memory of a commit's deltas is about what they take in the log.
func TestMemoryOfDeltas(t *testing.T) {
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	base, image := make([]byte, 4096), make([]byte, 4096)
	for i := 500; i < 1700; i++ {
		image[i] = byte(i) | 1
	}
	parts, ok := new(Differ).Diff(base, image, 3072)
	require.True(t, ok)
	before := live()
	c := NewCommit(9)
	const n = 4000
	for id := types.PageID(1); id <= n; id++ {
		c.Delta(id, 3, parts, 1, 2)
	}
	frames := uint64(cap(c.frames)) * uint64(unsafe.Sizeof(frame{}))
	require.Less(t, live()-before-frames, uint64(c.DeltaBytes())*5/4)
	require.Equal(t, int64(n*(deltaHeaderSize+len(parts))), c.DeltaBytes())
	for i := range c.frames {
		require.Equal(t, parts, c.frames[i].lower[deltaHeaderSize:])
	}
	one := NewCommit(9)
	one.Delta(1, 3, parts[:40], 1, 2)
	require.Equal(t, deltaHeaderSize+40, cap(one.deltas), "a small commit takes what it needs")
}

// readBack is a frame as it lies in the log.
type readBack struct {
	Entry
	raw []byte
}

// framed puts a staged delta into a log of its own.
func framed(f *frame, pageSize int) (readBack, *Log) {
	l := New(Config{IO: io.NewMemory(), Path: "log", PageSize: pageSize}, 1, 0)
	l.segments = []segment{{epoch: 5, serial: 6}}
	e := readBack{Entry: Entry{Page: f.header.page, Version: f.header.version, Kind: KindDelta, Pos: Position{5, 6, 4096}, Length: uint32(f.header.size())}}
	e.raw = make([]byte, e.Length)
	f.header.encode(e.raw)
	copy(e.raw[frameHeaderSize:], f.lower)
	var d xxhash.Digest
	binary.LittleEndian.PutUint64(e.raw[frameChecksumOff:], frameSum(&d, e.Pos, e.raw, f.lower))
	return e, l
}

// What a damaged, or hostile, delta can say is told.
func TestDeltaProblems(t *testing.T) {
	le := binary.LittleEndian
	payload := func(base uint64, parts ...[]byte) []byte {
		b := le.AppendUint64(nil, base)
		b = append(b, make([]byte, 16)...)
		return append(b, slices.Concat(parts...)...)
	}
	numbers := func(vs ...uint64) (b []byte) {
		for _, v := range vs {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	literal := func(skip, length uint64, bytes int) []byte {
		return append(numbers(skip, length<<2), make([]byte, bytes)...)
	}
	move := func(skip, length, from uint64) []byte { return numbers(skip, length<<2|1, from) }
	for name, c := range map[string]struct {
		payload []byte
		bad     bool
	}{
		"nothing changed":    {payload(3), false},
		"two parts":          {payload(3, literal(0, 8, 8), literal(0, 4, 4)), false},
		"up to the end":      {payload(3, literal(500, 12, 12)), false},
		"move of all":        {payload(3, move(0, 512, 0)), false},
		"moves of the same":  {payload(3, move(5, 10, 8), move(0, 10, 8)), false},
		"zeroes":             {payload(3, numbers(0, 512<<2|2)), false},
		"too short":          {payload(3)[:20], true},
		"on top of itself":   {payload(9), true},
		"on top of a later":  {payload(10), true},
		"empty literal":      {payload(3, literal(10, 0, 0)), true},
		"empty move":         {payload(3, move(10, 0, 0)), true},
		"no such kind":       {payload(3, numbers(0, 8<<2|3)), true},
		"behind the end":     {payload(3, literal(500, 13, 13)), true},
		"far behind it":      {payload(3, literal(600, 1, 1)), true},
		"as far as can be":   {payload(3, numbers(1<<21-1, 1<<21-2)), true},
		"second behind it":   {payload(3, literal(400, 100, 100), literal(10, 3, 3)), true},
		"move behind it":     {payload(3, move(500, 13, 0)), true},
		"move from there":    {payload(3, move(0, 13, 500)), true},
		"zeroes behind it":   {payload(3, numbers(500, 13<<2|2)), true},
		"more than is there": {payload(3, literal(100, 8, 7)), true},
		"only a skip":        {payload(3, numbers(100)), true},
		"move from nowhere":  {payload(3, numbers(0, 8<<2|1)), true},
		"number breaks off":  {payload(3, []byte{0x80}), true},
		"number too long":    {payload(3, []byte{0x80, 0x80, 0x80, 0}, numbers(1<<2|2)), true},
	} {
		require.Equal(t, c.bad, deltaProblem(c.payload, 9, testPage) != "", name)
	}
}

// A version is rebuilt of DeltasMax deltas at the most, counted over checkpoints and recovery; the image that they are based on may be in
// the log or in the database file.
func TestDeltasInARow(t *testing.T) {
	w := newLogWorld(t, io.MemoryConfig{})
	count := func(w *logWorld) int {
		n, bytes := w.log.Deltas(3)
		require.Equal(t, n == 0, bytes == 0)
		return n
	}
	require.NoError(t, full(3)(w))
	require.Zero(t, count(w))
	for n := range 4 {
		require.NoError(t, full(3, 1)(w))
		require.Equal(t, n+1, count(w))
	}
	again, got, err := reopen(t, w.m)
	require.NoError(t, err)
	require.NoError(t, again.verify(got, w.states, w.acked, w.started))
	require.Equal(t, 4, count(again))

	require.NoError(t, checkpoint(w))
	require.Equal(t, 4, count(w), "a reader may be there that knows of no newer generation")
	w.log.DropLayer(w.gen - 1)
	require.Zero(t, count(w), "the file has it now")
	for n := range 2*DeltasMax + 3 {
		require.NoError(t, full(3)(w))
		e, ok := w.log.Lookup(3, w.log.Queued(), w.gen)
		require.True(t, ok)
		switch {
		case n < DeltasMax:
			require.Equal(t, n+1, count(w))
			require.Equal(t, KindDelta, e.Kind)
		case n == DeltasMax:
			require.Zero(t, count(w))
			require.Equal(t, KindFull, e.Kind)
		}
	}
	again, got, err = reopen(t, w.m)
	require.NoError(t, err)
	require.NoError(t, again.verify(got, w.states, w.acked, w.started))
	require.Equal(t, count(w), count(again))

	for c := NewCommit(w.log.Queued() + 1); w.delta(c, 3, w.states[w.log.Queued()][2], testImage(3, 1)); c = NewCommit(w.log.Queued() + 1) {
		require.NoError(t, full(3)(w))
	}
	before, image := w.states[w.log.Queued()][2], testImage(3, 999)
	parts, ok := new(Differ).Diff(testImage(3, before), image, testPage)
	require.True(t, ok)
	one := func() (*Commit, *Reservation) {
		c, r := NewCommit(w.log.Queued()+1), new(Reservation)
		c.Delta(3, types.Seq(before), parts, xxhash.Sum64(testImage(3, before)), xxhash.Sum64(image))
		c.Record([]byte("12345678"))
		var reserve Reserve
		reserve.Start(w.log, c.Size(), false, r)
		_, err = drive(w, &reserve)
		require.NoError(t, err)
		return c, r
	}
	c, r := one()
	require.Panics(t, func() { _ = w.log.Queue(c, r, true) }, "one too many")
	w.log.mu.TryLock() // the panic has left it locked
	w.log.mu.Unlock()
	for _, y := range w.log.index.layers { // another hand does not count
		for i := range y.entries {
			y.entries[i].deltas = 0
		}
	}
	require.NoError(t, w.log.Queue(c, r, true))
	require.NoError(t, w.wait(c.Seq(), true))
	_, _, err = reopen(t, w.m)
	require.ErrorIs(t, err, types.ErrCorrupt)
	require.ErrorContains(t, err, "more than 16 deltas in a row")
	var corrupt *types.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, types.PageID(3), corrupt.Page)
}

// leaf makes a page like a node's, of cells of 118 bytes with contents of their own, which lie in the given order behind a gap; the slots
// are in the order of the numbers.
func leaf(order ...int) []byte {
	const cell, slots = 118, 40
	le := binary.LittleEndian
	b := make([]byte, 4096)
	sorted := slices.Sorted(slices.Values(order))
	end := len(b) - 6
	for _, c := range order {
		end -= cell
		rng := rand.New(rand.NewPCG(uint64(c), 1))
		slot := b[slots+word*slices.Index(sorted, c):]
		le.PutUint32(slot, rng.Uint32())
		le.PutUint16(slot[4:], uint16(end))
		for i := range cell {
			b[end+i] = byte(rng.Uint32()) | 1
		}
	}
	le.PutUint32(b[4:], uint32(slots+word*len(order)))
	le.PutUint32(b[8:], uint32(end))
	return b
}

// What a delta of a node takes: what is new of it, and a little for what has moved.
func TestWhatMovesIsNotLogged(t *testing.T) {
	order := rand.New(rand.NewPCG(7, 7)).Perm(24)
	base := leaf(order...)
	without := func(cells ...int) (left []int) {
		for _, c := range order {
			if !slices.Contains(cells, c) {
				left = append(left, c)
			}
		}
		return left
	}
	for name, c := range map[string]struct {
		base, image []byte
		most        int
	}{
		"a cell more":                   {leaf(without(11)...), leaf(append(without(11), 11)...), 118 + 30},
		"three more":                    {leaf(without(2, 11, 12)...), leaf(append(without(2, 11, 12), 11, 2, 12)...), 3*118 + 60},
		"the last one fewer":            {leaf(append(without(11), 11)...), leaf(without(11)...), 40},
		"cells moved together":          {base, leaf(slices.Sorted(slices.Values(order))...), 240},
		"half of them gone":             {base, leaf(slices.Sorted(slices.Values(without(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)))...), 240},
		"half of them new":              {leaf(without(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)...), leaf(slices.Sorted(slices.Values(order))...), 12*118 + 300},
		"nothing but where they are is": {base, leaf(append(order[12:24:24], order[:12]...)...), 240},
	} {
		parts, ok := new(Differ).Diff(c.base, c.image, 3000)
		require.True(t, ok, name)
		require.LessOrEqual(t, len(parts), c.most, name)
	}
	_, ok := new(Differ).Diff(leaf(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), leaf(11, 12, 13, 14, 15, 16, 17, 18, 19, 20), 1000)
	require.False(t, ok, "too much is new")
}

// BenchmarkDiff compares a node with itself after an insert, and after its cells were moved together.
func BenchmarkDiff(b *testing.B) {
	order := rand.New(rand.NewPCG(7, 7)).Perm(24)
	for name, images := range map[string][2][]byte{
		"insert":  {leaf(order[:23]...), leaf(order...)},
		"rebuilt": {leaf(order...), leaf(slices.Sorted(slices.Values(order))...)},
	} {
		b.Run(name, func(b *testing.B) {
			var d Differ
			for b.Loop() {
				if _, ok := d.Diff(images[0], images[1], 3000); !ok {
					b.Fatal("no delta")
				}
			}
		})
	}
}
