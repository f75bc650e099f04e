package pawl

import (
	"context"
	"errors"
	"fmt"
	stdio "io"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// ErrTxWritable means that something was asked of a write transaction that only a read transaction can do: what a write
// transaction sees is on no disk yet.
var ErrTxWritable = errors.New("pawl: transaction is not read-only")

// zeroes is what free space in a stream consists of.
var zeroes [64 << 10]byte

// enterRead is enter for what only a read transaction can do.
func (tx *Tx) enterRead() error {
	if err := tx.open(); err != nil {
		return err
	}
	if tx.w != nil {
		return ErrTxWritable
	}
	return tx.enter()
}

// WriteTo writes a copy of the database as the transaction sees it, a complete database file of its own, and returns its
// length in bytes. Writers and checkpoints go on meanwhile. The copy is a new database: its id is new. Damage in what is
// copied is an error, after parts of it may have been written. A write transaction is ErrTxWritable.
func (tx *Tx) WriteTo(w stdio.Writer) (int64, error) {
	t := &writeTask{tx: tx, w: w}
	_, err := runTx(tx, "copy", t.op())
	return t.written, err
}

// writeTask is a machine that writes a copy to w.
type writeTask struct {
	tx      *Tx
	w       stdio.Writer
	written int64
	copy    pager.Copy
}

// op returns the operation.
func (t *writeTask) op() *txOp[int64] { return &txOp[int64]{tx: t.tx, use: useReadOnly, task: t} }

func (t *writeTask) begin() error {
	t.copy.Start(&t.tx.reader)
	return nil
}

// Step goes on with the copy.
func (t *writeTask) Step() (types.IOResult[int64], error) {
	for {
		res, err := t.copy.Step()
		switch {
		case err != nil:
			return types.Fail[int64](err)
		case res.Pending != nil:
			return types.Wait[int64](res.Pending)
		case res.Value.End():
			return types.Done(t.written)
		}
		n, err := writeChunk(t.w, res.Value)
		t.written += n
		if err != nil {
			return types.Fail[int64](t.copy.Abort(err))
		}
	}
}

// Abort ends the copy.
func (t *writeTask) Abort(cause error) error { return t.copy.Abort(cause) }

// writeChunk writes a part of a copy.
func writeChunk(w stdio.Writer, chunk pager.CopyChunk) (int64, error) {
	written := int64(0)
	for left := int64(chunk.Zeroes); left > 0; {
		n, err := w.Write(zeroes[:min(left, int64(len(zeroes)))])
		written, left = written+int64(n), left-int64(n)
		if err != nil {
			return written, err
		}
	}
	if len(chunk.Data) == 0 {
		return written, nil
	}
	n, err := w.Write(chunk.Data)
	return written + int64(n), err
}

// CopyFile is WriteTo to a new file, on stable storage when it returns. A file that is there already is fs.ErrExist. After an
// error, the end of ctx included, no file of that name is there.
func (tx *Tx) CopyFile(ctx context.Context, path string) (int64, error) {
	return run(ctx, tx.db, "copy", tx.copyOp(path))
}

// copyOp returns the operation of CopyFile.
func (tx *Tx) copyOp(path string) *txOp[int64] {
	return &txOp[int64]{tx: tx, use: useReadOnly, task: &step[int64, int64]{
		ready: func() (types.Stepper[int64], error) {
			f := &copyFile{db: tx.db}
			f.c.Start(&tx.reader, path)
			return f, nil
		},
		done: asIs[int64],
	}}
}

// CheckReport is what Check found.
type CheckReport struct {
	Trees    int64   // buckets, the root bucket included
	Keys     int64   // values
	Pages    int64   // of trees and large values
	Blocks   int64   // of the database file, a page long each
	Problems []error // *CorruptError each
	More     bool    // there were more problems than are kept
}

// Err returns nil if the check found nothing, else all problems as one error.
func (r *CheckReport) Err() error { return errors.Join(r.Problems...) }

// Check reads everything that the transaction can see and holds it together: every page is reachable once, every bucket in
// order, every value whole; the map, the free space and the counts agree. Damage is in the report; the error is for what
// kept it from ending. A write transaction is ErrTxWritable.
func (tx *Tx) Check(ctx context.Context) (CheckReport, error) {
	return run(ctx, tx.db, "check", tx.checkOp())
}

// checkOp returns the operation of Check.
func (tx *Tx) checkOp() *txOp[CheckReport] {
	return &txOp[CheckReport]{tx: tx, use: useReadOnly, task: &checkTask{tx: tx}}
}

// checkTask is its task.
//
//	space --> trees --> ended
type checkTask struct {
	tx     *Tx
	space  pager.CheckMap
	found  pager.MapReport // of space
	trees  btree.Check
	second bool // trees
}

func (t *checkTask) begin() error {
	t.space.Start(&t.tx.reader)
	return nil
}

// Step goes on with the check.
func (t *checkTask) Step() (types.IOResult[CheckReport], error) {
	if !t.second {
		res, err := t.space.Step()
		switch {
		case err != nil:
			return types.Fail[CheckReport](err)
		case res.Pending != nil:
			return types.Wait[CheckReport](res.Pending)
		}
		t.found, t.second = res.Value, true
		t.trees.Start(t.tx.source())
	}
	res, err := t.trees.Step()
	switch {
	case err != nil:
		return types.Fail[CheckReport](err)
	case res.Pending != nil:
		return types.Wait[CheckReport](res.Pending)
	}
	trees := res.Value
	return types.Done(CheckReport{
		Trees: max(trees.Trees, 1), Keys: trees.Keys, Pages: trees.Pages, Blocks: int64(t.found.Blocks),
		Problems: append(t.found.Problems, trees.Problems...), More: t.found.More || trees.More,
	})
}

// Abort ends the check.
func (t *checkTask) Abort(cause error) error {
	if t.second {
		return t.trees.Abort(cause)
	}
	return t.space.Abort(cause)
}

// compactBytes is how much Compact puts into a transaction.
const compactBytes = 4 << 20

// compactor copies one database's keys into another.
type compactor struct {
	ctx   context.Context
	dst   *DB
	tx    *Tx // of dst
	bytes int
	seen  map[uint64]bool // roots of buckets that were copied
}

// Compact copies every bucket, key and sequence of src into dst, which has none, in the order of keys, so that dst's file is
// as small as it can be. It commits every few megabytes: after an error dst has a part. A dst with
// keys or buckets is ErrOptions.
func Compact(ctx context.Context, dst, src *DB) error {
	from, err := src.BeginContext(ctx, false)
	if err != nil {
		return err
	}
	defer from.Rollback()
	c := &compactor{ctx: ctx, dst: dst, seen: map[uint64]bool{}}
	if err := c.begin(); err != nil {
		return err
	}
	defer func() { _ = c.tx.Rollback() }()
	if k, _ := c.tx.Root().Cursor().First(); k != nil {
		return fmt.Errorf("%w: the database to compact into has keys", ErrOptions)
	}
	if err := c.bucket(nil, from.Root()); err != nil {
		return err
	}
	return c.tx.Commit()
}

// begin begins the next transaction.
func (c *compactor) begin() (err error) {
	c.tx, err = c.dst.BeginContext(c.ctx, true)
	c.bytes = 0
	return err
}

// wrote counts what a transaction holds, and begins the next one when it is enough.
func (c *compactor) wrote(n int) error {
	if c.bytes += n; c.bytes < compactBytes {
		return nil
	}
	if err := c.tx.Commit(); err != nil {
		return err
	}
	return c.begin()
}

// bucket copies what is in one bucket.
func (c *compactor) bucket(path [][]byte, from *Bucket) error {
	if err := c.tx.Bucket(path...).SetSequence(from.Sequence()); err != nil {
		return err
	}
	cur := Cursor{b: from}
	for on := cur.to(toFirst, nil); on; on = cur.forward() {
		key, e := cur.c.Key(), cur.c.Entry()
		if e.Kind != btree.KindBucket {
			if err := c.value(path, from, key, e); err != nil {
				return err
			}
			continue
		}
		root := uint64(e.Bucket.Root)
		if c.seen[root] {
			return &CorruptError{File: from.tx.db.path, Page: e.Bucket.Root, Detail: "two buckets have the same root"}
		}
		c.seen[root] = true
		below := append(path[:len(path):len(path)], key)
		if _, err := c.tx.CreateBucket(below...); err != nil {
			return err
		}
		if err := c.bucket(below, from.Bucket(key)); err != nil {
			return err
		}
	}
	return cur.err
}

// value copies one value; a long one is not held in memory.
func (c *compactor) value(path [][]byte, from *Bucket, key []byte, e btree.Entry) error {
	to := c.tx.Bucket(path...)
	if e.Kind == btree.KindLarge {
		r, err := from.Reader(key)
		if err != nil {
			return err
		}
		n, err := to.PutReader(key, r)
		if err != nil {
			return err
		}
		return c.wrote(len(key) + int(min(n, compactBytes)))
	}
	if err := to.Put(key, e.Value); err != nil {
		return err
	}
	return c.wrote(len(key) + len(e.Value))
}
