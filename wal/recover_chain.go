package wal

import (
	"encoding/binary"
	"slices"

	"github.com/pawldb/pawl/types"
)

// followAll goes on for as long as that is within the segment.
func (m *Recover) followAll() error {
	for {
		err := m.follow()
		if going := m.state == recoverFollow && err == nil; going && len(m.entries) < indexedAtOnce {
			continue
		}
		if wrong := m.index(); wrong != nil {
			return wrong // it came first
		}
		return err
	}
}

// follow goes on from the end of the chain: to a linked segment, or over the first piece of a group, or to the end.
func (m *Recover) follow() error {
	l := m.log
	next, err := m.linked()
	if err != nil {
		return err
	}
	if next >= 0 {
		m.enter(next, &m.unproven)
		m.offset = l.geo.start(next) + LogBlockSize
		return nil
	}
	if m.offset == l.geo.end(m.place) {
		m.stop(m.offset, "", 0)
		return nil
	}
	if !m.needs(m.place, recoverFollow) {
		return nil
	}
	damaged := int64(-1)
	for _, at := range m.starts() {
		raw := m.buf[at-l.geo.start(m.place):]
		if len(raw) < groupHeaderSize {
			continue
		}
		h, ok, err := decodeGroupHeader(raw, l.cfg.Database)
		if err != nil {
			return err
		}
		seg := &m.headers[m.place].h
		switch {
		case !ok:
			if damaged < 0 && m.looksLikeNext(raw, at) {
				damaged = at
			}
			continue
		case h.epoch != seg.epoch || h.serial != seg.serial || h.offset != at || h.previous != m.chain:
			continue
		case h.length > l.geo.end(len(m.headers)-1):
			m.stop(at, "it is longer than the log", h.first)
			return nil
		}
		m.header = h
		m.from = end{Position{seg.epoch, seg.serial, at}, m.place, m.chain}
		m.parser.start(h)
		return m.take(at, raw)
	}
	if damaged >= 0 {
		m.stop(damaged, "its header is damaged", m.last+1)
	} else {
		m.stop(m.offset, "", 0)
	}
	return nil
}

// starts returns where the next group can start: right behind the one before, if that was not durable, and at the next log
// block.
func (m *Recover) starts() []int64 {
	if next := alignUp(m.offset, LogBlockSize); next > m.offset {
		m.both = [2]int64{m.offset, next}
	} else {
		m.both = [2]int64{m.offset}
		return m.both[:1]
	}
	return m.both[:]
}

// looksLikeNext reports whether the bytes at the end of the chain were meant to be the next group's header, though they are
// not valid: enough of its fields are right.
func (m *Recover) looksLikeNext(raw []byte, offset int64) bool {
	le := binary.LittleEndian
	h := &m.headers[m.place].h
	right := 0
	for _, ok := range []bool{
		string(raw[:len(groupMagic)]) == groupMagic,
		le.Uint64(raw[groupEpochOff:]) == h.epoch,
		le.Uint64(raw[groupOffsetOff:]) == uint64(offset),
		le.Uint64(raw[groupPreviousOff:]) == m.chain,
	} {
		if ok {
			right++
		}
	}
	return right >= 2
}

// take gives the parser the piece of the group that starts at offset in the current segment, whose bytes from there are raw.
func (m *Recover) take(offset int64, raw []byte) error {
	l := m.log
	n := min(m.parser.left, int64(len(raw)))
	seg := &m.headers[m.place].h
	m.parser.piece(Position{seg.epoch, seg.serial, offset}, m.place, raw[:n])
	blocks := alignUp(offset+n, LogBlockSize) - offset
	m.pending = append(m.pending, rawBlocks{needed: m.header.first, place: m.place, offset: offset, bytes: raw[:blocks]})
	m.offset = offset + n
	if m.parser.left > 0 {
		next, err := m.successor(l.geo.end(m.place), true)
		if err != nil {
			return err
		}
		if next < 0 {
			m.reject("its continuation is missing")
			return nil
		}
		if m.headers[next].h.carry != min(m.parser.left, l.geo.length(next)-LogBlockSize) {
			m.reject("its continuation is of another length")
			return nil
		}
		m.enter(next, &m.pending)
		m.state = recoverPiece
		return nil
	}
	return m.accept()
}

