package pager

import (
	"bytes"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// Change is a part of a page that is not what the version before has there: Len bytes at At. If From is not 0, they are what that
// version has at From.
type Change struct{ At, Len, From int }

// recorded are the parts of deltas that Record makes, in memory that transactions use one after the other.
type recorded struct {
	parts  wal.Parts
	memory []byte // of which the parts of the transaction are slices
	bytes  int64  // of the transaction's parts
}

const (
	recordChunk = 64 << 10 // memory that is taken at a time

	// recordMost is how many bytes are recorded of one page: what is longer is left to a search, which may find less.
	recordMost = 1 << 10
)

// Record says what has changed of a page from the version before to what Edit has returned and the caller has changed, in the order
// of the page's bytes and behind the pager's header, which it knows. That was the transaction's first change of the page; the next Edit takes it
// back. A commit need not compare the page with what it was then, which costs more than all the rest of a small change. The caller
// may leave Record out.
func (tx *Tx) Record(id types.PageID, changes []Change) {
	d := tx.pages.open[id]
	r := &tx.p.recorded
	if d == nil || d.base == nil || r.bytes > tx.p.dirtyMax()/deltaPart {
		return
	}
	parts := &r.parts
	parts.Reset()
	if is, was := d.data[pageOwnOff:pageIDOff], d.base.data[pageOwnOff:pageIDOff]; !bytes.Equal(is, was) {
		same := 0
		for is[same] == was[same] {
			same++
		}
		parts.Literal(pageOwnOff+same, is[same:])
	}
	n := (bits.Len64(uint64(d.base.version^tx.seq)) + 7) / 8
	parts.Literal(pageVersionOff, d.data[pageVersionOff:pageVersionOff+n])
	for _, c := range changes {
		switch b := d.data[c.At : c.At+c.Len]; {
		case c.Len == 0:
		case c.From != 0:
			parts.Move(c.At, c.Len, c.From)
		case len(b) >= 8 && allZero(b):
			parts.Zero(c.At, c.Len)
		default:
			parts.Literal(c.At, b)
		}
	}
	if b := parts.Bytes(); len(b) <= recordMost {
		d.parts = r.keep(b)
		d.sum = xxhash.Sum64(d.data) // now that it is near
	}
}

// keep returns a copy of parts.
func (r *recorded) keep(parts []byte) []byte {
	if cap(r.memory)-len(r.memory) < len(parts) { // slices of it stay where they are
		r.memory = make([]byte, 0, max(len(parts), recordChunk))
	}
	from := len(r.memory)
	r.memory = append(r.memory, parts...)
	r.bytes += int64(len(parts))
	return r.memory[from:len(r.memory):len(r.memory)]
}

// reset forgets the parts of a transaction that has ended.
func (r *recorded) reset() { r.memory, r.bytes = r.memory[:0], 0 }
