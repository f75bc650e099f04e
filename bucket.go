package pawl

import (
	"fmt"
	stdio "io"
	"slices"

	"github.com/pawldb/pawl/btree"
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
}

// values are the kinds of entry that a key can have.
var values = btree.KindsOf(btree.KindValue, btree.KindLarge)

// Root returns the root bucket, which has plain keys too. It always exists.
func (tx *Tx) Root() *Bucket { return &tx.root }

// ready finds the bucket again if something may have moved or dropped it, and returns its error. The transaction is open. What
// a write transaction did not find it looks for every time: no epoch tells that a key has come or gone in its place.
func (b *Bucket) ready() error {
	if b.place != nil && (b.place.epoch != b.tx.epoch() || b.err != nil && b.tx.w != nil) {
		b.resolve()
	}
	return b.err
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
// copy, if the transaction changed its page or the value is of about 1 MiB or longer. An empty value is not nil.
//
// ErrNotFound: there is no such key. ErrIsBucket: it is a bucket's name.
func (b *Bucket) Get(key []byte) ([]byte, error) {
	e, err := b.lookup(key)
	if err != nil {
		return nil, err
	}
	switch e.Kind {
	case btree.KindNone:
		return nil, ErrNotFound
	case btree.KindBucket:
		return nil, ErrIsBucket
	case btree.KindLarge:
		return b.tx.readLarge(e.Large)
	}
	if !e.Shared {
		return append(make([]byte, 0, len(e.Value)), e.Value...), nil
	}
	return e.Value, nil
}

// GetAppend appends the value under key to dst and returns that. After an error, ErrNotFound and ErrIsBucket included, it
// returns dst as it was.
func (b *Bucket) GetAppend(dst, key []byte) ([]byte, error) {
	e, err := b.lookup(key)
	if err != nil {
		return dst, err
	}
	switch e.Kind {
	case btree.KindNone:
		return dst, ErrNotFound
	case btree.KindBucket:
		return dst, ErrIsBucket
	case btree.KindLarge:
		return b.tx.appendLarge(dst, e.Large)
	}
	return append(dst, e.Value...), nil
}

// Has reports whether there is a value under key. A bucket's name has none.
func (b *Bucket) Has(key []byte) (bool, error) {
	e, err := b.lookup(key)
	return err == nil && values.Has(e.Kind), err
}

// lookup finds the entry under key: in memory without any cost, else with a machine.
func (b *Bucket) lookup(key []byte) (btree.Entry, error) {
	tx := b.tx
	if err := tx.open(); err != nil {
		return btree.Entry{}, err
	}
	if err := b.ready(); err != nil {
		return btree.Entry{}, err
	}
	if tx.w == nil {
		if e, ok := btree.FromReader(&tx.reader).Lookup(b.root, key); ok {
			return e, nil
		}
	}
	return tx.findEntry(b.root, key)
}

// findEntry finds an entry, waiting for pages that have to be read.
func (tx *Tx) findEntry(root types.PageID, key []byte) (btree.Entry, error) {
	if err := tx.enter(); err != nil {
		return btree.Entry{}, err
	}
	defer tx.exit()
	f := new(btree.Find)
	if tx.w != nil {
		f = &tx.w.find
	}
	f.Start(tx.source(), root, key)
	return run(tx.ctx, tx.db, "get", f)
}

// readLarge reads a value that lies in extents.
func (tx *Tx) readLarge(l btree.Large) ([]byte, error) {
	if err := tx.enter(); err != nil {
		return nil, err
	}
	defer tx.exit()
	var r btree.ReadLarge
	r.Start(tx.source(), l)
	return run(tx.ctx, tx.db, "get", &r)
}

// appendLarge appends a value that lies in extents, a part at a time.
func (tx *Tx) appendLarge(dst []byte, l btree.Large) ([]byte, error) {
	if err := tx.enter(); err != nil {
		return dst, err
	}
	defer tx.exit()
	was := len(dst)
	for at := int64(0); at < l.Size; {
		part := int(min(l.Size-at, 1<<20))
		dst = slices.Grow(dst, part)
		var r btree.ReadLargeAt
		r.Start(tx.source(), l, dst[len(dst):len(dst)+part], at)
		n, err := run(tx.ctx, tx.db, "get", &r)
		if err != nil {
			return dst[:was], err
		}
		dst, at = dst[:len(dst)+n], at+int64(n)
	}
	return dst, nil
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
	_, err := b.put(key, value, values|btree.KindsOf(btree.KindNone))
	return err
}

// PutIfAbsent is Put that leaves a value that is there alone. It reports whether it stored.
func (b *Bucket) PutIfAbsent(key, value []byte) (bool, error) {
	return b.put(key, value, btree.KindsOf(btree.KindNone))
}

// put stores a value over the kinds given, and reports whether it did.
func (b *Bucket) put(key, value []byte, over btree.Kinds) (bool, error) {
	if int64(len(value)) > MaxValueSize {
		return false, fmt.Errorf("%w: %d bytes", ErrValueTooLarge, len(value))
	}
	return b.putEntry(key, btree.Entry{Kind: btree.KindValue, Value: value}, over)
}

// putEntry stores an entry.
func (b *Bucket) putEntry(key []byte, e btree.Entry, over btree.Kinds) (bool, error) {
	tx := b.tx
	if err := tx.enterWrite(); err != nil {
		return false, err
	}
	defer tx.exit()
	if err := b.ready(); err != nil {
		return false, err
	}
	if err := tx.checkKey(key); err != nil {
		return false, err
	}
	p := &tx.w.put
	p.Start(tx.w.w, b.root, key, e, over)
	res, err := run(tx.ctx, tx.db, "put", p)
	if err == nil && !res.Stored && res.Old.Kind == btree.KindBucket {
		err = ErrIsBucket
	}
	return res.Stored, err
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
		tx.w.buf = make([]byte, tx.db.p.MaxExtent())
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
	p.Start(tx.w.w, b.root, key, e, values|btree.KindsOf(btree.KindNone))
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
	defer tx.exit()
	if err := b.ready(); err != nil {
		return err
	}
	d := &tx.w.del
	d.Start(tx.w.w, b.root, key, values)
	res, err := run(tx.ctx, tx.db, "delete", d)
	if err == nil && res.Old.Kind == btree.KindBucket {
		err = ErrIsBucket
	}
	return err
}

// DeleteRange removes the keys >= from and < to; a nil to has no end. Buckets in the range stay. It returns how many it
// removed. After an error, the end of the context included, none is.
func (b *Bucket) DeleteRange(from, to []byte) (int64, error) {
	tx := b.tx
	if err := tx.enterWrite(); err != nil {
		return 0, err
	}
	defer tx.exit()
	if err := b.ready(); err != nil {
		return 0, err
	}
	var d btree.DeleteRange
	d.Start(tx.w.w, b.root, from, to)
	n, err := run(tx.ctx, tx.db, "delete range", &d)
	return n, err
}

// BucketStats are figures of one bucket, those nested in it left out.
type BucketStats = btree.TreeStats

// Stats reads the whole bucket and returns its figures.
func (b *Bucket) Stats() (BucketStats, error) {
	tx := b.tx
	if err := tx.enter(); err != nil {
		return BucketStats{}, err
	}
	defer tx.exit()
	if err := b.ready(); err != nil {
		return BucketStats{}, err
	}
	var m btree.Measure
	m.Start(tx.source(), b.root)
	return run(tx.ctx, tx.db, "stats", &m)
}
