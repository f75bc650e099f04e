package wal

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/types"
)

// groupParser takes the pieces of one group, hashes them, and keeps what they say until the chain value has been checked:
// nothing of a group counts unless all of it does.
type groupParser struct {
	pageSize int
	freedMax uint64 // page ids that all freed runs of the group may name together

	header  groupHeader
	digest  xxhash.Digest
	frames  xxhash.Digest
	left    int64  // bytes of the group that have not come yet
	sum     uint64 // of all of them, once they have
	next    types.Seq
	commits uint32
	problem string // why it does not parse; "" while it does
	where   int64  // offset of the problem
	open    bool   // a commit has begun and its record has not come
	freed   uint64

	entries []indexEntry // of whole commits, and images and deltas of an open one
	bulks   []*lists     // of whole commits
	lists   lists        // of the open commit
	spans   []seqSpan    // which commits each piece's segment holds
	record  []byte       // of the last commit record, where it lies in a piece; nil: there was none
}

// seqSpan says that the segment at place holds frames of commits min to max.
type seqSpan struct {
	place    int
	min, max types.Seq
}

// start begins a group with the given header.
func (p *groupParser) start(h groupHeader) {
	p.header, p.left, p.next, p.commits = h, h.length, h.first, 0
	p.problem, p.open, p.freed = "", false, 0
	p.entries, p.bulks, p.spans, p.record = p.entries[:0], nil, p.spans[:0], nil
	p.lists.reset(h.first)
}

// piece takes the next bytes of the group, which lie at pos in the segment at place. The first piece includes the header. b stays as
// it is until the parser is done with the group, and its owner with the record.
func (p *groupParser) piece(pos Position, place int, b []byte) {
	first := p.left == p.header.length
	p.left -= int64(len(b))
	at := 0
	if first {
		at = groupHeaderSize
	}
	p.hash(b, first)
	for at < len(b) && p.problem == "" {
		if len(b)-at < frameHeaderSize || b[at] == byte(kindFill) {
			if p.left == 0 || !allZero(b[at:]) {
				p.fail(pos.Offset+int64(at), "bytes that are neither a frame nor fill")
			}
			return
		}
		at += p.frame(Position{pos.Epoch, pos.Serial, pos.Offset + int64(at)}, place, b[at:])
	}
}

// hash takes the next bytes into the sum.
func (p *groupParser) hash(b []byte, first bool) {
	if first && p.left == 0 {
		var short [groupChainOff + groupChecksumOff - groupPlacesOff + 2*shortSum]byte
		n := copy(short[:], b[:groupChainOff])
		n += copy(short[n:], b[groupPlacesOff:groupChecksumOff])
		p.sum = sumTogether(&p.digest, short[:], n, b[groupHeaderSize:])
		return
	}
	if first {
		p.digest.Reset()
		_, _ = p.digest.Write(b[:groupChainOff])
		_, _ = p.digest.Write(b[groupPlacesOff:groupChecksumOff])
		b = b[groupHeaderSize:]
	}
	_, _ = p.digest.Write(b)
	if p.left == 0 {
		p.sum = p.digest.Sum64()
	}
}

// fail notes the first thing that does not parse.
func (p *groupParser) fail(offset int64, problem string) {
	if p.problem == "" {
		p.problem, p.where = problem, offset
	}
}

// frame takes the frame at the start of b and returns its bytes in the log.
func (p *groupParser) frame(pos Position, place int, b []byte) int {
	h, ok := decodeFrameHeader(b)
	size := h.size()
	if !ok || size > int64(len(b)) {
		p.fail(pos.Offset, "frame header out of range")
		return len(b)
	}
	payload := b[frameHeaderSize : frameHeaderSize+int(h.length)]
	switch {
	case frameSum(&p.frames, pos, b, payload) != h.sum:
		p.fail(pos.Offset, "frame checksum is wrong")
	case h.version != p.next:
		p.fail(pos.Offset, "frame of another commit")
	case !allZero(b[frameHeaderSize+int(h.length) : size]):
		p.fail(pos.Offset, "bytes behind a frame")
	default:
		p.cover(place)
		p.open = true
		p.payload(pos, h, payload)
	}
	return int(size)
}

