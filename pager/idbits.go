package pager

import (
	"iter"
	"maps"
	"slices"

	"github.com/pawldb/pawl/types"
)

// idBits is a set of page ids that need not lie close together.
type idBits map[uint64]*[idBitsChunk / 64]uint64 // by id / idBitsChunk

const (
	idBitsChunk = 512
	idBitsBytes = idBitsChunk/8 + 32 // of memory for a chunk, with its place in the map
)

// add puts an id in.
func (s *idBits) add(id types.PageID) {
	if *s == nil {
		*s = idBits{}
	}
	c := (*s)[uint64(id)/idBitsChunk]
	if c == nil {
		c = new([idBitsChunk / 64]uint64)
		(*s)[uint64(id)/idBitsChunk] = c
	}
	c[id%idBitsChunk/64] |= 1 << (id % 64)
}

// addRun puts count ids from first on in.
func (s *idBits) addRun(first types.PageID, count int) {
	for id := first; id < first+types.PageID(count); id++ {
		s.add(id)
	}
}

// remove takes an id out.
func (s idBits) remove(id types.PageID) {
	c := s[uint64(id)/idBitsChunk]
	if c == nil {
		return
	}
	c[id%idBitsChunk/64] &^= 1 << (id % 64)
	if *c == ([idBitsChunk / 64]uint64{}) {
		delete(s, uint64(id)/idBitsChunk)
	}
}

// has reports whether an id is in.
func (s idBits) has(id types.PageID) bool {
	c := s[uint64(id)/idBitsChunk]
	return c != nil && c[id%idBitsChunk/64]>>(id%64)&1 != 0
}

// count returns the number of ids.
func (s idBits) count() int {
	n := 0
	for _, c := range s { // a sum: the order does not matter
		n += onesIn(c[:])
	}
	return n
}

// each calls visit for every id, in no order.
func (s idBits) each(visit func(types.PageID)) {
	for key, c := range s { // callers put them into sets: the order does not matter
		for i := range types.PageID(idBitsChunk) {
			if c[i/64]>>(i%64)&1 != 0 {
				visit(types.PageID(key)*idBitsChunk + i)
			}
		}
	}
}

// runs yields the ids as runs of neighbours, ascending: first id and count.
func (s idBits) runs() iter.Seq2[types.PageID, uint64] {
	return func(yield func(types.PageID, uint64) bool) {
		if len(s) == 0 {
			return
		}
		var first types.PageID
		var count uint64
		for _, key := range slices.Sorted(maps.Keys(s)) {
			for at := nextSet(s[key][:], 0, idBitsChunk); at < idBitsChunk; {
				end := nextClear(s[key][:], at, idBitsChunk)
				id := types.PageID(key)*idBitsChunk + types.PageID(at)
				if count > 0 && first+types.PageID(count) != id {
					if !yield(first, count) {
						return
					}
					count = 0
				}
				if count == 0 {
					first = id
				}
				count += uint64(end - at)
				at = nextSet(s[key][:], end, idBitsChunk)
			}
		}
		if count > 0 {
			yield(first, count)
		}
	}
}
