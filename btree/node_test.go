package btree

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/types"
)

// choices are numbers that a test's input makes, and a generator when the input is at its end.
type choices struct {
	input []byte
	rng   *rand.Rand
}

func newChoices(input []byte) *choices {
	var seed uint64
	for _, c := range input {
		seed = seed*31 + uint64(c)
	}
	return &choices{input: input, rng: rand.New(rand.NewPCG(seed, 1))}
}

// of returns a number below n.
func (c *choices) of(n int) int {
	if len(c.input) < 2 {
		return c.rng.IntN(n)
	}
	v := int(binary.LittleEndian.Uint16(c.input))
	c.input = c.input[2:]
	return v % n
}

// one reports, one time in n, true.
func (c *choices) one(n int) bool { return c.of(n) == 0 }

// length returns a length from 0 to limit, often one of the ends.
func (c *choices) length(limit int) int {
	switch c.of(6) {
	case 0:
		return limit
	case 1:
		return max(0, limit-1-c.of(3))
	case 2:
		return min(limit, 1)
	case 3:
		return c.of(limit + 1)
	}
	return min(limit, c.of(12))
}

// key returns a key of 1 to limit bytes that often shares much with near.
func (c *choices) key(limit int, near []byte) []byte {
	k := slices.Clone(near[:min(len(near), c.length(limit))])
	for n := c.length(limit - len(k)); n > 0; n-- {
		k = append(k, []byte{0, 1, 'a', 'b', 0xfe, 0xff}[c.of(6)])
	}
	if len(k) == 0 {
		k = append(k, byte(c.of(256)))
	}
	return k
}

// inside returns a key of 1 to limit bytes between the fences, if it finds one.
func (c *choices) inside(f fences, limit int, near []byte) (key []byte, ok bool) {
	for range 20 {
		from := near
		if p := f.prefixLen(); p > 0 && !bytes.HasPrefix(near, f.low[:p]) || c.one(3) {
			from = [][]byte{f.low, f.high}[c.of(2)]
		}
		if key = c.key(limit, from); f.hold(key) {
			return key, true
		}
	}
	return nil, false
}

// fences returns bounds as a node may have.
func (c *choices) fences(limit int) fences {
	var f fences
	if c.one(2) {
		f.low = c.key(limit, nil)
	}
	if c.one(2) {
		if high := c.key(limit, f.low); bytes.Compare(f.low, high) < 0 {
			f.high, f.bounded = high, true
		}
	}
	return f
}

// tail returns what a cell may have behind a key.
func (c *choices) tail(pageSize, level, keyLen int) []byte {
	if level > 0 {
		return binary.LittleEndian.AppendUint64(nil, uint64(1+c.of(1000)))
	}
	e := Entry{Kind: Kind(1 + c.of(3))}
	switch e.Kind {
	case KindValue:
		e.Value = bytes.Repeat([]byte{byte(c.of(256))}, c.length(MaxInline(pageSize, keyLen)))
	case KindLarge:
		e.Large = Large{Size: 1 + int64(c.of(1<<15))<<c.of(20), Page: types.PageID(1 + c.of(1000))}
	case KindBucket:
		e.Bucket = Bucket{Root: types.PageID(1 + c.of(1000)), Sequence: uint64(c.of(1000))}
	}
	return append(e.tailHead(nil), e.Value...)
}

// node returns a valid node with holes between its cells, and its items.
func (c *choices) node() (node, []item) {
	size := 512 << c.of(8)
	if size > 4096 && !c.one(8) {
		size = 512
	}
	level, limit := []int{0, 0, 1, maxLevel}[c.of(4)], MaxKeySize(size)
	f := c.fences(limit)
	var items []item
	if level > 0 {
		items = append(items, item{key: f.low, tail: c.tail(size, level, 0)})
	}
	near := f.low
	for range c.of(60) {
		key, ok := c.inside(f, limit, near)
		if !ok || level > 0 && bytes.Equal(key, f.low) {
			continue
		}
		near = key
		at, found := slices.BinarySearchFunc(items, key, func(it item, key []byte) int { return bytes.Compare(it.key, key) })
		if found {
			continue
		}
		more := slices.Insert(slices.Clone(items), at, item{key: key, tail: c.tail(size, level, len(key))})
		if itemsSize(level, f, more) > size-nodeHeader {
			continue
		}
		items = more
	}
	n := build(newPage(size), level, f, items)
	for range c.of(3) { // holes
		if i := c.of(n.count() + 1); i < n.count() && (i > 0 || level == 0) {
			n.remove(i)
			items = slices.Delete(items, i, i+1)
		}
	}
	return n, items
}

// newPage returns a page of the pager.
func newPage(size int) []byte {
	buf := make([]byte, size)
	buf[0] = 1
	binary.LittleEndian.PutUint64(buf[16:], 7)
	return buf
}

