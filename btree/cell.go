package btree

import (
	"encoding/binary"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// Kind says what lies under a key.
type Kind uint8

// The kinds of entry.
const (
	KindNone   Kind = 0 // nothing
	KindValue  Kind = 1 // a value, in the leaf
	KindLarge  Kind = 2 // a value in extents of its own
	KindBucket Kind = 3 // another tree
)

// Kinds is a set of kinds.
type Kinds uint8

// KindsOf returns the set of those kinds.
func KindsOf(kinds ...Kind) Kinds {
	var s Kinds
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in the set.
func (s Kinds) Has(k Kind) bool { return s>>k&1 != 0 }

// Entry is what a tree holds under a key.
type Entry struct {
	Kind Kind
	// Value is the value itself, if Kind is KindValue: a slice of the page. If the page is a committed image (Shared), it
	// never changes and stays valid for as long as it is held; else it is a page of the transaction's own, and the slice
	// is good until the transaction's next change or wait.
	Value  []byte
	Shared bool
	Page   types.PageID // that it is in, if it was found in a tree
	Large  Large
	Bucket Bucket
}

// Large names a value that lies in extents of its own; see large.go.
type Large struct {
	Size int64 // bytes, at least 1
	Page types.PageID
}

// Bucket is another tree.
type Bucket struct {
	Root     types.PageID // never 0; the same for the bucket's life
	Sequence uint64
}

// A leaf's cell is the key, the kind, and what the kind says:
//
//	value    uvarint length, bytes
//	large    size, 8 bytes; page, 8 bytes      see large.go
//	bucket   root, 8 bytes; sequence, 8 bytes
//
// An interior node's cell is the separator without the prefix, and 8 bytes of the child. The first one has no separator: it is
// the low fence.
//
//	bits 0-61  page id
//	bit    62  leaves below may have large values
//	bit    63  leaves below may have buckets
//
// What has pages of its own is not below a child without the bit; with it, there may be none: the bits are set at once and
// wiped when the node is built anew. So what goes as a whole, a dropped bucket or a range, need not read leaves to find
// what else they lead to.
const (
	leafTail     = 17 // bytes behind the key, of large values and buckets
	interiorTail = 8

	childBelowBit = 62 // the first of KindLarge and KindBucket
	childIDMask   = 1<<childBelowBit - 1
)

// Fails to compile unless the two kinds follow one another.
var _ [0]struct{} = [KindBucket - KindLarge - 1]struct{}{}

// paged are the kinds of entry that have pages of their own.
func paged() Kinds { return KindsOf(KindLarge, KindBucket) }

// packChild returns what an interior node's cell says of a child.
func packChild(id types.PageID, below Kinds) uint64 {
	return uint64(id) | uint64(below&paged()>>KindLarge)<<childBelowBit
}

// unpackChild is the counterpart of packChild.
func unpackChild(packed uint64) (id types.PageID, below Kinds) {
	return types.PageID(packed & childIDMask), Kinds(packed>>childBelowBit) << KindLarge
}

// tailHead appends what stands before the value's bytes, or all that stands behind the key.
func (e *Entry) tailHead(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, byte(e.Kind))
	switch e.Kind {
	case KindValue:
		return binary.AppendUvarint(dst, uint64(len(e.Value)))
	case KindLarge:
		return le.AppendUint64(le.AppendUint64(dst, uint64(e.Large.Size)), uint64(e.Large.Page))
	case KindBucket:
		return le.AppendUint64(le.AppendUint64(dst, uint64(e.Bucket.Root)), e.Bucket.Sequence)
	}
	panic(invariant.Failf("btree: cell of kind %d", e.Kind))
}

// tailSize returns the bytes behind the key.
func (e *Entry) tailSize() int {
	if e.Kind != KindValue {
		return leafTail
	}
	return 1 + uvarintLen(uint64(len(e.Value))) + len(e.Value)
}

// uvarintLen returns how many bytes a uvarint takes.
func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// entry returns what lies under slot i of a leaf. The node is valid.
func (n node) entry(i int) Entry {
	off := n.cellOff(i) + n.storedLen(i)
	e := Entry{Kind: Kind(n[off])}
	tail := n[off+1:]
	le := binary.LittleEndian
	switch e.Kind {
	case KindValue:
		size, skip := uint64(tail[0]), 1
		if size >= 0x80 {
			size, skip = binary.Uvarint(tail)
		}
		e.Value = tail[skip : skip+int(size) : skip+int(size)]
	case KindLarge:
		e.Large = Large{Size: int64(le.Uint64(tail)), Page: types.PageID(le.Uint64(tail[8:]))}
	case KindBucket:
		e.Bucket = Bucket{Root: types.PageID(le.Uint64(tail)), Sequence: le.Uint64(tail[8:])}
	}
	return e
}

// kind returns the kind of slot i of a leaf.
func (n node) kind(i int) Kind { return Kind(n[n.cellOff(i)+n.storedLen(i)]) }

// cellSize returns the bytes of cell i. The node is valid.
func (n node) cellSize(i int) int {
	key := n.storedLen(i)
	if !n.leaf() {
		return key + interiorTail
	}
	off := n.cellOff(i) + key
	if Kind(n[off]) != KindValue {
		return key + leafTail
	}
	size, skip := binary.Uvarint(n[off+1:])
	return key + 1 + skip + int(size)
}

// tail returns what cell i has behind the key.
func (n node) tail(i int) []byte {
	off := n.cellOff(i)
	return n[off+n.storedLen(i) : off+n.cellSize(i)]
}
