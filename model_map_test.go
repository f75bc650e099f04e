package pawl

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// modelBucket is a bucket as a sorted list. Buckets are shared between the states of a model: one is changed only in the
// epoch that made it, and copied in a later one.
type modelBucket struct {
	epoch   int
	seq     uint64
	entries []modelEntry
}

// modelEntry is a value or a bucket.
type modelEntry struct {
	key, value string
	bucket     *modelBucket // nil: a value
}

// find returns where key is, or would be.
func (m *modelBucket) find(key string) (int, bool) {
	return slices.BinarySearchFunc(m.entries, key, func(e modelEntry, key string) int { return strings.Compare(e.key, key) })
}

// get returns the entry under key, nil if there is none.
func (m *modelBucket) get(key string) *modelEntry {
	if i, ok := m.find(key); ok {
		return &m.entries[i]
	}
	return nil
}

// set puts an entry in place of what its key has.
func (m *modelBucket) set(e modelEntry) {
	i, ok := m.find(e.key)
	if ok {
		m.entries[i] = e
		return
	}
	m.entries = slices.Insert(m.entries, i, e)
}

// drop removes what is under key.
func (m *modelBucket) drop(key string) {
	if i, ok := m.find(key); ok {
		m.entries = slices.Delete(m.entries, i, i+1)
	}
}

// at returns the bucket at the end of a path, or the error that a handle of it has.
func (m *modelBucket) at(path []string) (*modelBucket, error) {
	for _, name := range path {
		switch e := m.get(name); {
		case e == nil:
			return nil, ErrBucketNotFound
		case e.bucket == nil:
			return nil, ErrNotBucket
		default:
			m = e.bucket
		}
	}
	return m, nil
}

// count returns how many values and buckets are below, the bucket itself included.
func (m *modelBucket) count() (keys, trees int64) {
	trees = 1
	for i := range m.entries {
		if below := m.entries[i].bucket; below != nil {
			k, t := below.count()
			keys, trees = keys+k, trees+t
		} else {
			keys++
		}
	}
	return keys, trees
}

// same compares a bucket and all below with the model, in one direction or the other.
func (m *modelBucket) same(b *Bucket, backward bool) error {
	if seq := b.Sequence(); seq != m.seq {
		return fmt.Errorf("sequence %d, not %d", seq, m.seq)
	}
	c := b.Cursor()
	move, i, step := c.Next, 0, 1
	if backward {
		move, i, step = c.Prev, len(m.entries)-1, -1
	}
	for ; i >= 0 && i < len(m.entries); i += step {
		k, v := move()
		if err := m.entries[i].is(k, v); err != nil {
			return errors.Join(err, c.Err())
		}
		if below := m.entries[i].bucket; below != nil {
			if err := below.same(b.Bucket(k), backward); err != nil {
				return fmt.Errorf("bucket %q: %w", k, err)
			}
		}
	}
	if k, _ := move(); k != nil {
		return fmt.Errorf("key %q is behind the last", k)
	}
	return c.Err()
}

// is compares an entry with what a cursor returned.
func (e *modelEntry) is(key, value []byte) error {
	switch {
	case string(key) != e.key:
		return fmt.Errorf("key %q (nil: %v), not %q", key, key == nil, e.key)
	case (value == nil) != (e.bucket != nil):
		return fmt.Errorf("key %q: nil value: %v, is a bucket: %v", key, value == nil, e.bucket != nil)
	case string(value) != e.value:
		return fmt.Errorf("key %q: value of %d bytes, not that of %d", key, len(value), len(e.value))
	case cap(value) != len(value):
		return fmt.Errorf("key %q: value has room for %d bytes behind it", key, cap(value)-len(value))
	}
	return nil
}

// names returns a path as the API takes it.
func names(path []string) [][]byte {
	out := make([][]byte, len(path))
	for i, name := range path {
		out[i] = []byte(name)
	}
	return out
}

// below returns the path of something in the bucket at path.
func below(path []string, name ...string) []string { return slices.Concat(path, name) }

// within returns the entries with keys >= from and < to that are values, nil as to being no end.
func (m *modelBucket) within(from, to []byte) []modelEntry {
	var in []modelEntry
	for _, e := range m.entries {
		key := []byte(e.key)
		if e.bucket == nil && bytes.Compare(key, from) >= 0 && (to == nil || bytes.Compare(key, to) < 0) {
			in = append(in, e)
		}
	}
	return in
}
