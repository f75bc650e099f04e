package pager

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/prefetch"
	"github.com/pawldb/pawl/types"
)

// Image is a page's bytes at one version, or those of a map node. They never change; what the cache notes in it does.
// Whoever holds the image or its bytes may go on to read them for as long as they like: the collector takes them.
//
// What a lookup needs comes first, in one cache line: the allocator puts an object of 128 bytes on a multiple of that.
type Image struct {
	data    []byte
	version types.Seq
	through atomic.Uint64         // last seq for which it is known to be valid; throughNewest while it is the newest version
	prev    atomic.Pointer[Image] // next older image of the page that is in the table
	visited atomic.Uint32         // times used since a queue looked at it, at most visitedMax
	checked atomic.Bool           // the page's owner has looked at what it holds
	id      types.PageID          // 0: a map node

	block types.Block   // of a map node
	sum   atomic.Uint64 // XXH64 of data; 0: not computed yet

	// guarded by cache.mu
	older, newer *Image // neighbours in the queue
	queue        *imageQueue
	pins         int32
	favoured     bool // to enter the main queue when the last pin goes
	discarded    bool // thrown away by discardAbove: an unpin may still come

	_ [imageSize - 112]byte
}

// imageSize is the size of an Image. On machines of 32 bits it is less, which costs nothing.
const imageSize = 128

// throughNewest marks the newest version of a page: it is valid for every snapshot to come.
const throughNewest = math.MaxUint64

// visitedMax is where counting stops, so that hits on a hot page only read the line that all share.
const visitedMax = 3

// newImage returns an image that is nowhere yet. data is not copied and must not change any more.
func newImage(id types.PageID, version types.Seq, data []byte) *Image {
	return &Image{id: id, version: version, data: data[:len(data):len(data)]}
}

// Bytes returns the page: read-only, and valid for as long as it is held.
func (i *Image) Bytes() []byte { return i.data }

// ID returns the page's id.
func (i *Image) ID() types.PageID { return i.id }

// Version returns the commit that wrote the image.
func (i *Image) Version() types.Seq { return i.version }

// Sum returns the XXH64 of the image.
func (i *Image) Sum() uint64 {
	sum := i.sum.Load()
	if sum == 0 {
		sum = xxhash.Sum64(i.data)
		i.sum.Store(sum)
	}
	return sum
}

// validAt reports whether the image is what a snapshot at s sees.
func (i *Image) validAt(s types.Seq) bool {
	return i.version <= s && uint64(s) <= i.through.Load()
}

// newest reports whether the image is known to be the newest version of its page.
func (i *Image) newest() bool { return i.through.Load() == throughNewest }

// touch notes a use.
func (i *Image) touch() {
	if v := i.visited.Load(); v < visitedMax {
		i.visited.CompareAndSwap(v, v+1) // a lost race is a use that is not counted
	}
}

// table leads from a page id to the images of the page that are in memory, newest first. Readers take no lock; changes
// are made under cache.mu.
//
//	top ----> [ chunk | chunk | nil | ... ]           replaced by a longer copy when ids grow
//	             |
//	             v
//	          [ image | nil | image | ... ]           64 page ids, each with where its first image's bytes are; it is there
//	             |                                    while one has an image
//	             |
//	             v
//	          version 9, through newest --prev--> version 4, through 8 --prev--> version 2, through 2
//
// The intervals [version, through] in a chain do not overlap and descend. Between two there may be a gap: versions that
// are not in memory, or seqs for which nobody knows. The first image is the page's head only if it is the newest version;
// a chain without a head is what is left when the newest version was evicted, or never loaded.
type table struct {
	top   atomic.Pointer[[]atomic.Pointer[tableChunk]]
	bytes int64 // of the chunks; cache.mu guards it

	// Ids from tableNear on lie in a map, since a damaged file could name any and the array is as long as the largest.
	farMu sync.RWMutex
	far   map[types.PageID]*Image
}

type tableChunk struct {
	slots [tableChunkSize]tableSlot
	used  int32 // slots with an image; cache.mu guards it
}

// tableSlot is a page's place in the table.
type tableSlot struct {
	first atomic.Pointer[Image]
	// start is where the first image's bytes are, for a lookup to have them brought near while it looks at the image. Nobody
	// reads through it: it may be another image's for an instant.
	start atomic.Pointer[byte]
}

// set makes img, which may be nil, the first, and returns what was.
func (s *tableSlot) set(img *Image) (before *Image) {
	var start *byte
	if img != nil && len(img.data) > 0 {
		start = &img.data[0]
	}
	s.start.Store(start)
	return s.first.Swap(img)
}

const (
	tableChunkSize               = 64
	tableChunkBytes              = 1152    // with the allocator's slack
	tableNear       types.PageID = 1 << 28 // 1 TiB of pages of 4 KiB; the array's top is 32 MiB then
)

