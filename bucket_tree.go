package pawl

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/types"
)

// Bucket returns the bucket at the end of a path of names from the root. It is never nil: a bucket that is absent, or can't be
// read, carries its error, which all its methods return.
func (tx *Tx) Bucket(path ...[]byte) *Bucket { return tx.root.Bucket(path...) }

// Bucket returns the bucket at the end of a path of names from b. See Tx.Bucket.
func (b *Bucket) Bucket(path ...[]byte) *Bucket {
	if len(path) == 0 {
		return b
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
	if err := b.tx.open(); err != nil {
		made.Bucket.err = err
		made.place.epoch = b.tx.epoch()
		return &made.Bucket
	}
	made.Bucket.resolve()
	return &made.Bucket
}

// resolve walks the path. In a damaged file a path can go round in circles; of the roots that it meets it remembers those at
// depths 1, 2, 4 and so on, one at a time, and one of them comes again within twice the length of the circle.
func (b *Bucket) resolve() {
	tx, p := b.tx, b.place
	p.epoch, p.in, b.root, b.err = tx.epoch(), 0, 0, nil
	var met types.PageID
	for i, name := range p.path {
		src := tx.source()
		e, ok := src.Lookup(b.root, name)
		if !ok {
			var f btree.Find
			f.Start(src, b.root, name)
			var err error
			if e, err = run(tx.ctx, tx.db, "bucket", &f); err != nil {
				b.err = err
				return
			}
		}
		switch e.Kind {
		case btree.KindBucket:
			if e.Bucket.Root == met {
				detail := fmt.Sprintf("the bucket at %q is one of those it is in", p.path[:i+1])
				b.err = &CorruptError{File: tx.db.path, Page: met, Detail: detail}
				return
			}
			if (i+1)&i == 0 {
				met = e.Bucket.Root
			}
			p.in, p.seq, b.root = b.root, e.Bucket.Sequence, e.Bucket.Root
		case btree.KindNone:
			b.err = fmt.Errorf("%w: %q", ErrBucketNotFound, p.path[:i+1])
			return
		default:
			b.err = fmt.Errorf("%w: %q", ErrNotBucket, p.path[:i+1])
			return
		}
	}
}

// split cuts a path into the bucket that should hold its last name, and the name.
func (tx *Tx) split(path [][]byte) (parent *Bucket, name []byte, err error) {
	if len(path) == 0 {
		return nil, nil, ErrKeyEmpty
	}
	name = path[len(path)-1]
	if err := tx.checkKey(name); err != nil {
		return nil, nil, err
	}
	parent = tx.Bucket(path[:len(path)-1]...)
	return parent, name, parent.ready()
}

// CreateBucket makes a bucket at the end of a path of names from the root. All but the last have to be there.
//
// ErrBucketExists, ErrNotBucket (there is a key), ErrBucketNotFound (of a name on the way), ErrKeyEmpty, ErrKeyTooLarge.
func (tx *Tx) CreateBucket(path ...[]byte) (*Bucket, error) {
	if err := tx.createBucket(path); err != nil {
		return nil, err
	}
	b := tx.Bucket(path...)
	return b, b.err
}

// CreateBucketIfNotExists returns the bucket at the end of a path of names from the root, and makes it, and those on the
// way, where they are missing. After an error none is made.
func (tx *Tx) CreateBucketIfNotExists(path ...[]byte) (*Bucket, error) {
	if b := tx.Bucket(path...); len(path) > 0 && b.err == nil && tx.w != nil {
		return b, nil
	}
	err := tx.Try(func() error {
		for i := range path {
			if tx.Bucket(path[:i+1]...).Exists() {
				continue
			}
			if err := tx.createBucket(path[:i+1]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(path) == 0 {
		return nil, ErrKeyEmpty
	}
	b := tx.Bucket(path...)
	return b, b.err
}

// createBucket makes a bucket.
func (tx *Tx) createBucket(path [][]byte) error {
	if err := tx.enterWrite(); err != nil {
		return err
	}
	defer tx.exit()
	parent, name, err := tx.split(path)
	if err != nil {
		return err
	}
	var c btree.CreateBucket
	c.Start(tx.w.w, parent.root, name)
	res, err := run(tx.ctx, tx.db, "create bucket", &c)
	tx.w.epoch++ // handles that did not find it may find it now
	switch {
	case err != nil:
		return err
	case res.Created:
		return nil
	case res.Entry.Kind == btree.KindBucket:
		return fmt.Errorf("%w: %q", ErrBucketExists, path)
	}
	return fmt.Errorf("%w: %q", ErrNotBucket, path)
}

// DeleteBucket removes the bucket at the end of a path of names from the root, with all that is in it. After an error, the
// end of the context included, all of it is still there.
//
// ErrBucketNotFound, ErrNotBucket.
func (tx *Tx) DeleteBucket(path ...[]byte) error {
	if err := tx.enterWrite(); err != nil {
		return err
	}
	defer tx.exit()
	parent, name, err := tx.split(path)
	if err != nil {
		return err
	}
	var d btree.DropBucket
	d.Start(tx.w.w, parent.root, name)
	res, err := run(tx.ctx, tx.db, "delete bucket", &d)
	tx.w.epoch++
	switch {
	case err != nil:
		return err
	case res.Deleted:
		return nil
	case res.Old.Kind == btree.KindNone:
		return fmt.Errorf("%w: %q", ErrBucketNotFound, path)
	}
	return fmt.Errorf("%w: %q", ErrNotBucket, path)
}

// MoveBucket gives the bucket at the path from another path, whose last name is free and whose others are there. What is in
// it is not touched. A bucket can't be moved into itself.
//
// ErrBucketNotFound, ErrNotBucket, ErrBucketExists, ErrKeyEmpty, ErrKeyTooLarge; after an error nothing has moved.
func (tx *Tx) MoveBucket(from, to [][]byte) error {
	within := len(from) > 0 && len(to) > len(from) && slices.EqualFunc(from, to[:len(from)], slices.Equal)
	return tx.Try(func() error {
		entry, err := tx.unlinkBucket(from)
		if err != nil {
			return err
		}
		if within {
			return fmt.Errorf("%w: %q is inside of the bucket at %q", ErrBucketExists, to, from)
		}
		return tx.linkBucket(to, entry)
	})
}

// unlinkBucket takes a bucket's entry out and leaves its tree.
func (tx *Tx) unlinkBucket(path [][]byte) (btree.Entry, error) {
	if err := tx.enterWrite(); err != nil {
		return btree.Entry{}, err
	}
	defer tx.exit()
	parent, name, err := tx.split(path)
	if err != nil {
		return btree.Entry{}, err
	}
	var d btree.Delete
	d.Start(tx.w.w, parent.root, name, btree.KindsOf(btree.KindBucket))
	res, err := run(tx.ctx, tx.db, "move bucket", &d)
	tx.w.epoch++
	switch {
	case err != nil:
		return btree.Entry{}, err
	case res.Deleted:
		return res.Old, nil
	case res.Old.Kind == btree.KindNone:
		return btree.Entry{}, fmt.Errorf("%w: %q", ErrBucketNotFound, path)
	}
	return btree.Entry{}, fmt.Errorf("%w: %q", ErrNotBucket, path)
}

// linkBucket puts a bucket's entry in.
func (tx *Tx) linkBucket(path [][]byte, e btree.Entry) error {
	if err := tx.enterWrite(); err != nil {
		return err
	}
	defer tx.exit()
	parent, name, err := tx.split(path)
	if err != nil {
		return err
	}
	var p btree.Put
	p.Start(tx.w.w, parent.root, name, e, btree.KindsOf(btree.KindNone))
	res, err := run(tx.ctx, tx.db, "move bucket", &p)
	tx.w.epoch++
	switch {
	case err != nil || res.Stored:
		return err
	case res.Old.Kind == btree.KindBucket:
		return fmt.Errorf("%w: %q", ErrBucketExists, path)
	}
	return fmt.Errorf("%w: %q", ErrNotBucket, path)
}

// Sequence returns the bucket's sequence, 0 in a new one. If the bucket can't be read it is 0.
func (b *Bucket) Sequence() uint64 {
	if b.tx.open() != nil || b.ready() != nil {
		return 0
	}
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
	tx := b.tx
	if err := tx.enterWrite(); err != nil {
		return err
	}
	defer tx.exit()
	if err := b.ready(); err != nil {
		return err
	}
	if b.place == nil {
		tx.w.tx.Globals().Sequence = v
		return nil
	}
	p := &tx.w.put
	name := b.place.path[len(b.place.path)-1]
	e := btree.Entry{Kind: btree.KindBucket, Bucket: btree.Bucket{Root: b.root, Sequence: v}}
	p.Start(tx.w.w, b.place.in, name, e, btree.KindsOf(btree.KindBucket))
	if _, err := run(tx.ctx, tx.db, "set sequence", p); err != nil {
		return err
	}
	tx.w.epoch++ // other handles of the bucket look again
	b.place.epoch, b.place.seq = tx.w.epoch, v
	return nil
}

// NextSequence adds one to the bucket's sequence and returns it: numbers that are unique in the bucket.
func (b *Bucket) NextSequence() (uint64, error) {
	if err := b.Err(); err != nil {
		return 0, err
	}
	v := b.Sequence() + 1
	return v, b.SetSequence(v)
}
