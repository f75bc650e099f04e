package wal

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/types"
)

// The log file is a row of segments. The first is smaller, so that a small database has a small log; sizes are fixed when
// the log is created, are multiples of LogBlockSize, and are kept in the meta block and in each header.
//
//	0              first          first+size                     first+(n-1)*size
//	+--------------+--------------+--------------+-- ... --------+
//	| place 0      | place 1      | place 2      |     place n-1 |
//	+--------------+--------------+--------------+-- ... --------+
//
// Each segment is a header block and then groups. See group.go for where they start.
//
//	0         4096
//	+---------+-----------------+-------+----------------+-- ... --+
//	| header  | carried piece   | group | group          | stale   |
//	+---------+-----------------+-------+----------------+-- ... --+
//
// A carried piece is the rest of a group that began in the predecessor, at offset 4096 of this segment.
//
// Segment header, in the first 128 bytes of its log block; the rest of the block is zero:
//
//	offset  size  field
//	     0     8  magic       "PAWLSEG\x01"; the last byte is the format version
//	     8     4  first size  bytes of the segment at place 0
//	    12     4  size        bytes of the others
//	    16    16  database    id of the database that the log belongs to
//	    32     8  epoch       of the open that wrote it
//	    40     8  serial      of this use; one more than the predecessor's
//	    48     4  place       where it lies
//	    52     4  zero
//	    56     8  meta write  number of the newest durable meta write when this was written
//	    64     8  previous epoch   of the predecessor; 0 in a log's first segment
//	    72     8  previous serial  0 in a log's first segment
//	    80     8  previous end     offset in the file at which the predecessor's part of the chain ends: where the next
//	                               group would have started; the segment's end if a group goes on here;
//	                               0 in a log's first segment
//	    88     8  chain       value before the first group that ends in or behind this segment
//	    96     8  carry       bytes of the carried piece, 0 if a group starts at 4096
//	   104     8  zero
//	   112     8  zero
//	   120     8  checksum    XXH64 of bytes 0-119
//
// A header is valid when magic, checksum, place, sizes and zeroes are as said. An unknown version with a right checksum
// is ErrVersion, not damage. The first segment of a log starts its chain with the database id's XXH64.
const (
	// LogBlockSize is the unit in which the log is written, in bytes.
	LogBlockSize = 4096

	segmentMagic = "PAWLSEG\x01"

	segMagicOff      = 0
	segFirstSizeOff  = 8
	segSizeOff       = 12
	segDatabaseOff   = 16
	segEpochOff      = 32
	segSerialOff     = 40
	segPlaceOff      = 48
	segMetaWriteOff  = 56
	segPrevEpochOff  = 64
	segPrevSerialOff = 72
	segPrevEndOff    = 80
	segChainOff      = 88
	segCarryOff      = 96
	segChecksumOff   = 120
	segHeaderSize    = 128
)

// Fails to compile unless the last field ends exactly at the header's end.
var _ [0]struct{} = [segHeaderSize - (segChecksumOff + 8)]struct{}{}

// segmentHeader is the decoded form of the first 128 bytes of a segment.
type segmentHeader struct {
	firstSize, size uint32
	database        [16]byte
	epoch, serial   uint64
	place           uint32
	metaWrite       uint64
	previous        link
	carry           int64
}

// link names the end of a predecessor: where the chain goes on from.
type link struct {
	epoch, serial uint64
	end           int64
	chain         uint64
}

// encode writes the header into buf, a zeroed log block.
func (h *segmentHeader) encode(buf []byte) {
	le := binary.LittleEndian
	copy(buf[segMagicOff:], segmentMagic)
	le.PutUint32(buf[segFirstSizeOff:], h.firstSize)
	le.PutUint32(buf[segSizeOff:], h.size)
	copy(buf[segDatabaseOff:], h.database[:])
	le.PutUint64(buf[segEpochOff:], h.epoch)
	le.PutUint64(buf[segSerialOff:], h.serial)
	le.PutUint32(buf[segPlaceOff:], h.place)
	le.PutUint64(buf[segMetaWriteOff:], h.metaWrite)
	le.PutUint64(buf[segPrevEpochOff:], h.previous.epoch)
	le.PutUint64(buf[segPrevSerialOff:], h.previous.serial)
	le.PutUint64(buf[segPrevEndOff:], uint64(h.previous.end))
	le.PutUint64(buf[segChainOff:], h.previous.chain)
	le.PutUint64(buf[segCarryOff:], uint64(h.carry))
	le.PutUint64(buf[segChecksumOff:], xxhash.Sum64(buf[:segChecksumOff]))
}

