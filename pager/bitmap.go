package pager

// Bitmaps say which blocks a generation uses: one bit a block, 1 used, in bitmap nodes of one block, with nodes above them
// that hold their checksums. Each node has two homes, fixed blocks that are written in turn, so that bitmaps never allocate
// for themselves: the parent's entry says which of the two counts.
//
// With c = 8 * (page size - 32) bits a bitmap node and f = (page size - 32) / 16 entries a node above: blocks [i*c, (i+1)*c) are
// group i. A group begins with the homes of its bitmap node (level 0, index i), then, for each level l from 1 with f^l
// dividing i, those of node i / f^l of that level, two blocks each, home 0 first. In group 0 the meta blocks come before
// them. There are so many levels that 2^40 blocks are covered, but at most 4 above the bitmaps; the bitmap height says
// how many of them the file needs: the smallest h with c * f^h >= blocks.
//
//	0       4       5      8       16          24     32
//	+-------+-------+------+-------+------------+------+----------------------+
//	| magic | level | zero | index | generation | free | bits, or entries     |
//	+-------+-------+------+-------+------------+------+----------------------+
//
//	offset  size  field
//	     0     4  magic       "PBM\x01"
//	     4     1  level
//	     5     3  zero
//	     8     8  index       of the node in its level
//	    16     8  generation  that wrote it
//	    24     8  free        blocks below that are not used and lie in the file
//	    32        level 0: bit b mod 8 of byte b / 8 is block i*c + b; meta blocks and homes are used;
//	              bits of blocks behind the file are 0
//	              above: entries of 16 bytes: 8 home (bit 0) and free blocks below (bits 1-63), 8 checksum XXH64
const (
	bitmapMagic         = "PBM\x01"
	bitmapMagicOff      = 0
	bitmapLevelOff      = 4
	bitmapIndexOff      = 8
	bitmapGenerationOff = 16
	bitmapFreeOff       = 24
	bitmapHeaderSize    = 32
	bitmapEntrySize     = 16
	bitmapLevelsMax     = 4
)
