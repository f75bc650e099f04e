package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/types"
)

// A group is what is written at once: one commit, or several that were queued while the group before was on its way. It
// starts on a log block, or right behind the group before if no sync came between them: then no byte of the block is durable.
// Behind the end of the last group in a log block the rest of that is zero.
//
// What a group says of the durable commit and of the meta write changes only with one that starts on a log block. Who looks for proofs of
// what was durable looks for the others too, at every multiple of 8: that one may be what has rotted.
//
//	0              96
//	+--------------+---------+---------+-- ... --+----------------+
//	| group header | frame   | frame   |         | zeroes to 4096 |
//	+--------------+---------+---------+-- ... --+----------------+
//
// A group that does not fit goes on behind the header block of the next segment. The part in one segment is a piece: the
// first runs to its segment's end, each later one starts at offset 4096 of its segment. No frame, and no group header,
// lies across a segment's end: what is too short for the next frame is filled with zeroes, which count as part of
// the group. Each piece, with the header block of the segment that it begins, is one vectored write.
//
// Group header:
//
//	offset  size  field
//	     0     4  magic       "PGR\x01"
//	     4     4  commits     commit records in the group, at least 1
//	     8     8  epoch       of the segment that it starts in
//	    16     8  serial      of the segment that it starts in
//	    24     8  offset      in the file, where it starts
//	    32     8  length      bytes of all pieces, from this header to the end of the last frame
//	    40     8  first       seq of its first commit; the ones behind follow without a gap
//	    48     8  durable     newest commit known durable when it was written; below first
//	    56     8  meta write  number of the newest durable meta write when it was written
//	    64     8  previous    chain value before this group
//	    72     8  chain       XXH64 of: bytes 0-71 and 80-87, then every byte from 96 to the length's end, piece by piece
//	    80     4  places      segments that the file had when it was written, as far as the log counted on them
//	    84     4  zero
//	    88     8  checksum    XXH64 of bytes 0-87 and the database id: the header can be verified alone
//
// A group is valid at a position {segment, offset} with chain C when its header's checksum, magic and zeroes are right,
// epoch, serial and offset are the position's, previous is C, length fits the log, for each further piece there is a
// segment whose header names the segment before as its predecessor, that segment's end as previous end, C as chain
// and the piece's bytes as carry, chain is right over all pieces, and it parses into whole frames: commits runs of
// frames, each ended by a commit record, with the seqs first, first + 1, … A chain that is right over bytes that don't
// parse is damage by our own hand, hence CorruptError, not an end of the log. A file with fewer places than the last
// accepted group says, or the meta block if there is no group, has been cut by another hand: damage. first must be one more than the commit
// before it in the chain (the meta block's X for the first one that it does not cover); anything else is damage too.
const (
	groupMagic = "PGR\x01"

	groupMagicOff     = 0
	groupCommitsOff   = 4
	groupEpochOff     = 8
	groupSerialOff    = 16
	groupOffsetOff    = 24
	groupLengthOff    = 32
	groupFirstOff     = 40
	groupDurableOff   = 48
	groupMetaWriteOff = 56
	groupPreviousOff  = 64
	groupChainOff     = 72
	groupPlacesOff    = 80
	groupChecksumOff  = 88
	groupHeaderSize   = 96
)

// Fails to compile unless the last field ends exactly at the header's end.
var _ [0]struct{} = [groupHeaderSize - (groupChecksumOff + 8)]struct{}{}

// groupHeader is the decoded form of a group's first 96 bytes.
type groupHeader struct {
	commits       uint32
	epoch, serial uint64
	offset        int64
	length        int64
	first         types.Seq
	durable       types.Seq
	metaWrite     uint64
	previous      uint64
	chain         uint64
	places        uint32
}

