package pawl

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// dropOp returns the operation of DeleteBucket.
func (tx *Tx) dropOp(path [][]byte) *txOp[struct{}] {
	return &txOp[struct{}]{tx: tx, use: useWrite, task: &dropBucket{tx: tx, path: path}}
}

// dropBucket is a machine that removes the bucket at the end of a path, with all that is in it.
//
//	parent --> drop --> ended
type dropBucket struct {
	tx   *Tx
	path [][]byte

	parent   parentOf
	drop     btree.DropBucket
	dropping bool // drop
}

func (d *dropBucket) begin() error { return d.parent.begin(d.tx, d.path) }

// Step goes on with removing.
func (d *dropBucket) Step() (types.IOResult[struct{}], error) {
	if !d.dropping {
		if res, err := d.parent.step(); err != nil || res.Pending != nil {
			return res, err
		}
		d.drop.Start(d.tx.w.w, d.parent.b.root, d.parent.name)
		d.dropping = true
	}
	res, err := d.drop.Step()
	switch {
	case err != nil:
		return types.Fail[struct{}](err)
	case res.Pending != nil:
		return types.Wait[struct{}](res.Pending)
	}
	d.tx.w.epoch++
	if err := notBucket(res.Value, d.path); err != nil {
		return types.Fail[struct{}](err)
	}
	return types.Done(struct{}{})
}

// notBucket returns the error of removing what is no bucket, nil if one was removed.
func notBucket(res btree.DeleteResult, path [][]byte) error {
	switch {
	case res.Deleted:
		return nil
	case res.Old.Kind == btree.KindNone:
		return fmt.Errorf("%w: %q", ErrBucketNotFound, path)
	}
	return fmt.Errorf("%w: %q", ErrNotBucket, path)
}

// Abort leaves the transaction as it was.
func (d *dropBucket) Abort(cause error) error {
	if d.dropping {
		return d.drop.Abort(cause)
	}
	return d.parent.abort(cause)
}

// moveOp returns the operation of MoveBucket.
func (tx *Tx) moveOp(from, to [][]byte) *txOp[struct{}] {
	return &txOp[struct{}]{tx: tx, use: useWrite, task: &moveBucket{tx: tx, from: from, to: to}}
}

type moveState uint8

const (
	moveFrom   moveState = iota // await: the bucket that it is in
	moveUnlink                  // await: its entry is being taken out; its tree stays
	moveTo                      // await: the bucket that it is to be in
	moveLink                    // await: the entry is being put in
	moveEnded                   // end
)

// moveBucket is a machine that gives a bucket another path, in a savepoint.
//
//	from --> unlink --> to --> link --> ended
type moveBucket struct {
	tx       *Tx
	from, to [][]byte

	state  moveState
	save   savepoint
	parent parentOf
	entry  btree.Entry // to, link
}

func (m *moveBucket) begin() error {
	if err := m.parent.begin(m.tx, m.from); err != nil {
		return err
	}
	m.save = m.tx.savepoint()
	return nil
}

// Step goes on with moving.
func (m *moveBucket) Step() (types.IOResult[struct{}], error) {
	for {
		res, err := m.step()
		switch {
		case err != nil:
			m.state = moveEnded
			m.tx.undo(m.save)
			return types.Fail[struct{}](err)
		case res.Pending != nil:
			return types.Wait[struct{}](res.Pending)
		case m.state == moveEnded:
			m.tx.keep(m.save)
			return types.Done(struct{}{})
		}
	}
}

// step does what the state asks for, once.
func (m *moveBucket) step() (wait types.IOResult[struct{}], err error) {
	w := m.tx.w
	switch m.state {
	case moveFrom:
		if wait, err = m.parent.step(); err == nil && wait.Pending == nil {
			w.del.Start(w.w, m.parent.b.root, m.parent.name, btree.KindsOf(btree.KindBucket))
			m.state = moveUnlink
		}
	case moveUnlink:
		res, err := w.del.Step()
		if err != nil || res.Pending != nil {
			return types.IOResult[struct{}]{Pending: res.Pending}, err
		}
		if err := notBucket(res.Value, m.from); err != nil {
			return wait, err
		}
		w.epoch++
		if len(m.to) > len(m.from) && slices.EqualFunc(m.from, m.to[:len(m.from)], slices.Equal) {
			return wait, fmt.Errorf("%w: %q is inside of the bucket at %q", ErrBucketExists, m.to, m.from)
		}
		m.entry, m.state = res.Value.Old, moveTo
		return wait, m.parent.begin(m.tx, m.to)
	case moveTo:
		if wait, err = m.parent.step(); err == nil && wait.Pending == nil {
			w.put.Start(w.w, m.parent.b.root, m.parent.name, m.entry, btree.KindsOf(btree.KindNone))
			m.state = moveLink
		}
	case moveLink:
		res, err := w.put.Step()
		if err != nil || res.Pending != nil {
			return types.IOResult[struct{}]{Pending: res.Pending}, err
		}
		return wait, m.linked(res.Value)
	default:
		panic(invariant.Failf("pawl: moveBucket stepped in state %d", m.state))
	}
	return wait, err
}

// linked ends the move.
func (m *moveBucket) linked(res btree.PutResult) error {
	switch {
	case res.Stored:
		m.tx.w.epoch++
		m.state = moveEnded
		return nil
	case res.Old.Kind == btree.KindBucket:
		return fmt.Errorf("%w: %q", ErrBucketExists, m.to)
	}
	return fmt.Errorf("%w: %q", ErrNotBucket, m.to)
}

// Abort leaves the transaction as it was.
func (m *moveBucket) Abort(cause error) error {
	switch m.state {
	case moveFrom, moveTo:
		cause = m.parent.abort(cause)
	case moveUnlink:
		cause = m.tx.w.del.Abort(cause)
	case moveLink:
		cause = m.tx.w.put.Abort(cause)
	}
	m.state = moveEnded
	m.tx.undo(m.save)
	return cause
}
