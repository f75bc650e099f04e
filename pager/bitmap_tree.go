package pager

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// bitmapTree says of each bitmap node of a generation in which home it is, its checksum and its free blocks: what the
// entries of the parents hold, with the root's. It is immutable.
type bitmapTree struct {
	geometry bitmapGeometry
	blocks   types.Block
	levels   [][]bitmapEntry // from 0; one entry in the last; none in the tree of no generation
}

// bitmapEntry leads to a node.
type bitmapEntry struct {
	homeAndFree uint64 // bit 0 the home, bits 1-63 the free blocks below
	sum         uint64
}

func (e bitmapEntry) home() uint64 { return e.homeAndFree & 1 }
func (e bitmapEntry) free() uint64 { return e.homeAndFree >> 1 }

// bitmapWrite is a node to be written before the generation's meta block.
type bitmapWrite struct {
	block types.Block
	data  []byte // one page
}

// newBitmapTree returns the tree of a file that no generation describes yet: what the first one's is made from.
func newBitmapTree(pageSize int) *bitmapTree {
	return &bitmapTree{geometry: geometryOf(pageSize)}
}

// root returns what the meta block says of the tree.
func (t *bitmapTree) root() (homeAndFree uint64, checksum uint64, height int) {
	height = len(t.levels) - 1
	e := t.levels[height][0]
	return e.homeAndFree, e.sum, height
}

// at returns the entry of a node, or false if t has no such node.
func (t *bitmapTree) at(level, index int) (bitmapEntry, bool) {
	if level >= len(t.levels) || index >= len(t.levels[level]) {
		return bitmapEntry{}, false
	}
	return t.levels[level][index], true
}

// next returns the tree of generation gen, which uses the blocks in used, and the nodes in which it differs from t, the
// tree of prev. Each is to be written to the home that t does not use, so that t stays readable until the
// new one is durable. t itself is unchanged: a failed attempt is repeated from it.
func (t *bitmapTree) next(prev, used *blockSet, gen types.Generation) (*bitmapTree, []bitmapWrite) {
	g := t.geometry
	if prev.blocks() != t.blocks || !g.isLength(used.blocks()) {
		panic(invariant.Failf("pager: bitmaps of %d blocks asked to go from %d to %d", t.blocks, prev.blocks(), used.blocks()))
	}
	made := &bitmapTree{geometry: g, blocks: used.blocks()}
	var writes []bitmapWrite
	changed := changedChunks(prev, used)
	for level := 0; level <= g.height(used.blocks()); level++ {
		count := int(g.nodes(level, used.blocks()))
		entries := make([]bitmapEntry, count)
		if level < len(t.levels) {
			copy(entries, t.levels[level])
		}
		if level > 0 {
			changed = t.parents(changed, level, made)
		}
		for _, i := range changed {
			if i >= count {
				break // cut off
			}
			home := uint64(0)
			if old, ok := t.at(level, i); ok {
				home = old.home() ^ 1
			}
			data := newBitmapNode(g.pageSize, level, uint64(i), gen)
			free := fillBitmapNode(data, made, used, level, i)
			entries[i] = bitmapEntry{homeAndFree: home | free<<1, sum: xxhash.Sum64(data)}
			writes = append(writes, bitmapWrite{block: g.home(level, uint64(i), home), data: data})
		}
		made.levels = append(made.levels, entries)
	}
	root := made.levels[len(made.levels)-1][0]
	if free := uint64(used.blocks()) - used.count(); root.free() != free {
		panic(invariant.Failf("pager: bitmaps count %d free blocks, the set %d", root.free(), free))
	}
	return made, writes
}

// parents returns the nodes of a level that change when those in changed below do, or when nodes below are cut off.
func (t *bitmapTree) parents(changed []int, level int, made *bitmapTree) []int {
	fan := int(t.geometry.fan)
	var list []int
	for _, i := range changed {
		if n := len(list); n == 0 || list[n-1] != i/fan {
			list = append(list, i/fan)
		}
	}
	left := len(made.levels[level-1])
	if level-1 < len(t.levels) && len(t.levels[level-1]) > left {
		if at, ok := slices.BinarySearch(list, (left-1)/fan); !ok {
			list = slices.Insert(list, at, (left-1)/fan)
		}
	}
	return list
}

// newBitmapNode returns a node with its header but for the free count.
func newBitmapNode(pageSize, level int, index uint64, gen types.Generation) []byte {
	data := make([]byte, pageSize)
	copy(data, bitmapMagic)
	data[bitmapLevelOff] = byte(level)
	binary.LittleEndian.PutUint64(data[bitmapIndexOff:], index)
	binary.LittleEndian.PutUint64(data[bitmapGenerationOff:], uint64(gen))
	return data
}

// fillBitmapNode writes the bits, or the entries of the level below in made, and the free count, which it returns.
func fillBitmapNode(data []byte, made *bitmapTree, used *blockSet, level, index int) uint64 {
	body := data[bitmapHeaderSize:]
	free := uint64(0)
	if level == 0 {
		c := used.chunks[index]
		fixed := made.geometry.fixedMask(uint64(index))
		if c.words[0]&fixed != fixed {
			panic(invariant.Failf("pager: homes of group %d are not marked as used", index))
		}
		for i, w := range c.words {
			binary.LittleEndian.PutUint64(body[8*i:], w)
		}
		free = uint64(c.blocks - c.used)
	} else {
		fan := int(made.geometry.fan)
		below := made.levels[level-1]
		for i, e := range below[index*fan : min(len(below), (index+1)*fan)] {
			binary.LittleEndian.PutUint64(body[bitmapEntrySize*i:], e.homeAndFree)
			binary.LittleEndian.PutUint64(body[bitmapEntrySize*i+8:], e.sum)
			free += e.free()
		}
	}
	binary.LittleEndian.PutUint64(data[bitmapFreeOff:], free)
	return free
}
