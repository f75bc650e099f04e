package pawl

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
)

// Transactions share memory, but none is ever used again: one that has ended says so for as long as it is held, with every
// handle of it, whatever began after it.
func TestClosedTxIsNeverAnother(t *testing.T) {
	db := memory(t, nil)
	require.NoError(t, db.Update(func(tx *Tx) error {
		at, err := tx.CreateBucket(b("bucket"))
		if err != nil {
			return err
		}
		return at.Put(b("k"), b("v"))
	}))
	const n = 3*txSlabSize + 5
	seen := map[*Tx]*Bucket{}
	for i := range n {
		require.NoError(t, db.View(func(tx *Tx) error {
			at := tx.Bucket(b("bucket"))
			seen[tx] = at
			v, err := at.Get(b("k"))
			require.Equal(t, "v", string(v))
			return err
		}), i)
	}
	require.Len(t, seen, n)
	for tx, at := range seen {
		require.ErrorIs(t, tx.Rollback(), ErrTxManaged)
		_, err := at.Get(b("k"))
		require.ErrorIs(t, err, ErrTxClosed)
		require.ErrorIs(t, at.Err(), ErrTxClosed)
		require.ErrorIs(t, tx.Bucket(b("bucket")).Err(), ErrTxClosed)
	}
	require.Zero(t, db.p.OpenReaders())
}

// The first handle of a bucket lies in the transaction, others don't; they know nothing of each other, and names may be long.
func TestFirstBucket(t *testing.T) {
	db := memory(t, nil)
	names := [][]byte{b("a"), b("b"), b(strings.Repeat("c", 32)), b(strings.Repeat("d", 33)), b(strings.Repeat("e", 300))}
	require.NoError(t, db.Update(func(tx *Tx) error {
		for _, name := range names {
			at, err := tx.CreateBucket(name)
			require.NoError(t, err)
			require.NoError(t, at.Put(b("k"), name))
			below, err := tx.CreateBucket(name, b("below"))
			require.NoError(t, err)
			require.NoError(t, below.Put(b("k"), append(b("below "), name...)))
		}
		return nil
	}))
	get := func(at *Bucket) string {
		v, err := at.Get(b("k"))
		require.NoError(t, err)
		return string(v)
	}
	for i := range names {
		require.NoError(t, db.View(func(tx *Tx) error {
			var handles []*Bucket
			for j := range names {
				name := bytes.Clone(names[(i+j)%len(names)])
				handles = append(handles, tx.Bucket(name))
				clear(name) // it was the caller's
			}
			for j, at := range handles {
				name := string(names[(i+j)%len(names)])
				require.Equal(t, name, get(at))
				require.Equal(t, "below "+name, get(at.Bucket(b("below"))))
			}
			require.ErrorIs(t, tx.Bucket(b("none")).Err(), ErrBucketNotFound)
			return nil
		}))
	}
	require.NoError(t, db.View(func(tx *Tx) error {
		absent := tx.Bucket(b("none")) // the first
		require.ErrorIs(t, absent.Err(), ErrBucketNotFound)
		require.Equal(t, "a", get(tx.Bucket(b("a"))))
		require.ErrorIs(t, absent.Err(), ErrBucketNotFound)
		return nil
	}))
	require.NoError(t, db.View(func(tx *Tx) error { // goroutines share a read transaction
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				name := names[i%len(names)]
				if v, err := tx.Bucket(name).Get(b("k")); err != nil || !bytes.Equal(v, name) {
					t.Errorf("%q: %q, %v", name, v, err)
				}
			})
		}
		group.Wait()
		return nil
	}))
}

// A get in a transaction of its own allocates nothing that counts.
func TestViewAllocations(t *testing.T) {
	db := memory(t, nil)
	require.NoError(t, db.Update(func(tx *Tx) error {
		at, err := tx.CreateBucket(b("bucket"))
		if err != nil {
			return err
		}
		for i := range 2000 {
			if err := at.Put(fmt.Appendf(nil, "%05d", i), bytes.Repeat(b("v"), 100)); err != nil {
				return err
			}
		}
		return nil
	}))
	name, key, absent := b("bucket"), b("01000"), b("x")
	get := func(tx *Tx) error { _, err := tx.Bucket(name).Get(key); return err }
	miss := func(tx *Tx) error { _, err := tx.Bucket(name).Get(absent); return err }
	const runs = 1000
	for range 2 {
		n := testing.AllocsPerRun(1, func() {
			for range runs {
				_ = db.View(get)
				_ = db.View(miss)
			}
		})
		if !effort.UnderRace { // under it sync.Pool loses some
			require.LessOrEqual(t, n, 2*runs/txSlabSize+8.0, "a collection takes slabs that are not used up")
		}
	}
}

// What a context carries is let go with its transaction, however many others are begun beside that and held.
func TestContextIsLetGo(t *testing.T) {
	db := memory(t, nil)
	held, err := db.Begin(false)
	require.NoError(t, err)
	defer func() { require.NoError(t, held.Rollback()) }()
	var gone atomic.Bool
	func() {
		carried := new([1 << 16]byte)
		runtime.AddCleanup(carried, func(int) { gone.Store(true) }, 0)
		ctx := context.WithValue(context.Background(), carried, carried)
		require.NoError(t, db.ViewContext(ctx, func(*Tx) error { return nil }))
	}()
	require.NoError(t, db.View(func(*Tx) error { return nil }))
	require.Eventually(t, func() bool { runtime.GC(); return gone.Load() }, 10*time.Second, time.Millisecond)
}
