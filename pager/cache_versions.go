package pager

import (
	"sort"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// publish makes img, the page's version of a commit, the head of its chain; loads of the page that are under way can't
// become head any more. pinned images stay until unpin. live is the seqs of the live snapshots, ascending, the published
// one included and so never empty: older versions that neither they nor a snapshot to come can see leave the table. It reports whether
// any are left.
func (c *cache) publish(img *Image, pinned bool, live []types.Seq) (older bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img.id == 0 || img.queue != nil || img.pins != 0 {
		panic(invariant.Failf("pager: publish of page %d version %d, which is resident", img.id, img.version))
	}
	c.supersede(img.id)
	old := c.table.first(img.id)
	if old != nil {
		if old.version >= img.version {
			panic(invariant.Failf("pager: page %d version %d published on version %d", img.id, img.version, old.version))
		}
		old.closeAt(img.version - 1)
		// The new version takes the standing of the old one: it is the same page that is hot or not.
		img.visited.Store(min(old.visited.Load()+1, visitedMax))
		img.favoured = old.queue == &c.main || old.queue == &c.pinned && old.favoured
	}
	if pinned {
		img.pins = 1
	}
	img.through.Store(throughNewest)
	img.prev.Store(old)
	c.table.setFirst(img.id, img)
	c.admit(img)
	c.prune(old, live)
	c.shrink()
	return img.prev.Load() != nil
}

// closeAt ends the interval of what was the newest version; of any other version it is over already.
func (i *Image) closeAt(last types.Seq) {
	if i.newest() {
		i.through.Store(uint64(last))
	}
}

// prune removes the images from img down the chain that nobody needs.
func (c *cache) prune(img *Image, live []types.Seq) {
	for img != nil {
		next := img.prev.Load()
		if img.pins == 0 && !img.needed(live) {
			c.remove(img)
		}
		img = next
	}
}

// pruneAll does so for pages whose newest version was published some time ago: then the one before was still to be seen.
func (c *cache) pruneAll(ids []types.PageID, live []types.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.prune(c.table.first(id), live)
	}
}

// needed reports whether a snapshot of live, or one published later, can see img. The next to be published may be older
// than the newest commit: whatever is valid at or after the published snapshot counts.
func (i *Image) needed(live []types.Seq) bool {
	if len(live) == 0 {
		panic(invariant.Failf("pager: no live snapshot, not even the published one"))
	}
	through := i.through.Load()
	if through >= uint64(live[len(live)-1]) {
		return true
	}
	at := sort.Search(len(live), func(k int) bool { return live[k] >= i.version })
	return at < len(live) && uint64(live[at]) <= through
}

// unpin says that the frame of a pinned image can be read from the log, so that the image may be evicted.
func (c *cache) unpin(img *Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img.discarded {
		return
	}
	if img.pins == 0 {
		panic(invariant.Failf("pager: page %d version %d unpinned twice", img.id, img.version))
	}
	img.pins--
	if img.pins == 0 {
		c.pinned.remove(img)
		c.enqueue(img)
		c.shrink()
	}
}

// freed says that commit at freed count pages from first on: their newest versions end there, and stay in the table only if
// they are pinned or live, as in publish, needs them. Loads of the pages that are under way can't become head any more.
func (c *cache) freed(first types.PageID, count uint64, at types.Seq, live []types.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := first; id < first+types.PageID(count); id++ {
		c.freedPage(id, at, live)
	}
}

// freedPage is freed for one page. The caller holds c.mu.
func (c *cache) freedPage(id types.PageID, at types.Seq, live []types.Seq) {
	c.supersede(id)
	c.ghost.take(ghostKey{id: id}) // whatever gets the id next is another page
	if img := c.table.first(id); img != nil {
		if img.version >= at {
			panic(invariant.Failf("pager: page %d version %d freed at %d", id, img.version, at))
		}
		img.closeAt(at - 1)
		c.prune(img, live)
	}
}

// loaded takes in an image that a reader at snapshot s has got from log or file, and returns the image to use: the resident
// one if that version is there already.
//
// newest says that the caller knows of no newer version; it has looked after beginLoad, and has not left the load yet. If
// none was published or freed since, img becomes the head. Otherwise all that is known is that it is valid at s: it takes
// its place in the chain by version, valid through s and never head. It stays resident, since the same reader, and
// others like it, will want it again, and small keeps it from doing harm.
func (c *cache) loaded(img *Image, newest bool, s types.Seq) *Image {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img.id == 0 || img.version > s || img.queue != nil {
		panic(invariant.Failf("pager: page %d version %d loaded at %d", img.id, img.version, s))
	}
	var above *Image
	below := c.table.first(img.id)
	for below != nil && below.version > img.version {
		above, below = below, below.prev.Load()
	}
	through := uint64(s)
	switch {
	case above != nil:
		through = min(through, uint64(above.version)-1)
	case newest && c.mayBeHead(img.id):
		through = throughNewest
	}
	if below != nil && below.version == img.version {
		if through > below.through.Load() {
			below.through.Store(through)
		}
		below.touch()
		return below
	}
	if below != nil && below.through.Load() >= uint64(img.version) {
		return img // they contradict each other, which takes a damaged file: neither is shown to the other's readers
	}
	img.through.Store(through)
	img.prev.Store(below)
	if above == nil {
		c.table.setFirst(img.id, img)
	} else {
		above.prev.Store(img)
	}
	c.tell(img)
	c.admit(img)
	c.shrink()
	return img
}

// discardAbove takes images of commits that will never be out of the table, when the log has failed and s is the newest
// commit that is left. What is valid at s stays so and its interval ends where it did: a reader of a relaxed commit above s
// goes on, and must not take it for what that commit wrote. Nothing is published any more, so no page needs a head.
// Loads that are under way can't become head: they may bring what is discarded here.
func (c *cache) discardAbove(s types.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.loads {
		l.superseded = true
	}
	for _, q := range []*imageQueue{&c.small, &c.main, &c.pinned} {
		for img := q.oldest; img != nil; {
			next := img.newer
			if img.id != 0 && img.version > s {
				img.discarded = true
				c.remove(img)
			}
			img = next
		}
	}
}
