package pawl

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// A handle of a bucket that is not there tells why as of now, not as of when it was made.
func TestHandleOfAbsentBucket(t *testing.T) {
	db := memory(t, nil)
	require.NoError(t, db.Update(func(tx *Tx) error {
		h := tx.Bucket(b("name"))
		require.ErrorIs(t, h.Err(), ErrBucketNotFound)
		require.NoError(t, tx.Root().Put(b("name"), b("v")))
		require.ErrorIs(t, h.Err(), ErrNotBucket)
		require.NoError(t, tx.Root().Delete(b("name")))
		require.ErrorIs(t, h.Err(), ErrBucketNotFound)
		_, err := tx.CreateBucket(b("name"))
		require.NoError(t, err)
		require.NoError(t, h.Err())
		return nil
	}))
}

// A handle answers with ErrTxClosed when its transaction has ended, whatever it knew, and whatever it would look up again.
func TestHandleOfClosedTx(t *testing.T) {
	db := memory(t, nil)
	var there, absent, moved *Bucket
	closed := func(h *Bucket) {
		require.ErrorIs(t, h.Err(), ErrTxClosed)
		require.False(t, h.Exists())
		require.Zero(t, h.Sequence())
		_, err := h.NextSequence()
		require.ErrorIs(t, err, ErrTxClosed)
		_, err = h.Stats()
		require.ErrorIs(t, err, ErrTxClosed)
		require.ErrorIs(t, h.Bucket(b("below")).Err(), ErrTxClosed)
		require.ErrorIs(t, h.GetMany(nil, nil), ErrTxClosed)
		c := h.Cursor()
		k, _ := c.First()
		require.Nil(t, k)
		require.ErrorIs(t, c.Err(), ErrTxClosed)
	}
	require.NoError(t, db.Update(func(tx *Tx) error {
		var err error
		moved, err = tx.CreateBucket(b("moved"))
		require.NoError(t, err)
		absent = tx.Bucket(b("absent"))
		there, err = tx.CreateBucket(b("there"))
		require.NoError(t, err)
		return tx.MoveBucket([][]byte{b("moved")}, [][]byte{b("to")})
	}))
	for _, h := range []*Bucket{there, absent, moved} {
		closed(h)
	}
	require.NoError(t, db.View(func(tx *Tx) error {
		there, absent = tx.Bucket(b("there")), tx.Bucket(b("absent"))
		require.True(t, there.Exists())
		return nil
	}))
	closed(there)
	closed(absent)
}

// A cursor in a write transaction goes on in the bucket that is now where its own was.
func TestCursorOfReplacedBucket(t *testing.T) {
	db := memory(t, nil)
	fill := func(tx *Tx, name, value string) *Bucket {
		at, err := tx.CreateBucket(b(name))
		require.NoError(t, err)
		for _, k := range []string{"a", "b", "c", "d"} {
			require.NoError(t, at.Put(b(k), b(value)))
		}
		return at
	}
	next := func(c *Cursor, key, value string) {
		k, v := c.Next()
		require.NoError(t, c.Err())
		require.Equal(t, key, string(k))
		require.Equal(t, value, string(v))
	}
	require.NoError(t, db.Update(func(tx *Tx) error {
		h := fill(tx, "name", "first")
		c := h.Cursor()
		next(c, "a", "first")
		require.NoError(t, tx.DeleteBucket(b("name")))
		fill(tx, "other", "other") // takes the pages that are free now
		fill(tx, "name", "second")
		next(c, "b", "second")
		require.NoError(t, tx.MoveBucket([][]byte{b("name")}, [][]byte{b("away")}))
		require.NoError(t, tx.MoveBucket([][]byte{b("other")}, [][]byte{b("name")}))
		next(c, "c", "other")
		k, _ := c.Prev()
		require.Equal(t, "b", string(k))
		require.NoError(t, c.Delete())
		next(c, "c", "other")
		has, err := tx.Bucket(b("away")).Has(b("b"))
		require.NoError(t, err)
		require.True(t, has)
		return nil
	}))
}

// A cursor over the root bucket outlives the rollback of what made the root bucket's tree.
func TestCursorOfRootTreeRolledBack(t *testing.T) {
	db := memory(t, nil)
	require.NoError(t, db.Update(func(tx *Tx) error {
		c := tx.Root().Cursor()
		oops := errors.New("oops")
		require.ErrorIs(t, tx.Try(func() error {
			require.NoError(t, tx.Root().Put(b("a"), b("1")))
			k, _ := c.First()
			require.Equal(t, "a", string(k))
			return oops
		}), oops)
		k, _ := c.Next()
		require.NoError(t, c.Err())
		require.Nil(t, k)
		_, err := tx.CreateBucket(b("bucket")) // takes a page that the rollback has freed
		require.NoError(t, err)
		require.NoError(t, tx.Root().Put(b("b"), b("2")))
		k, v := c.Next()
		require.NoError(t, c.Err())
		require.Equal(t, "b", string(k))
		require.Equal(t, "2", string(v))
		return nil
	}))
}
