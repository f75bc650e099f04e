package pawl

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/types"
)

// putOp stores a value, and ends with whether it did.
type putOp struct {
	txOp[bool]
	at putTask
}

// newPutOp returns one.
func newPutOp(b *Bucket, key, value []byte, over btree.Kinds) *txOp[bool] {
	o := new(putOp)
	o.start(b, key, value, over)
	return &o.txOp
}

func (o *putOp) start(b *Bucket, key, value []byte, over btree.Kinds) {
	o.at = putTask{b: b, key: key, value: value, over: over}
	o.txOp = txOp[bool]{tx: b.tx, b: b, use: useWrite, task: &o.at}
}

// putTask is its task.
type putTask struct {
	b          *Bucket
	key, value []byte
	over       btree.Kinds // what may be there
}

func (t *putTask) begin() error {
	tx := t.b.tx
	if int64(len(t.value)) > MaxValueSize {
		return fmt.Errorf("%w: %d bytes", ErrValueTooLarge, len(t.value))
	}
	if err := tx.checkKey(t.key); err != nil {
		return err
	}
	e := btree.Entry{Kind: btree.KindValue, Value: t.value}
	tx.w.put.Start(tx.w.w, t.b.root, t.key, e, t.over)
	return nil
}

// Step goes on with storing.
func (t *putTask) Step() (types.IOResult[bool], error) {
	res, err := t.b.tx.w.put.Step()
	switch {
	case err != nil:
		return types.Fail[bool](err)
	case res.Pending != nil:
		return types.Wait[bool](res.Pending)
	case !res.Value.Stored && res.Value.Old.Kind == btree.KindBucket:
		return types.Fail[bool](ErrIsBucket)
	}
	return types.Done(res.Value.Stored)
}

// Abort leaves the bucket as it was.
func (t *putTask) Abort(cause error) error { return t.b.tx.w.put.Abort(cause) }

// delOp removes a key.
type delOp struct {
	txOp[struct{}]
	at delTask
}

// newDelOp returns one: of the key, or of that which the cursor is at, if there is a cursor.
func newDelOp(b *Bucket, c *Cursor, key []byte) *txOp[struct{}] {
	o := new(delOp)
	o.start(b, c, key)
	return &o.txOp
}

func (o *delOp) start(b *Bucket, c *Cursor, key []byte) {
	o.at = delTask{b: b, c: c, key: key}
	o.txOp = txOp[struct{}]{tx: b.tx, b: b, use: useWrite, task: &o.at}
}

// delTask is its task.
type delTask struct {
	b   *Bucket
	c   *Cursor // nil: key tells
	key []byte
}

func (t *delTask) begin() error {
	if c := t.c; c != nil {
		if err := c.prepare(); err != nil {
			return err
		}
		if !c.c.On() {
			return ErrCursor
		}
		t.key = slices.Clone(c.c.Key())
	}
	tx := t.b.tx
	tx.w.del.Start(tx.w.w, t.b.root, t.key, values)
	return nil
}

// Step goes on with removing.
func (t *delTask) Step() (types.IOResult[struct{}], error) {
	res, err := t.b.tx.w.del.Step()
	switch {
	case err != nil:
		return types.Fail[struct{}](err)
	case res.Pending != nil:
		return types.Wait[struct{}](res.Pending)
	case res.Value.Old.Kind == btree.KindBucket:
		return types.Fail[struct{}](ErrIsBucket)
	}
	return types.Done(struct{}{})
}

// Abort leaves the bucket as it was.
func (t *delTask) Abort(cause error) error { return t.b.tx.w.del.Abort(cause) }

// deleteRangeOp returns the operation of DeleteRange.
func (b *Bucket) deleteRangeOp(from, to []byte) *txOp[struct{}] {
	return &txOp[struct{}]{tx: b.tx, b: b, use: useWrite, task: &step[struct{}, struct{}]{
		ready: func() (types.Stepper[struct{}], error) {
			d := new(btree.DeleteRange)
			d.Start(b.tx.w.w, b.root, from, to)
			return d, nil
		},
		done: asIs[struct{}],
	}}
}

// sequenceOp returns the operation that sets the bucket's sequence to v, or, if next is set, to one more than it is. It ends
// with what it set.
func (b *Bucket) sequenceOp(v uint64, next bool) *txOp[uint64] {
	return &txOp[uint64]{tx: b.tx, b: b, use: useWrite, task: &sequenceTask{b: b, v: v, next: next}}
}

// sequenceTask is its task.
type sequenceTask struct {
	b    *Bucket
	v    uint64
	next bool
}

func (t *sequenceTask) begin() error {
	tx, p := t.b.tx, t.b.place
	if t.next {
		t.v = t.b.sequence() + 1
	}
	if p == nil {
		return nil
	}
	e := btree.Entry{Kind: btree.KindBucket, Bucket: btree.Bucket{Root: t.b.root, Sequence: t.v}}
	tx.w.put.Start(tx.w.w, p.in, p.path[len(p.path)-1], e, btree.KindsOf(btree.KindBucket))
	return nil
}

// Step goes on with setting.
func (t *sequenceTask) Step() (types.IOResult[uint64], error) {
	tx, p := t.b.tx, t.b.place
	if p == nil {
		tx.w.tx.Globals().Sequence = t.v
		return types.Done(t.v)
	}
	res, err := tx.w.put.Step()
	switch {
	case err != nil:
		return types.Fail[uint64](err)
	case res.Pending != nil:
		return types.Wait[uint64](res.Pending)
	}
	tx.w.epoch++ // other handles of the bucket look again
	p.epoch, p.seq = tx.w.epoch, t.v
	return types.Done(t.v)
}

// Abort leaves the sequence as it was.
func (t *sequenceTask) Abort(cause error) error {
	if t.b.place == nil {
		return cause
	}
	return t.b.tx.w.put.Abort(cause)
}
