package pawl

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A stepping caller learns from the operation that a bucket is not there, in a write transaction too: asking the handle needs no
// I/O until the transaction changes something.
func TestAsyncAbsentBucket(t *testing.T) {
	s := openStage(t, stageDisk(t))
	fill := make([]byte, 900)
	require.NoError(t, s.db.Update(func(tx *Tx) error {
		for i := range 600 {
			if err := tx.Root().Put(fmt.Appendf(nil, "fill%d", i), fill); err != nil {
				return err
			}
		}
		return nil
	}))
	tx, err := s.db.Begin(true)
	require.NoError(t, err)
	absent, err := s.a.Bucket(tx.Root(), b("bucket"), b("none")).Run(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.db.View(func(beside *Tx) error { // nothing of the path stays in memory
		return beside.Root().ForEach(func(_, _ []byte) error { return nil })
	}))
	s.m.SetManual(true) // whoever waits now is stuck
	require.ErrorIs(t, absent.Err(), ErrBucketNotFound)
	require.False(t, absent.Exists())
	s.m.SetManual(false)
	made, err := tx.CreateBucket(b("bucket"), b("none"))
	require.NoError(t, err)
	require.NoError(t, made.Put(b("k"), b("v")))
	require.NoError(t, absent.Err())
	v, err := absent.Get(b("k"))
	require.NoError(t, err)
	require.Equal(t, "v", string(v))
	require.NoError(t, tx.DeleteBucket(b("bucket"), b("none")))
	require.ErrorIs(t, absent.Err(), ErrBucketNotFound)
	require.NoError(t, tx.Bucket(b("bucket")).Put(b("none"), nil))
	require.ErrorIs(t, absent.Err(), ErrNotBucket)
	require.NoError(t, tx.Rollback())
	require.NoError(t, s.db.Close())
}
