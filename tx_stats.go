package pawl

import "time"

// TxStats are figures of a transaction.
type TxStats struct {
	Seq uint64 // newest commit that a read transaction sees, or the number that a write transaction's commit will have
	// Age is how long it is open. That of a read transaction is told from the first commit behind its beginning, or the first look at
	// it, by Stats or a Close that waits, if that came first: it does not look at the clock itself, unless Options.Debug is set.
	Age time.Duration

	// Of a read transaction.
	Held    int64 // bytes of file and log that it, and others of the same checkpoint, alone keep from being used again
	Expired bool  // it was ended for what it held

	// Of a write transaction.
	ChangedPages int   // changed, made or freed
	ChangedBytes int64 // of those of them that are in memory: beyond its share of the cache they are written ahead
}

// Stats returns the transaction's figures. It needs no I/O. ErrTxClosed; ErrTxBusy: an operation of the write transaction has
// not ended.
func (tx *Tx) Stats() (TxStats, error) {
	if err := tx.enter(); err != nil {
		return TxStats{}, err
	}
	defer tx.exit()
	if tx.w != nil {
		s := tx.w.tx.Stats()
		return TxStats{
			Seq: tx.Seq(), Age: time.Duration(tx.db.io.Now() - tx.w.began), ChangedPages: s.Pages, ChangedBytes: s.Bytes,
		}, nil
	}
	s := tx.reader.Stats()
	return TxStats{
		Seq: uint64(s.Seq), Age: time.Duration(s.AgeNanos), Held: s.HeldBytes(tx.db.p.PageSize()), Expired: s.Expired,
	}, nil
}
