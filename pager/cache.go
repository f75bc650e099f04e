package pager

import (
	"sync"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// cache decides which images stay in memory. It is S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you
// need for cache eviction", SOSP 2023), with sizes in bytes:
//
//	  new                                used twice or more
//	-------> small (10 % of the budget) --------------------> main (the rest) --- used: once more round
//	           |           new, but in ghost -----------------^  |
//	           | else                                            | not used since the last round
//	           v                                                 v
//	         evicted, name into ghost                          evicted
//
// What a scan brings in passes through small alone. A hit writes nothing but a small counter in the image, and not even
// that when it is at its cap: nothing is moved, no lock is taken.
//
// Pinned images are in a queue of their own that is never evicted from. Evicting drops a pointer; who holds the image goes
// on reading it.
//
// An image of a snapshot that is not the newest version is in the queues like any other: the scan of an old reader is
// kept out by small, and its hot pages are as hot as anyone's. What no snapshot can see any more leaves when the page is
// next published, or is not used and goes the way of the others.
type cache struct {
	table table

	mu     sync.Mutex
	budget int64
	held   int64 // bytes outside of the queues that the budget pays too
	small  imageQueue
	main   imageQueue
	pinned imageQueue
	ghost  ghostQueue
	nodes  map[types.Block]mapNode
	loads  map[loadKey]*load
	byPage map[types.PageID]*load // those of pages, linked by sibling
	stats  cacheStats

	// onLate is told of a read of the database file that was given up and is not retired; over is called when it is. It is
	// set before the first use, and may be nil.
	onLate func(offset int64, size int) (over func())

	// onLoaded is Config.OnLoaded, and fresh what was loaded since it was last told.
	onLoaded func()
	fresh    int64
}

// cacheStats are figures of a cache. Hits are not among them: a counter that all readers write would cost more than
// the hit.
type cacheStats struct {
	Budget   int64  // bytes
	Resident int64  // bytes of images and map nodes, with overhead; pinned ones included
	Pinned   int64  // bytes that can't be evicted
	Table    int64  // bytes of what leads from page ids to images
	Held     int64  // bytes outside that the budget pays: dirty pages, read buffers
	Images   int    // resident, map nodes included
	Loads    uint64 // times that a page or node had to be read, or its read was joined
	Evicted  uint64
	Returned uint64 // loaded again soon after eviction
}

// smallShare is the part of the budget that is for what has not been used again yet.
const smallShare = 10

// newCache returns an empty cache that keeps at most budget bytes, but for what is pinned or held.
func newCache(budget int64) *cache {
	return &cache{
		budget: budget,
		nodes:  make(map[types.Block]mapNode),
		loads:  make(map[loadKey]*load),
		byPage: make(map[types.PageID]*load),
	}
}

// setBudget changes the budget and evicts what is over it.
func (c *cache) setBudget(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget = bytes
	c.shrink()
}

// hold makes the budget pay for delta bytes more that lie outside, less if it is negative.
func (c *cache) hold(delta int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held += delta
	if c.held < 0 {
		panic(invariant.Failf("pager: cache pays for %d bytes outside", c.held))
	}
	c.shrink()
}

// pinnedBytes returns the bytes of images that can't be evicted.
func (c *cache) pinnedBytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pinned.bytes
}

// figures returns the cache's statistics.
func (c *cache) figures() cacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Budget, s.Held, s.Pinned = c.budget, c.held, c.pinned.bytes
	s.Resident, s.Table = c.small.bytes+c.main.bytes+c.pinned.bytes, c.table.bytes
	s.Images = c.small.count + c.main.count + c.pinned.count
	return s
}

// mapNode is a map node in memory. Its checksum is its name: another one may have been in its block, or will be.
type mapNode struct {
	img *Image
	sum uint64
}

// node returns the bytes of the map node in a block that has the checksum which the node above it says, or nil if they are not in
// memory. A reader that was ended may have brought what was in the block before.
func (c *cache) node(block types.Block, sum uint64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[block]
	if n.img == nil || n.sum != sum {
		return nil
	}
	n.img.touch()
	return n.img.data
}