// itemsOf returns copies of a node's items.
func itemsOf(n node) (items []item) {
	items, _ = n.appendItems(nil, nil)
	for i, it := range items {
		items[i] = item{key: slices.Clone(it.key), tail: slices.Clone(it.tail)}
	}
	return items
}

func sameItems(t *testing.T, want, got []item) {
	t.Helper()
	same := func(a, b item) bool { return bytes.Equal(a.key, b.key) && bytes.Equal(a.tail, b.tail) }
	if !slices.EqualFunc(want, got, same) {
		t.Fatalf("%d items, %d expected, or others", len(got), len(want))
	}
}

// sound checks a node and what it holds.
func sound(t *testing.T, n node, want []item) {
	t.Helper()
	if problem := checkNode(n); problem != "" {
		t.Fatal(problem)
	}
	got, _ := n.appendItems(nil, nil)
	sameItems(t, want, got)
}

// exercise calls all that a valid node has, and all that may be done to one.
func exercise(t *testing.T, n node, c *choices) {
	items := itemsOf(n)
	require.Equal(t, n.used(), itemsSize(n.level(), n.fences(), items))
	require.Equal(t, n.capacity(), n.used()+n.free())
	readNode(t, n, items, c)
	changeNode(t, n, items, c)
	removeAll(t, n, items, c)
	insertMany(t, n, items, c)
}

// childFences returns the fences that a child of an interior node has to have.
func childFences(n node, items []item, i int) fences {
	f := n.fences()
	f.low = items[i].key
	if i+1 < len(items) {
		f.high, f.bounded = items[i+1].key, true
	}
	return f
}

// someOf returns some of the places in b.
func someOf(b []byte) []int {
	if len(b) == 0 {
		return nil
	}
	return []int{0, len(b) / 2, len(b) - 1}
}

// readBounds looks at what an interior node says of a child's fences.
func readBounds(t *testing.T, n node, items []item, i int) {
	f := childFences(n, items, i)
	require.True(t, n.bounds(i, f))
	for _, other := range []fences{
		{append(slices.Clone(f.low), 0), f.high, f.bounded},
		{f.low, append(slices.Clone(f.high), 0), true},
		{f.low, f.high, !f.bounded},
	} {
		require.False(t, n.bounds(i, other))
	}
	for _, at := range someOf(f.low) {
		wrong := slices.Clone(f.low)
		wrong[at] ^= 1
		require.False(t, n.bounds(i, fences{wrong, f.high, f.bounded}))
		require.False(t, n.bounds(i, fences{f.low[:at], f.high, f.bounded}))
	}
	for _, at := range someOf(f.high) {
		wrong := slices.Clone(f.high)
		wrong[at] ^= 1
		require.False(t, n.bounds(i, fences{f.low, wrong, f.bounded}))
		require.False(t, n.bounds(i, fences{f.low, f.high[:at], f.bounded}))
	}
}

// readNode looks at a node in every way.
func readNode(t *testing.T, n node, items []item, c *choices) {
	for i, it := range items {
		at, found := n.search(it.key)
		switch {
		case n.leaf():
			require.True(t, found)
			require.Equal(t, i, at)
			e := n.entry(i)
			require.Equal(t, n.kind(i), e.Kind)
			require.Equal(t, len(it.tail), e.tailSize())
			require.Equal(t, it.tail, append(e.tailHead(nil), e.Value...))
			key, value, kind := Leaf{n: n}.Pair(i)
			require.Equal(t, string(it.key), string(key))
			require.Equal(t, e.Kind, kind)
			require.Equal(t, e.Value, value)
			require.Equal(t, len(key)+len(value), cap(key)+cap(value))
		default:
			require.Equal(t, i > 0, found)
			require.Equal(t, i, n.childIndex(it.key))
			require.NotZero(t, n.child(i))
			readBounds(t, n, items, i)
		}
		require.Equal(t, string(it.key), string(n.appendKey(nil, i)))
		require.True(t, bytes.HasSuffix(it.key, n.behindPrefix(i)))
	}
	for range 10 {
		key, ok := c.inside(n.fences(), MaxKeySize(len(n)), n.low())
		if !ok {
			continue
		}
		at, found := n.search(key)
		want, there := slices.BinarySearchFunc(items, key, func(it item, key []byte) int { return bytes.Compare(it.key, key) })
		if !n.leaf() {
			there = there && want > 0
			want = max(want, 1)
			require.True(t, childFences(n, items, n.childIndex(key)).hold(key))
		}
		require.Equal(t, there, found)
		require.Equal(t, want, at)
	}
	// Keys that are not between the fences come from damaged files, or are the bounds of a loop.
	for range 3 {
		key := c.key(MaxKeySize(len(n)), n.low())
		n.search(key)
		if n.leaf() {
			below, _ := slices.BinarySearchFunc(items, key, func(it item, key []byte) int { return bytes.Compare(it.key, key) })
			require.Equal(t, below, Leaf{n: n}.Below(key))
		}
		if !n.leaf() {
			require.NotZero(t, n.child(n.childIndex(key)))
		}
	}
}