// cover notes that the segment at place holds a frame of the current commit.
func (p *groupParser) cover(place int) {
	if n := len(p.spans); n > 0 && p.spans[n-1].place == place {
		p.spans[n-1].max = p.next
		return
	}
	p.spans = append(p.spans, seqSpan{place, p.next, p.next})
}

// payload takes what a frame says.
func (p *groupParser) payload(pos Position, h frameHeader, b []byte) {
	le := binary.LittleEndian
	switch h.kind {
	case KindFull:
		if _, _, ok := fullGap(b, p.pageSize); !ok || h.page == 0 {
			p.fail(pos.Offset, "full frame out of range")
			return
		}
		p.image(pos, h)
	case KindDelta:
		problem := deltaProblem(b, h.version, p.pageSize)
		if h.page == 0 {
			problem = "delta frame of no page"
		}
		if problem != "" {
			p.fail(pos.Offset, problem)
			return
		}
		p.image(pos, h)
	case KindReference:
		if h.page != 0 || len(b) == 0 || len(b)%referenceEntrySize != 0 {
			p.fail(pos.Offset, "reference frame out of range")
			return
		}
		for ; len(b) > 0; b = b[referenceEntrySize:] {
			page, run := types.PageID(le.Uint64(b)), types.UnpackRun(le.Uint64(b[8:]))
			if page == 0 || run.Count == 0 || run.First == 0 || !allZero(b[24:32]) {
				p.fail(pos.Offset, "reference out of range")
				return
			}
			p.lists.reference(page, run.Pack(), le.Uint64(b[16:]))
		}
	case KindFreed:
		if h.page != 0 || len(b) == 0 || len(b)%freedEntrySize != 0 {
			p.fail(pos.Offset, "freed frame out of range")
			return
		}
		for ; len(b) > 0; b = b[freedEntrySize:] {
			first, count := types.PageID(le.Uint64(b)), le.Uint64(b[8:])
			if first == 0 || count == 0 || count > p.freedMax-p.freed || uint64(first)+count < count {
				p.fail(pos.Offset, "freed run out of range")
				return
			}
			p.freed += count
			p.lists.free(first, count)
		}
	case kindCommit:
		if h.page != 0 {
			p.fail(pos.Offset, "commit record out of range")
			return
		}
		p.record = b
		p.open = false
		p.commits++
		p.next++
		if p.lists.bulk() {
			kept := p.lists
			p.bulks, p.lists = append(p.bulks, &kept), lists{}
		} else if p.lists.count > 0 {
			p.lists.each(func(e indexEntry) { p.entries = append(p.entries, e) })
		}
		p.lists.reset(p.next)
	default:
		p.fail(pos.Offset, "unknown kind of frame")
	}
}

// image takes a full frame or a delta.
func (p *groupParser) image(pos Position, h frameHeader) {
	p.entries = append(p.entries, indexEntry{
		page: h.page, version: h.version, kind: h.kind, written: true, length: uint32(h.size()),
		a: pos.Epoch, b: pos.Serial, c: uint64(pos.Offset),
	})
}

// valid reports whether the chain value is right: whether these are the bytes that were written.
func (p *groupParser) valid() bool { return p.left == 0 && p.sum == p.header.chain }

// parsed returns what is wrong with a group whose chain value is right, or "".
func (p *groupParser) parsed() (string, int64) {
	switch {
	case p.problem != "":
		return p.problem, p.where
	case p.open:
		return "the last commit has no record", p.header.offset
	case p.commits != p.header.commits:
		return "it does not hold the commits that its header says", p.header.offset
	}
	return "", 0
}

// fullGap returns the gap that the payload of a full frame names; ok is false when it can't be right.
func fullGap(b []byte, pageSize int) (start, end int, ok bool) {
	if len(b) < fullHeaderSize {
		return 0, 0, false
	}
	le := binary.LittleEndian
	s, e := int64(le.Uint32(b[fullGapStartOff:])), int64(le.Uint32(b[fullGapEndOff:]))
	ok = s <= e && e <= int64(pageSize) && int64(len(b)) == fullHeaderSize+s+int64(pageSize)-e
	return int(s), int(e), ok
}
