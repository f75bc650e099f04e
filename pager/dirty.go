package pager

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// dirtyPage is what a transaction made of a page.
type dirtyPage struct {
	data  []byte    // nil while it is only on disk
	base  *Image    // the version that data was made of, for a delta; nil: there is none, or it was let go
	run   types.Run // blocks that hold it; Count 0: none
	parts []byte    // of a delta that makes data out of base, from Tx.Record; nil: to be looked for
	sum   uint64    // XXH64 of the run, or with parts, of data
	epoch int       // of the savepoint that it was made under
	fresh bool      // its id was free before this transaction
	freed bool
	known bool // its owner made it, or had looked at what it was made of: Image.Checked holds from its commit on

	newer, older *dirtyPage // in memory: the neighbours by last use
	id           types.PageID
}

// dirtySet holds a transaction's pages. A transaction may have many more than fit into memory: of a page that is only on
// disk it keeps 16 bytes, packed; of one of an earlier commit that it has freed, a bit.
//
//	           set                     drop, then pack
//	(absent) ------> open, in memory ------------------> packed
//	      \              ^                                 |
//	       \             +----------- get ----------------+
//	        +--free--> gone
//
// Pages in memory are linked by last use, so that those that were not used for longest can be written ahead.
type dirtySet struct {
	open   map[types.PageID]*dirtyPage
	packed map[uint64]*packedChunk // by id / packedPages
	count  int                     // of packed pages
	gone   idBits                  // freed ones of earlier commits; no id of them comes again in this transaction
	spare  []dirtyPage             // memory

	order   []*dirtyPage // the open ones by id, if ordered
	ordered bool
	most    int // open pages that there ever were at once

	newest, oldest *dirtyPage // in memory
	resident       int        // number of them
	based          int        // open ones that have a base
}

const (
	packedPages = 16
	packedBytes = packedPages*16 + 48 // of memory for a chunk, with its place in the map

	dirtyChunk = 32 // states that memory is taken for at a time, at most

	packedUsed  = 1 << 63
	packedFresh = 1 << 62
	packedFreed = 1 << 61
	packedBlock = packedFreed - 1
)

// packedChunk has pages of neighbouring ids, without pointers.
type packedChunk [packedPages]struct {
	state uint64 // flags, and the block; 0: the page is not here
	sum   uint64
}

// ready makes a set that is the zero value, or what recycle has left, one to put pages into.
func (s *dirtySet) ready() {
	if s.open == nil {
		s.open = map[types.PageID]*dirtyPage{}
	}
}

// keptPages is how many open pages a set has at the most whose memory is used again: to clear a map costs what it has grown to.
const keptPages = 16

// recycle leaves an empty set in to with the memory of this one, if that is little, and this one useless.
func (s *dirtySet) recycle(to *dirtySet) {
	if s.most <= keptPages {
		clear(s.open)
		clear(s.order[:cap(s.order)])
		*to = dirtySet{open: s.open, order: s.order[:0]}
	}
	*s = dirtySet{}
}

// len returns the number of pages, freed ones included.
func (s *dirtySet) len() int { return len(s.open) + s.count + s.gone.count() }

// empty reports whether there is no page at all.
func (s *dirtySet) empty() bool { return len(s.open)+s.count+len(s.gone) == 0 }

// bytes returns the memory that packed and freed pages take, about.
func (s *dirtySet) bytes() int64 {
	return int64(len(s.packed))*packedBytes + int64(len(s.gone))*idBitsBytes
}

// peek returns a page's state. It leaves a packed page packed: then data is nil.
func (s *dirtySet) peek(id types.PageID) (dirtyPage, bool) {
	if d := s.open[id]; d != nil {
		return *d, true
	}
	if s.count > 0 {
		if c := s.packed[uint64(id)/packedPages]; c != nil {
			if d, ok := c.unpack(id); ok {
				return d, true
			}
		}
	}
	if len(s.gone) > 0 && s.gone.has(id) {
		return dirtyPage{id: id, freed: true}, true
	}
	return dirtyPage{}, false
}

// packs reports whether the set has a page packed, or gone.
func (s *dirtySet) packs(id types.PageID) bool {
	if len(s.gone) > 0 && s.gone.has(id) {
		return true
	}
	if s.count == 0 {
		return false
	}
	c := s.packed[uint64(id)/packedPages]
	return c != nil && c[id%packedPages].state&packedUsed != 0
}

// unpack returns the page, if it is in the chunk.
func (c *packedChunk) unpack(id types.PageID) (dirtyPage, bool) {
	e := &c[id%packedPages]
	if e.state&packedUsed == 0 {
		return dirtyPage{}, false
	}
	d := dirtyPage{id: id, fresh: e.state&packedFresh != 0, freed: e.state&packedFreed != 0}
	if !d.freed {
		d.run, d.sum = types.Run{First: types.Block(e.state & packedBlock), Count: 1}, e.sum
	}
	return d, true
}

// get returns a page to be changed, or nil. One that is gone can't be.
func (s *dirtySet) get(id types.PageID) *dirtyPage {
	if d := s.open[id]; d != nil {
		return d
	}
	p, ok := s.peek(id)
	if !ok {
		return nil
	}
	d := &p
	if c := s.packed[uint64(id)/packedPages]; c != nil && c[id%packedPages].state != 0 {
		s.unpacked(c, id)
		s.open[id], s.ordered = d, false
	}
	return d
}

// unpacked takes a page out of its chunk.
func (s *dirtySet) unpacked(c *packedChunk, id types.PageID) {
	c[id%packedPages] = packedChunk{}[0]
	s.count--
	if *c == (packedChunk{}) {
		delete(s.packed, uint64(id)/packedPages)
	}
}

