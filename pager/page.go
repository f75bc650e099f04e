package pager

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// A page is an image of one block, an extent one of several. Both start with the same header; the rest is their owner's.
//
//	0      1      2      4           8         12       16     24        32
//	+------+------+------+-----------+---------+--------+------+---------+-----------+--- zero ---+---------+
//	| kind | zero | own  | gap start | gap end | own    | page | version | owner's   | free gap   | owner's |
//	+------+------+------+-----------+---------+--------+------+---------+-----------+------------+---------+
//
//	offset  size  field
//	     0     1  kind       1 page, 2 extent
//	     1     1  zero
//	     2     2  the owner's
//	     4     4  gap start  first byte of the free gap; in an extent 0
//	     8     4  gap end    first byte behind it; 32 <= gap start <= gap end <= page size; in an extent 0
//	    12     4  the owner's
//	    16     8  page       its own id
//	    24     8  version    seq of the commit that wrote it
//	    32        the owner's
//
// The free gap is zero. The checksum of a page, XXH64 over all blocks of its run, is not in it but in the map entry, log frame
// or reference that leads to it; so a lost, stale or misdirected write is told from what should be there. A page is
// valid when the checksum is right, its id is the one that was asked for, and its version is not above the snapshot's.
const (
	pageKindOff     = 0
	pageOwnOff      = 2
	pageGapStartOff = 4
	pageGapEndOff   = 8
	pageIDOff       = 16
	pageVersionOff  = 24

	// PageHeaderSize is where the owner's bytes start, in a page and in an extent.
	PageHeaderSize = 32
)

// PageKind tells pages of one block from extents.
type PageKind uint8

// The kinds of page.
const (
	PageKindNode   PageKind = 1
	PageKindExtent PageKind = 2
)

// initPage makes buf, all zero, an empty page or extent. The gap of a page is all that is behind the header.
func initPage(buf []byte, kind PageKind, id types.PageID, version types.Seq) {
	if id == 0 || len(buf) < PageHeaderSize {
		panic(invariant.Failf("pager: page %d made in %d bytes", id, len(buf)))
	}
	buf[pageKindOff] = byte(kind)
	switch kind {
	case PageKindNode:
		SetGap(buf, PageHeaderSize, len(buf))
	case PageKindExtent:
	default:
		panic(invariant.Failf("pager: page %d made of kind %d", id, kind))
	}
	binary.LittleEndian.PutUint64(buf[pageIDOff:], uint64(id))
	setPageVersion(buf, version)
}

// pageKind returns the kind that the header names.
func pageKind(buf []byte) PageKind { return PageKind(buf[pageKindOff]) }

// pageID returns the id that the header names.
func pageID(buf []byte) types.PageID {
	return types.PageID(binary.LittleEndian.Uint64(buf[pageIDOff:]))
}

// pageVersion returns the commit that wrote the image.
func pageVersion(buf []byte) types.Seq {
	return types.Seq(binary.LittleEndian.Uint64(buf[pageVersionOff:]))
}

// setPageVersion sets the commit that writes the image.
func setPageVersion(buf []byte, version types.Seq) {
	binary.LittleEndian.PutUint64(buf[pageVersionOff:], uint64(version))
}

// pageGap returns the bounds of the free gap; 0, 0 in an extent.
func pageGap(buf []byte) (start, end int) {
	le := binary.LittleEndian
	return int(le.Uint32(buf[pageGapStartOff:])), int(le.Uint32(buf[pageGapEndOff:]))
}

// SetGap notes in a page of kind PageKindNode that its bytes [start, end) are free. The caller has zeroed what joins
// the gap.
func SetGap(buf []byte, start, end int) {
	if start < PageHeaderSize || end < start || end > len(buf) {
		panic(invariant.Failf("pager: gap [%d, %d) in page %d of %d bytes", start, end, pageID(buf), len(buf)))
	}
	le := binary.LittleEndian
	le.PutUint32(buf[pageGapStartOff:], uint32(start))
	le.PutUint32(buf[pageGapEndOff:], uint32(end))
}

// verifyPage checks what was read from a run: that it is page id, of a version not above limit, and as it was written.
// buf is all of the run. Damage is a *types.CorruptError for file, and for the offset at which the run starts.
func verifyPage(buf []byte, run types.Run, id types.PageID, limit types.Seq, sum uint64,
	file string, offset int64) error {
	detail := ""
	if len(buf) < PageHeaderSize {
		detail = fmt.Sprintf("page of %d bytes", len(buf))
	} else if got := xxhash.Sum64(buf); got != sum {
		detail = fmt.Sprintf("checksum %016x, %016x expected", got, sum)
	} else {
		detail = pageProblem(buf, run, id, limit)
	}
	if detail == "" {
		return nil
	}
	return &types.CorruptError{File: file, Offset: offset, Page: id, Detail: detail}
}

// pageProblem returns what is wrong with a page's header and gap, or "".
func pageProblem(buf []byte, run types.Run, id types.PageID, limit types.Seq) string {
	start, end := pageGap(buf)
	switch kind := pageKind(buf); {
	case kind == PageKindNode && run.Count != 1:
		return fmt.Sprintf("page of one block in a run of %d", run.Count)
	case kind == PageKindNode && (start < PageHeaderSize || end < start || end > len(buf)):
		return fmt.Sprintf("free gap [%d, %d) in %d bytes", start, end, len(buf))
	case kind == PageKindExtent && (start != 0 || end != 0):
		return fmt.Sprintf("free gap [%d, %d) in an extent", start, end)
	case kind != PageKindNode && kind != PageKindExtent || buf[pageKindOff+1] != 0:
		return fmt.Sprintf("kind %d, %d", kind, buf[pageKindOff+1])
	}
	switch got, version := pageID(buf), pageVersion(buf); {
	case got != id:
		return fmt.Sprintf("is page %d", got)
	case version > limit:
		return fmt.Sprintf("version %d, newer than %d, at which it was reached", version, limit)
	case !allZero(buf[start:end]):
		return "free gap is not zero"
	}
	return ""
}

// allZero reports whether b has no other bytes than 0.
func allZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
