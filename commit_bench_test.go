package pawl_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
)

// BenchmarkCommit is one key a transaction, overwritten at random among 100,000 in a bucket of a database on a disk: full, so
// that each commit is synced, from one goroutine and from sixteen, and relaxed.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name       string
		durability pawl.Durability
		goroutines int
	}{
		{"full", pawl.Full, 1},
		{"full-16", pawl.Full, 16},
		{"relaxed", pawl.Relaxed, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			const keys = 100_000
			db, err := pawl.Open(filepath.Join(b.TempDir(), "db"), &pawl.Options{Durability: c.durability})
			require.NoError(b, err)
			defer func() { require.NoError(b, db.Close()) }()
			key := func(i uint64) []byte {
				k := binary.BigEndian.AppendUint64(nil, i*0x9e3779b97f4a7c15)
				return binary.BigEndian.AppendUint64(k, i)
			}
			name, value := []byte("bucket"), make([]byte, 100)
			require.NoError(b, db.Update(func(tx *pawl.Tx) error {
				bucket, err := tx.CreateBucket(name)
				for i := uint64(0); err == nil && i < keys; i++ {
					err = bucket.Put(key(i), value)
				}
				return err
			}))
			_, err = db.Checkpoint(b.Context(), pawl.Truncate)
			require.NoError(b, err)
			var next atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan error, c.goroutines)
			for g := range c.goroutines {
				go func() {
					v := []byte(fmt.Sprintf("%100d", g))
					for i := next.Add(1); i <= uint64(b.N); i = next.Add(1) {
						k := key(i * 7919 % keys)
						if err := db.Update(func(tx *pawl.Tx) error { return tx.Bucket(name).Put(k, v) }); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range c.goroutines {
				require.NoError(b, <-done)
			}
		})
	}
}

// BenchmarkPutInOrder is one key of those that are put in ascending order, 1,000 a transaction in memory.
func BenchmarkPutInOrder(b *testing.B) {
	db, err := pawl.OpenMemory(nil)
	require.NoError(b, err)
	defer func() { require.NoError(b, db.Close()) }()
	key, value := make([]byte, 16), make([]byte, 100)
	b.ReportAllocs()
	for n := 0; n < b.N; {
		require.NoError(b, db.Update(func(tx *pawl.Tx) error {
			for range min(1000, b.N-n) {
				binary.BigEndian.PutUint64(key, uint64(n))
				if err := tx.Root().Put(key, value); err != nil {
					return err
				}
				n++
			}
			return nil
		}))
	}
}

// A put beside the one before allocates nothing, whether the key was there or not, nor does one that finds its key there and is to
// leave it alone.
func TestPutBesideTheLast(t *testing.T) {
	db, err := pawl.OpenMemory(nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.Update(func(tx *pawl.Tx) error {
		key, value, n := make([]byte, 2), []byte("value"), uint16(0)
		put := func() {
			n++
			binary.BigEndian.PutUint16(key, n)
			require.NoError(t, tx.Root().Put(key, value))
		}
		put()
		require.Zero(t, testing.AllocsPerRun(50, put))
		require.Zero(t, testing.AllocsPerRun(50, func() { require.NoError(t, tx.Root().Put(key, value)) }))
		require.Zero(t, testing.AllocsPerRun(50, func() {
			stored, err := tx.Root().PutIfAbsent(key, value)
			require.NoError(t, err)
			require.False(t, stored)
		}))
		return nil
	}))
}
