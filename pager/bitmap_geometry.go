package pager

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// bitmapGeometry says where the fixed blocks of a file lie: those of the meta blocks, and the homes of bitmap nodes.
// They follow from the page size alone. A file's length never ends between the homes of a group.
//
//	group 0                                        group i
//	+------+------+---------+-----+---------+--    +---------+- - - - - - - - -+--
//	| meta blocks | level 0 | ... | level L |      | level 0 | level l if f^l  |
//	|             | 0    1  |     | 0    1  |      | 0    1  | divides i       |
//	+------+------+---------+-----+---------+--    +---------+- - - - - - - - -+--
//
// Since every group starts with homes, no free run goes on from one group into the next.
type bitmapGeometry struct {
	pageSize int
	chunk    types.Block // blocks of a group: bits of a bitmap
	fan      uint64      // entries of a node above
	levels   int         // the highest level for which homes are kept
	meta     types.Block // blocks that the meta blocks take
	max      types.Block // the longest file, in blocks
}

// geometryOf returns the geometry of files with pages of pageSize bytes, a power of two from 512.
func geometryOf(pageSize int) bitmapGeometry {
	if pageSize < 512 || pageSize > 1<<16 || pageSize&(pageSize-1) != 0 {
		panic(invariant.Failf("pager: page size %d", pageSize))
	}
	g := bitmapGeometry{
		pageSize: pageSize,
		chunk:    types.Block(8 * (pageSize - bitmapHeaderSize)),
		fan:      uint64((pageSize - bitmapHeaderSize) / bitmapEntrySize),
		meta:     types.Block((2*metaSlotSize + pageSize - 1) / pageSize),
	}
	g.max = g.chunk
	for g.levels < bitmapLevelsMax && g.max < types.RunBlockMax+1 {
		g.max *= types.Block(g.fan)
		g.levels++
	}
	g.max = min(g.max, types.RunBlockMax+1)
	return g
}

// span returns how many groups a node of a level describes.
func (g *bitmapGeometry) span(level int) uint64 {
	n := uint64(1)
	for range level {
		n *= g.fan
	}
	return n
}

// groups returns how many groups a file of n blocks has.
func (g *bitmapGeometry) groups(n types.Block) uint64 {
	return uint64(n/g.chunk) + (uint64(n%g.chunk)+uint64(g.chunk)-1)/uint64(g.chunk)
}

// nodes returns how many nodes of a level a file of n blocks needs.
func (g *bitmapGeometry) nodes(level int, n types.Block) uint64 {
	span := g.span(level)
	return (g.groups(n) + span - 1) / span
}

// height returns the level of the root of a file of n blocks, at most g.max.
func (g *bitmapGeometry) height(n types.Block) int {
	h := 0
	for g.nodes(h, n) > 1 {
		h++
	}
	return h
}

// home returns the block of one of the two homes, 0 or 1, of a node.
func (g *bitmapGeometry) home(level int, index uint64, home uint64) types.Block {
	group := index * g.span(level)
	b := types.Block(group)*g.chunk + types.Block(2*level) + types.Block(home)
	if group == 0 {
		b += g.meta
	}
	return b
}

// fixed returns how many blocks at the start of a group are homes or meta blocks; less than 64.
func (g *bitmapGeometry) fixed(group uint64) int {
	n := 2
	for level, span := 1, g.fan; level <= g.levels && group%span == 0; level, span = level+1, span*g.fan {
		n += 2
	}
	if group == 0 {
		n += int(g.meta)
	}
	return n
}

// isFixed reports whether a block is a home or belongs to a meta block.
func (g *bitmapGeometry) isFixed(b types.Block) bool {
	return b%g.chunk < types.Block(g.fixed(uint64(b/g.chunk)))
}

// isLength reports whether a file may be n blocks long: not too long, and with the last group's homes in it.
func (g *bitmapGeometry) isLength(n types.Block) bool {
	if n == 0 || n > g.max {
		return false
	}
	group := (n - 1) / g.chunk
	return n-group*g.chunk >= types.Block(g.fixed(uint64(group)))
}

// shortest returns the length of the shortest file.
func (g *bitmapGeometry) shortest() types.Block { return types.Block(g.fixed(0)) }

// longer returns the smallest length of a file that has more blocks for use than one of n blocks, a valid length. It
// is false when that is longer than a file can be.
func (g *bitmapGeometry) longer(n types.Block, more uint64) (types.Block, bool) {
	for more > 0 {
		if more > uint64(g.max) {
			return 0, false
		}
		room := (g.chunk - n%g.chunk) % g.chunk
		if more <= uint64(room) {
			n += types.Block(more)
			break
		}
		more -= uint64(room)
		n += room
		if n >= g.max {
			return 0, false
		}
		n += types.Block(g.fixed(uint64(n / g.chunk)))
	}
	return n, n <= g.max
}

// usable returns how many blocks of [from, to) are neither homes nor meta blocks. Both are valid lengths.
func (g *bitmapGeometry) usable(from, to types.Block) uint64 {
	n := uint64(to - from)
	for group := g.groups(from); group < g.groups(to); group++ {
		n -= uint64(g.fixed(group))
	}
	return n
}

// maxRun returns the most blocks that a run can have: every group but those of higher levels has room for it.
func (g *bitmapGeometry) maxRun() uint32 { return uint32(g.chunk) - 2 }

// homesIn returns, ascending, the homes and meta blocks in [from, to).
func (g *bitmapGeometry) homesIn(from, to types.Block) []types.Run {
	var runs []types.Run
	for group := uint64(from / g.chunk); types.Block(group)*g.chunk < to; group++ {
		start := types.Block(group) * g.chunk
		first, end := max(from, start), min(to, start+types.Block(g.fixed(group)))
		if first < end {
			runs = append(runs, types.Run{First: first, Count: uint32(end - first)})
		}
	}
	return runs
}

// fixedMask returns the bits of a group's first word that are homes or meta blocks.
func (g *bitmapGeometry) fixedMask(group uint64) uint64 {
	return ^(^uint64(0) << g.fixed(group))
}
