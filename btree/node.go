package btree

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// A node is a page of one block. Integers are little-endian; what the pager's header (page.go there) leaves to the owner
// is used for the node's own header. Slots grow up, cells grow down, the gap between them is the pager's free gap.
//
//	0   2     3       4   8   12      14     16      32    34     36       38   40
//	+---+-----+-------+---+---+-------+------+-------+-----+------+--------+----+-------+-----+-------+-----+------+
//	|   |level| flags | gap   | slots | dead |       | low | high | prefix | 0  | slots | gap | cells | low | high |
//	+---+-----+-------+---+---+-------+------+-------+-----+------+--------+----+-------+-----+-------+-----+------+
//
//	offset  size  field
//	     2     1  level    0: leaf
//	     3     1  flags    bit 0: there is a high fence; without one the node goes on to the end
//	    12     2  slots    number of entries; in an interior node, of children
//	    14     2  dead     bytes between the gap and the fences that no cell uses
//	    32     2  low      bytes of the low fence; 0: from the beginning
//	    34     2  high     bytes of the high fence
//	    36     2  prefix   bytes that both fences share; 0 without a high fence
//	    38     2  zero
//	    40        slots, 8 bytes each, in the order of keys
//	     -        cells, in any order
//	     -        low fence, then high fence, up to the page's end
//
// A slot:
//
//	offset  size  field
//	     0     4  head   the four key bytes behind the prefix as a big-endian number, zero behind the key's end
//	     4     2  cell   where the cell starts in the page
//	     6     2  key    bytes of the key that the cell has: in a leaf all, in an interior node those behind the prefix
//
// A node is valid when check finds nothing: bounds, sizes, order, heads, and the cells, the dead bytes and the fences
// together fill what is behind the gap.
const (
	nodeLevelOff  = 2
	nodeFlagsOff  = 3
	nodeSlotsOff  = 12
	nodeDeadOff   = 14
	nodeLowOff    = 32
	nodeHighOff   = 34
	nodePrefixOff = 36
	nodeZeroOff   = 38
	nodeHeader    = 40

	slotCellOff = 4
	slotKeyOff  = 6
	slotSize    = 8

	flagHigh = 1

	// maxLevel bounds every descent. A tree of pages of 512 bytes with the longest keys has two children a node at the
	// least, and page ids have less than 48 bits.
	maxLevel = 48
)

// Fails to compile unless the node's header follows the pager's.
var _ [0]struct{} = [nodeLowOff - pager.PageHeaderSize]struct{}{}

// The longest keys and cells are such that a node that overflows can always be cut in two. Let capacity be a page without the
// node's header, c what a cell takes, with its slot, k its key's length, K the longest key's, and consider the last cut whose
// left node fits. If its right node does not fit, nor the left one of the next cut, then what both take, the cell j between
// the cuts counted twice, is more than twice the capacity. The node without the new cell was not too full, so
//
//	c(new) + c(j) + separator in front of j + separator behind j > capacity
//
// and neither separator is longer than j's key, but for one byte. So cuts are possible if for all cells, x the largest,
// x + c + 2k + 1 <= capacity, and x + 2K <= capacity, for a node with one cell between two fences of K bytes. Shorter keys
// would leave room for longer values, and the other way round: this is a compromise.

// MaxKeySize returns the length of the longest key that a tree of such pages takes: 7/32 of a page, less in the smallest.
func MaxKeySize(pageSize int) int {
	return min(pageSize/32*7, (pageSize-nodeHeader-2*(slotSize+leafTail)-1)/4)
}

// maxCell returns the bytes of the largest cell of a leaf, with its slot: about a third of a page.
func maxCell(pageSize int) int {
	return pageSize - nodeHeader - 3*MaxKeySize(pageSize) - slotSize - leafTail - 1
}

// MaxInline returns the length of the longest value that lies in the leaf beside a key of that length. Longer ones are
// stored in extents of their own.
func MaxInline(pageSize, keyLen int) int {
	const overhead = slotSize + 1 + 3 // kind and length
	x := maxCell(pageSize)
	return min(x-overhead-keyLen, pageSize-nodeHeader-x-1-overhead-3*keyLen)
}

// node is a page that holds a node: the page's bytes.
type node []byte