// nearBytes are brought near of a page that is looked up: its owner's header and the beginning of what is searched.
const nearBytes = 320

// slot returns a page's place in the array, or nil if it has none.
func (t *table) slot(id types.PageID) *tableSlot {
	top := t.top.Load()
	if top == nil || uint64(id)/tableChunkSize >= uint64(len(*top)) {
		return nil
	}
	chunk := (*top)[id/tableChunkSize].Load()
	if chunk == nil {
		return nil
	}
	return &chunk.slots[id%tableChunkSize]
}

// first returns the first image of a page's chain, or nil.
func (t *table) first(id types.PageID) *Image {
	if id >= tableNear {
		t.farMu.RLock()
		defer t.farMu.RUnlock()
		return t.far[id]
	}
	if s := t.slot(id); s != nil {
		return s.first.Load()
	}
	return nil
}

// head returns the newest version of a page if it is in memory, else nil.
func (t *table) head(id types.PageID) *Image {
	if img := t.first(id); img != nil && img.newest() {
		return img
	}
	return nil
}

// find returns the image of a page that a snapshot at s sees, or nil if none in memory is known to be it. The page's first
// bytes come near while the image is looked at, each of which is somewhere in memory: a get waits for one of them, not both.
func (t *table) find(id types.PageID, s types.Seq) *Image {
	var img *Image
	if id >= tableNear {
		img = t.first(id)
	} else if at := t.slot(id); at != nil {
		prefetch.From(at.start.Load(), nearBytes)
		img = at.first.Load()
	}
	for ; img != nil; img = img.prev.Load() {
		if img.validAt(s) {
			img.touch()
			return img
		}
	}
	return nil
}

// hint has what is in memory of a page brought near: its first size bytes, or its image if size is 0.
func (t *table) hint(id types.PageID, size int) {
	at := t.slot(id)
	switch {
	case at == nil:
	case size == 0:
		prefetch.Value(at.first.Load())
	default:
		prefetch.From(at.start.Load(), size)
	}
}

// each calls visit for where the bytes of pages' first images begin.
func (t *table) each(visit func(first *byte)) {
	top := t.top.Load()
	if top == nil {
		return
	}
	for i := range *top {
		chunk := (*top)[i].Load()
		if chunk == nil {
			continue
		}
		for j := range chunk.slots {
			if first := chunk.slots[j].start.Load(); first != nil {
				visit(first)
			}
		}
	}
}

// setFirst makes img, which may be nil, the first of the chain. The caller holds cache.mu.
func (t *table) setFirst(id types.PageID, img *Image) {
	if id >= tableNear {
		t.setFar(id, img)
		return
	}
	if img == nil {
		t.clearFirst(id)
		return
	}
	n := uint64(id)/tableChunkSize + 1
	top := t.top.Load()
	if top == nil || uint64(len(*top)) < n {
		var old []atomic.Pointer[tableChunk]
		if top != nil {
			old = *top
		}
		longer := make([]atomic.Pointer[tableChunk], max(n, uint64(len(old))+uint64(len(old))/4))
		for i := range old {
			longer[i].Store(old[i].Load())
		}
		top = &longer
		t.top.Store(top)
	}
	chunk := (*top)[n-1].Load()
	if chunk == nil {
		chunk = new(tableChunk)
		(*top)[n-1].Store(chunk)
		t.bytes += tableChunkBytes
	}
	if chunk.slots[id%tableChunkSize].set(img) == nil {
		chunk.used++
	}
}

// clearFirst ends a page's chain, and lets go of a chunk that has none left. Who has just loaded the chunk misses nothing.
func (t *table) clearFirst(id types.PageID) {
	top, at := t.top.Load(), uint64(id)/tableChunkSize
	if top == nil || at >= uint64(len(*top)) {
		return
	}
	chunk := (*top)[at].Load()
	if chunk == nil || chunk.slots[id%tableChunkSize].set(nil) == nil {
		return
	}
	if chunk.used--; chunk.used == 0 {
		(*top)[at].Store(nil)
		t.bytes -= tableChunkBytes
	}
}

func (t *table) setFar(id types.PageID, img *Image) {
	t.farMu.Lock()
	defer t.farMu.Unlock()
	if img == nil {
		delete(t.far, id)
		return
	}
	if t.far == nil {
		t.far = make(map[types.PageID]*Image)
	}
	t.far[id] = img
}

// unlink takes img out of its chain. A reader that stands on it misses what is older, and looks elsewhere. The caller holds
// cache.mu.
func (t *table) unlink(img *Image) {
	next := img.prev.Load()
	if at := t.first(img.id); at == img {
		t.setFirst(img.id, next)
	} else {
		for at != nil && at.prev.Load() != img {
			at = at.prev.Load()
		}
		if at == nil {
			return // not linked
		}
		at.prev.Store(next)
	}
	img.prev.Store(nil) // who holds the image keeps no others alive
}