// changeNode moves a node's cells together, builds it anew, and puts others under its keys.
func changeNode(t *testing.T, n node, items []item, c *choices) {
	spare := make([]byte, len(n))
	moved := node(slices.Clone(n))
	moved.compact(spare)
	sound(t, moved, items)
	require.Zero(t, moved.dead())
	sound(t, build(newPage(len(n)), n.level(), n.fences(), items), items)
	for i, it := range items {
		changed, want := node(slices.Clone(n)), slices.Clone(items)
		switch {
		case n.leaf():
			e := entryOf(c.tail(len(n), 0, len(it.key)))
			if !n.fitsReplaced(i, &e) {
				continue
			}
			changed.replaceEntry(i, it.key, &e, spare)
			want[i].tail = append(e.tailHead(nil), e.Value...)
		case i > 0:
			f := fences{low: items[i-1].key, bounded: true}
			if f.high, f.bounded = n.high(); i+1 < len(items) {
				f.high, f.bounded = items[i+1].key, true
			}
			key, ok := c.inside(f, MaxKeySize(len(n)), it.key)
			if !ok || bytes.Equal(key, f.low) || !n.fitsSeparator(i, key) {
				continue
			}
			changed.replaceSeparator(i, key, spare)
			want[i].key = key
		}
		sound(t, changed, want)
	}
}

// entryOf returns what a cell's tail says.
func entryOf(tail []byte) Entry {
	e := Entry{Kind: Kind(tail[0])}
	le := binary.LittleEndian
	switch e.Kind {
	case KindValue:
		_, skip := binary.Uvarint(tail[1:])
		e.Value = tail[1+skip:]
	case KindLarge:
		e.Large = Large{Size: int64(le.Uint64(tail[1:])), Page: types.PageID(le.Uint64(tail[9:]))}
	case KindBucket:
		e.Bucket = Bucket{Root: types.PageID(le.Uint64(tail[1:])), Sequence: le.Uint64(tail[9:])}
	}
	return e
}

// removeAll takes a node's slots out, one after the other.
func removeAll(t *testing.T, n node, items []item, c *choices) {
	n, items = slices.Clone(n), slices.Clone(items)
	first := 0
	if !n.leaf() {
		first = 1
	}
	for len(items) > first {
		i := first + c.of(len(items)-first)
		n.remove(i)
		items = slices.Delete(items, i, i+1)
		sound(t, n, items)
	}
	if n.leaf() {
		require.Zero(t, n.dead())
		require.Equal(t, n.fences().size(), n.used())
	}
}

// insertMany puts new cells into a node; when one does not fit, the node has to be such that it can be cut.
func insertMany(t *testing.T, n node, items []item, c *choices) {
	n = slices.Clone(n)
	spare, f, limit := make([]byte, len(n)), n.fences(), MaxKeySize(len(n))
	near := n.low()
	for range 12 {
		key, ok := c.inside(f, limit, near)
		if !ok || !n.leaf() && bytes.Equal(key, n.low()) {
			continue
		}
		near = key
		at, found := n.search(key)
		if found {
			continue
		}
		it := item{key: key, tail: c.tail(len(n), n.level(), len(key))}
		more := slices.Insert(slices.Clone(items), at, it)
		switch {
		case n.leaf():
			e := entryOf(it.tail)
			if ok = n.fitsEntry(key, &e); ok {
				n.insertEntry(at, key, &e, spare)
			}
		default:
			child := types.PageID(binary.LittleEndian.Uint64(it.tail))
			if ok = n.fitsChild(key); ok {
				n.insertChild(at, key, uint64(child), spare)
			}
		}
		if ok {
			items = more
			sound(t, n, items)
			continue
		}
		cutEverywhere(t, n, more, at)
	}
}

// cutEverywhere cuts items, which lie between a node's fences and don't fit into it, in each way.
func cutEverywhere(t *testing.T, n node, items []item, added int) {
	for _, b := range []bias{cutMiddle, cutAfter, cutBefore} {
		cut := chooseCut(len(n), n.level(), n.fences(), items, added, b)
		require.NotZero(t, cut, "%d items of a node of level %d and %d bytes", len(items), n.level(), len(n))
		separator := items[cut].key
		if n.leaf() {
			separator = separator[:separatorLen(items[cut-1].key, separator)]
		}
		require.LessOrEqual(t, len(separator), MaxKeySize(len(n)))
		left, right := n.fences().sides(separator)
		sound(t, build(newPage(len(n)), n.level(), left, items[:cut]), items[:cut])
		sound(t, build(newPage(len(n)), n.level(), right, items[cut:]), items[cut:])
	}
}

