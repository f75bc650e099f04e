package wal

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// A frame says what a commit did to one page, or is its commit record. It starts on a multiple of 8 in the file and is
// padded with zeroes to the next.
//
//	0      1       4        8      16        24         32
//	+------+-------+--------+------+---------+----------+-----------
//	| kind | zero  | length | page | version | checksum | payload
//	+------+-------+--------+------+---------+----------+-----------
//
//	offset  size  field
//	     0     1  kind      1 full, 2 delta, 3 reference, 4 freed, 5 commit record; 0 is the fill before a segment's end
//	     1     3  zero
//	     4     4  length    of the payload, in bytes
//	     8     8  page      that it is about; 0 for references, freed runs and the commit record
//	    16     8  version   seq of the commit that it belongs to
//	    24     8  checksum  XXH64 of: epoch, serial and offset in the file (8 bytes each) of the frame, bytes 0-23, payload
//
// epoch and serial are those of the segment that the frame lies in, so a frame can be verified alone, and a frame of an
// earlier use of the segment is told from the one that was asked for.
//
// Payloads:
//
//	full        0  4  gap start  first byte of the page's free gap
//	            4  4  gap end    first byte behind it; gap start <= gap end <= page size
//	            8     the image: bytes [0, gap start), then [gap end, page size). The gap is zero.
//
//	delta       0  8  base version     the version that it changes; the page's version just before this one
//	            8  8  base checksum    XXH64 of that image
//	           16  8  result checksum  XXH64 of the image with the changes
//	           24     parts: what is not as in the base, see delta.go
//	            Ordered by version, not by position. The base is the page's newest version below this one, in the
//	            log or in the generation's map; both checksums are checked at the rebuild. The first frame in a
//	            page's life is full or a reference; at most 16 deltas (DeltasMax), with a page's worth of bytes,
//	            follow one another.
//
//	reference   entries of 32 bytes: what the commit wrote straight to the database file
//	            0  8  page
//	            8  8  first block (40 bits) and block count (24 bits, above): a run
//	           16  8  checksum of the bytes of the run, as the map will hold it
//	           24  8  zero
//	            The file was synced after those blocks were written and before this group was.
//
//	freed       entries of 16 bytes: 8 first page, 8 number of pages: ids that the commit gave back. A page that is
//	            freed and used again in one commit is not among them.
//
//	commit      what the commit says of the whole database; bytes for the pager, not looked into here (pager.Globals)
//
// In one commit a page occurs in at most one full, delta, reference entry or freed run. Frames of a commit come in any
// order, its commit record last.
const (
	frameKindOff     = 0
	frameLengthOff   = 4
	framePageOff     = 8
	frameVersionOff  = 16
	frameChecksumOff = 24
	frameHeaderSize  = 32

	fullGapStartOff = 0
	fullGapEndOff   = 4
	fullHeaderSize  = 8

	referenceEntrySize = 32
	freedEntrySize     = 16

	frameAlign = 8
)

// Kind says what a frame holds.
type Kind uint8

// The kinds of frame.
const (
	kindFill      Kind = 0
	KindFull      Kind = 1
	KindDelta     Kind = 2
	KindReference Kind = 3
	KindFreed     Kind = 4
	kindCommit    Kind = 5
)

// Image reports whether a frame of the kind leads to a page's image by itself, or on top of an older one.
func (k Kind) Image() bool { return k == KindFull || k == KindDelta }

// Fails to compile unless the last field ends exactly at the header's end.
var _ [0]struct{} = [frameHeaderSize - (frameChecksumOff + 8)]struct{}{}

// spareFrames is how many full frames a segment holds at the least, so that little is lost to fill.
const spareFrames = 3

// referencesPerFrame and freedPerFrame bound the frames that list things, so that a frame is never larger than maxFrame.
const (
	referencesPerFrame = 15
	freedPerFrame      = 30
)

// maxFrame returns the bytes of the largest frame of a log for pages of pageSize.
func maxFrame(pageSize int) int {
	lists := frameHeaderSize + max(referencesPerFrame*referenceEntrySize, freedPerFrame*freedEntrySize)
	return max(lists, frameHeaderSize+fullHeaderSize+int(alignUp(int64(pageSize), frameAlign)))
}

// frameHeader is the decoded form of a frame's first 32 bytes.
type frameHeader struct {
	kind    Kind
	length  uint32 // of the payload, in bytes
	page    types.PageID
	version types.Seq
	sum     uint64
}

