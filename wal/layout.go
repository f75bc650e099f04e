package wal

import (
	"encoding/binary"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// piece is one vectored write of a group: what lies in one segment, with the header block of a segment that it begins.
type piece struct {
	offset int64 // in the file
	bufs   [][]byte
}

// layout is a group with a place for each of its bytes. Its buffers are reused for the next group.
type layout struct {
	log     *Log
	commits []*Commit
	pieces  []piece
	end     end       // behind the group
	places  int       // promised by its header
	last    types.Seq // of its commits
	full    bool      // one of them wants to be durable before it is visible
	bytes   int64     // written, with header blocks and padding

	arena  []byte // frame headers, group header, header blocks
	begun  []begunSegment
	header groupHeader
	length int64      // of the pieces so far, without header blocks
	offset int64      // where the next byte goes
	place  int        // of the segment that it goes to
	at     []Position // of the images and deltas of the commit being laid out
}

// begunSegment is a segment that the group goes on in, or starts in: its header is complete once its piece is.
type begunSegment struct {
	header segmentHeader
	block  []byte
	from   int64 // length of the group when the segment began
}

var zeroBlock [LogBlockSize]byte

// build lays a group of the given commits out behind the log's end, takes the segments that it needs, tells the index the
// positions, and seals headers and chain. The space was reserved. The caller holds the log's lock.
func (g *layout) build(l *Log, commits []*Commit) {
	g.log, g.commits, g.full = l, commits, false
	g.pieces, g.begun, g.length, g.bytes = g.pieces[:0], g.begun[:0], 0, 0
	g.reserveArena(commits)

	if l.growth != nil {
		l.at = l.at.block() // what is written may be durable
	}
	g.offset = l.at.Offset
	switch {
	case l.fresh:
		g.begin(link{l.at.Epoch, l.at.Serial, l.at.Offset, l.chain})
		l.fresh = false
	case l.at.Offset+groupHeaderSize > l.geo.end(l.current().place):
		g.begin(link{l.at.Epoch, l.at.Serial, l.at.Offset, l.chain})
	default:
		g.place = l.current().place
		g.newPiece()
	}
	seg := &l.segments[g.place]
	header := g.take(groupHeaderSize)
	g.header = groupHeader{
		commits: uint32(len(commits)), epoch: seg.epoch, serial: seg.serial, offset: g.offset,
		first: commits[0].seq, durable: l.durable, metaWrite: l.metaWrite, previous: l.chain,
		places: uint32(l.promised),
	}
	g.append(header)
	for _, c := range commits {
		g.commit(c)
		g.full = g.full || c.full
		l.reserved -= c.reservation
		l.reservers--
		c.reservation = 0
	}
	g.header.length = g.length
	g.last, g.places = commits[len(commits)-1].seq, l.promised
	g.seal(header)
}

// reserveArena makes room for every header of the group at once, so that buffers that point into it stay put.
func (g *layout) reserveArena(commits []*Commit) {
	need := groupHeaderSize
	body := int64(0)
	for _, c := range commits {
		need += len(c.frames) * frameHeaderSize
		body += c.bytes
	}
	usable := min(g.log.perSegment(0), g.log.perSegment(1))
	need += int(body/usable+2) * LogBlockSize
	if cap(g.arena) < need {
		g.arena = make([]byte, 0, need)
	}
	g.arena = g.arena[:0]
}

// forget lets go of the images that were written, and of memory that only a very large group needs. The group's I/O is
// retired.
func (g *layout) forget() {
	for i := range g.pieces {
		clear(g.pieces[i].bufs)
		if cap(g.pieces[i].bufs) > keptBuffers {
			g.pieces[i].bufs = nil
		}
	}
	clear(g.begun)
	if cap(g.arena) > keptArena {
		g.arena = nil
	}
}

// What is kept from one group to the next.
const (
	keptBuffers = 4096
	keptArena   = 256 << 10
)

// take returns n zero bytes of the arena.
func (g *layout) take(n int) []byte {
	at := len(g.arena)
	if at+n > cap(g.arena) {
		panic(invariant.Failf("wal: a group needs more than %d bytes of headers", cap(g.arena)))
	}
	g.arena = g.arena[:at+n]
	b := g.arena[at : at+n : at+n]
	clear(b)
	return b
}

// newPiece starts a piece at the current offset.
func (g *layout) newPiece() {
	if len(g.pieces) < cap(g.pieces) {
		g.pieces = g.pieces[:len(g.pieces)+1]
	} else {
		g.pieces = append(g.pieces, piece{})
	}
	p := &g.pieces[len(g.pieces)-1]
	p.offset, p.bufs = g.offset, p.bufs[:0]
}

// begin goes on in a free segment, whose header names the predecessor's end.
func (g *layout) begin(from link) {
	l := g.log
	s := l.freeSegment()
	l.serial++
	s.epoch, s.serial, s.min, s.max = l.epoch, l.serial, 0, 0
	g.place, g.offset = s.place, l.geo.start(s.place)
	g.newPiece()
	block := g.take(LogBlockSize)
	g.begun = append(g.begun, begunSegment{
		header: segmentHeader{
			firstSize: uint32(l.geo.first), size: uint32(l.geo.size), database: l.cfg.Database,
			epoch: s.epoch, serial: s.serial, place: uint32(s.place), metaWrite: l.metaWrite, previous: from,
		},
		block: block, from: g.length,
	})
	p := &g.pieces[len(g.pieces)-1]
	p.bufs = append(p.bufs, block)
	g.offset += LogBlockSize
}

// append adds bytes of the group at the current offset.
func (g *layout) append(b []byte) {
	if len(b) == 0 {
		return
	}
	p := &g.pieces[len(g.pieces)-1]
	p.bufs = append(p.bufs, b)
	g.offset += int64(len(b))
	g.length += int64(len(b))
}

// fill adds n zero bytes.
func (g *layout) fill(n int64) {
	for n > 0 {
		part := min(n, LogBlockSize)
		g.append(zeroBlock[:part])
		n -= part
	}
}

// commit lays out the frames of c, going on in the next segment where one does not fit.
func (g *layout) commit(c *Commit) {
	l := g.log
	g.at = g.at[:0]
	for i := range c.frames {
		f := &c.frames[i]
		size := f.header.size()
		if end := l.geo.end(g.place); g.offset+size > end {
			s := &l.segments[g.place]
			g.fill(end - g.offset)
			g.begin(link{s.epoch, s.serial, end, l.chain})
		}
		s := &l.segments[g.place]
		s.cover(c.seq)
		pos := Position{s.epoch, s.serial, g.offset}
		a, b, d := f.parts()
		header := g.take(frameHeaderSize)
		f.header.encode(header)
		binary.LittleEndian.PutUint64(header[frameChecksumOff:], frameSum(&l.digest, pos, header, a, b, d))
		g.append(header)
		if f.header.kind.Image() {
			g.at = append(g.at, pos)
		}
		g.append(a)
		g.append(b)
		g.append(d)
		g.fill(size - frameHeaderSize - int64(f.header.length))
	}
	l.setPositions(c, g.at)
}

// cover notes that the segment holds frames of commit s.
func (s *segment) cover(seq types.Seq) {
	if s.min == 0 {
		s.min = seq
	}
	s.max = seq
}

// seal completes the headers, computes the chain, pads to a log block and moves the log's end behind the group.
func (g *layout) seal(header []byte) {
	l := g.log
	g.header.encode(header)
	d := &l.digest
	d.Reset()
	_, _ = d.Write(header[:groupChainOff])
	_, _ = d.Write(header[groupPlacesOff:groupChecksumOff])
	skip := true // the group header itself, the first buffer that is not a header block
	for i := range g.pieces {
		for _, b := range g.pieces[i].bufs {
			switch {
			case g.isHeaderBlock(b):
			case skip:
				skip = false
			default:
				_, _ = d.Write(b)
			}
		}
	}
	chain := d.Sum64()
	sealGroup(header, chain, l.cfg.Database)
	for i := range g.begun {
		b := &g.begun[i]
		if b.from > 0 {
			until := g.length
			if i+1 < len(g.begun) {
				until = g.begun[i+1].from
			}
			b.header.carry = until - b.from
		}
		b.header.encode(b.block)
	}
	s := &l.segments[g.place]
	g.end = end{at: Position{s.epoch, s.serial, g.offset}, place: g.place, chain: chain}
	// Behind a group that began further up in the same block there are zeroes already.
	if last := &g.pieces[len(g.pieces)-1]; last.offset%LogBlockSize == 0 || last.offset/LogBlockSize != (g.offset-1)/LogBlockSize {
		length := g.length
		g.fill(alignUp(g.offset, LogBlockSize) - g.offset)
		g.length = length
	}
	for i := range g.pieces {
		for _, b := range g.pieces[i].bufs {
			g.bytes += int64(len(b))
		}
	}
	l.at, l.chain = g.end.at, chain
	l.unproven = max(l.unproven, g.places)
}

// isHeaderBlock reports whether b is the header block of a segment that the group begins.
func (g *layout) isHeaderBlock(b []byte) bool {
	for i := range g.begun {
		if &b[0] == &g.begun[i].block[0] {
			return true
		}
	}
	return false
}
