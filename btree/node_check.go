package btree

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// checkNode returns what is wrong with a page that a tree leads to, or "". It looks at every fact that the other functions
// rely on, since a checksum does not tell who wrote a page. It costs about as much as a few searches, once an image.
func checkNode(page []byte) string {
	n := node(page)
	switch {
	case page[0] != byte(pager.PageKindNode):
		return "an extent where a node should be"
	case n.level() > maxLevel:
		return fmt.Sprintf("level %d", n.level())
	case n[nodeFlagsOff]&^flagHigh != 0 || n.u16(nodeZeroOff) != 0:
		return "unknown flags"
	}
	if problem := n.checkFences(); problem != "" {
		return problem
	}
	start := int(binary.LittleEndian.Uint32(n[4:]))
	if n.gapEnd() < start || n.gapStart() != start || n.gapEnd() > n.fencesOff() {
		return fmt.Sprintf("%d slots, gap [%d, %d), fences from %d", n.count(), start, n.gapEnd(), n.fencesOff())
	}
	if !n.leaf() && n.count() == 0 {
		return "interior node without a child"
	}
	total := n.dead()
	var taken byteSet
	for i := range n.count() {
		size, problem := n.checkCell(i)
		if problem == "" && !taken.add(n.cellOff(i), size) {
			problem = "cell overlaps another one"
		}
		if problem != "" {
			return fmt.Sprintf("slot %d: %s", i, problem)
		}
		total += size
	}
	if total != n.fencesOff()-n.gapEnd() {
		return fmt.Sprintf("cells and dead bytes are %d in all, %d lie there", total, n.fencesOff()-n.gapEnd())
	}
	return n.checkOrder()
}

// byteSet is a set of offsets in a page of up to 64 KiB.
type byteSet [1 << 16 / 64]uint64

// add puts the size > 0 offsets from off on in, and reports whether none was there.
func (s *byteSet) add(off, size int) bool {
	free := true
	for end := off + size; off < end; {
		n := min(64-off%64, end-off)
		mask := (^uint64(0) >> (64 - n)) << (off % 64)
		word := &s[off/64]
		free = free && *word&mask == 0
		*word |= mask
		off += n
	}
	return free
}

// checkFences looks at the fences and at what they share.
func (n node) checkFences() string {
	limit := MaxKeySize(len(n))
	low, high := n.u16(nodeLowOff), n.u16(nodeHighOff)
	if low > limit || high > limit || !n.bounded() && high > 0 {
		return fmt.Sprintf("fences of %d and %d bytes", low, high)
	}
	f := n.fences()
	if f.bounded && bytes.Compare(f.low, f.high) >= 0 {
		return "fences are out of order"
	}
	if got := f.prefixLen(); got != n.prefixLen() {
		return fmt.Sprintf("prefix of %d bytes, the fences share %d", n.prefixLen(), got)
	}
	return ""
}

// checkCell looks at one slot and its cell, and returns the cell's size.
func (n node) checkCell(i int) (size int, problem string) {
	off, stored, limit := n.cellOff(i), n.storedLen(i), MaxKeySize(len(n))
	end := n.fencesOff()
	if off < n.gapEnd() || off+stored > end {
		return 0, fmt.Sprintf("cell at %d", off)
	}
	if !n.leaf() {
		switch {
		case off+stored+interiorTail > end:
			return 0, fmt.Sprintf("cell at %d", off)
		case i == 0 && stored > 0, i > 0 && (stored == 0 || stored+n.prefixLen() > limit):
			return 0, fmt.Sprintf("separator of %d bytes", stored)
		case n.child(i) == 0:
			return 0, "child 0"
		}
		return stored + interiorTail, ""
	}
	if stored < n.prefixLen() || stored == 0 || stored > limit {
		return 0, fmt.Sprintf("key of %d bytes", stored)
	}
	tail := n[off+stored : end]
	if len(tail) == 0 {
		return 0, fmt.Sprintf("cell at %d", off)
	}
	if Kind(tail[0]) == KindValue {
		value, skip := binary.Uvarint(tail[1:])
		if skip <= 0 || value > uint64(MaxInline(len(n), stored)) || skip != uvarintLen(value) || 1+skip+int(value) > len(tail) {
			return 0, "value of a wrong length"
		}
		return stored + 1 + skip + int(value), ""
	}
	if len(tail) < leafTail {
		return 0, fmt.Sprintf("cell at %d", off)
	}
	first, second := binary.LittleEndian.Uint64(tail[1:]), types.PageID(binary.LittleEndian.Uint64(tail[9:]))
	switch kind := Kind(tail[0]); {
	case kind == KindLarge && (first == 0 || first > MaxValueSize || second == 0):
		return 0, fmt.Sprintf("value of %d bytes at page %d", first, second)
	case kind == KindBucket && first == 0:
		return 0, "bucket at page 0"
	case kind != KindLarge && kind != KindBucket:
		return 0, fmt.Sprintf("kind %d", kind)
	}
	return stored + leafTail, ""
}

// checkOrder looks at the order of the keys, at the fences' hold on them, and at the heads.
func (n node) checkOrder() string {
	f := n.fences()
	prefix := f.low[:n.prefixLen()]
	for i := range n.count() {
		first := !n.leaf() && i == 0
		key := n.behindPrefix(i)
		switch {
		case n.head(i) != head4(key):
			return fmt.Sprintf("slot %d: head", i)
		case first:
			continue
		case n.leaf() && !bytes.HasPrefix(n.stored(i), prefix):
			return fmt.Sprintf("slot %d: key without the prefix", i)
		case i > 0 && (n.leaf() || i > 1) && bytes.Compare(n.behindPrefix(i-1), key) >= 0:
			return fmt.Sprintf("slot %d: keys are out of order", i)
		case i == 0 && bytes.Compare(f.low[len(prefix):], key) > 0, // of a leaf
			i == 1 && !n.leaf() && bytes.Compare(f.low[len(prefix):], key) >= 0:
			return fmt.Sprintf("slot %d: key below the low fence", i)
		case i == n.count()-1 && f.bounded && bytes.Compare(key, f.high[len(prefix):]) >= 0:
			return fmt.Sprintf("slot %d: key above the high fence", i)
		}
	}
	return ""
}
