package wal

import (
	"fmt"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Recovery is what Recover found.
type Recovery struct {
	Last            types.Seq // newest commit; the covered one if the log holds none
	Record          []byte    // payload of its commit record; nil if the log holds none
	Commits, Groups int
	Bytes           int64      // of accepted groups
	Rewritten       int64      // bytes of unproven log blocks that were written again
	End             Position   // where the chain ends
	Discarded       *Discarded // nil unless something that was meant to be the next group lies there
}

// Discarded says what lies behind the end of the log: a group that was being written when the program or the machine
// stopped, or the newest group, damaged. No acknowledged full commit can be proven to have been in it.
type Discarded struct {
	Offset int64 // in the log file
	First  types.Seq
	Reason string
}

type recoverState uint8

const (
	recoverOpen    recoverState = iota // work: submit the open
	recoverOpens                       // await: the file is being opened
	recoverHeaders                     // await: header blocks are being read
	recoverStart                       // work: find the start
	recoverFollow                      // work: a link, a group, or the end
	recoverPiece                       // work: the rest of a group in the next segment
	recoverAhead                       // work: look for proof of later commits
	recoverLoad                        // await: a segment is being read
	recoverRewrite                     // await: unproven log blocks are being written
	recoverSync                        // await
	recoverEnded                       // end
)

// Recover is a machine that reads the log back: the algorithm, step by step, is in the package's documentation. It ends
// with the log ready for reads, and, unless it was opened read-only, for groups.
//
//	open --> headers --> start --> follow <--> piece
//	                                 |  ^        |      (each may go through load)
//	                                 v  +--------+
//	                               ahead --> rewrite --> sync --> done
//
// Besides the index it holds the segment that it looks at and those with log blocks that are unproven, or of the group that is being read:
// of what MaxUnsynced, MaxGroup and the largest commit let one write behind a sync, rounded up to segments. 56 bytes an entry, too, of the
// last group, or of indexedAtOnce.
type Recover struct {
	log      *Log
	start    Start
	write    uint64 // number of the meta write
	covered  types.Seq
	readOnly bool

	state recoverState
	open  io.Opening
	io    io.Completion

	headers []foundHeader
	group   io.CompletionGroup
	reads   []io.Completion
	bufs    []byte // of the header blocks' first bytes
	asked   int    // headers asked for
	linking []int  // places of valid headers, by the segment that they go on from, then by place

	then     recoverState // behind load
	want     int          // place to load
	segments segmentReads
	loaded   *segmentBuffer // that needs was last true of; nil: none
	buf      []byte         // its bytes

	// The chain: place and offset of P, its value, the last commit accepted.
	place    int
	offset   int64
	both     [2]int64 // memory of starts
	behind   int64    // P itself, when the chain has ended and offset is the log block behind it
	chain    uint64
	last     types.Seq
	places   uint32 // that the file must have
	parser   groupParser
	header   groupHeader
	from     end // where the group being read starts
	result   Recovery
	spans    []seqSpan    // a segment's in one
	durable  types.Seq    // proven
	next     []int        // of linking: those that go on from the segment at place
	unproven []rawBlocks  // in the order of the chain
	pending  []rawBlocks  // of the group being read
	entries  []indexEntry // of groups that were accepted, not in the index yet
	ahead    int          // next place to look ahead in
	limits   uint64
}

// foundHeader is a segment's header as found.
type foundHeader struct {
	h        segmentHeader
	ok       bool // valid, and of this database
	followed bool
	raw      [segHeaderSize]byte
}

// rawBlocks are log blocks as they were read and checked, for writing them again: where they lie in the segment's buffer, or a header
// block.
type rawBlocks struct {
	needed types.Seq // they are proven once this commit is known durable
	place  int       // of the segment
	offset int64     // in the file
	bytes  []byte
}

// headersAtOnce bounds the reads under way for headers.
const headersAtOnce = 64

// Start makes m recover the log that the start of meta write number write names, whose generation covers commits up to
// covered. pages bounds the page ids that one group may free: no honest log frees more than the file has blocks.
func (m *Recover) Start(l *Log, start Start, write uint64, covered types.Seq, pages uint64, readOnly bool) {
	*m = Recover{
		log: l, start: start, write: write, covered: covered, readOnly: readOnly, limits: pages,
		last: covered, durable: covered, places: start.Places,
	}
}

// Step goes on with recovery.
func (m *Recover) Step() (types.IOResult[Recovery], error) {
	for {
		var wait *io.Completion
		var err error
		switch m.state {
		case recoverOpen:
			m.submitOpen()
		case recoverOpens:
			wait, err = m.opened()
		case recoverHeaders:
			wait, err = m.readHeaders()
		case recoverStart:
			err = m.findStart()
		case recoverFollow:
			err = m.followAll()
		case recoverPiece:
			err = m.piece()
		case recoverAhead:
			err = m.lookAhead()
		case recoverLoad:
			wait, err = m.load()
		case recoverRewrite:
			wait, err = m.rewrite()
		case recoverSync:
			if wait, err = m.await(); wait == nil && err == nil {
				m.finish()
				return types.Done(m.result)
			}
		default:
			panic(invariant.Failf("wal: Recover stepped in state %d", m.state))
		}
		if err != nil {
			return types.Fail[Recovery](m.Abort(err))
		}
		if wait != nil {
			return types.Wait[Recovery](wait)
		}
		if m.state == recoverEnded {
			return types.Done(m.result)
		}
	}
}

// await returns m.io while it is unfinished, and readies it for its next use when it is.
func (m *Recover) await() (*io.Completion, error) {
	if !m.io.Done() {
		return &m.io, nil
	}
	if err := m.io.Err(); err != nil {
		return nil, err
	}
	m.io.Reset()
	return nil, nil
}

// submitOpen opens the log file.
func (m *Recover) submitOpen() {
	m.open = io.Opening{Path: m.log.cfg.Path}
	if !m.readOnly {
		m.open.Flag = io.OpenWrite
	}
	m.state = recoverOpens
	m.log.cfg.IO.Open(&m.io, &m.open)
}

// opened checks the geometry and makes room for the headers.
func (m *Recover) opened() (*io.Completion, error) {
	l := m.log
	if !m.io.Done() {
		return &m.io, nil
	}
	if err := m.io.Err(); err != nil {
		return nil, err
	}
	m.io.Reset()
	l.setFile(m.open.File, m.open.ID)
	size := m.open.Size
	m.open.File = nil
	l.geo = geometry{first: int64(m.start.FirstSegment), size: int64(m.start.Segment)}
	place := int(m.start.Place)
	switch {
	case !l.geo.valid(l.cfg.PageSize) ||
		m.start.Offset < l.geo.start(place)+LogBlockSize || m.start.Offset > l.geo.end(place) ||
		m.start.Offset%LogBlockSize != 0:
		return nil, l.corruptf(m.start.Offset, "the meta block's start of the log is out of range")
	case place >= l.geo.places(size):
		return nil, fmt.Errorf("%w: %s has %d bytes and the log starts at %d",
			types.ErrLogMismatch, l.name, size, m.start.Offset)
	}
	n := l.geo.places(size)
	m.headers = make([]foundHeader, n)
	m.bufs = make([]byte, headersAtOnce*segHeaderSize)
	m.reads = make([]io.Completion, headersAtOnce)
	m.parser.pageSize, m.parser.freedMax = l.cfg.PageSize, m.limits
	m.state = recoverHeaders
	return nil, nil
}

// readHeaders reads the headers of all segments, some at once.
func (m *Recover) readHeaders() (*io.Completion, error) {
	l := m.log
	if c := m.group.Completion(); !c.Idle() {
		if !c.Done() {
			return c, nil
		}
		if err := c.Err(); err != nil {
			return nil, err
		}
		n := min(headersAtOnce, len(m.headers)-m.asked)
		for i := range n {
			place := m.asked + i
			f := &m.headers[place]
			copy(f.raw[:], m.bufs[i*segHeaderSize:])
			var err error
			if f.h, f.ok, err = decodeSegmentHeader(f.raw[:], uint32(place), l.geo); err != nil {
				return nil, err
			}
		}
		m.asked += n
		m.group.Reset()
	}
	if m.asked == len(m.headers) {
		m.state = recoverStart
		return nil, nil
	}
	m.group.Start("the headers of the log's segments")
	for i := range min(headersAtOnce, len(m.headers)-m.asked) {
		c := &m.reads[i]
		c.Reset()
		m.group.Add(c)
		l.file.Read(c, m.bufs[i*segHeaderSize:(i+1)*segHeaderSize], l.geo.start(m.asked+i))
	}
	m.group.Build()
	return nil, nil
}

// findStart checks that the log is the one that the meta block names.
func (m *Recover) findStart() error {
	l := m.log
	for place := range m.headers {
		f := &m.headers[place]
		if f.ok && f.h.database != l.cfg.Database {
			if place == int(m.start.Place) {
				return fmt.Errorf("%w: %s is the log of another database", types.ErrLogMismatch, l.name)
			}
			f.ok = false
		}
	}
	f := &m.headers[m.start.Place]
	if !f.ok {
		return l.corruptf(l.geo.start(int(m.start.Place)), "no valid header in the segment where the log starts")
	}
	if f.h.epoch != m.start.Epoch || f.h.serial != m.start.Serial {
		return fmt.Errorf("%w: %s starts with segment %x/%d, the database needs %x/%d", types.ErrLogMismatch,
			l.name, f.h.epoch, f.h.serial, m.start.Epoch, m.start.Serial)
	}
	for place := range m.headers {
		if h := &m.headers[place]; h.ok && h.h.metaWrite > m.write {
			return m.outdated(l.geo.start(place), h.h.metaWrite)
		}
	}
	m.sortLinks()
	f.followed = true
	m.stand(int(m.start.Place))
	m.offset, m.chain = m.start.Offset, m.start.Chain
	m.state = recoverFollow
	return nil
}

// outdated says that the log was written beside a newer meta block than the one that was found.
func (m *Recover) outdated(offset int64, write uint64) error {
	return fmt.Errorf("%w: %w", types.ErrLogMismatch, m.log.corruptf(offset,
		"written when meta write %d was durable, the newest one found is %d: that block is damaged, or the database file is an older copy",
		write, m.write))
}
