package wal

import "github.com/pawldb/pawl/types"

// newest leads from a page to the index of its newest entry in a layer. Pages whose ids lie side by side share a chunk, of a cache
// line: ids are dense, and a lookup in a small map and one line is cheaper than one in a map of all pages.
type newest struct {
	chunks map[types.PageID]*newestChunk // by id / newestPages
	pages  int                           // that have an entry
}

// newestChunk has the index, plus 1, of each page; 0: it has no entry.
type newestChunk [newestPages]int32

const (
	newestPages = 16
	newestBytes = newestPages*4 + 24 // of memory for a chunk, with its place in the map
)

// get returns the index of a page's newest entry, or -1.
func (n *newest) get(page types.PageID) int32 {
	c := n.chunks[page/newestPages]
	if c == nil {
		return -1
	}
	return c[page%newestPages] - 1
}

// slot returns where the index of a page's newest entry is kept. It stays there until set says that the page has none.
func (n *newest) slot(page types.PageID) *int32 {
	c := n.chunks[page/newestPages]
	if c == nil {
		c = new(newestChunk)
		n.chunks[page/newestPages] = c
	}
	return &c[page%newestPages]
}

// put makes at the index of the newest entry of the page that slot is of, -1 that it has none, and returns what it was.
func (n *newest) put(slot *int32, at int32) (before int32) {
	before, *slot = *slot-1, at+1
	switch {
	case before < 0 && at >= 0:
		n.pages++
	case before >= 0 && at < 0:
		n.pages--
	}
	return before
}

// set makes at the index of a page's newest entry, -1 that it has none, and returns what it was.
func (n *newest) set(page types.PageID, at int32) (before int32) {
	before = n.put(n.slot(page), at)
	if at < 0 && *n.chunks[page/newestPages] == (newestChunk{}) {
		delete(n.chunks, page/newestPages)
	}
	return before
}

// each calls visit for every page that has an entry, with the index of its newest, in no order.
func (n *newest) each(visit func(page types.PageID, at int32)) {
	for id, c := range n.chunks { // callers sort
		for i, at := range c {
			if at > 0 {
				visit(id*newestPages+types.PageID(i), at-1)
			}
		}
	}
}

// bytes returns about how much memory it takes.
func (n *newest) bytes() int64 { return int64(len(n.chunks)) * newestBytes }
