package pawl

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchKeys are enough for their pages not to fit into a processor's cache.
const benchKeys = 1_000_000

// benchKey sets key to one of twice benchKeys keys of 16 bytes, of which those of even numbers are there, and returns it.
func benchKey(key []byte, i uint64) []byte {
	binary.BigEndian.PutUint64(key, i*0x9e3779b97f4a7c15) // scattered: multiplying by an odd number loses none
	return key
}

// benchStore returns a database with benchKeys pairs in a bucket, in memory.
func benchStore(tb testing.TB) *DB {
	db, err := OpenMemory(&Options{CacheSize: 1 << 30, CheckpointBytes: 1 << 30})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	const batch = 10_000
	for from := uint64(0); from < benchKeys; from += batch {
		require.NoError(tb, db.Update(func(tx *Tx) error {
			at, err := tx.CreateBucketIfNotExists(b("bucket"))
			if err != nil {
				return err
			}
			key, value := make([]byte, 16), make([]byte, 100)
			for i := from; i < from+batch; i++ {
				if err := at.Put(benchKey(key, 2*i), value); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return db
}

// BenchmarkRead reads pages that are in memory: what a get, a pair of a scan and a seek cost.
func BenchmarkRead(t *testing.B) {
	db := benchStore(t)
	name, key := b("bucket"), make([]byte, 16)
	n := uint64(0)
	next := func(odd uint64) []byte {
		n = n*6364136223846793005 + 1442695040888963407
		return benchKey(key, 2*(n>>32*benchKeys>>32)+odd)
	}
	view := func(fn func(at *Bucket) error) {
		require.NoError(t, db.View(func(tx *Tx) error { return fn(tx.Bucket(name)) }))
	}
	t.Run("get", func(t *testing.B) {
		t.ReportAllocs()
		get := func(tx *Tx) error { _, err := tx.Bucket(name).Get(key); return err }
		for t.Loop() {
			next(0)
			if err := db.View(get); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("get one tx", func(t *testing.B) {
		t.ReportAllocs()
		view(func(at *Bucket) error {
			for t.Loop() {
				if _, err := at.Get(next(0)); err != nil {
					t.Fatal(err)
				}
			}
			return nil
		})
	})
	t.Run("absent", func(t *testing.B) {
		t.ReportAllocs()
		view(func(at *Bucket) error {
			for t.Loop() {
				if _, err := at.Get(next(1)); err != ErrNotFound {
					t.Fatal(err)
				}
			}
			return nil
		})
	})
	scan := func(pairs func(at *Bucket) func(func(k, v []byte) bool)) func(*testing.B) {
		return func(t *testing.B) {
			t.ReportAllocs()
			view(func(at *Bucket) error {
				read, size := 0, 0
				for read < t.N {
					for k, v := range pairs(at) {
						size += len(k) + len(v)
						if read++; read == t.N {
							break
						}
					}
				}
				require.Equal(t, t.N*116, size)
				return nil
			})
		}
	}
	t.Run("pair", scan(func(at *Bucket) func(func(k, v []byte) bool) { return at.All() }))
	t.Run("pair backward", scan(func(at *Bucket) func(func(k, v []byte) bool) { return at.Backward() }))
	t.Run("seek 100", func(t *testing.B) {
		t.ReportAllocs()
		seek := func(tx *Tx) error {
			left := 100
			for range tx.Bucket(name).Range(key, nil) {
				if left--; left == 0 {
					break
				}
			}
			return nil
		}
		for t.Loop() {
			next(0)
			if err := db.View(seek); err != nil {
				t.Fatal(err)
			}
		}
	})
}