func (n node) u16(off int) int       { return int(binary.LittleEndian.Uint16(n[off:])) }
func (n node) putU16(off, v int)     { binary.LittleEndian.PutUint16(n[off:], uint16(v)) }
func (n node) level() int            { return int(n[nodeLevelOff]) }
func (n node) leaf() bool            { return n[nodeLevelOff] == 0 }
func (n node) count() int            { return n.u16(nodeSlotsOff) }
func (n node) dead() int             { return n.u16(nodeDeadOff) }
func (n node) prefixLen() int        { return n.u16(nodePrefixOff) }
func (n node) bounded() bool         { return n[nodeFlagsOff]&flagHigh != 0 }
func (n node) fencesOff() int        { return len(n) - n.u16(nodeLowOff) - n.u16(nodeHighOff) }
func (n node) gapStart() int         { return nodeHeader + slotSize*n.count() }
func (n node) gapEnd() int           { return int(binary.LittleEndian.Uint32(n[8:])) }
func (n node) head(i int) uint32     { return binary.LittleEndian.Uint32(n[nodeHeader+slotSize*i:]) }
func (n node) cellOff(i int) int     { return n.u16(nodeHeader + slotSize*i + slotCellOff) }
func (n node) storedLen(i int) int   { return n.u16(nodeHeader + slotSize*i + slotKeyOff) }
func (n node) setSlots(count int)    { n.putU16(nodeSlotsOff, count) }
func (n node) setGap(start, end int) { pager.SetGap(n, start, end) }

// low returns the low fence; empty in the leftmost nodes.
func (n node) low() []byte {
	off := n.fencesOff()
	return n[off : off+n.u16(nodeLowOff) : off+n.u16(nodeLowOff)]
}

// high returns the high fence; ok is false in the rightmost nodes.
func (n node) high() (key []byte, ok bool) {
	off := len(n) - n.u16(nodeHighOff)
	return n[off:len(n):len(n)], n.bounded()
}

// fences returns both.
func (n node) fences() fences {
	high, bounded := n.high()
	return fences{low: n.low(), high: high, bounded: bounded}
}

// stored returns the key bytes that the cell has.
func (n node) stored(i int) []byte {
	off := n.cellOff(i)
	end := off + n.storedLen(i)
	return n[off:end:end]
}

// behindPrefix returns the key without what the fences share.
func (n node) behindPrefix(i int) []byte {
	if n.leaf() {
		return n.stored(i)[n.prefixLen():]
	}
	return n.stored(i)
}

// appendKey appends the whole key of slot i: of an interior node's first, the low fence.
func (n node) appendKey(dst []byte, i int) []byte {
	switch {
	case n.leaf():
		return append(dst, n.stored(i)...)
	case i == 0:
		return append(dst, n.low()...)
	}
	dst = append(dst, n.low()[:n.prefixLen()]...)
	return append(dst, n.stored(i)...)
}

// head4 returns the first four bytes of a key as a number, zero behind its end.
func head4(key []byte) uint32 {
	if len(key) >= 4 {
		return binary.BigEndian.Uint32(key)
	}
	var v uint32
	for i, b := range key {
		v |= uint32(b) << (24 - 8*i)
	}
	return v
}

// search returns the first slot whose key is not below key, and whether it is that key. key lies between the fences.
//
// The heads are compared first, without a branch that the processor would have to guess; keys with the same head after that.
func (n node) search(key []byte) (i int, found bool) {
	from, to := 0, n.count()
	if !n.leaf() && to > 0 {
		from = 1 // the first child has no separator
	}
	prefix := n.prefixLen()
	if len(key) < prefix {
		return from, false // only a damaged file leads here
	}
	key = key[prefix:]
	head := head4(key)
	from = n.firstHead(from, to, head)
	for first := true; from < to && n.head(from) == head; first = false {
		mid := from
		if !first { // keys that share more than the prefix
			mid = int(uint(from+to) >> 1)
		}
		if n.head(mid) != head {
			to = mid
			continue
		}
		switch c := bytes.Compare(n.behindPrefix(mid), key); {
		case c == 0:
			return mid, true
		case c < 0:
			from = mid + 1
		default:
			to = mid
		}
	}
	return from, false
}

