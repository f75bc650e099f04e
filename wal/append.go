package wal

import (
	"fmt"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// Queue hands a commit to the log. The caller holds the writer's turn, r holds at least c.Size() bytes and is used up, and
// c's seq is one more than that of the commit queued before. From here the commit's outcome is the log's: its entries
// are in the index, and it will be written with the next group. full says that it is visible only once it is durable.
//
// An error, matching types.ErrFailed, means that nothing was queued; r is then still the caller's to release.
func (l *Log) Queue(c *Commit, r *Reservation, full bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	switch {
	case !l.began:
		panic(invariant.Failf("wal: commit %d queued before the log began", c.seq))
	case c.seq != l.queued+1:
		panic(invariant.Failf("wal: commit %d queued behind %d", c.seq, l.queued))
	case c.record == nil:
		panic(invariant.Failf("wal: commit %d queued without a record", c.seq))
	case r.log != l || r.bytes < c.Size():
		panic(invariant.Failf("wal: commit %d of %d bytes queued with %d reserved", c.seq, c.Size(), r.bytes))
	}
	l.entries = l.entries[:0]
	for i := range c.frames {
		if f := &c.frames[i]; f.header.kind.Image() {
			e := indexEntry{page: f.header.page, version: c.seq, kind: f.header.kind, length: uint32(f.header.size())}
			if l.follow(&e); e.deltas > DeltasMax {
				panic(invariant.Failf("wal: commit %d has delta %d in a row of page %d", c.seq, e.deltas, e.page))
			}
			l.entries = append(l.entries, e)
		}
	}
	c.reservation, c.full = r.bytes, full
	r.log, r.bytes = nil, 0
	l.queued = c.seq

	y := l.index.top()
	for _, e := range l.entries {
		y.add(e)
	}
	y.addLists(&c.lists)
	l.weigh()
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	l.check()
	return nil
}

// setPositions tells the index where the images and deltas of a laid-out commit lie. The caller holds the lock.
func (l *Log) setPositions(c *Commit, at []Position) {
	n := 0
	for i := range c.frames {
		f := &c.frames[i]
		if !f.header.kind.Image() {
			continue
		}
		e := l.indexed(f.header.page, c.seq)
		e.a, e.b, e.c = at[n].Epoch, at[n].Serial, uint64(at[n].Offset)
		n++
	}
}

// setWritten tells the index that the images and deltas of a commit can be read. The caller holds the lock.
func (l *Log) setWritten(c *Commit) {
	for i := range c.frames {
		if f := &c.frames[i]; f.header.kind.Image() {
			l.indexed(f.header.page, c.seq).written = true
		}
	}
}

// indexed returns the index entry of page's frame of commit seq. A commit that is not durable yet is in the newest layer,
// or in the one before if a checkpoint has split them since. The caller holds the lock.
func (l *Log) indexed(page types.PageID, seq types.Seq) *indexEntry {
	for i := len(l.index.layers) - 1; i >= 0; i-- {
		y := l.index.layers[i]
		if at := y.find(page, seq); at >= 0 && y.entries[at].version == seq {
			return &y.entries[at]
		}
	}
	panic(invariant.Failf("wal: page %d of commit %d is not in the index", page, seq))
}

// unknown is how a commit that was on its way ends when the log fails.
func unknown(seq types.Seq, cause error) error {
	return fmt.Errorf("%w: commit %d: %w", types.ErrCommitUnknown, seq, cause)
}
