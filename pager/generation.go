package pager

import "github.com/pawldb/pawl/types"

// generation is a completed checkpoint: a map, the blocks that it uses, and the newest commit that it covers. It is
// immutable once published.
type generation struct {
	number  types.Generation
	covered types.Seq // newest commit that the map holds
	globals Globals   // as of covered

	root   types.Block // of the map; 0: no pages
	sum    uint64      // of the root's block
	height int         // levels of the map
	blocks types.Block // length of the file: no run ends behind it

	used    *blockSet   // pages, map nodes, bitmap homes, meta blocks; nil in a read-only open
	bitmaps *bitmapTree // nil in a read-only open
}