// piece goes on with a group in the segment that was entered.
func (m *Recover) piece() error {
	if !m.needs(m.place, recoverPiece) {
		return nil
	}
	return m.take(m.log.geo.start(m.place)+LogBlockSize, m.buf[LogBlockSize:])
}

// reject leaves the group that was being read out: the log ends where it starts. Segments that were entered for it are
// not part of the chain.
func (m *Recover) reject(reason string) {
	for i := range m.pending {
		if place := m.pending[i].place; place != m.from.place {
			m.headers[place].followed = false
		}
	}
	m.stand(m.from.place)
	m.offset, m.chain = m.from.at.Offset, m.from.chain
	m.stop(m.offset, reason, m.header.first)
}

// accept takes a whole group into the chain.
func (m *Recover) accept() error {
	l := m.log
	if !m.parser.valid() {
		m.reject("its checksum is wrong")
		return nil
	}
	if problem, offset := m.parser.parsed(); problem != "" {
		return l.corruptf(offset, "group that was written whole does not parse: %s", problem)
	}
	h := &m.header
	if h.first != m.last+1 {
		return l.corruptf(h.offset, "group starts with commit %d, the log has come to %d", h.first, m.last)
	}
	if h.metaWrite > m.write {
		return m.outdated(h.offset, h.metaWrite)
	}
	if h.durable > m.last {
		return l.corruptf(h.offset, "group says that commit %d was durable, the log has come to %d", h.durable, m.last)
	}
	y := l.index.layers[0]
	y.bulks = append(y.bulks, m.parser.bulks...)
	if err := m.keep(); err != nil {
		return err
	}
	for _, s := range m.parser.spans {
		m.cover(s)
	}
	m.last = h.first + types.Seq(h.commits) - 1
	m.chain = h.chain
	if m.result.Record == nil {
		m.result.Record = []byte{} // however short the record is
	}
	m.result.Record = append(m.result.Record[:0], m.parser.record...)
	m.result.Groups++
	m.result.Commits += int(h.commits)
	m.result.Bytes += h.length
	m.durable = max(m.durable, h.durable)
	m.places = h.places
	for _, b := range m.pending {
		m.unproven = joined(m.unproven, b)
	}
	m.pending = m.pending[:0]
	proven := 0
	for proven < len(m.unproven) && m.unproven[proven].needed <= m.durable {
		proven++
	}
	if proven > 0 {
		m.unproven = slices.Delete(m.unproven, 0, proven)
	}
	m.state = recoverFollow
	return nil
}

// cover notes which commits a segment holds.
func (m *Recover) cover(s seqSpan) {
	if n := len(m.spans); n > 0 && m.spans[n-1].place == s.place {
		m.spans[n-1].max = s.max
		return
	}
	m.spans = append(m.spans, s)
}

// joined appends b to the list, or, if it goes on in the log block where the last element ends, to that: then no sync came
// between them, and they are proven together.
func joined(list []rawBlocks, b rawBlocks) []rawBlocks {
	if b.offset%LogBlockSize == 0 {
		return append(list, b)
	}
	last := &list[len(list)-1]
	last.bytes = last.bytes[:b.offset-last.offset+int64(len(b.bytes))] // of the same segment's buffer
	last.needed = b.needed
	return list
}

// stop ends the chain, and goes on to look ahead. What was meant to go on at offset, if there is a reason, is discarded.
func (m *Recover) stop(offset int64, reason string, first types.Seq) {
	if reason != "" {
		m.result.Discarded = &Discarded{Offset: offset, First: first, Reason: reason}
	}
	m.behind, m.offset = m.offset, alignUp(m.offset, LogBlockSize)
	m.pending = nil
	m.ahead = -1
	m.state = recoverAhead
}
