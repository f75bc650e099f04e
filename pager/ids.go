package pager

import (
	"math/bits"

	"github.com/pawldb/pawl/types"
)

// idSet is a set of page ids, one bit each, that gives out the lowest first, so that the map stays dense.
type idSet struct {
	words []uint64
	count int
	low   int // no id below word low is in the set
}

// add puts an id in, if it is not there.
func (s *idSet) add(id types.PageID) {
	w := int(id / 64)
	for len(s.words) <= w {
		s.words = append(s.words, make([]uint64, w+1-len(s.words))...)
	}
	if bit := uint64(1) << (id % 64); s.words[w]&bit == 0 {
		s.words[w] |= bit
		s.count++
		s.low = min(s.low, w)
	}
}

// addRun puts count ids from first on in.
func (s *idSet) addRun(first types.PageID, count uint64) {
	for id := first; id < first+types.PageID(count); id++ {
		s.add(id)
	}
}

// has reports whether an id is in.
func (s *idSet) has(id types.PageID) bool {
	w := int(id / 64)
	return w < len(s.words) && s.words[w]>>(id%64)&1 != 0
}

// remove takes an id out, if it is there.
func (s *idSet) remove(id types.PageID) {
	if w := int(id / 64); w < len(s.words) && s.words[w]>>(id%64)&1 != 0 {
		s.words[w] &^= 1 << (id % 64)
		s.count--
	}
}

// take removes and returns the lowest id, or 0.
func (s *idSet) take() types.PageID {
	if s.count == 0 {
		return 0
	}
	for s.words[s.low] == 0 {
		s.low++
	}
	id := types.PageID(s.low*64 + bits.TrailingZeros64(s.words[s.low]))
	s.remove(id)
	return id
}

// idAllocator knows page ids that are free. Whoever holds the writer's turn uses it.
//
// Ids that commits give back enter at once. Those that were free at the open are found in the map's level-0 nodes, one node
// at a time and each at most once: a node can gain free ids later only through a commit.
type idAllocator struct {
	free    idSet
	scan    uint64 // next level-0 node to look at
	scanned bool   // all nodes have been looked at
}