// make returns memory for a page's state. It comes in chunks, since a batch changes very many pages.
func (s *dirtySet) make(d dirtyPage) *dirtyPage {
	if len(s.spare) == 0 {
		s.spare = make([]dirtyPage, min(len(s.open)+1, dirtyChunk))
	}
	p := &s.spare[0]
	s.spare = s.spare[1:]
	*p = d
	return p
}

// set makes d the state of a page.
func (s *dirtySet) set(id types.PageID, d *dirtyPage) {
	s.remove(id)
	s.add(id, d)
}

// add does so for a page that is not in the set.
func (s *dirtySet) add(id types.PageID, d *dirtyPage) {
	d.id = id
	if d.freed && !d.fresh {
		s.gone.add(id)
		return
	}
	s.open[id], s.ordered = d, false
	s.most = max(s.most, len(s.open))
	if d.base != nil {
		s.based++
	}
	if d.data != nil && !d.freed {
		s.link(d)
	}
}

// remove forgets a page.
func (s *dirtySet) remove(id types.PageID) {
	if d := s.get(id); d != nil {
		s.unlink(d)
		delete(s.open, id)
		s.ordered = false
		if d.base != nil {
			s.based--
		}
		if len(s.gone) > 0 {
			s.gone.remove(id)
		}
	}
}

// letGoBase forgets what d was made of.
func (s *dirtySet) letGoBase(d *dirtyPage) {
	if d.base != nil {
		d.base = nil
		s.based--
	}
}

// letGoBases does so for all pages. Those that have a base are in memory.
func (s *dirtySet) letGoBases() {
	for d := s.newest; d != nil; d = d.older {
		s.letGoBase(d)
	}
}

// linked reports whether d is among those by last use.
func (s *dirtySet) linked(d *dirtyPage) bool { return d.newer != nil || s.newest == d }

// link makes d the page that was used last.
func (s *dirtySet) link(d *dirtyPage) {
	if s.newest == nil {
		s.oldest = d
	} else {
		d.older, s.newest.newer = s.newest, d
	}
	s.newest = d
	s.resident++
}

// unlink takes d out of those by last use, if it is there.
func (s *dirtySet) unlink(d *dirtyPage) {
	if !s.linked(d) {
		return
	}
	if d.newer == nil {
		s.newest = d.older
	} else {
		d.newer.older = d.older
	}
	if d.older == nil {
		s.oldest = d.newer
	} else {
		d.older.newer = d.newer
	}
	d.newer, d.older = nil, nil
	s.resident--
}

// use notes that a page in memory is used.
func (s *dirtySet) use(d *dirtyPage) {
	if s.newest != d {
		s.unlink(d)
		s.link(d)
	}
}

// load gives a page that was only on disk its bytes.
func (s *dirtySet) load(d *dirtyPage, data []byte) {
	d.data = data
	s.link(d)
}

// drop takes the bytes of a page out of memory; it has a run. If no savepoint may want to tell it from what it was before,
// it is packed.
func (s *dirtySet) drop(d *dirtyPage, pack bool) {
	if d.run.Count == 0 {
		panic(invariant.Failf("pager: page %d leaves memory without being on disk", d.id))
	}
	s.unlink(d)
	s.letGoBase(d)
	d.data = nil
	if pack {
		s.pack(d)
	}
}

// pack packs a page that is not in memory, if that can be done.
func (s *dirtySet) pack(d *dirtyPage) {
	state := uint64(packedUsed)
	switch {
	case d.freed && d.run.Count == 0:
		state |= packedFreed
	case d.run.Count == 1 && !d.freed && uint64(d.run.First) <= packedBlock:
		state |= uint64(d.run.First)
	default:
		return
	}
	if d.fresh {
		state |= packedFresh
	}
	key := uint64(d.id) / packedPages
	c := s.packed[key]
	if c == nil {
		if s.packed == nil {
			s.packed = map[uint64]*packedChunk{}
		}
		c = new(packedChunk)
		s.packed[key] = c
	}
	c[d.id%packedPages].state, c[d.id%packedPages].sum = state, d.sum
	s.count++
	delete(s.open, d.id)
	s.ordered = false
}

// sorted returns the open pages by id, good until the set changes: they are sorted once for all the passes of a commit.
func (s *dirtySet) sorted() []*dirtyPage {
	if !s.ordered {
		s.order, s.ordered = slices.AppendSeq(s.order[:0], maps.Values(s.open)), true
		slices.SortFunc(s.order, func(a, b *dirtyPage) int { return cmp.Compare(a.id, b.id) })
	}
	return s.order
}

// all yields every page but those that are gone, by id. The set must not change meanwhile.
func (s *dirtySet) all() iter.Seq2[types.PageID, *dirtyPage] {
	return func(yield func(types.PageID, *dirtyPage) bool) {
		open := s.sorted()
		if s.count == 0 {
			for _, d := range open {
				if !yield(d.id, d) {
					return
				}
			}
			return
		}
		before := func(end types.PageID) bool {
			for len(open) > 0 && open[0].id < end {
				if !yield(open[0].id, open[0]) {
					return false
				}
				open = open[1:]
			}
			return true
		}
		for _, key := range slices.Sorted(maps.Keys(s.packed)) {
			c := s.packed[key]
			for i := range types.PageID(packedPages) {
				id := types.PageID(key)*packedPages + i
				d, ok := c.unpack(id)
				if ok && (!before(id) || !yield(id, &d)) {
					return
				}
			}
		}
		before(^types.PageID(0))
	}
}