// decodeSegmentHeader reads the header of the segment at place. ok is false when the bytes are no valid header for this
// place and geometry; err is ErrVersion for one of another version.
func decodeSegmentHeader(buf []byte, place uint32, g geometry) (h segmentHeader, ok bool, err error) {
	le := binary.LittleEndian
	if le.Uint64(buf[segChecksumOff:]) != xxhash.Sum64(buf[:segChecksumOff]) {
		return h, false, nil
	}
	last := len(segmentMagic) - 1
	if string(buf[:last]) != segmentMagic[:last] {
		return h, false, nil
	}
	if buf[last] != segmentMagic[last] {
		return h, false, fmt.Errorf("log segment %d: %w %d", place, types.ErrVersion, buf[last])
	}
	h.firstSize = le.Uint32(buf[segFirstSizeOff:])
	h.size = le.Uint32(buf[segSizeOff:])
	copy(h.database[:], buf[segDatabaseOff:])
	h.epoch = le.Uint64(buf[segEpochOff:])
	h.serial = le.Uint64(buf[segSerialOff:])
	h.place = le.Uint32(buf[segPlaceOff:])
	h.metaWrite = le.Uint64(buf[segMetaWriteOff:])
	h.previous = link{
		epoch:  le.Uint64(buf[segPrevEpochOff:]),
		serial: le.Uint64(buf[segPrevSerialOff:]),
		end:    int64(le.Uint64(buf[segPrevEndOff:])),
		chain:  le.Uint64(buf[segChainOff:]),
	}
	h.carry = int64(le.Uint64(buf[segCarryOff:]))
	ok = h.place == place && h.firstSize == uint32(g.first) && h.size == uint32(g.size) &&
		h.carry >= 0 && h.carry <= g.length(int(place))-LogBlockSize &&
		allZero(buf[segPlaceOff+4:segMetaWriteOff]) && allZero(buf[segCarryOff+8:segChecksumOff])
	return h, ok, nil
}

// allZero reports whether b holds nothing but zero bytes.
func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// geometry is how a log file is cut into segments.
type geometry struct{ first, size int64 }

// The default sizes of segments, in bytes. Pages below defaultPage take proportionally less, so that segments hold as many of
// them: an eighth, 8 KiB and 64 KiB, for pages of 512 bytes. Such pages are for tests, whose logs are to reach the end of a segment
// as those of real programs do. Pages above it take what defaultGeometry raises the sizes to.
const (
	defaultFirst = 64 << 10
	defaultSize  = 512 << 10
	defaultPage  = 4096
)

// defaultGeometry returns the sizes asked for, or the defaults, raised to what the page size needs: a header block and room
// for some frames of a page.
func defaultGeometry(pageSize int, first, size uint32) geometry {
	least := int64(LogBlockSize) + alignUp(int64(groupHeaderSize+spareFrames*maxFrame(pageSize)), LogBlockSize)
	small := int64(min(pageSize, defaultPage))
	g := geometry{
		first: alignUp(defaultFirst*small/defaultPage, LogBlockSize),
		size:  alignUp(defaultSize*small/defaultPage, LogBlockSize),
	}
	if first != 0 {
		g.first = alignUp(int64(first), LogBlockSize)
	}
	if size != 0 {
		g.size = alignUp(int64(size), LogBlockSize)
	}
	g.first, g.size = max(g.first, least), max(g.size, least)
	return g
}

// valid reports whether sizes from a meta block can be those of a log for pages of pageSize.
func (g geometry) valid(pageSize int) bool {
	least := int64(LogBlockSize) + alignUp(int64(groupHeaderSize+maxFrame(pageSize)), LogBlockSize)
	return g.first >= least && g.size >= least && g.first%LogBlockSize == 0 && g.size%LogBlockSize == 0
}

// start returns the offset in the file of the segment at place.
func (g geometry) start(place int) int64 {
	if place == 0 {
		return 0
	}
	return g.first + int64(place-1)*g.size
}

// length returns the bytes of the segment at place.
func (g geometry) length(place int) int64 {
	if place == 0 {
		return g.first
	}
	return g.size
}

// end returns the offset behind the segment at place.
func (g geometry) end(place int) int64 { return g.start(place) + g.length(place) }

// places returns how many whole segments a file of size bytes has.
func (g geometry) places(size int64) int {
	if size < g.first {
		return 0
	}
	return 1 + int((size-g.first)/g.size)
}

// place returns the place of the segment that holds the byte at offset.
func (g geometry) place(offset int64) int {
	if offset < g.first {
		return 0
	}
	return 1 + int((offset-g.first)/g.size)
}

// alignUp rounds n up to a multiple of unit.
func alignUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
