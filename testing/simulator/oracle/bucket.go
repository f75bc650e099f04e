package oracle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawldb/pawl"
)

// Bucket is a bucket of one state: an ordered list.
type Bucket struct {
	epoch    uint64
	Sequence uint64
	Entries  []Entry // by key
}

// Entry is a value or, with Bucket set, a bucket.
type Entry struct {
	Key, Value string
	Bucket     *Bucket
}

// Find returns where key is, or would be.
func (b *Bucket) Find(key string) (int, bool) {
	return slices.BinarySearchFunc(b.Entries, key, func(e Entry, key string) int { return strings.Compare(e.Key, key) })
}

// Get returns the entry under key, nil if there is none.
func (b *Bucket) Get(key string) *Entry {
	if i, ok := b.Find(key); ok {
		return &b.Entries[i]
	}
	return nil
}

// At returns the bucket at the end of a path, or the error that a handle of it has.
func (b *Bucket) At(path []string) (*Bucket, error) {
	for _, name := range path {
		switch e := b.Get(name); {
		case e == nil:
			return nil, pawl.ErrBucketNotFound
		case e.Bucket == nil:
			return nil, pawl.ErrNotBucket
		default:
			b = e.Bucket
		}
	}
	return b, nil
}

// Within returns the values with from <= key < to; an empty to is no end.
func (b *Bucket) Within(from, to string) (in []Entry) {
	i, _ := b.Find(from)
	for ; i < len(b.Entries) && (to == "" || b.Entries[i].Key < to); i++ {
		if b.Entries[i].Bucket == nil {
			in = append(in, b.Entries[i])
		}
	}
	return in
}

// Count returns how many values and buckets are below, the bucket itself included.
func (b *Bucket) Count() (keys, trees int64) {
	trees = 1
	for i := range b.Entries {
		if below := b.Entries[i].Bucket; below != nil {
			k, t := below.Count()
			keys, trees = keys+k, trees+t
		} else {
			keys++
		}
	}
	return keys, trees
}

// Own returns how many values and buckets are in the bucket itself.
func (b *Bucket) Own() (keys, buckets int64) {
	for i := range b.Entries {
		if b.Entries[i].Bucket != nil {
			buckets++
		} else {
			keys++
		}
	}
	return keys, buckets
}

// set puts an entry in place of what its key has.
func (b *Bucket) set(e Entry) {
	i, ok := b.Find(e.Key)
	if ok {
		b.Entries[i] = e
		return
	}
	b.Entries = slices.Insert(b.Entries, i, e)
}

// drop removes what is under key.
func (b *Bucket) drop(key string) {
	if i, ok := b.Find(key); ok {
		b.Entries = slices.Delete(b.Entries, i, i+1)
	}
}

// Same reports whether two buckets hold the same.
func Same(a, b *Bucket) bool {
	return a == b || a.Sequence == b.Sequence && slices.EqualFunc(a.Entries, b.Entries, func(x, y Entry) bool {
		return x.Key == y.Key && x.Value == y.Value && (x.Bucket == nil) == (y.Bucket == nil) && (x.Bucket == nil || Same(x.Bucket, y.Bucket))
	})
}

// Is compares an entry with what a cursor has returned.
func (e *Entry) Is(key, value []byte) error {
	switch {
	case string(key) != e.Key:
		return fmt.Errorf("key %q (nil: %v), not %q", key, key == nil, e.Key)
	case (value == nil) != (e.Bucket != nil):
		return fmt.Errorf("key %q: nil value: %v, is a bucket: %v", key, value == nil, e.Bucket != nil)
	case string(value) != e.Value:
		return fmt.Errorf("key %q: value %s, not %s", key, brief(string(value)), brief(e.Value))
	case cap(value) != len(value):
		return fmt.Errorf("key %q: value has room for %d bytes behind it", key, cap(value)-len(value))
	}
	return nil
}

// brief names a value by its length and its beginning.
func brief(v string) string {
	if len(v) > 16 {
		return fmt.Sprintf("of %d bytes, %q...", len(v), v[:16])
	}
	return fmt.Sprintf("%q", v)
}
