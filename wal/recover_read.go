package wal

import (
	"slices"

	"github.com/pawldb/pawl/io"
)

// segmentReads reads segments of the log, each into a buffer of its own: that of the segment that recovery looks at, and those that
// hold log blocks that may have to be written again.
type segmentReads struct {
	buffers []*segmentBuffer
}

// segmentBuffer is memory for any segment.
type segmentBuffer struct {
	place int // whose bytes it has, or gets
	bytes []byte
	io    io.Completion
	ready bool // it has them
}

// of returns the buffer of the segment at place, or nil.
func (r *segmentReads) of(place int) *segmentBuffer {
	for _, b := range r.buffers {
		if b.place == place {
			return b
		}
	}
	return nil
}

// read begins to read the segment at place, into a buffer whose place is not among those that are held, or a new one.
func (r *segmentReads) read(l *Log, place int, held func(place int) bool) {
	at := slices.IndexFunc(r.buffers, func(b *segmentBuffer) bool { return b.ready && !held(b.place) })
	if at < 0 {
		at = len(r.buffers)
		r.buffers = append(r.buffers, &segmentBuffer{bytes: make([]byte, max(l.geo.first, l.geo.size))})
	}
	b := r.buffers[at]
	b.place, b.ready, b.bytes = place, false, b.bytes[:l.geo.length(place)]
	l.file.Read(&b.io, b.bytes, l.geo.start(place))
}

// await returns what the read under way into the buffer waits for; nil once the bytes are there.
func (b *segmentBuffer) await() (*io.Completion, error) {
	if b.ready {
		return nil, nil
	}
	if !b.io.Done() {
		return &b.io, nil
	}
	if err := b.io.Err(); err != nil {
		return nil, err
	}
	b.io.Reset()
	b.ready = true
	return nil, nil
}

// cancel gives up the reads under way.
func (r *segmentReads) cancel() {
	for _, b := range r.buffers {
		if !b.io.Idle() {
			b.io.Cancel()
		}
	}
}

// needs makes sure that the segment at place is in buf before the machine goes on in the state then.
func (m *Recover) needs(place int, then recoverState) bool {
	b := m.loaded
	if b == nil || b.place != place {
		b = m.segments.of(place)
	}
	if b != nil && b.ready {
		m.loaded, m.buf = b, b.bytes
		return true
	}
	if b == nil {
		m.segments.read(m.log, place, m.holds)
	}
	m.want, m.then = place, then
	m.state = recoverLoad
	return false
}

// holds reports whether log blocks of the segment at place may have to be written again.
func (m *Recover) holds(place int) bool {
	here := func(b rawBlocks) bool { return b.place == place }
	return slices.ContainsFunc(m.pending, here) || slices.ContainsFunc(m.unproven, here)
}

// load waits for a segment's bytes.
func (m *Recover) load() (*io.Completion, error) {
	wait, err := m.segments.of(m.want).await()
	if wait == nil && err == nil {
		m.state = m.then
	}
	return wait, err
}
