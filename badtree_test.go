package pawl

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/types"
)

// forge puts an entry of a bucket with any root into the bucket at a path.
func forge(t *testing.T, tx *Tx, root types.PageID, path ...[]byte) {
	t.Helper()
	var p btree.Put
	e := btree.Entry{Kind: btree.KindBucket, Bucket: btree.Bucket{Root: root}}
	p.Start(tx.w.w, tx.Bucket(path[:len(path)-1]...).root, path[len(path)-1], e, btree.KindsOf(btree.KindNone))
	_, err := run(tx.ctx, tx.db, "put", &p)
	require.NoError(t, err)
	tx.w.epoch++
}

// walk reads everything below a bucket, as long as that has an end, and returns the first error.
func walk(b *Bucket, steps *int) error {
	for _, below := range b.Buckets() {
		if *steps++; *steps > 1000 {
			return nil
		}
		if err := below.Err(); err != nil {
			return err
		}
		if err := walk(below, steps); err != nil {
			return err
		}
	}
	return nil
}

// A file in which buckets share roots, or contain themselves, is damaged: what reads it ends, with that error.
func TestForgedBuckets(t *testing.T) {
	for _, c := range []struct {
		name  string
		forge func(t *testing.T, tx *Tx)
		cycle bool
	}{
		{"a bucket in itself", func(t *testing.T, tx *Tx) {
			forge(t, tx, tx.Bucket(b("a")).root, b("a"), b("loop"))
		}, true},
		{"a bucket in one of its own", func(t *testing.T, tx *Tx) {
			forge(t, tx, tx.Bucket(b("a")).root, b("a"), b("b"), b("c"), b("loop"))
		}, true},
		{"two buckets in each other", func(t *testing.T, tx *Tx) {
			_, err := tx.CreateBucket(b("other"))
			require.NoError(t, err)
			forge(t, tx, tx.Bucket(b("a")).root, b("other"), b("x"))
			forge(t, tx, tx.Bucket(b("other")).root, b("a"), b("x"))
		}, true},
		{"the root bucket in a bucket", func(t *testing.T, tx *Tx) {
			forge(t, tx, tx.w.tx.Globals().Root, b("a"), b("loop"))
		}, true},
		{"one tree for two buckets", func(t *testing.T, tx *Tx) {
			forge(t, tx, tx.Bucket(b("a"), b("b")).root, b("twin"))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, err := OpenMemory(nil)
			require.NoError(t, err)
			require.NoError(t, db.Update(func(tx *Tx) error {
				_, err := tx.CreateBucketIfNotExists(b("a"), b("b"), b("c"))
				require.NoError(t, err)
				return tx.Bucket(b("a")).Put(b("key"), b("value"))
			}))
			require.NoError(t, db.Update(func(tx *Tx) error { c.forge(t, tx); return nil }))

			require.ErrorIs(t, Compact(t.Context(), memory(t, nil), db), ErrCorrupt)
			require.NoError(t, db.View(func(tx *Tx) error {
				report, err := tx.Check(t.Context())
				require.NoError(t, err)
				require.ErrorIs(t, report.Err(), ErrCorrupt)
				return nil
			}))
			err = db.View(func(tx *Tx) error {
				steps := 0
				err := walk(tx.Root(), &steps)
				require.Less(t, steps, 1000, "it goes round and round")
				return err
			})
			if c.cycle {
				require.ErrorIs(t, err, ErrCorrupt)
			} else {
				require.NoError(t, err)
			}
			require.NoError(t, db.Close())
		})
	}
}
