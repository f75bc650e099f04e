package pawl

import (
	"fmt"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// txUse says what kind of transaction an operation needs.
type txUse uint8

const (
	useAny      txUse = iota
	useWrite          // a write transaction
	useReadOnly       // a read transaction
)

// use is enter for an operation of a kind.
func (tx *Tx) use(use txUse) error {
	switch use {
	case useWrite:
		return tx.enterWrite()
	case useReadOnly:
		return tx.enterRead()
	}
	return tx.enter()
}

// task is what is special about an operation in a transaction. begin readies it, once the transaction is entered and the
// bucket is there; it waits for nothing, and after an error nothing has begun. Then it is a machine.
type task[T any] interface {
	begin() error
	types.Stepper[T]
}

type txOpState uint8

const (
	txOpEnter  txOpState = iota // work: nobody else uses the transaction
	txOpBucket                  // await: the bucket is found, if it may have moved
	txOpTask                    // await
	txOpEnded                   // end
)

// txOp is the machine of every operation in a transaction. From enter to its end the operation has the transaction: in a write
// transaction for itself, and with it the machines that the transaction keeps.
//
//	enter --> bucket --> task --> ended (exit)
type txOp[T any] struct {
	tx   *Tx
	b    *Bucket // nil: none has to be there
	use  txUse
	task task[T]

	state txOpState
	find  *findBucket // bucket
}

// Step goes on with the operation.
func (o *txOp[T]) Step() (types.IOResult[T], error) {
	for {
		switch o.state {
		case txOpEnter:
			if err := o.tx.use(o.use); err != nil {
				o.state = txOpEnded
				return types.Fail[T](err)
			}
			o.state = txOpBucket

		case txOpBucket:
			if o.b != nil && o.b.stale() {
				if o.find == nil {
					o.find = newFindBucket(o.b)
				}
				res, err := o.find.Step()
				if res.Pending != nil {
					return types.Wait[T](res.Pending)
				}
				if err != nil {
					return types.Fail[T](o.end(err))
				}
			}
			if o.b != nil && o.b.err != nil {
				return types.Fail[T](o.end(o.b.err))
			}
			if err := o.task.begin(); err != nil {
				return types.Fail[T](o.end(err))
			}
			o.state = txOpTask

		case txOpTask:
			res, err := o.task.Step()
			if err != nil || res.Pending == nil {
				o.end(nil)
			}
			return res, err

		default:
			panic(invariant.Failf("pawl: operation stepped in state %d", o.state))
		}
	}
}

// end ends the operation.
func (o *txOp[T]) end(err error) error {
	o.state, o.find = txOpEnded, nil
	o.tx.exit()
	return err
}

// Abort leaves the transaction as it was before.
func (o *txOp[T]) Abort(cause error) error {
	switch {
	case o.state == txOpTask:
		cause = o.task.Abort(cause)
	case o.state != txOpBucket:
		return cause
	case o.find != nil:
		cause = o.find.Abort(cause)
	}
	return o.end(cause)
}

// runTx drives an operation in a transaction.
func runTx[T any](tx *Tx, what string, o *txOp[T]) (T, error) { return run(tx.ctx, tx.db, what, o) }

// step is a task that is one machine of a layer below.
type step[A, T any] struct {
	ready func() (types.Stepper[A], error) // makes the machine
	done  func(A) (T, error)               // its result to the operation's
	types.Stepper[A]
}

func (s *step[A, T]) begin() (err error) {
	s.Stepper, err = s.ready()
	return err
}

func (s *step[A, T]) Step() (types.IOResult[T], error) {
	res, err := s.Stepper.Step()
	switch {
	case err != nil:
		return types.Fail[T](err)
	case res.Pending != nil:
		return types.Wait[T](res.Pending)
	}
	value, err := s.done(res.Value)
	return types.IOResult[T]{Value: value}, err
}

// asIs is the done of a machine whose result is the operation's.
func asIs[T any](v T) (T, error) { return v, nil }

// findBucket is a machine that finds a bucket along its path and notes in the handle where it is, or that it is not there. If
// it could not be found out the handle is as it was.
type findBucket struct {
	b *Bucket

	depth   int          // names that were followed
	in      types.PageID // tree that has the last one's entry
	root    types.PageID // tree that it leads to
	seq     uint64
	find    btree.Find
	finding bool
	met     types.PageID // the root at a depth of 1, 2, 4 and so on
}

// newFindBucket returns the machine.
func newFindBucket(b *Bucket) *findBucket { return &findBucket{b: b} }

// Step follows the path. In a damaged file a path may go round in circles: then one of the roots that are kept in turn, one at a
// time, comes again within twice the length of the circle.
func (f *findBucket) Step() (types.IOResult[struct{}], error) {
	path := f.b.place.path
	for f.depth < len(path) {
		var e btree.Entry
		ok := false
		if !f.finding {
			src := f.b.tx.source()
			if e, ok = src.Lookup(f.root, path[f.depth]); !ok {
				f.find.Start(src, f.root, path[f.depth])
				f.finding = true
			}
		}
		if !ok {
			res, err := f.find.Step()
			if err != nil || res.Pending != nil {
				return types.IOResult[struct{}]{Pending: res.Pending}, err
			}
			e, f.finding = res.Value, false
		}
		f.depth++
		switch e.Kind {
		case btree.KindBucket:
			if e.Bucket.Root == f.met {
				detail := fmt.Sprintf("the bucket at %q is one of those it is in", path[:f.depth])
				return f.end(&CorruptError{File: f.b.tx.db.path, Page: f.met, Detail: detail})
			}
			if f.depth&(f.depth-1) == 0 {
				f.met = e.Bucket.Root
			}
			f.in, f.root, f.seq = f.root, e.Bucket.Root, e.Bucket.Sequence
		case btree.KindNone:
			return f.end(fmt.Errorf("%w: %q", ErrBucketNotFound, path[:f.depth]))
		default:
			return f.end(fmt.Errorf("%w: %q", ErrNotBucket, path[:f.depth]))
		}
	}
	return f.end(nil)
}

// end notes in the handle what was found.
func (f *findBucket) end(err error) (types.IOResult[struct{}], error) {
	f.b.err = err
	f.b.root = f.root
	p := f.b.place
	p.epoch, p.in, p.seq, p.seen = f.b.tx.epoch(), f.in, f.seq, f.b.tx.mutations()
	return types.Done(struct{}{})
}

// Abort ends the search.
func (f *findBucket) Abort(cause error) error {
	if f.finding {
		return f.find.Abort(cause)
	}
	return cause
}
