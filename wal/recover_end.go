package wal

import "github.com/pawldb/pawl/io"

// lookAhead searches what lies behind the end of the chain for a group that proves that more was durable: rot, not a tear. It
// looks at the rest of the last segment and at those that were not followed, unless their header says that they are older.
func (m *Recover) lookAhead() error {
	l := m.log
	serial := m.headers[m.place].h.serial
	for {
		place := m.ahead
		from := int64(LogBlockSize)
		switch {
		case place < 0:
			place, from = m.place, m.offset-l.geo.start(m.place)
			if from == l.geo.length(place) {
				m.ahead++
				continue
			}
		case place == len(m.headers):
			if int(m.places) > len(m.headers) {
				return l.corruptf(l.geo.end(len(m.headers)-1), "the log has %d segments; there were %d when commit %d was written",
					len(m.headers), m.places, m.last)
			}
			return m.prepareRewrite()
		case m.headers[place].followed || m.headers[place].ok && m.headers[place].h.serial <= serial:
			m.ahead++
			continue
		}
		if !m.needs(place, recoverAhead) {
			return nil
		}
		f := &m.headers[place]
		for at := from; at < int64(len(m.buf)); at += LogBlockSize {
			h, ok, err := decodeGroupHeader(m.buf[at:])
			if err != nil || !ok || h.offset != l.geo.start(place)+at {
				continue
			}
			if f.ok && (h.epoch != f.h.epoch || h.serial != f.h.serial) {
				continue // of an earlier use
			}
			if h.previous == m.chain && h.first == m.last+1 && m.result.Discarded == nil {
				m.result.Discarded = &Discarded{
					Offset: h.offset, First: h.first, Reason: "the header of its segment is damaged",
				}
			}
			if h.durable > m.last || h.generation > m.gen {
				return l.corruptf(m.offset,
					"the log ends here with commit %d, but a group at %d says that commit %d and generation %d were durable",
					m.last, h.offset, h.durable, h.generation)
			}
		}
		m.ahead++
	}
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
	l.segments = make([]segment, len(m.headers))
	for place := range m.headers {
		f := &m.headers[place]
		l.segments[place].place = place
		if f.ok {
			l.serial = max(l.serial, f.h.serial)
		}
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
	l.promised, l.proven, l.fileEnd = len(m.headers), int(m.places), l.geo.end(len(m.headers)-1)
	l.durable, l.visible, l.queued, l.written = m.last, m.last, m.last, m.last
	l.record = m.result.Record
	l.readOnly = m.readOnly
	if !m.readOnly {
		l.epoch, l.fresh, l.began = l.newEpoch(), true, true
	}
	m.buf, m.unproven, m.headers, m.bufs = nil, nil, nil, nil
	m.state = recoverEnded
}

// Abort gives up. What was written again is what lay there before.
func (m *Recover) Abort(cause error) error {
	m.state = recoverEnded
	if c := m.group.Completion(); !c.Idle() && !c.Done() {
		m.group.Cancel()
	}
	abandonOpen(&m.io, &m.open)
	return cause
}
