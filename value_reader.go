package pawl

import (
	"errors"
	"fmt"
	stdio "io"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/types"
)

// ValueReader reads a value of any length in parts. It implements io.Reader, io.ReaderAt, io.Seeker and io.Closer. It is good
// until its transaction ends; in a write transaction, until the transaction changes something.
type ValueReader struct {
	tx     *Tx
	value  []byte // of a value that is not large
	large  btree.Large
	size   int64
	at     int64
	closed bool
	seen   uint64
}

// errReaderStale is what a reader in a write transaction returns after a change.
var errReaderStale = errors.New("pawl: the transaction has changed since the reader was made")

// Reader returns a reader of the value under key. ErrNotFound and ErrIsBucket are as for Get.
func (b *Bucket) Reader(key []byte) (*ValueReader, error) {
	e, err := b.lookup(key)
	if err != nil {
		return nil, err
	}
	return b.readerOf(e)
}

// readerOf returns a reader of an entry.
func (b *Bucket) readerOf(e btree.Entry) (*ValueReader, error) {
	if err := notValue(e.Kind); err != nil {
		return nil, err
	}
	r := &ValueReader{tx: b.tx, seen: b.tx.mutations()}
	if e.Kind == btree.KindLarge {
		r.large, r.size = e.Large, e.Large.Size
	} else {
		r.value, r.size = b.tx.valueOf(e), int64(len(e.Value))
	}
	return r, nil
}

// mutations counts the changes of a write transaction.
func (tx *Tx) mutations() uint64 {
	if tx.w == nil {
		return 0
	}
	return tx.w.w.Mutations()
}

// Size returns the value's length in bytes.
func (r *ValueReader) Size() int64 { return r.size }

// Read reads the next part of the value.
func (r *ValueReader) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.at)
	r.at += int64(n)
	if err == stdio.EOF && n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt reads the part of the value at an offset.
func (r *ValueReader) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) > 0 && offset >= r.size && !r.closed {
		return 0, stdio.EOF
	}
	n, err := runTx(r.tx, "read", r.readOp(p, offset))
	if err == nil && n < len(p) {
		err = stdio.EOF
	}
	return n, err
}

// readOp returns the operation of ReadAt.
func (r *ValueReader) readOp(p []byte, offset int64) *txOp[int] {
	return &txOp[int]{tx: r.tx, task: &step[int, int]{
		ready: func() (types.Stepper[int], error) {
			switch {
			case r.closed:
				return nil, ErrTxClosed
			case offset < 0:
				return nil, fmt.Errorf("%w: offset %d", ErrOptions, offset)
			case r.large.Page == 0 || len(p) == 0:
				return copied(copy(p, r.value[min(offset, int64(len(r.value))):])), nil
			case r.seen != r.tx.mutations():
				return nil, errReaderStale
			}
			m := new(btree.ReadLargeAt)
			m.Start(r.tx.source(), r.large, p, offset)
			return m, nil
		},
		done: asIs[int],
	}}
}

// copied is a machine that has read so many bytes.
type copied int

func (n copied) Step() (types.IOResult[int], error) { return types.Done(int(n)) }

func (copied) Abort(cause error) error { return cause }

// Seek sets where the next Read begins.
func (r *ValueReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case stdio.SeekStart:
	case stdio.SeekCurrent:
		offset += r.at
	case stdio.SeekEnd:
		offset += r.size
	default:
		return 0, fmt.Errorf("%w: whence %d", ErrOptions, whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("%w: offset %d", ErrOptions, offset)
	}
	r.at = offset
	return offset, nil
}

// Close ends the reader.
func (r *ValueReader) Close() error {
	r.closed = true
	return nil
}
