package btree

import "github.com/pawldb/pawl/types"

// CreateResult says what a CreateBucket found or made.
type CreateResult struct {
	Created bool
	Entry   Entry // the new bucket, or what was there; of a value only the kind
}

// CreateBucket is a machine that puts a new, empty bucket under a key if nothing is there: a Put that makes the root.
type CreateBucket struct{ put Put }

// Start readies the machine. key stays unchanged until the end. Root 0 is the root bucket, as for Put.
func (c *CreateBucket) Start(w *Writer, root types.PageID, key []byte) {
	c.put.Start(w, root, key, Entry{Kind: KindBucket}, KindsOf(KindNone))
}

// Step goes on with making.
func (c *CreateBucket) Step() (types.IOResult[CreateResult], error) {
	res, err := c.put.Step()
	if err != nil {
		return types.Fail[CreateResult](err)
	}
	if res.Pending != nil {
		return types.Wait[CreateResult](res.Pending)
	}
	if !res.Value.Stored {
		return types.Done(CreateResult{Entry: res.Value.Old})
	}
	return types.Done(CreateResult{Created: true, Entry: res.Value.New})
}

// Abort leaves the transaction as it was.
func (c *CreateBucket) Abort(cause error) error { return c.put.Abort(cause) }

// DropBucket is a machine that removes a bucket with all that is in it, all or nothing.
//
//	start -> entry (Delete) --a bucket--> tree (Drop) -> ended
type DropBucket struct {
	w     *Writer
	state dropBucketState
	save  int
	entry Delete
	found DeleteResult
	tree  Drop
}

type dropBucketState uint8

const (
	dropBucketStart dropBucketState = iota // work
	dropBucketEntry                        // await: Delete
	dropBucketTree                         // await: Drop
	dropBucketEnded                        // end
)

// Start readies the machine. key stays unchanged until the end. What is under the key stays if it is no bucket.
func (d *DropBucket) Start(w *Writer, root types.PageID, key []byte) {
	*d = DropBucket{w: w}
	d.entry.Start(w, root, key, KindsOf(KindBucket))
	d.entry.nested = true
}

// Step ends with what was found and whether it was removed.
func (d *DropBucket) Step() (types.IOResult[DeleteResult], error) {
	if d.state == dropBucketStart {
		if err := d.w.begin(); err != nil {
			return types.Fail[DeleteResult](err)
		}
		d.save = d.w.Savepoint()
		d.state = dropBucketEntry
	}
	if d.state == dropBucketEntry {
		res, err := d.entry.Step()
		switch {
		case err != nil:
			return types.Fail[DeleteResult](d.undo(err))
		case res.Pending != nil:
			return types.Wait[DeleteResult](res.Pending)
		}
		d.found = res.Value
		root := types.PageID(0)
		if d.found.Deleted {
			root = d.found.Old.Bucket.Root
		}
		d.tree.Start(d.w, root)
		d.tree.nested = true
		d.state = dropBucketTree
	}
	res, err := d.tree.Step()
	switch {
	case err != nil:
		return types.Fail[DeleteResult](d.undo(err))
	case res.Pending != nil:
		return types.Wait[DeleteResult](res.Pending)
	}
	d.state = dropBucketEnded
	d.w.Release(d.save)
	d.w.end()
	return types.Done(d.found)
}

// undo goes back to where the machine began.
func (d *DropBucket) undo(cause error) error {
	d.state = dropBucketEnded
	d.w.RollbackTo(d.save)
	d.w.end()
	return cause
}

// Abort leaves the transaction as it was.
func (d *DropBucket) Abort(cause error) error {
	switch d.state {
	case dropBucketEntry:
		return d.undo(d.entry.Abort(cause))
	case dropBucketTree:
		return d.undo(d.tree.Abort(cause))
	}
	return cause
}