// encode writes all fields but chain and checksum, which sealGroup adds.
func (h *groupHeader) encode(buf []byte) {
	le := binary.LittleEndian
	clear(buf[:groupHeaderSize])
	copy(buf[groupMagicOff:], groupMagic)
	le.PutUint32(buf[groupCommitsOff:], h.commits)
	le.PutUint64(buf[groupEpochOff:], h.epoch)
	le.PutUint64(buf[groupSerialOff:], h.serial)
	le.PutUint64(buf[groupOffsetOff:], uint64(h.offset))
	le.PutUint64(buf[groupLengthOff:], uint64(h.length))
	le.PutUint64(buf[groupFirstOff:], uint64(h.first))
	le.PutUint64(buf[groupDurableOff:], uint64(h.durable))
	le.PutUint64(buf[groupMetaWriteOff:], h.metaWrite)
	le.PutUint64(buf[groupPreviousOff:], h.previous)
	le.PutUint32(buf[groupPlacesOff:], h.places)
}

// headersIn yields where in b, from from on, something begins as a group's header does. Whatever starts on a multiple of 8 counts.
func headersIn(b []byte, from int64) iter.Seq[int64] {
	magic := []byte(groupMagic[:len(groupMagic)-1]) // of any version
	return func(yield func(int64) bool) {
		for at := from; ; at++ {
			found := bytes.Index(b[at:], magic)
			if found < 0 {
				return
			}
			if at += int64(found); at%frameAlign == 0 && int64(len(b))-at >= groupHeaderSize && !yield(at) {
				return
			}
		}
	}
}

// sealGroup writes the chain value and the header's own checksum.
func sealGroup(buf []byte, chain uint64, database [16]byte) {
	le := binary.LittleEndian
	le.PutUint64(buf[groupChainOff:], chain)
	le.PutUint64(buf[groupChecksumOff:], groupSum(buf, database))
}

// groupSum is the checksum of a group header. The database id keeps other databases' groups, and pages of users that look
// like a group, from being taken for this history's.
func groupSum(buf []byte, database [16]byte) uint64 {
	var b [groupChecksumOff + 16]byte
	copy(b[:], buf[:groupChecksumOff])
	copy(b[groupChecksumOff:], database[:])
	return xxhash.Sum64(b[:])
}

// decodeGroupHeader reads a group header that can be verified alone; whether it belongs where it lies is the caller's
// to check. err is ErrVersion for one of another version.
func decodeGroupHeader(buf []byte, database [16]byte) (h groupHeader, ok bool, err error) {
	le := binary.LittleEndian
	last := len(groupMagic) - 1
	if string(buf[:last]) != groupMagic[:last] {
		return h, false, nil
	}
	if le.Uint64(buf[groupChecksumOff:]) != groupSum(buf, database) {
		return h, false, nil
	}
	if buf[last] != groupMagic[last] {
		return h, false, fmt.Errorf("log group: %w %d", types.ErrVersion, buf[last])
	}
	h = groupHeader{
		commits:   le.Uint32(buf[groupCommitsOff:]),
		epoch:     le.Uint64(buf[groupEpochOff:]),
		serial:    le.Uint64(buf[groupSerialOff:]),
		offset:    int64(le.Uint64(buf[groupOffsetOff:])),
		length:    int64(le.Uint64(buf[groupLengthOff:])),
		first:     types.Seq(le.Uint64(buf[groupFirstOff:])),
		durable:   types.Seq(le.Uint64(buf[groupDurableOff:])),
		metaWrite: le.Uint64(buf[groupMetaWriteOff:]),
		previous:  le.Uint64(buf[groupPreviousOff:]),
		chain:     le.Uint64(buf[groupChainOff:]),
		places:    le.Uint32(buf[groupPlacesOff:]),
	}
	ok = h.commits > 0 && h.offset >= 0 && h.length >= groupHeaderSize+frameHeaderSize && h.length < 1<<50 &&
		h.durable < h.first && allZero(buf[groupPlacesOff+4:groupChecksumOff])
	return h, ok, nil
}
