package pawl

import (
	"fmt"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// createOp returns the operation of CreateBucket.
func (tx *Tx) createOp(path [][]byte) *txOp[*Bucket] {
	return &txOp[*Bucket]{tx: tx, use: useWrite, task: &createBucket{tx: tx, path: path}}
}

// parentOf is a part of a machine that finds the bucket that holds the last name of a path, or should.
type parentOf struct {
	b    *Bucket
	name []byte
	find *findBucket
}

// begin checks the path.
func (p *parentOf) begin(tx *Tx, path [][]byte) error {
	*p = parentOf{}
	if len(path) == 0 {
		return ErrKeyEmpty
	}
	p.name = path[len(path)-1]
	if err := tx.checkKey(p.name); err != nil {
		return err
	}
	if p.b = tx.root.at(path[:len(path)-1]); p.b.place != nil {
		p.find = newFindBucket(p.b)
	}
	return nil
}

// at returns a handle of the bucket at the end of a path from b, b itself if that is empty; not found yet.
func (b *Bucket) at(path [][]byte) *Bucket {
	if len(path) == 0 {
		return b
	}
	return b.below(path)
}

// step ends when the bucket was found, or with why it can't be.
func (p *parentOf) step() (types.IOResult[struct{}], error) {
	if p.find != nil {
		res, err := p.find.Step()
		if err != nil || res.Pending != nil {
			return res, err
		}
		p.find = nil
	}
	if p.b.err != nil {
		return types.Fail[struct{}](p.b.err)
	}
	return types.Done(struct{}{})
}

// abort ends the search.
func (p *parentOf) abort(cause error) error {
	if p.find != nil {
		return p.find.Abort(cause)
	}
	return cause
}

type createState uint8

const (
	createParent createState = iota // await: the bucket that it is to be in
	createMake                      // await
	createEnded                     // end
)

// createBucket is a machine that makes a bucket at the end of a path from the root. It ends with a handle of it.
//
//	parent --> make --> ended
type createBucket struct {
	tx       *Tx
	path     [][]byte
	existing bool // one that is there will do

	state  createState
	parent parentOf
	make   btree.CreateBucket
}

func (c *createBucket) begin() error { return c.parent.begin(c.tx, c.path) }

// Step goes on with making.
func (c *createBucket) Step() (types.IOResult[*Bucket], error) {
	for {
		switch c.state {
		case createParent:
			res, err := c.parent.step()
			switch {
			case err != nil:
				return types.Fail[*Bucket](err)
			case res.Pending != nil:
				return types.Wait[*Bucket](res.Pending)
			}
			c.make.Start(c.tx.w.w, c.parent.b.root, c.parent.name)
			c.state = createMake

		case createMake:
			res, err := c.make.Step()
			switch {
			case err != nil:
				return types.Fail[*Bucket](err)
			case res.Pending != nil:
				return types.Wait[*Bucket](res.Pending)
			}
			c.state = createEnded
			return c.made(res.Value)

		default:
			panic(invariant.Failf("pawl: createBucket stepped in state %d", c.state))
		}
	}
}

// made returns the handle.
func (c *createBucket) made(res btree.CreateResult) (types.IOResult[*Bucket], error) {
	switch {
	case res.Created:
		c.tx.w.epoch++ // handles that did not find it may find it now
	case res.Entry.Kind != btree.KindBucket:
		return types.Fail[*Bucket](fmt.Errorf("%w: %q", ErrNotBucket, c.path))
	case !c.existing:
		return types.Fail[*Bucket](fmt.Errorf("%w: %q", ErrBucketExists, c.path))
	}
	b := c.tx.root.below(c.path)
	b.root = res.Entry.Bucket.Root
	b.place.in, b.place.seq = c.parent.b.root, res.Entry.Bucket.Sequence
	return types.Done(b)
}

// Abort leaves the transaction as it was.
func (c *createBucket) Abort(cause error) error {
	switch c.state {
	case createParent:
		return c.parent.abort(cause)
	case createMake:
		return c.make.Abort(cause)
	}
	return cause
}

// createAllOp returns the operation of CreateBucketIfNotExists.
func (tx *Tx) createAllOp(path [][]byte) *txOp[*Bucket] {
	return &txOp[*Bucket]{tx: tx, use: useWrite, task: &createBuckets{tx: tx, path: path}}
}

// createBuckets is a machine that makes the buckets of a path that are missing, all or none, in a savepoint.
//
//	found --all are there--> ended
//	  \--> each, from the root down --> ended
type createBuckets struct {
	tx   *Tx
	path [][]byte

	whole  *Bucket
	find   *findBucket // found
	save   savepoint   // each
	depth  int         // buckets that are there
	each   createBucket
	making bool // each
}

func (c *createBuckets) begin() error {
	if len(c.path) == 0 {
		return ErrKeyEmpty
	}
	c.whole = c.tx.root.below(c.path)
	c.find = newFindBucket(c.whole)
	return nil
}

// Step goes on with making.
func (c *createBuckets) Step() (types.IOResult[*Bucket], error) {
	if c.find != nil {
		res, err := c.find.Step()
		switch {
		case err != nil:
			return types.Fail[*Bucket](err)
		case res.Pending != nil:
			return types.Wait[*Bucket](res.Pending)
		case c.whole.err == nil:
			return types.Done(c.whole)
		}
		c.find = nil
		c.save = c.tx.savepoint()
	}
	for {
		if !c.making {
			c.each = createBucket{tx: c.tx, path: c.path[:c.depth+1], existing: true}
			if err := c.each.begin(); err != nil {
				return types.Fail[*Bucket](c.undo(err))
			}
			c.making = true
		}
		res, err := c.each.Step()
		switch {
		case err != nil:
			return types.Fail[*Bucket](c.undo(err))
		case res.Pending != nil:
			return types.Wait[*Bucket](res.Pending)
		}
		c.making = false
		if c.depth++; c.depth == len(c.path) {
			c.tx.keep(c.save)
			return types.Done(res.Value)
		}
	}
}

// undo takes back what was made.
func (c *createBuckets) undo(err error) error {
	c.tx.undo(c.save)
	return err
}

// Abort leaves the transaction as it was.
func (c *createBuckets) Abort(cause error) error {
	switch {
	case c.find != nil:
		return c.find.Abort(cause)
	case c.making:
		cause = c.each.Abort(cause)
	}
	return c.undo(cause)
}
