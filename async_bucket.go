package pawl

import (
	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/types"
)

// Bucket is Bucket.Bucket: it ends with a handle of the bucket at the end of a path of names from b, which carries its error if
// there is no such bucket. What kept it from being found out is the operation's error. Tx.Root needs no operation.
func (a *Async) Bucket(b *Bucket, path ...[]byte) *Op[*Bucket] {
	at := b.at(path)
	return txAsync(b.tx, "bucket", &txOp[*Bucket]{tx: b.tx, task: &step[struct{}, *Bucket]{
		ready: func() (types.Stepper[struct{}], error) {
			if at.place == nil {
				return ended{}, nil
			}
			return newFindBucket(at), nil
		},
		done: func(struct{}) (*Bucket, error) { return at, nil },
	}})
}

// ended is a machine that has nothing to do.
type ended struct{}

func (ended) Step() (types.IOResult[struct{}], error) { return types.Done(struct{}{}) }

func (ended) Abort(cause error) error { return cause }

// CreateBucket is Tx.CreateBucket.
func (a *Async) CreateBucket(tx *Tx, path ...[]byte) *Op[*Bucket] {
	return txAsync(tx, "create bucket", tx.createOp(path))
}

// CreateBucketIfNotExists is Tx.CreateBucketIfNotExists.
func (a *Async) CreateBucketIfNotExists(tx *Tx, path ...[]byte) *Op[*Bucket] {
	return txAsync(tx, "create bucket", tx.createAllOp(path))
}

// DeleteBucket is Tx.DeleteBucket.
func (a *Async) DeleteBucket(tx *Tx, path ...[]byte) *Op[struct{}] {
	return txAsync(tx, "delete bucket", tx.dropOp(path))
}

// MoveBucket is Tx.MoveBucket.
func (a *Async) MoveBucket(tx *Tx, from, to [][]byte) *Op[struct{}] {
	return txAsync(tx, "move bucket", tx.moveOp(from, to))
}

// Get is Bucket.Get.
func (a *Async) Get(b *Bucket, key []byte) *Op[[]byte] {
	return txAsync(b.tx, "get", newValueOp(b, key, nil))
}

// GetAppend is Bucket.GetAppend; without an error it ends with dst and the value behind it.
func (a *Async) GetAppend(b *Bucket, dst, key []byte) *Op[[]byte] {
	if dst == nil {
		dst = []byte{}
	}
	return txAsync(b.tx, "get", newValueOp(b, key, dst))
}

// Has is Bucket.Has.
func (a *Async) Has(b *Bucket, key []byte) *Op[bool] {
	return newOp(b.tx.db, "get", &mapped[btree.Entry, bool]{
		Stepper: newEntryOp(b, key),
		done:    func(e btree.Entry) (bool, error) { return values.Has(e.Kind), nil },
	})
}

// GetMany is Bucket.GetMany.
func (a *Async) GetMany(b *Bucket, keys, vals [][]byte) *Op[struct{}] {
	return txAsync(b.tx, "get many", b.getManyOp(keys, vals))
}

// Reader is Bucket.Reader. Its Read and ReadAt block; ReadAt of Async does not.
func (a *Async) Reader(b *Bucket, key []byte) *Op[*ValueReader] {
	return newOp(b.tx.db, "get", &mapped[btree.Entry, *ValueReader]{Stepper: newEntryOp(b, key), done: b.readerOf})
}

// ReadAt is ValueReader.ReadAt: it fills p from the value's offset on, and ends with how many bytes it read. Fewer than p holds
// are no error here: there were no more.
func (a *Async) ReadAt(r *ValueReader, p []byte, offset int64) *Op[int] {
	return txAsync(r.tx, "read", r.readOp(p, offset))
}

// Stats is Bucket.Stats.
func (a *Async) Stats(b *Bucket) *Op[BucketStats] { return txAsync(b.tx, "stats", b.statsOp()) }

// Put is Bucket.Put. key and value stay unchanged until it has ended.
func (a *Async) Put(b *Bucket, key, value []byte) *Op[struct{}] {
	return newOp(b.tx.db, "put", &mapped[bool, struct{}]{Stepper: newPutOp(b, key, value, overAny), done: done[bool]})
}

// PutIfAbsent is Bucket.PutIfAbsent.
func (a *Async) PutIfAbsent(b *Bucket, key, value []byte) *Op[bool] {
	return txAsync(b.tx, "put", newPutOp(b, key, value, btree.KindsOf(btree.KindNone)))
}

// Delete is Bucket.Delete.
func (a *Async) Delete(b *Bucket, key []byte) *Op[struct{}] {
	return txAsync(b.tx, "delete", newDelOp(b, nil, key))
}

// DeleteRange is Bucket.DeleteRange.
func (a *Async) DeleteRange(b *Bucket, from, to []byte) *Op[struct{}] {
	return txAsync(b.tx, "delete range", b.deleteRangeOp(from, to))
}

// Sequence is Bucket.Sequence, with the error of a bucket that is not there.
func (a *Async) Sequence(b *Bucket) *Op[uint64] {
	return txAsync(b.tx, "sequence", &txOp[uint64]{tx: b.tx, b: b, task: &step[struct{}, uint64]{
		ready: func() (types.Stepper[struct{}], error) { return ended{}, nil },
		done:  func(struct{}) (uint64, error) { return b.sequence(), nil },
	}})
}

// SetSequence is Bucket.SetSequence.
func (a *Async) SetSequence(b *Bucket, v uint64) *Op[struct{}] {
	return newOp(b.tx.db, "set sequence", &mapped[uint64, struct{}]{Stepper: b.sequenceOp(v, false), done: done[uint64]})
}

// NextSequence is Bucket.NextSequence.
func (a *Async) NextSequence(b *Bucket) *Op[uint64] {
	return txAsync(b.tx, "set sequence", b.sequenceOp(0, true))
}

// First is Cursor.First. The moves of a cursor in steps end with the entry, whose Key is nil if there is none, or with an
// error, which is not kept: neither Cursor.Err nor Commit returns it. After an error or Abort the cursor is at no entry: First,
// Last and Seek go on from there, Next, Prev and Delete are ErrCursor.
func (a *Async) First(c *Cursor) *Op[Entry] { return a.move(c, toFirst, nil) }

// Last is Cursor.Last; see First.
func (a *Async) Last(c *Cursor) *Op[Entry] { return a.move(c, toLast, nil) }

// Seek is Cursor.Seek; see First.
func (a *Async) Seek(c *Cursor, key []byte) *Op[Entry] { return a.move(c, toKey, key) }

// Next is Cursor.Next; see First.
func (a *Async) Next(c *Cursor) *Op[Entry] { return a.move(c, toNext, nil) }

// Prev is Cursor.Prev; see First.
func (a *Async) Prev(c *Cursor) *Op[Entry] { return a.move(c, toPrev, nil) }

// move returns the operation of a cursor's move.
func (a *Async) move(c *Cursor, move cursorMove, key []byte) *Op[Entry] {
	return txAsync(c.b.tx, "cursor", newMoveOp(c, move, key))
}

// DeleteAt is Cursor.Delete.
func (a *Async) DeleteAt(c *Cursor) *Op[struct{}] {
	return txAsync(c.b.tx, "delete", newDelOp(c.b, c, nil))
}
