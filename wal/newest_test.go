package wal

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/types"
)

// newest is a map of page ids.
func TestNewest(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	n, model := newest{chunks: map[types.PageID]*newestChunk{}}, map[types.PageID]int32{}
	for range 20000 {
		page := types.PageID(rng.IntN(200))
		if rng.IntN(4) == 0 {
			page = ^page
		}
		was, there := model[page]
		if !there {
			was = -1
		}
		require.Equal(t, was, n.get(page))
		at := int32(rng.IntN(100)) - 30
		if at < 0 {
			at = -1
			delete(model, page)
		} else {
			model[page] = at
		}
		require.Equal(t, was, n.set(page, at))
		require.Equal(t, len(model), n.pages)
	}
	var pages []types.PageID
	n.each(func(page types.PageID, at int32) {
		pages = append(pages, page)
		require.Equal(t, model[page], at)
	})
	slices.Sort(pages)
	require.Equal(t, slices.Sorted(maps.Keys(model)), pages)
	for page := range model {
		n.set(page, -1)
	}
	require.Zero(t, n.pages)
	require.Zero(t, n.bytes(), "nothing is kept for pages that are gone")
}
