package btree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimits(t *testing.T) {
	for size := 512; size <= 65536; size *= 2 {
		key := MaxKeySize(size)
		require.Greater(t, key, size/5, "page size %d", size)
		require.GreaterOrEqual(t, MaxInline(size, key), leafTail-4, "values no longer than an extent's description lie in the leaf")
		require.GreaterOrEqual(t, maxCell(size), slotSize+key+leafTail)
		for k := 1; k <= key; k++ {
			require.LessOrEqual(t, slotSize+k+4+MaxInline(size, k), maxCell(size))
			require.GreaterOrEqual(t, MaxInline(size, k), MaxInline(size, key))
		}
	}
	require.GreaterOrEqual(t, MaxInline(4096, 300), 1024)
}

// TestLeavesCanBeCut fills leaves with cells that are as bad as can be, up to the last byte, and puts another one in.
func TestLeavesCanBeCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	tried := 0
	for range 30_000 {
		size := 512 << rng.IntN(4)
		limit := MaxKeySize(size)
		stem := bytes.Repeat([]byte{'k'}, limit)
		// Keys share long stems, so that separators are long.
		key := func(i int) []byte {
			k := append([]byte(nil), stem[:max(0, []int{0, limit - 3, rng.IntN(limit - 2), limit - 3}[rng.IntN(4)])]...)
			return append(k, byte('k'-2+rng.IntN(4)), byte(i), byte(rng.IntN(3)))
		}
		entry := func(i int) item {
			k := key(i)
			n := []int{MaxInline(size, len(k)), 0, rng.IntN(MaxInline(size, len(k)) + 1)}[rng.IntN(3)]
			e := Entry{Kind: KindValue, Value: make([]byte, n)}
			return item{key: k, tail: make([]byte, max(e.tailSize(), []int{0, leafTail}[rng.IntN(2)]))}
		}
		var f fences
		if rng.IntN(2) == 0 {
			f.low = bytes.Repeat([]byte{'a'}, rng.IntN(limit)+1)
		}
		if rng.IntN(2) == 0 {
			f.high, f.bounded = bytes.Repeat([]byte{'z'}, rng.IntN(limit)+1), true
		}
		room := size - nodeHeader - len(f.low) - len(f.high)
		var items []item
		for i := range 40 {
			it := entry(i)
			if n := slotSize + len(it.key) + len(it.tail); n <= room {
				room -= n
				items = append(items, it)
			}
		}
		it := entry(rng.IntN(40))
		if slotSize+len(it.key)+len(it.tail) <= room {
			continue
		}
		items = append(items, it)
		slices.SortFunc(items, func(a, b item) int { return bytes.Compare(a.key, b.key) })
		items = slices.CompactFunc(items, func(a, b item) bool { return bytes.Equal(a.key, b.key) })
		if len(items) < 2 {
			continue
		}
		tried++
		added := slices.IndexFunc(items, func(x item) bool { return bytes.Equal(x.key, it.key) })
		for _, b := range []bias{cutMiddle, cutAfter, cutBefore} {
			cut := chooseCut(size, 0, f, items, added, b)
			if cut == 0 {
				var sizes []string
				for _, x := range items {
					sizes = append(sizes, fmt.Sprintf("%d+%d", len(x.key), len(x.tail)))
				}
				t.Fatalf("page size %d, fences %d and %d: %v, new %d", size, len(f.low), len(f.high), sizes, added)
			}
		}
	}
	require.Greater(t, tried, 10_000)
}

// Keys in order fill their leaves, also if the last one is too full for the fence that it gets when it is split.
func TestKeysInOrderFill(t *testing.T) {
	for _, size := range []int{40, 87, 88, 100, 113} {
		for _, descending := range []bool{false, true} {
			x := newWorld(t, 4096, 1<<20)
			x.begin()
			const n = 2000
			for i := range n {
				if descending {
					i = n - i
				}
				x.put(0, fmt.Appendf(nil, "%016d", i), make([]byte, size))
			}
			x.commit()
			var m Measure
			x.view(func(src Source) {
				m.Start(src, 0)
				s := must(x, &m)
				most := (4096 - nodeHeader) / (slotSize + 16 + 2 + size)
				require.LessOrEqual(t, s.Leaves, int64(n/(most-2)+2), "values of %d bytes, descending %v", size, descending)
			})
			x.close()
		}
	}
}
