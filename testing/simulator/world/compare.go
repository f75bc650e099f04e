package world

import (
	"fmt"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/testing/simulator/oracle"
)

// same compares a bucket and all below with what they must hold.
func same(b *pawl.Bucket, want *oracle.Bucket) error {
	if seq := b.Sequence(); seq != want.Sequence && b.Err() == nil {
		return fmt.Errorf("sequence %d, not %d", seq, want.Sequence)
	}
	c := b.Cursor()
	for i := range want.Entries {
		k, v := c.Next()
		if err := c.Err(); err != nil {
			return err
		}
		e := &want.Entries[i]
		if err := e.Is(k, v); err != nil {
			return err
		}
		if e.Bucket != nil {
			if err := same(b.Bucket(k), e.Bucket); err != nil {
				return fmt.Errorf("bucket %q: %w", k, err)
			}
		}
	}
	if k, _ := c.Next(); k != nil {
		return fmt.Errorf("key %q is behind the last", k)
	}
	return c.Err()
}
