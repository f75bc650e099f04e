package wal

import "github.com/pawldb/pawl/types"

// HeldBy returns the bytes of segments that some window of mine, and none of others, keeps from being free, given that what
// the meta block with that start covers is durable.
func (l *Log) HeldBy(mine, others []Window, covered types.Seq, start Start) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(0)
	for i := range l.segments {
		if s := &l.segments[i]; !l.needed(s, covered, start) && s.meetsAny(mine) && !s.meetsAny(others) {
			n += l.geo.length(i)
		}
	}
	return n
}

// needed reports whether a segment is free already, or would stay in use if no reader were there. The caller holds the lock.
func (l *Log) needed(s *segment, covered types.Seq, start Start) bool {
	return s.free() || s.serial >= start.Serial || s.serial == l.at.Serial || s.max > covered
}

// meetsAny reports whether a frame of the segment may lie in one of the windows.
func (s *segment) meetsAny(windows []Window) bool {
	for _, w := range windows {
		if s.max > w.After && s.min <= w.Through && s.min > 0 {
			return true
		}
	}
	return false
}
