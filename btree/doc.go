// Package btree keeps ordered keys in pages: B+trees of which a page id names the root, and the root keeps that id for the
// tree's life. It knows nothing of files, blocks or commits; the pager does.
//
// # Shape
//
//	root (level 2)      [ -inf: a | "m": b ]                  interior: child i holds the keys from separator i on
//	                      /            \
//	level 1      [ -inf: c | "f": d ]  [ "m": e | "t": f ]
//	                |         |           |        |
//	level 0       c: a b     d: f k      e: m p   f: t u      leaves: whole keys, and what is under them
//
// Every node knows its fences: low <= every key in it or below it < high. What the fences share, all its keys share: a slot
// keeps the four bytes behind that, so that a search compares integers. A separator is the shortest string that tells the
// two sides apart. Formats: node.go, cell.go, large.go.
//
// # Rules
//
//	order     keys ascend inside a node; child i of an interior node has the fences [separator i, separator i+1)
//	levels    a child's level is its parent's less one; leaves are level 0
//	fill      a leaf that overflows shares with a neighbour that has room, else splits: in the middle, or, when keys come
//	          in order, behind or before the new key, so that full leaves stay behind. A node under a quarter full is
//	          merged with a neighbour if both fit into one, else takes from it if the parent has room for the new
//	          separator, else stays as it is, even empty: a delete never splits
//	root      splits into two new pages, and takes its only child's place when there is just one
//	values    longer than MaxInline lie in extents of their own
//	buckets   an entry may be a bucket: another tree's root, and a sequence
//	below     a node tells of each child whether there may be large values or buckets in the leaves below, so that subtrees
//	          without can go unread
//
// # Machines
//
//	Find, Cursor, ReadLarge, ReadLargeAt         read
//	Put, Delete, CreateBucket                    gather the pages that they may need, then apply, which can't wait or fail
//	LargeWriter                                  writes extents that nothing refers to until Put does
//	DeleteRange, Drop, DropBucket                rounds of gather and apply under a savepoint
//	Measure, Check                               walk a tree; all trees
//
// What a page holds is checked when it is first looked at, for every fact that the code relies on: a file that was made to
// hurt leads to *types.CorruptError, not to a panic or a loop.
package btree
