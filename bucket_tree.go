package pawl

import (
	"slices"

	"github.com/pawldb/pawl/btree"
)

// Bucket returns the bucket at the end of a path of names from the root. It is never nil: a bucket that is absent, or can't be
// read, carries its error, which all its methods return.
func (tx *Tx) Bucket(path ...[]byte) *Bucket { return tx.root.Bucket(path...) }

// Bucket returns the bucket at the end of a path of names from b. See Tx.Bucket.
func (b *Bucket) Bucket(path ...[]byte) *Bucket {
	if len(path) == 0 {
		return b
	}
	made := b.below(path)
	if err := b.tx.open(); err != nil {
		made.err = err
		return made
	}
	made.resolve()
	return made
}

// below returns a handle of the bucket at the end of a path of names from b, not found yet.
func (b *Bucket) below(path [][]byte) *Bucket {
	if b.place == nil && len(path) == 1 {
		if made := b.tx.first.handle(b.tx, path[0]); made != nil {
			return made
		}
	}
	full := path
	if b.place != nil {
		full = slices.Concat(b.place.path, path)
	}
	made := &struct {
		Bucket
		place
	}{}
	made.Bucket = Bucket{tx: b.tx, place: &made.place}
	made.place.path = make([][]byte, len(full))
	for i, name := range full {
		made.place.path[i] = slices.Clone(name)
	}
	made.place.epoch = b.tx.epoch()
	return &made.Bucket
}

// resolve finds the bucket, or what keeps it from being found.
func (b *Bucket) resolve() {
	if b.resolveInMemory() {
		return
	}
	if _, err := run(b.tx.ctx, b.tx.db, "bucket", newFindBucket(b)); err != nil {
		b.err, b.place.epoch, b.place.seen = err, b.tx.epoch(), b.tx.mutations()
		if b.tx.w != nil {
			b.place.seen-- // it may be found the next time
		}
	}
}

// resolveInMemory finds a bucket in the root bucket if that needs no I/O. It reports whether it has; why not, resolve finds out.
func (b *Bucket) resolveInMemory() bool {
	p := b.place
	if len(p.path) != 1 {
		return false
	}
	e, ok := b.tx.source().Lookup(0, p.path[0])
	if !ok || e.Kind != btree.KindBucket {
		return false
	}
	b.root, b.err = e.Bucket.Root, nil
	p.epoch, p.in, p.seq, p.seen = b.tx.epoch(), 0, e.Bucket.Sequence, b.tx.mutations()
	return true
}

// CreateBucket makes a bucket at the end of a path of names from the root. All but the last have to be there.
//
// ErrBucketExists, ErrNotBucket (there is a key), ErrBucketNotFound (of a name on the way), ErrKeyEmpty, ErrKeyTooLarge.
func (tx *Tx) CreateBucket(path ...[]byte) (*Bucket, error) {
	return runTx(tx, "create bucket", tx.createOp(path))
}

// CreateBucketIfNotExists returns the bucket at the end of a path of names from the root, and makes it, and those on the
// way, where they are missing. After an error none is made.
func (tx *Tx) CreateBucketIfNotExists(path ...[]byte) (*Bucket, error) {
	return runTx(tx, "create bucket", tx.createAllOp(path))
}

// DeleteBucket removes the bucket at the end of a path of names from the root, with all that is in it. After an error, the
// end of the context included, all of it is still there.
//
// ErrBucketNotFound, ErrNotBucket.
func (tx *Tx) DeleteBucket(path ...[]byte) error {
	_, err := runTx(tx, "delete bucket", tx.dropOp(path))
	return err
}

// MoveBucket gives the bucket at the path from another path, whose last name is free and whose others are there. What is in
// it is not touched. A bucket can't be moved into itself.
//
// ErrBucketNotFound, ErrNotBucket, ErrBucketExists, ErrKeyEmpty, ErrKeyTooLarge; after an error nothing has moved.
func (tx *Tx) MoveBucket(from, to [][]byte) error {
	_, err := runTx(tx, "move bucket", tx.moveOp(from, to))
	return err
}

// Sequence returns the bucket's sequence, 0 in a new one. If the bucket can't be read it is 0.
func (b *Bucket) Sequence() uint64 {
	if b.tx.open() != nil || b.ready() != nil {
		return 0
	}
	return b.sequence()
}

// sequence returns the sequence of a bucket that is ready.
func (b *Bucket) sequence() uint64 {
	switch {
	case b.place != nil:
		return b.place.seq
	case b.tx.w != nil:
		return b.tx.w.tx.Globals().Sequence
	}
	return b.tx.reader.Globals().Sequence
}

// SetSequence sets the bucket's sequence.
func (b *Bucket) SetSequence(v uint64) error {
	_, err := runTx(b.tx, "set sequence", b.sequenceOp(v, false))
	return err
}

// NextSequence adds one to the bucket's sequence and returns it: numbers that are unique in the bucket.
func (b *Bucket) NextSequence() (uint64, error) {
	return runTx(b.tx, "set sequence", b.sequenceOp(0, true))
}
