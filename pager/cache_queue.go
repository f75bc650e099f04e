package pager

import "github.com/pawldb/pawl/types"

// imageQueue is a list of images, each in one at most, oldest first.
type imageQueue struct {
	oldest, newest *Image
	bytes          int64 // charged
	count          int
}

// add puts img at the newest end.
func (q *imageQueue) add(img *Image) {
	img.queue, img.older = q, q.newest
	if q.newest == nil {
		q.oldest = img
	} else {
		q.newest.newer = img
	}
	q.newest = img
	q.bytes += img.charge()
	q.count++
}

// remove takes img out.
func (q *imageQueue) remove(img *Image) {
	if img.older == nil {
		q.oldest = img.newer
	} else {
		img.older.newer = img.newer
	}
	if img.newer == nil {
		q.newest = img.older
	} else {
		img.newer.older = img.older
	}
	img.queue, img.older, img.newer = nil, nil, nil
	q.bytes -= img.charge()
	q.count--
}

// imageOverhead is charged for each image beside its bytes: the Image, its place in the table, allocator slack.
const imageOverhead = 192

// charge returns the bytes that the budget pays for the image.
func (i *Image) charge() int64 { return int64(len(i.data)) + imageOverhead }

// ghostKey names what was evicted: a page, whatever its version, or a map node.
type ghostKey struct {
	id    types.PageID
	block types.Block
}

func (i *Image) ghostKey() ghostKey { return ghostKey{i.id, i.block} }

// ghostQueue remembers the names of the last few that the small queue evicted.
type ghostQueue struct {
	order []ghostName // from start on, oldest first
	start int
	born  map[ghostKey]uint64 // birth of the name that counts
	next  uint64
}

// ghostName is stale, and only takes room, if the key has been taken out or born again since.
type ghostName struct {
	key  ghostKey
	born uint64
}

// add remembers key, and forgets the oldest so that at most limit are left.
func (g *ghostQueue) add(key ghostKey, limit int) {
	if g.born == nil {
		g.born = make(map[ghostKey]uint64)
	}
	g.next++
	g.born[key] = g.next
	g.order = append(g.order, ghostName{key, g.next})
	for len(g.order)-g.start > limit {
		oldest := g.order[g.start]
		if g.born[oldest.key] == oldest.born {
			delete(g.born, oldest.key)
		}
		g.start++
	}
	if g.start > len(g.order)/2 {
		g.order = append(g.order[:0], g.order[g.start:]...)
		g.start = 0
	}
}

// take reports whether key is remembered, and forgets it.
func (g *ghostQueue) take(key ghostKey) bool {
	_, ok := g.born[key]
	delete(g.born, key)
	return ok
}