// firstHead returns the first of the slots from from on whose head is not below head, or to.
func (n node) firstHead(from, to int, head uint32) int {
	for size := to - from; size > 0; {
		half := (size + 1) >> 1
		off := nodeHeader + slotSize*(from+half-1)
		h := binary.LittleEndian.Uint32(n[off : off+4 : off+4])
		from += half & int((int64(h)-int64(head))>>63) // all ones if h is below
		size -= half
	}
	return from
}

// childIndex returns the slot of the child that holds key.
func (n node) childIndex(key []byte) int {
	i, found := n.search(key)
	if found {
		return i
	}
	return i - 1
}

// child returns the page of an interior node's child.
func (n node) child(i int) types.PageID {
	return types.PageID(binary.LittleEndian.Uint64(n[n.cellOff(i)+n.storedLen(i):]) & childIDMask)
}

// below returns what may lie below an interior node's child that has pages of its own.
func (n node) below(i int) Kinds {
	_, below := unpackChild(binary.LittleEndian.Uint64(n[n.cellOff(i)+n.storedLen(i):]))
	return below
}

// setBelow changes what may lie below an interior node's child.
func (n node) setBelow(i int, below Kinds) {
	binary.LittleEndian.PutUint64(n[n.cellOff(i)+n.storedLen(i):], packChild(n.child(i), below))
}

// paged returns what the node has that has pages of its own: in a leaf just that, in an interior node what may lie below.
func (n node) paged() Kinds {
	var k Kinds
	for i := range n.count() {
		if n.leaf() {
			k |= KindsOf(n.kind(i))
		} else {
			k |= n.below(i)
		}
	}
	return k & paged()
}

// bounds reports whether f are the fences that child i has.
func (n node) bounds(i int, f fences) bool {
	if i > 0 && !n.separates(i, f.low) || i == 0 && !bytes.Equal(f.low, n.low()) {
		return false
	}
	if i+1 < n.count() {
		return f.bounded && n.separates(i+1, f.high)
	}
	high, bounded := n.high()
	return f.bounded == bounded && bytes.Equal(f.high, high)
}

// separates reports whether key is the separator of slot i > 0 of an interior node.
func (n node) separates(i int, key []byte) bool {
	prefix, behind := n.prefixLen(), n.stored(i)
	return len(key) == prefix+len(behind) && bytes.Equal(key[prefix:], behind) && bytes.Equal(key[:prefix], n.low()[:prefix])
}

// upper returns the high fence of an interior node's child. The slice is of n, or of scratch.
func (n node) upper(i int, scratch *[]byte) (key []byte, bounded bool) {
	if i+1 == n.count() {
		return n.high()
	}
	*scratch = n.appendKey((*scratch)[:0], i+1)
	return *scratch, true
}

// used returns the bytes that the slots and cells take, fences included.
func (n node) used() int {
	return n.gapStart() - nodeHeader + len(n) - n.gapEnd() - n.dead()
}

// capacity returns what used may come to.
func (n node) capacity() int { return len(n) - nodeHeader }

// free returns how many bytes a slot with its cell may take, dead ones included.
func (n node) free() int { return n.gapEnd() - n.gapStart() + n.dead() }

// reset makes buf, a page of the pager, an empty node.
func reset(buf []byte, level int, f fences) node {
	n := node(buf)
	clear(n[nodeHeader:])
	n[nodeLevelOff], n[nodeFlagsOff] = byte(level), 0
	if f.bounded {
		n[nodeFlagsOff] = flagHigh
	}
	n.setSlots(0)
	n.putU16(nodeDeadOff, 0)
	n.putU16(nodeLowOff, len(f.low))
	n.putU16(nodeHighOff, len(f.high))
	n.putU16(nodePrefixOff, f.prefixLen())
	n.putU16(nodeZeroOff, 0)
	if len(f.low)+len(f.high) > n.capacity() || bits.Len(uint(level)) > 8 {
		panic(invariant.Failf("btree: node of level %d with fences of %d and %d bytes", level, len(f.low), len(f.high)))
	}
	copy(n[len(n)-len(f.high):], f.high)
	copy(n[n.fencesOff():], f.low)
	n.setGap(nodeHeader, n.fencesOff())
	return n
}
