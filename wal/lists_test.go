package wal

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/types"
)

// randomLists returns the lists of a commit that names about n pages.
func randomLists(rng *rand.Rand, seq types.Seq, n int, sorted bool) *lists {
	b := &lists{seq: seq}
	page := types.PageID(1 + rng.IntN(3))
	for b.count < uint64(n) {
		switch rng.IntN(4) {
		case 0:
			count := uint64(1 + rng.IntN(5))
			b.free(page, count)
			page += types.PageID(count)
		default:
			b.reference(page, types.Run{First: types.Block(1 + rng.IntN(1000)), Count: 1}.Pack(), rng.Uint64())
			page++
		}
		page += types.PageID(rng.IntN(3))
	}
	if !sorted {
		b.reference(1<<20, types.Run{First: 1, Count: 1}.Pack(), 5)
		b.reference(1<<19, types.Run{First: 1, Count: 1}.Pack(), 5)
	}
	return b
}

func sortedRuns(runs []types.Run) []types.Run {
	slices.SortFunc(runs, func(a, b types.Run) int { return cmp.Compare(a.Pack(), b.Pack()) })
	return runs
}

// TestBulkLists compares an index that keeps long lists as they are with one that has an entry for each page.
func TestBulkLists(t *testing.T) {
	bulks := 0
	for seed := range uint64(effort.Of(2, 6, 60)) {
		rng := rand.New(rand.NewPCG(seed, 1))
		log := func() *Log { return &Log{index: index{layers: []*layer{newLayer(1)}}} }
		bulk, plain := log(), log()
		const commits = 8
		for seq := types.Seq(1); seq <= commits; seq++ {
			for _, l := range []*Log{bulk, plain} {
				y := l.index.top()
				for page := types.PageID(uint64(seq) % 3); page < 30000; page += 1000 {
					y.add(indexEntry{page: page + 1<<21, version: seq, kind: KindFull, a: 1, b: 2, c: uint64(page)})
				}
			}
			n := []int{10, bulkMin, 3 * bulkMin}[rng.IntN(3)]
			b := randomLists(rng, seq, n, seq != 5)
			require.Equal(t, n >= bulkMin && seq != 5, b.bulk())
			bulk.index.top().addLists(b)
			b.each(plain.index.top().add)
			switch seq {
			case 3:
				bulk.Split(2, 2)
				plain.Split(2, 2)
			case 4:
				bulk.Unsplit(2)
				plain.Unsplit(2)
			case 6:
				bulk.Split(4, 3)
				plain.Split(4, 3)
			}
		}
		bulks += len(bulk.index.layers[0].bulks) * len(bulk.index.layers[1].bulks)
		changed, whole := plain.Changed(1, 4)
		bulkChanged, bulkWhole := bulk.Changed(1, 4)
		require.Equal(t, changed, bulkChanged)
		require.Equal(t, whole, bulkWhole)
		above, images := plain.Above(6)
		bulkAbove, bulkImages := bulk.Above(6)
		require.Equal(t, above, bulkAbove)
		require.Equal(t, images, bulkImages)
		require.Equal(t, sortedRuns(plain.References(1)), sortedRuns(bulk.References(1)))
		require.Equal(t, sortedRuns(plain.References(3)), sortedRuns(bulk.References(3)))
		for s := types.Seq(0); s <= commits; s++ {
			require.Equal(t, plain.ChangedSince(1, s), bulk.ChangedSince(1, s))
			for range 2000 {
				page := types.PageID(rng.IntN(60000))
				want, ok := plain.Lookup(page, s, 1)
				got, found := bulk.Lookup(page, s, 1)
				require.Equal(t, ok, found, "page %d at commit %d", page, s)
				require.Equal(t, want, got)
				v, ok := plain.Newest(page)
				w, found := bulk.Newest(page)
				require.Equal(t, ok, found)
				require.Equal(t, v, w)
				k, ok := plain.InNewestLayer(page)
				j, found := bulk.InNewestLayer(page)
				require.Equal(t, ok, found)
				require.Equal(t, k, j)
			}
		}
	}
	require.Positive(t, bulks)
}
