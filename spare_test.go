package pawl_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
)

// What a write transaction leaves to the next one is memory alone: nothing that the transaction, its values or its callbacks refer
// to stays until then.
func TestEndedTransactionIsLetGo(t *testing.T) {
	db, err := pawl.OpenMemory(nil)
	require.NoError(t, err)
	defer db.Close()
	key := []byte("key")
	for _, change := range []func(b *pawl.Bucket, value []byte) error{
		func(b *pawl.Bucket, value []byte) error { return b.Put(key, value) },
		func(b *pawl.Bucket, _ []byte) error { _, err := b.Get(key); return err },
		func(b *pawl.Bucket, _ []byte) error { return b.Delete(key) },
	} {
		var gone atomic.Int32
		require.NoError(t, db.Update(func(tx *pawl.Tx) error {
			value, captured := make([]byte, 100), new([1 << 16]byte)
			runtime.AddCleanup(&value[0], func(int) { gone.Add(1) }, 0)
			runtime.AddCleanup(captured, func(int) { gone.Add(1) }, 0)
			tx.OnCommit(func() { captured[0]++ })
			return change(tx.Root(), value)
		}))
		require.Eventually(t, func() bool { runtime.GC(); return gone.Load() == 2 }, 10*time.Second, time.Millisecond)
	}
}
