package pager

// TxStats are figures of a write transaction.
type TxStats struct {
	Pages    int   // that it has changed, made or freed
	Resident int   // of them in memory; of the others it has freed some, and written the rest to free blocks ahead of its commit
	Bytes    int64 // of those in memory
}

// Stats returns the transaction's figures. It needs no I/O.
func (tx *Tx) Stats() TxStats {
	return TxStats{Pages: tx.pages.len(), Resident: tx.pages.resident, Bytes: tx.bytes + tx.loaded}
}

// Stats returns the reader's figures. It needs no I/O; see Pager.Stats for what it costs. The reader is not closed.
func (r *Reader) Stats() ReaderStats {
	p, gen := r.p, r.snap.gen
	s := ReaderStats{Seq: r.snap.Seq, Generation: gen.number, Expired: r.Err() != nil}
	now := p.now()
	s.AgeNanos = max(0, now-r.slot.seen(now))
	p.readers.each(0, func(snap *Snapshot, _ int64) {
		if snap.gen == gen {
			s.Sharing++
		}
	})
	if p.space == nil {
		return s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if gen != p.gen {
		p.snapshots = p.readers.live(p.snapshots, &p.published)
		s.HeldBlocks, s.HeldLogBytes = p.heldAlone(gen)
		clear(p.snapshots)
	}
	return s
}