// damage changes a valid node so that it may or may not be one any more.
func (c *choices) damage(n node) {
	for range c.of(4) {
		switch c.of(4) {
		case 0:
			n[c.of(len(n))] = byte(c.of(256))
		case 1:
			n[c.of(nodeHeader)] ^= 1 << c.of(8)
		case 2:
			n[nodeHeader+c.of(max(n.gapStart(), nodeHeader+1)-nodeHeader)%(len(n)-nodeHeader)] ^= 1 << c.of(8)
		case 3:
			c.nest(n)
		}
	}
}

// nest moves a cell of a leaf into another one's value. What it leaves is as long as what now counts twice.
func (c *choices) nest(n node) {
	if checkNode(n) != "" || !n.leaf() || n.count() < 2 {
		return
	}
	i, j := c.of(n.count()), c.of(n.count())
	size := n.cellSize(j)
	if n.kind(i) != KindValue || i == j || len(n.entry(i).Value) < size {
		return
	}
	into := n.cellOff(i) + n.cellSize(i) - size
	copy(n[into:], slices.Clone(n[n.cellOff(j):n.cellOff(j)+size]))
	n.putU16(nodeHeader+slotSize*j+slotCellOff, into)
}

// zeroGap does what the pager checks.
func zeroGap(n node) bool {
	start, end := int(binary.LittleEndian.Uint32(n[4:])), n.gapEnd()
	if start < 32 || end < start || end > len(n) {
		return false
	}
	clear(n[start:end])
	return true
}

// TestNodes does everything to random nodes.
func TestNodes(t *testing.T) {
	rounds := effort.Of(60, 300, 100_000)
	accepted := 0
	for seed := range rounds {
		c := newChoices(binary.LittleEndian.AppendUint32(nil, uint32(seed)))
		n, items := c.node()
		sound(t, n, items)
		exercise(t, n, c)
		c.damage(n)
		if zeroGap(n) && checkNode(n) == "" {
			accepted++
			exercise(t, n, c)
		}
	}
	require.Greater(t, accepted, rounds/10)
}

// FuzzNode has everything done to whatever checkNode takes for a node.
func FuzzNode(f *testing.F) {
	for i := range 32 {
		f.Add([]byte{byte(i), byte(i >> 1), byte(i * 7), 0, byte(i), 0, 3, 0}, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, input []byte, raw bool) {
		c := newChoices(input)
		var n node
		if raw {
			n = newPage(512)
			copy(n, input)
		} else {
			n, _ = c.node()
			c.damage(n)
		}
		if zeroGap(n) && checkNode(n) == "" {
			exercise(t, n, c)
		}
	})
}

// Cells that share bytes would be destroyed with each other.
func TestCellsThatOverlap(t *testing.T) {
	e, small := Entry{Kind: KindValue, Value: make([]byte, 60)}, Entry{Kind: KindValue, Value: []byte("v")}
	n, spare := reset(newPage(512), 0, fences{}), make([]byte, 512)
	n.insertEntry(0, []byte("a"), &e, spare)
	n.insertEntry(1, []byte("b"), &small, spare)
	n.insertEntry(2, []byte("c"), &small, spare)
	require.Empty(t, checkNode(n))
	size := n.cellSize(1)
	into := n.cellOff(0) + n.cellSize(0) - size
	copy(n[into:], n[n.cellOff(1):n.cellOff(1)+size])
	n.putU16(nodeHeader+slotSize+slotCellOff, into)
	require.Contains(t, checkNode(n), "overlap")
}

func TestSeparators(t *testing.T) {
	for _, c := range []struct{ left, right, want string }{
		{"", "a", "a"},
		{"a", "b", "b"},
		{"a", "aa", "aa"},
		{"abc", "abd", "abd"},
		{"abc", "abdxyz", "abd"},
		{"abcxyz", "b", "b"},
		{"a", "a\x00", "a\x00"},
	} {
		got := c.right[:separatorLen([]byte(c.left), []byte(c.right))]
		require.Equal(t, c.want, got, "%q %q", c.left, c.right)
		require.Less(t, c.left, got)
		require.LessOrEqual(t, got, c.right)
	}
}

func TestHeads(t *testing.T) {
	for _, c := range []struct {
		key  string
		want uint32
	}{
		{"", 0}, {"\x00", 0}, {"a", 0x61000000}, {"ab", 0x61620000}, {"abc", 0x61626300}, {"abcd", 0x61626364}, {"abcde", 0x61626364},
	} {
		require.Equal(t, c.want, head4([]byte(c.key)), "%q", c.key)
	}
}
