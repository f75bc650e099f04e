package wal

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// lookAhead searches what lies behind the end of the chain for a group that proves that more was durable: rot, or a write
// that was lost, not a tear. It looks at the rest of the last segment and at all that were not followed. Groups of earlier
// uses and of forks that were left only say what was true then, which the chain has passed.
func (m *Recover) lookAhead() error {
	l := m.log
	for {
		place := m.ahead
		from := int64(LogBlockSize)
		switch {
		case place < 0:
			place, from = m.place, m.behind-l.geo.start(m.place)
		case place == len(m.headers):
			if int(m.places) > len(m.headers) {
				return l.corruptf(l.geo.end(len(m.headers)-1), "the log has %d segments; there were %d when commit %d was written",
					len(m.headers), m.places, m.last)
			}
			return m.prepareRewrite()
		case m.headers[place].followed:
			m.ahead++
			continue
		}
		if !m.needs(place, recoverAhead) {
			return nil
		}
		if m.ahead < 0 && m.result.Groups == 0 {
			if err := m.checkBefore(); err != nil {
				return err
			}
		}
		for at := range headersIn(m.buf, from) {
			h, ok, err := decodeGroupHeader(m.buf[at:], l.cfg.Database)
			if err != nil || !ok || h.offset != l.geo.start(place)+at {
				continue
			}
			if h.previous == m.chain && h.first == m.last+1 && m.result.Discarded == nil {
				m.result.Discarded = &Discarded{
					Offset: h.offset, First: h.first, Reason: "the header of its segment is damaged",
				}
			}
			if h.metaWrite > m.write {
				return m.outdated(h.offset, h.metaWrite)
			}
			if h.durable > m.last {
				return l.corruptf(m.offset, "the log ends here with commit %d, but a group at %d says that commit %d was durable",
					m.last, h.offset, h.durable)
			}
		}
		m.ahead++
	}
}

// checkBefore makes sure, where no group follows the start, that the group before it is the one that the meta block means: a
// log that was put back from an older copy, in the same use of its segment, has something else there. The segment of the
// start is in buf, unless links were followed.
func (m *Recover) checkBefore() error {
	l := m.log
	if m.place != int(m.start.Place) {
		return nil
	}
	begin := l.geo.start(m.place)
	carry := m.headers[m.place].h.carry
	at, chain := LogBlockSize+carry, uint64(0)
	for known := false; at < m.start.Offset-begin; known = true {
		h, ok := m.groupAt(at, chain, known)
		next := alignUp(at, LogBlockSize)
		if next == m.start.Offset-begin && (chain == m.start.Chain || ok && h.previous == m.start.Chain) {
			return nil // a group that goes on from here was torn, and left behind
		}
		if !ok && next > at {
			if at = next; at >= m.start.Offset-begin {
				break
			}
			h, ok = m.groupAt(at, chain, known)
		}
		if !ok {
			return fmt.Errorf("%w: %w", types.ErrLogMismatch, l.corruptf(begin+at,
				"no group of the chain that the meta block's start of the log continues: the log is an older copy, or damaged"))
		}
		at, chain = at+h.length, h.chain
	}
	at = alignUp(at, LogBlockSize)
	if chain != 0 && (at != m.start.Offset-begin || chain != m.start.Chain) {
		return fmt.Errorf("%w: %w", types.ErrLogMismatch, l.corruptf(m.start.Offset,
			"the group before the start of the log is not the one that the meta block means"))
	}
	return nil
}

// groupAt returns the header of the group at a place of the segment in buf, if one is there that goes on from chain, if that is
// known.
func (m *Recover) groupAt(at int64, chain uint64, known bool) (groupHeader, bool) {
	if int64(len(m.buf))-at < groupHeaderSize {
		return groupHeader{}, false
	}
	h, ok, _ := decodeGroupHeader(m.buf[at:], m.log.cfg.Database)
	return h, ok && h.offset == m.log.geo.start(m.place)+at && (!known || h.previous == chain)
}

// prepareRewrite submits the unproven log blocks to be written again, or ends a read-only recovery.
func (m *Recover) prepareRewrite() error {
	m.result.Last = m.last
	m.result.End = Position{m.headers[m.place].h.epoch, m.headers[m.place].h.serial, m.offset}
	if m.readOnly || len(m.unproven) == 0 {
		m.finish()
		m.state = recoverEnded
		return nil
	}
	m.group.Start("the log's last groups to be written again")
	m.reads = make([]io.Completion, len(m.unproven))
	for i := range m.unproven {
		b := &m.unproven[i]
		m.group.Add(&m.reads[i])
		m.result.Rewritten += int64(len(b.bytes))
		m.log.file.Write(&m.reads[i], [][]byte{b.bytes}, b.offset)
	}
	m.group.Build()
	m.state = recoverRewrite
	return nil
}

// rewrite waits for the writes and submits the sync.
func (m *Recover) rewrite() (*io.Completion, error) {
	c := m.group.Completion()
	if !c.Done() {
		return c, nil
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	m.state = recoverSync
	m.log.file.Sync(&m.io)
	return nil, nil
}

// finish makes the log go on from what was found.
func (m *Recover) finish() {
	l := m.log
	l.mu.Lock()
	defer l.mu.Unlock()
	// Places that nobody promised may be from a growth that was cut short: they are added again, properly.
	places := max(int(m.places), m.place+1)
	for place := range m.headers {
		if f := &m.headers[place]; f.followed {
			places = max(places, place+1)
		}
	}
	l.segments = make([]segment, places)
	for place := range m.headers {
		f := &m.headers[place]
		if f.ok {
			l.serial = max(l.serial, f.h.serial)
		}
		if place >= places {
			continue
		}
		l.segments[place].place = place
		if f.followed {
			l.segments[place].epoch, l.segments[place].serial = f.h.epoch, f.h.serial
		}
	}
	for _, s := range m.spans {
		l.segments[s.place].cover(s.min)
		l.segments[s.place].cover(s.max)
	}
	l.at, l.chain = m.result.End, m.chain
	l.synced = end{l.at, m.place, m.chain}
	l.flush.written, l.flush.places = l.synced, int(m.places)
	l.promised, l.proven, l.fileEnd = places, int(m.places), l.geo.end(len(m.headers)-1)
	l.durable, l.visible, l.queued, l.written = m.last, m.last, m.last, m.last
	l.readOnly = m.readOnly
	if !m.readOnly {
		l.epoch, l.fresh, l.began = l.newEpoch(), true, true
	}
	l.weigh()
	m.buf, m.unproven, m.headers, m.bufs, m.linking, m.next = nil, nil, nil, nil, nil, nil
	m.segments, m.loaded, m.parser, m.spans, m.entries = segmentReads{}, nil, groupParser{}, nil, nil
	m.state = recoverEnded
}

// Abort gives up. What was written again is what lay there before.
func (m *Recover) Abort(cause error) error {
	if m.state == recoverOpens && errors.Is(cause, fs.ErrNotExist) {
		cause = fmt.Errorf("%w: %s: %w", types.ErrLogMissing, m.log.name, cause) // whoever has noticed it
	}
	m.state = recoverEnded
	if c := m.group.Completion(); !c.Idle() && !c.Done() {
		m.group.Cancel()
	}
	m.segments.cancel()
	abandonOpen(&m.io, &m.open)
	return types.Truncated(cause, 0)
}