// size returns the bytes that the frame takes in the log.
func (h *frameHeader) size() int64 { return alignUp(frameHeaderSize+int64(h.length), frameAlign) }

// encode writes the header without its checksum.
func (h *frameHeader) encode(buf []byte) {
	le := binary.LittleEndian
	clear(buf[:frameHeaderSize])
	buf[frameKindOff] = byte(h.kind)
	le.PutUint32(buf[frameLengthOff:], h.length)
	le.PutUint64(buf[framePageOff:], uint64(h.page))
	le.PutUint64(buf[frameVersionOff:], uint64(h.version))
}

// decodeFrameHeader reads a header; ok is false when it can't be one.
func decodeFrameHeader(buf []byte) (h frameHeader, ok bool) {
	le := binary.LittleEndian
	h = frameHeader{
		kind:    Kind(buf[frameKindOff]),
		length:  le.Uint32(buf[frameLengthOff:]),
		page:    types.PageID(le.Uint64(buf[framePageOff:])),
		version: types.Seq(le.Uint64(buf[frameVersionOff:])),
		sum:     le.Uint64(buf[frameChecksumOff:]),
	}
	return h, allZero(buf[frameKindOff+1 : frameLengthOff])
}

// Position is where a frame lies: in one use of a segment, at an offset in the file.
type Position struct {
	Epoch, Serial uint64
	Offset        int64
}

// block returns the first log block at or behind p.
func (p Position) block() Position {
	p.Offset = alignUp(p.Offset, LogBlockSize)
	return p
}

// frameSum is the checksum of the frame at pos with the given header bytes and payload parts.
func frameSum(d *xxhash.Digest, pos Position, header []byte, parts ...[]byte) uint64 {
	var b [24 + frameChecksumOff + shortSum]byte
	le := binary.LittleEndian
	le.PutUint64(b[0:], pos.Epoch)
	le.PutUint64(b[8:], pos.Serial)
	le.PutUint64(b[16:], uint64(pos.Offset))
	n := 24 + copy(b[24:], header[:frameChecksumOff])
	return sumTogether(d, b[:], n, parts...)
}

// shortSum is how many bytes of what is summed are put together, besides what comes before them.
const shortSum = 256

// sumTogether is the XXH64 of the first n bytes of b and then of parts, which it puts there too if there is room. That takes half the time
// of telling a digest part by part.
func sumTogether(d *xxhash.Digest, b []byte, n int, parts ...[]byte) uint64 {
	for i, p := range parts {
		if len(p) > len(b)-n {
			d.Reset()
			_, _ = d.Write(b[:n])
			for _, p := range parts[i:] {
				_, _ = d.Write(p)
			}
			return d.Sum64()
		}
		n += copy(b[n:], p)
	}
	return xxhash.Sum64(b[:n])
}

// frame is a staged frame: a header's fields and the payload in up to three parts.
type frame struct {
	header frameHeader
	head   [fullHeaderSize]byte // of a full frame
	lower  []byte               // of a full image: before the gap; of others the whole payload
	upper  []byte               // of a full image: behind the gap
}

// Commit is one transaction's frames. Fill it with Full, Delta, Reference, Freed and then Record, then hand it to Log.Queue.
// It is for one goroutine until it is queued.
type Commit struct {
	// Tag is the pager's. The log keeps it until it has told the Observer that the commit is written.
	Tag any

	seq        types.Seq
	frames     []frame
	few        [3]frame // memory of frames
	bytes      int64    // of all frames
	record     []byte
	deltas     []byte // memory for payloads of delta frames, which are slices of it, or of what was here before
	deltaBytes int

	lists lists // staged references and freed runs, in frames of referencesPerFrame and freedPerFrame

	reservation int64
	full        bool // wants to be durable before it is visible
	next        *Commit
}

// NewCommit returns an empty commit. seq is one more than that of the commit queued before.
func NewCommit(seq types.Seq) *Commit {
	c := &Commit{seq: seq, lists: lists{seq: seq}}
	c.frames = c.few[:0]
	return c
}

// Seq returns the commit's sequence number.
func (c *Commit) Seq() types.Seq { return c.seq }

