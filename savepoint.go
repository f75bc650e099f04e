package pawl

import "errors"

// ErrSavepointEnded means that a savepoint was rolled back or released before, by itself or with one around it.
var ErrSavepointEnded = errors.New("pawl: savepoint has ended")

// savepoint is where a part of a write transaction begins that can be taken back. Savepoints nest.
type savepoint struct {
	depth int // for the trees
	calls int // of OnCommit before it
}

// savepoint begins one. It needs no I/O, as do its ends. The transaction is entered.
func (tx *Tx) savepoint() savepoint {
	return savepoint{depth: tx.w.w.Savepoint(), calls: len(tx.w.onCommit)}
}

// undo takes back what was done since s, and ends it.
func (tx *Tx) undo(s savepoint) {
	tx.w.w.RollbackTo(s.depth)
	tx.w.onCommit = tx.w.onCommit[:s.calls]
	tx.w.epoch++
}

// keep ends s and keeps what was done since.
func (tx *Tx) keep(s savepoint) { tx.w.w.Release(s.depth) }

// Savepoint is where a part of a write transaction begins that can be taken back. It is what Try does, in steps.
type Savepoint struct {
	tx *Tx
	at savepoint
}

// Savepoint begins a part of a write transaction that can be taken back. Savepoints nest; Rollback and Release of one end those
// that were begun in it. It needs no I/O. ErrTxBusy: an operation of the transaction has not ended.
func (a *Async) Savepoint(tx *Tx) (*Savepoint, error) { return tx.beginSavepoint() }

// beginSavepoint begins one that its caller ends.
func (tx *Tx) beginSavepoint() (*Savepoint, error) {
	if err := tx.enterWrite(); err != nil {
		return nil, err
	}
	defer tx.exit()
	s := &Savepoint{tx: tx, at: tx.savepoint()}
	tx.w.saves = append(tx.w.saves, s)
	return s, nil
}

// Rollback takes back everything that the transaction did since the savepoint, and ends it. It needs no I/O. ErrSavepointEnded:
// it has ended; ErrTxBusy: an operation of the transaction has not.
func (s *Savepoint) Rollback() error { return s.end((*Tx).undo) }

// Release ends the savepoint and keeps what was done. Its errors are those of Rollback.
func (s *Savepoint) Release() error { return s.end((*Tx).keep) }

// end ends the savepoint and those inside of it.
func (s *Savepoint) end(how func(*Tx, savepoint)) error {
	tx := s.tx
	if err := tx.enterWrite(); err != nil {
		return err
	}
	defer tx.exit()
	for i, open := range tx.w.saves {
		if open == s {
			how(tx, s.at)
			clear(tx.w.saves[i:])
			tx.w.saves = tx.w.saves[:i]
			return nil
		}
	}
	return ErrSavepointEnded
}
