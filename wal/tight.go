package wal

// Tight reports whether a few small transactions more would make the file longer. A checkpoint recycles segments, so it is
// what helps if the file can't grow.
func (l *Log) Tight() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file != nil && l.capacity()-l.reserved < 2*l.spare
}
