package oracle

import (
	"slices"

	"github.com/pawldb/pawl"
)

// Tx is a state that a write transaction changes. Its methods do what those of the database must do, or return the error that
// they must return and change nothing.
type Tx struct {
	root  *Bucket
	epoch *uint64
	saved []*Bucket
}

// Root returns the state. It does not change any more once another one is begun: see Savepoint.
func (t *Tx) Root() *Bucket { return t.root }

// Savepoint begins a part that can be taken back.
func (t *Tx) Savepoint() {
	*t.epoch++
	t.saved = append(t.saved, t.root)
}

// Rollback takes back what was done since the last savepoint.
func (t *Tx) Rollback() {
	*t.epoch++
	t.root = t.saved[len(t.saved)-1]
	t.saved = t.saved[:len(t.saved)-1]
}

// Release keeps it.
func (t *Tx) Release() { t.saved = t.saved[:len(t.saved)-1] }

// Savepoints returns how many there are.
func (t *Tx) Savepoints() int { return len(t.saved) }

// edit returns the bucket at a path, and the buckets on its way, in a form that may be changed.
func (t *Tx) edit(path []string) *Bucket {
	t.root = t.own(t.root)
	b := t.root
	for _, name := range path {
		i, _ := b.Find(name)
		b.Entries[i].Bucket = t.own(b.Entries[i].Bucket)
		b = b.Entries[i].Bucket
	}
	return b
}

// own returns b if this epoch made it, else a copy.
func (t *Tx) own(b *Bucket) *Bucket {
	if b.epoch == *t.epoch {
		return b
	}
	return &Bucket{epoch: *t.epoch, Sequence: b.Sequence, Entries: append(make([]Entry, 0, len(b.Entries)+1), b.Entries...)}
}

// Put sets a value.
func (t *Tx) Put(path []string, key, value string) error {
	b, err := t.root.At(path)
	if err != nil {
		return err
	}
	if e := b.Get(key); e != nil && e.Bucket != nil {
		return pawl.ErrIsBucket
	}
	t.edit(path).set(Entry{Key: key, Value: value})
	return nil
}

// PutIfAbsent sets a value if there is none, and reports whether it did.
func (t *Tx) PutIfAbsent(path []string, key, value string) (bool, error) {
	b, err := t.root.At(path)
	if err != nil {
		return false, err
	}
	switch e := b.Get(key); {
	case e == nil:
		t.edit(path).set(Entry{Key: key, Value: value})
		return true, nil
	case e.Bucket != nil:
		return false, pawl.ErrIsBucket
	}
	return false, nil
}

// Delete removes a value.
func (t *Tx) Delete(path []string, key string) error {
	b, err := t.root.At(path)
	if err != nil {
		return err
	}
	switch e := b.Get(key); {
	case e == nil:
		return nil
	case e.Bucket != nil:
		return pawl.ErrIsBucket
	}
	t.edit(path).drop(key)
	return nil
}

// DeleteRange removes the values of a range.
func (t *Tx) DeleteRange(path []string, from, to string) error {
	b, err := t.root.At(path)
	if err != nil {
		return err
	}
	if len(b.Within(from, to)) > 0 {
		edited := t.edit(path)
		edited.Entries = slices.DeleteFunc(edited.Entries, func(e Entry) bool {
			return e.Bucket == nil && e.Key >= from && (to == "" || e.Key < to)
		})
	}
	return nil
}

// CreateBucket makes a bucket.
func (t *Tx) CreateBucket(path []string) error {
	parent, err := t.root.At(path[:len(path)-1])
	if err != nil {
		return err
	}
	name := path[len(path)-1]
	if e := parent.Get(name); e != nil {
		if e.Bucket != nil {
			return pawl.ErrBucketExists
		}
		return pawl.ErrNotBucket
	}
	t.edit(path[:len(path)-1]).set(Entry{Key: name, Bucket: &Bucket{epoch: *t.epoch}})
	return nil
}

// DeleteBucket drops a bucket with all that is in it.
func (t *Tx) DeleteBucket(path []string) error {
	if _, err := t.root.At(path); err != nil {
		return err
	}
	t.edit(path[:len(path)-1]).drop(path[len(path)-1])
	return nil
}

// MoveBucket gives a bucket another path.
func (t *Tx) MoveBucket(from, to []string) error {
	moved, err := t.root.At(from)
	if err != nil || slices.Equal(from, to) {
		return err
	}
	if len(to) > len(from) && slices.Equal(to[:len(from)], from) {
		return pawl.ErrBucketExists
	}
	into, err := t.root.At(to[:len(to)-1])
	if err != nil {
		return err
	}
	if e := into.Get(to[len(to)-1]); e != nil {
		if e.Bucket != nil {
			return pawl.ErrBucketExists
		}
		return pawl.ErrNotBucket
	}
	t.edit(from[:len(from)-1]).drop(from[len(from)-1])
	t.edit(to[:len(to)-1]).set(Entry{Key: to[len(to)-1], Bucket: moved})
	return nil
}

// SetSequence sets a bucket's number.
func (t *Tx) SetSequence(path []string, v uint64) error {
	if _, err := t.root.At(path); err != nil {
		return err
	}
	t.edit(path).Sequence = v
	return nil
}
