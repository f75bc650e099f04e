package pawl

import (
	"fmt"
	stdio "io"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// Bucket is a set of keys with values, and of buckets, inside a transaction. It is good until that ends. Methods of a bucket
// that is absent, or that could not be read, return its error.
type Bucket struct {
	tx    *Tx
	root  types.PageID // of its tree; 0: the root bucket
	err   error
	place *place // nil: the root bucket
}

// place is where a bucket is.
type place struct {
	path  [][]byte
	epoch uint64       // of the transaction when it was found
	in    types.PageID // tree that has its entry
	seq   uint64       // its sequence as of then
	seen  uint64       // the transaction's changes as of then
}

// values are the kinds of entry that a key can have.
var values = btree.KindsOf(btree.KindValue, btree.KindLarge)

// overAny are the kinds that Put may find.
var overAny = values | btree.KindsOf(btree.KindNone)

// Root returns the root bucket, which has plain keys too. It always exists.
func (tx *Tx) Root() *Bucket { return &tx.root }

// ready finds the bucket again if it is stale, and returns its error. The transaction is open.
func (b *Bucket) ready() error {
	if b.stale() {
		b.resolve()
	}
	return b.err
}

// stale reports whether something may have moved or dropped the bucket since it was found. What was not found is looked for
// again after any change: no epoch tells that a key has come or gone in its place.
func (b *Bucket) stale() bool {
	return b.place != nil && (b.place.epoch != b.tx.epoch() || b.err != nil && b.place.seen != b.tx.mutations())
}

// Exists reports whether the bucket is there. If that could not be found out, Err says why.
func (b *Bucket) Exists() bool { return b.Err() == nil }

// Err returns nil if the bucket is there; ErrBucketNotFound if not; ErrNotBucket if there is a key instead; or what kept it
// from being read. After the end of the transaction it is ErrTxClosed.
func (b *Bucket) Err() error {
	if err := b.tx.open(); err != nil {
		return err
	}
	return b.ready()
}

// Get returns the value under key. It is a slice of an immutable image, read-only and valid for as long as it is held; or a
// copy, if the transaction changed its page or the value is longer than 1 MiB. An empty value is not nil.
//
// ErrNotFound: there is no such key. ErrIsBucket: it is a bucket's name.
func (b *Bucket) Get(key []byte) ([]byte, error) {
	if e, ok, err := b.inMemory(key); err != nil || ok && e.Kind != btree.KindLarge {
		if err == nil {
			err = notValue(e.Kind)
		}
		if err != nil {
			return nil, err
		}
		return b.tx.valueOf(e), nil
	}
	o, err := b.valueOp(key, nil)
	if err != nil {
		return nil, err
	}
	return runTx(b.tx, "get", o)
}

// GetAppend appends the value under key to dst and returns that. After an error, ErrNotFound and ErrIsBucket included, it
// returns dst as it was.
func (b *Bucket) GetAppend(dst, key []byte) ([]byte, error) {
	if e, ok, err := b.inMemory(key); err != nil || ok && e.Kind != btree.KindLarge {
		if err == nil {
			err = notValue(e.Kind)
		}
		if err != nil {
			return dst, err
		}
		return append(dst, e.Value...), nil
	}
	if dst == nil {
		dst = []byte{}
	}
	o, err := b.valueOp(key, dst)
	if err != nil {
		return dst, err
	}
	got, err := runTx(b.tx, "get", o)
	if err != nil {
		return dst, err
	}
	return got, nil
}

// Has reports whether there is a value under key. A bucket's name has none.
func (b *Bucket) Has(key []byte) (bool, error) {
	e, err := b.lookup(key)
	return err == nil && values.Has(e.Kind), err
}

// checkKey returns the error of a key that can't be stored.
func (tx *Tx) checkKey(key []byte) error {
	limit := btree.MaxKeySize(tx.db.p.PageSize())
	switch {
	case len(key) == 0:
		return ErrKeyEmpty
	case len(key) > limit:
		return fmt.Errorf("%w: %d bytes, %d at the most", ErrKeyTooLarge, len(key), limit)
	}
	return nil
}

// Put stores value under key, replacing any value already there. It copies both.
//
// ErrKeyEmpty, ErrKeyTooLarge, ErrValueTooLarge and ErrTxReadOnly are the caller's; ErrIsBucket: key is a bucket's name.
// After any error the transaction is as it was and usable.
func (b *Bucket) Put(key, value []byte) error {
	_, err := b.put(key, value, overAny)
	return err
}

// PutIfAbsent is Put that leaves a value that is there alone. It reports whether it stored.
func (b *Bucket) PutIfAbsent(key, value []byte) (bool, error) {
	return b.put(key, value, btree.KindsOf(btree.KindNone))
}

// put stores a value over the kinds given, and reports whether it did.
func (b *Bucket) put(key, value []byte, over btree.Kinds) (bool, error) {
	tx := b.tx
	if err := tx.enterWrite(); err != nil {
		return false, err
	}
	if !b.stale() && b.err == nil { // keys in order need no machine
		if stored, _, done := tx.w.tree.PutHot(b.root, key, value, over); done {
			tx.exit()
			return stored, nil
		}
	}
	o := &tx.w.putOp
	o.start(b, key, value, over)
	o.state = txOpBucket // entered
	return runTx(tx, "put", &o.txOp)
}

// PutReader stores what r has, up to its end, under key, without holding it in memory. It returns the number of bytes. After
// any error, r's included, the transaction is as it was.
func (b *Bucket) PutReader(key []byte, r stdio.Reader) (int64, error) {
	tx := b.tx
	if err := tx.enterWrite(); err != nil {
		return 0, err
	}
	defer tx.exit()
	if err := b.ready(); err != nil {
		return 0, err
	}
	if err := tx.checkKey(key); err != nil {
		return 0, err
	}
	if tx.w.buf == nil {
		tx.w.buf = make([]byte, pager.MaxExtent)
	}
	buf := tx.w.buf
	n, err := stdio.ReadFull(r, buf)
	e := btree.Entry{Kind: btree.KindValue, Value: buf[:n]}
	size := int64(n)
	var l btree.LargeWriter
	switch err {
	case stdio.EOF, stdio.ErrUnexpectedEOF: // all of it
	case nil:
		l.Start(tx.w.w)
		if err := tx.copyLarge(&l, buf, r); err != nil {
			l.Discard()
			return 0, err
		}
		e, size = btree.Entry{Kind: btree.KindLarge, Large: l.Large()}, l.Size()
	default:
		return 0, err
	}
	p := &tx.w.put
	p.Start(tx.w.w, b.root, key, e, overAny)
	res, err := run(tx.ctx, tx.db, "put", p)
	if err == nil && !res.Stored {
		err = ErrIsBucket
	}
	if err != nil {
		if e.Kind == btree.KindLarge {
			l.Discard()
		}
		return 0, err
	}
	return size, nil
}

// copyLarge writes buf, and what r has behind it, to extents.
func (tx *Tx) copyLarge(l *btree.LargeWriter, buf []byte, r stdio.Reader) error {
	piece := buf
	for {
		l.Add(piece)
		if _, err := run[struct{}](tx.ctx, tx.db, "put", l); err != nil {
			return err
		}
		n, err := stdio.ReadFull(r, buf)
		if err != nil && err != stdio.EOF && err != stdio.ErrUnexpectedEOF {
			return err
		}
		if l.Size()+int64(n) > MaxValueSize {
			return fmt.Errorf("%w: more than %d bytes", ErrValueTooLarge, int64(MaxValueSize))
		}
		if piece = buf[:n]; n == 0 {
			break
		}
	}
	l.Finish()
	_, err := run[struct{}](tx.ctx, tx.db, "put", l)
	return err
}

// Delete removes key. That there is no such key is no error. ErrIsBucket: it is a bucket's name, see DeleteBucket. After
// any error the transaction is as it was and usable.
func (b *Bucket) Delete(key []byte) error {
	tx := b.tx
	if err := tx.enterWrite(); err != nil {
		return err
	}
	o := &tx.w.delOp
	o.start(b, nil, key)
	o.state = txOpBucket // entered
	_, err := runTx(tx, "delete", &o.txOp)
	return err
}

// DeleteRange removes the keys >= from and < to; a nil to has no end. Buckets in the range stay. It does not read what it
// removes but for large values, and so does not know how many keys they were. After an error, the end of the context included,
// none is removed.
func (b *Bucket) DeleteRange(from, to []byte) error {
	_, err := runTx(b.tx, "delete range", b.deleteRangeOp(from, to))
	return err
}

// BucketStats are figures of one bucket, those nested in it left out.
type BucketStats = btree.TreeStats

// Stats reads the whole bucket and returns its figures.
func (b *Bucket) Stats() (BucketStats, error) { return runTx(b.tx, "stats", b.statsOp()) }