// addNode keeps the bytes of a map node that was verified by its checksum, and must not change any more. It returns the bytes to
// use: those that are there already, if any.
func (c *cache) addNode(block types.Block, sum uint64, data []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.nodes[block]; n.img != nil {
		if n.sum == sum {
			return n.img.data
		}
		c.remove(n.img)
	}
	img := newImage(0, 0, data)
	img.block = block
	c.nodes[block] = mapNode{img, sum}
	c.admit(img)
	c.shrink()
	return img.data
}

// dropNode forgets map nodes in blocks that are about to be free: others will be written there.
func (c *cache) dropNode(run types.Run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if uint64(run.Count) <= uint64(len(c.nodes)) {
		for b := run.First; b < run.End(); b++ {
			c.dropNodeAt(b)
		}
		return
	}
	for b := range c.nodes { // few nodes, a long run: all of them go, so the order does not show
		if run.First <= b && b < run.End() {
			c.dropNodeAt(b)
		}
	}
}

func (c *cache) dropNodeAt(b types.Block) {
	if n := c.nodes[b]; n.img != nil {
		c.remove(n.img)
	}
	c.ghost.take(ghostKey{block: b})
}

// loadedPart is the part of the budget that is loaded for onLoaded to be told.
const loadedPart = 16

// tell tells onLoaded if it is time. The caller holds c.mu.
func (c *cache) tell(img *Image) {
	if c.fresh += img.charge(); c.fresh >= c.budget/loadedPart && c.onLoaded != nil {
		c.fresh = 0
		c.onLoaded()
	}
}

// admit puts a new image into the queue that its past asks for. The caller holds c.mu.
func (c *cache) admit(img *Image) {
	returned := c.ghost.take(img.ghostKey())
	if returned {
		c.stats.Returned++
	}
	img.favoured = img.favoured || returned
	c.enqueue(img)
}

// enqueue puts an image that is in no queue where it belongs.
func (c *cache) enqueue(img *Image) {
	switch {
	case img.pins > 0:
		c.pinned.add(img)
	case img.favoured:
		c.main.add(img)
	default:
		c.small.add(img)
	}
}

// shrink evicts until the budget is kept or only pinned images are left. The caller holds c.mu.
//
// Each round of the loop evicts an image, takes one from small to main, or takes a use from one in main; so it ends.
func (c *cache) shrink() {
	room := c.budget - c.held - c.pinned.bytes
	for c.small.bytes+c.main.bytes+c.table.bytes > room && c.small.count+c.main.count > 0 {
		if c.small.count > 0 && (c.small.bytes > room/smallShare || c.main.count == 0) {
			c.evictSmall()
		} else {
			c.evictMain()
		}
	}
}

// evictSmall decides on the oldest of small: main or out.
func (c *cache) evictSmall() {
	img := c.small.oldest
	if img.visited.Load() > 1 {
		c.small.remove(img)
		img.visited.Store(0)
		c.main.add(img)
		return
	}
	c.ghost.add(img.ghostKey(), c.small.count+c.main.count)
	c.evict(img)
}

// evictMain decides on the oldest of main: once more round or out.
func (c *cache) evictMain() {
	img := c.main.oldest
	if v := img.visited.Load(); v > 0 {
		c.main.remove(img)
		img.visited.Store(v - 1) // a use that is counted at this moment may be lost
		c.main.add(img)
		return
	}
	c.evict(img)
}

func (c *cache) evict(img *Image) {
	c.stats.Evicted++
	c.remove(img)
}

// remove takes img out of its queue, and out of the table or the nodes.
func (c *cache) remove(img *Image) {
	if img.queue == nil {
		panic(invariant.Failf("pager: page %d version %d, block %d, removed twice", img.id, img.version, img.block))
	}
	img.queue.remove(img)
	if img.id == 0 {
		delete(c.nodes, img.block)
		return
	}
	c.table.unlink(img)
}
