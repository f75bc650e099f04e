package pawl

import (
	"slices"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/types"
)

// notValue returns the error of reading an entry of a kind as a value, nil if it is one.
func notValue(k btree.Kind) error {
	switch k {
	case btree.KindNone:
		return ErrNotFound
	case btree.KindBucket:
		return ErrIsBucket
	}
	return nil
}

// valueOf returns the value of an entry that has it: a slice of an image, or a copy of what a transaction may still change.
func (tx *Tx) valueOf(e btree.Entry) []byte {
	if !e.Shared {
		return copyOf(e.Value)
	}
	return tx.hand(e.Page, e.Value)
}

// copyOf returns a copy with no room behind it.
func copyOf(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

// inMemory finds the entry under key in a read transaction if that needs no I/O. It costs no allocation.
func (b *Bucket) inMemory(key []byte) (e btree.Entry, ok bool, err error) {
	tx := b.tx
	if err := tx.open(); err != nil {
		return btree.Entry{}, false, err
	}
	if tx.w != nil {
		return btree.Entry{}, false, nil
	}
	if err := b.ready(); err != nil {
		return btree.Entry{}, false, err
	}
	e, ok = btree.FromReader(&tx.reader).Lookup(b.root, key)
	return e, ok, nil
}

// lookup finds the entry under key, waiting for pages that have to be read.
func (b *Bucket) lookup(key []byte) (btree.Entry, error) {
	if e, ok, err := b.inMemory(key); err != nil || ok {
		return e, err
	}
	o, err := b.entryOp(key)
	if err != nil {
		return btree.Entry{}, err
	}
	return runTx(b.tx, "get", o)
}

// entryOp returns the operation that finds an entry. In a write transaction that is the one that the transaction keeps, entered.
func (b *Bucket) entryOp(key []byte) (*txOp[btree.Entry], error) {
	tx := b.tx
	if tx.w == nil {
		return newEntryOp(b, key), nil
	}
	if err := tx.enter(); err != nil {
		return nil, err
	}
	o := &tx.w.entryOp
	o.start(b, key)
	o.state = txOpBucket
	return &o.txOp, nil
}

// entryOp finds the entry under a key.
type entryOp struct {
	txOp[btree.Entry]
	at entryTask
}

// newEntryOp returns one.
func newEntryOp(b *Bucket, key []byte) *txOp[btree.Entry] {
	o := new(entryOp)
	o.start(b, key)
	return &o.txOp
}

func (o *entryOp) start(b *Bucket, key []byte) {
	o.at = entryTask{b: b, key: key}
	o.txOp = txOp[btree.Entry]{tx: b.tx, b: b, task: &o.at}
}

// entryTask is its task.
type entryTask struct {
	b   *Bucket
	key []byte
	*btree.Find
}

func (t *entryTask) begin() error {
	if tx := t.b.tx; tx.w != nil {
		t.Find = &tx.w.find
	} else {
		t.Find = new(btree.Find)
	}
	t.Start(t.b.tx.source(), t.b.root, t.key)
	return nil
}

// valueOp returns the operation that reads a value, behind dst if that is not nil. In a write transaction that is the one that
// the transaction keeps, entered.
func (b *Bucket) valueOp(key, dst []byte) (*txOp[[]byte], error) {
	tx := b.tx
	if tx.w == nil {
		return newValueOp(b, key, dst), nil
	}
	if err := tx.enter(); err != nil {
		return nil, err
	}
	o := &tx.w.valueOp
	o.start(b, key, dst)
	o.state = txOpBucket
	return &o.txOp, nil
}

// valueOp reads the value under a key.
type valueOp struct {
	txOp[[]byte]
	at valueTask
}

// newValueOp returns one.
func newValueOp(b *Bucket, key, dst []byte) *txOp[[]byte] {
	o := new(valueOp)
	o.start(b, key, dst)
	return &o.txOp
}

func (o *valueOp) start(b *Bucket, key, dst []byte) {
	o.at = valueTask{entryTask: entryTask{b: b, key: key}, dst: dst}
	o.txOp = txOp[[]byte]{tx: b.tx, b: b, task: &o.at}
}

// valueTask is its task.
//
//	entry --a large value--> large --> ended
//	   \--any other--> ended
type valueTask struct {
	entryTask                       // entry
	dst       []byte                // append to it; nil: a slice of an image will do
	large     types.Stepper[[]byte] // large
}

// Step reads.
func (t *valueTask) Step() (types.IOResult[[]byte], error) {
	if t.large == nil {
		res, err := t.Find.Step()
		switch {
		case err != nil:
			return types.Fail[[]byte](err)
		case res.Pending != nil:
			return types.Wait[[]byte](res.Pending)
		}
		e := res.Value
		if err := notValue(e.Kind); err != nil {
			return types.Fail[[]byte](err)
		}
		if e.Kind != btree.KindLarge {
			if t.dst != nil {
				return types.Done(append(t.dst, e.Value...))
			}
			return types.Done(t.b.tx.valueOf(e))
		}
		t.large = t.b.tx.newLarge(e.Large, t.dst)
	}
	return t.large.Step()
}

// Abort ends the reading.
func (t *valueTask) Abort(cause error) error {
	if t.large != nil {
		return t.large.Abort(cause)
	}
	return t.Find.Abort(cause)
}

// newLarge returns a machine that reads a value that lies in extents, behind dst if that is not nil.
func (tx *Tx) newLarge(l btree.Large, dst []byte) types.Stepper[[]byte] {
	if dst != nil {
		return &appendLarge{src: tx.source(), l: l, dst: dst}
	}
	r := new(readLarge)
	r.start(tx, l)
	return r
}

// readLarge is a machine that reads a value that lies in extents.
type readLarge struct {
	btree.ReadLarge
	tx *Tx
	l  btree.Large
}

// start readies it.
func (r *readLarge) start(tx *Tx, l btree.Large) {
	r.tx, r.l = tx, l
	r.Start(tx.source(), l)
}

// Step reads.
func (r *readLarge) Step() (types.IOResult[[]byte], error) {
	res, err := r.ReadLarge.Step()
	if err == nil && res.Pending == nil && r.Shared() {
		r.tx.hand(r.l.Page, res.Value)
	}
	return res, err
}

// readLarge reads a value that lies in extents.
func (tx *Tx) readLarge(l btree.Large) ([]byte, error) {
	return runTx(tx, "get", &txOp[[]byte]{tx: tx, task: &step[[]byte, []byte]{
		ready: func() (types.Stepper[[]byte], error) { return tx.newLarge(l, nil), nil },
		done:  asIs[[]byte],
	}})
}

// appendPart is how much of a value appendLarge reads at a time.
const appendPart = 1 << 20

// appendLarge is a machine that appends a value that lies in extents to dst, a part at a time.
type appendLarge struct {
	src btree.Source
	l   btree.Large
	dst []byte

	at      int64 // bytes of the value that are in dst
	part    btree.ReadLargeAt
	reading bool // part
}

// Step reads.
func (a *appendLarge) Step() (types.IOResult[[]byte], error) {
	for a.at < a.l.Size {
		if !a.reading {
			n := int(min(a.l.Size-a.at, appendPart))
			a.dst = slices.Grow(a.dst, n)
			a.part.Start(a.src, a.l, a.dst[len(a.dst):len(a.dst)+n], a.at)
			a.reading = true
		}
		res, err := a.part.Step()
		switch {
		case err != nil:
			return types.Fail[[]byte](err)
		case res.Pending != nil:
			return types.Wait[[]byte](res.Pending)
		}
		a.dst, a.at, a.reading = a.dst[:len(a.dst)+res.Value], a.at+int64(res.Value), false
	}
	return types.Done(a.dst)
}

// Abort ends the reading.
func (a *appendLarge) Abort(cause error) error {
	if a.reading {
		return a.part.Abort(cause)
	}
	return cause
}

// statsOp returns the operation of Stats.
func (b *Bucket) statsOp() *txOp[BucketStats] {
	return &txOp[BucketStats]{tx: b.tx, b: b, task: &step[BucketStats, BucketStats]{
		ready: func() (types.Stepper[BucketStats], error) {
			m := new(btree.Measure)
			m.Start(b.tx.source(), b.root)
			return m, nil
		},
		done: asIs[BucketStats],
	}}
}