// Full stages a page's image, whose bytes between gapStart and gapEnd are zero. The image must not change any more: it is
// written from where it lies.
func (c *Commit) Full(page types.PageID, image []byte, gapStart, gapEnd int) {
	if page == 0 || gapStart < 0 || gapStart > gapEnd || gapEnd > len(image) {
		panic(invariant.Failf("wal: full frame of page %d with gap %d-%d of %d", page, gapStart, gapEnd, len(image)))
	}
	f := frame{lower: image[:gapStart], upper: image[gapEnd:]}
	binary.LittleEndian.PutUint32(f.head[fullGapStartOff:], uint32(gapStart))
	binary.LittleEndian.PutUint32(f.head[fullGapEndOff:], uint32(gapEnd))
	f.header = frameHeader{
		kind: KindFull, page: page, version: c.seq, length: uint32(fullHeaderSize + len(f.lower) + len(f.upper)),
	}
	c.stage(f)
}

// Reference stages the fact that page's bytes, with the given XXH64, lie in run of the database file, which was synced
// after they were written.
func (c *Commit) Reference(page types.PageID, run types.Run, sum uint64) {
	if page == 0 || run.Count == 0 || run.Count > types.RunCountMax || run.First > types.RunBlockMax {
		panic(invariant.Failf("wal: reference of page %d to %d blocks at %d", page, run.Count, run.First))
	}
	c.lists.reference(page, run.Pack(), sum)
	if c.lists.references()%referencesPerFrame == 1 {
		c.bytes += frameHeaderSize
	}
	c.bytes += referenceEntrySize
}

// GrowReferences makes room for n references more at once, for commits that stage very many.
func (c *Commit) GrowReferences(n int) {
	c.lists.refs = slices.Grow(c.lists.refs, n*referenceEntrySize)
}

// GrowFrames makes room for n images or deltas at once, with the record behind them.
func (c *Commit) GrowFrames(n int) { c.frames = slices.Grow(c.frames, n+recordFrames) }

// recordFrames is how many frames Record stages at the most, but for full ones of references and freed runs.
const recordFrames = 3

// Freed stages that count page ids from first on are given back.
func (c *Commit) Freed(first types.PageID, count uint64) {
	if first == 0 || count == 0 {
		panic(invariant.Failf("wal: freed run of %d from page %d", count, first))
	}
	c.lists.free(first, count)
	if len(c.lists.freed)%freedPerFrame == 1 {
		c.bytes += frameHeaderSize
	}
	c.bytes += freedEntrySize
}

// Record stages the commit record, which ends the commit. The log keeps payload.
func (c *Commit) Record(payload []byte) {
	le := binary.LittleEndian
	refs := c.lists.refs
	if n := len(refs)/(referencesPerFrame*referenceEntrySize) + len(c.lists.freed)/freedPerFrame; n > 0 {
		c.frames = slices.Grow(c.frames, n+recordFrames)
	}
	for len(refs) > 0 {
		n := min(referencesPerFrame*referenceEntrySize, len(refs))
		c.frames = append(c.frames, plainFrame(KindReference, c.seq, refs[:n:n]))
		refs = refs[n:]
	}
	freed := c.lists.freed
	for at := 0; at < len(freed); at += freedPerFrame {
		runs := freed[at:min(at+freedPerFrame, len(freed))]
		b := make([]byte, len(runs)*freedEntrySize)
		for i, r := range runs {
			le.PutUint64(b[i*freedEntrySize:], uint64(r.first))
			le.PutUint64(b[i*freedEntrySize+8:], r.count)
		}
		c.frames = append(c.frames, plainFrame(KindFreed, c.seq, b))
	}
	c.record = payload
	c.stage(plainFrame(kindCommit, c.seq, payload))
}

// plainFrame returns a frame whose payload is in one part.
func plainFrame(kind Kind, version types.Seq, payload []byte) frame {
	return frame{header: frameHeader{kind: kind, version: version, length: uint32(len(payload))}, lower: payload}
}

// stage appends a frame and counts its bytes.
func (c *Commit) stage(f frame) {
	c.frames = append(c.frames, f)
	c.bytes += f.header.size()
}

// Size returns the log bytes to reserve for the commit, once Record has been called: those of a group of its own.
func (c *Commit) Size() int64 { return alignUp(groupHeaderSize+c.bytes, LogBlockSize) }

// parts returns the staged payload in parts; those of other kinds than full are in the first.
func (f *frame) parts() (a, b, c []byte) {
	if f.header.kind == KindFull {
		return f.head[:], f.lower, f.upper
	}
	return f.lower, nil, nil
}
