package pawl

import (
	"context"
	"sync/atomic"

	"github.com/pawldb/pawl/pager"
)

// txSlabSize is how many read transactions are allocated at once, so that one costs less than a hundredth of an allocation.
const txSlabSize = 128

// txSlab is memory for read transactions, each of which is used once: a transaction that has ended is never another one, so
// that its use is always ErrTxClosed. One that is held keeps the slab in memory.
//
// Slabs that are not used up wait in DB.slabs, where each processor finds its own again. Which one a transaction is of shows
// in nothing.
type txSlab struct {
	txs  [txSlabSize]Tx
	used int
	near pager.Near // where the transactions before registered
}

// newReadTx returns a read transaction of the newest snapshot. One with a context of its own lies alone: in a slab the context, and
// all that it carries, would stay for as long as any transaction of that.
func (db *DB) newReadTx(ctx context.Context) *Tx {
	if ctx != context.Background() {
		tx := new(Tx)
		tx.reader.Start(db.p)
		return tx
	}
	slab, _ := db.slabs.Get().(*txSlab)
	if slab == nil {
		slab = new(txSlab)
	}
	tx := &slab.txs[slab.used]
	slab.used++
	tx.reader.StartNear(db.p, &slab.near)
	if slab.used < txSlabSize {
		db.slabs.Put(slab)
	}
	return tx
}

// firstBucket is memory for a transaction's first handle of a bucket, if that lies in the root bucket and has a short name.
// Most transactions have no other.
type firstBucket struct {
	taken  atomic.Bool
	bucket Bucket
	place  place
	path   [1][]byte
	name   [32]byte
}

// handle returns the handle of a bucket below the root that is not found yet, or nil if the memory is taken or too small.
func (f *firstBucket) handle(tx *Tx, name []byte) *Bucket {
	if len(name) > len(f.name) || f.taken.Load() || !f.taken.CompareAndSwap(false, true) {
		return nil
	}
	n := copy(f.name[:], name)
	f.path[0] = f.name[:n:n]
	f.place.path = f.path[:]
	f.place.epoch = tx.epoch()
	f.bucket.tx, f.bucket.place = tx, &f.place
	return &f.bucket
}
