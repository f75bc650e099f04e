package pawl

import (
	"fmt"

	"github.com/pawldb/pawl/btree"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// getManyInFlight is how many lookups of a GetMany are under way at a time.
const getManyInFlight = 256

// GetMany looks keys up and sets vals, which is as long as keys, to their values, as Get would return them; nil for a key that
// is absent. Up to 256 lookups are under way at a time, so that the reads of what is not in memory overlap.
//
// ErrIsBucket: a key is a bucket's name. After an error vals is partly set.
func (b *Bucket) GetMany(keys, vals [][]byte) error {
	_, err := runTx(b.tx, "get many", b.getManyOp(keys, vals))
	return err
}

// getManyOp returns the operation of GetMany.
func (b *Bucket) getManyOp(keys, vals [][]byte) *txOp[struct{}] {
	return &txOp[struct{}]{tx: b.tx, b: b, task: &getMany{b: b, keys: keys, vals: vals}}
}

// getMany is a machine that interleaves lookups.
//
//	start up to 256 --> step each that can go on --all wait--> await the oldest --+
//	                       ^                                                      |
//	                       +------------------------------------------------------+
type getMany struct {
	b    *Bucket
	src  btree.Source
	keys [][]byte
	vals [][]byte

	next    int // key to be looked up next
	flights []*getFlight
	spare   []*getFlight
}

// getFlight is one lookup.
type getFlight struct {
	key     int
	find    btree.Find
	large   readLarge
	reading bool           // large
	pending *io.Completion // nil: can be stepped
}

func (m *getMany) begin() error {
	if len(m.keys) != len(m.vals) {
		return fmt.Errorf("%w: %d keys, room for %d values", ErrOptions, len(m.keys), len(m.vals))
	}
	m.src = m.b.tx.source()
	return nil
}

// Step ends when every key was looked up.
func (m *getMany) Step() (types.IOResult[struct{}], error) {
	for {
		if err := m.refill(); err != nil {
			return types.Fail[struct{}](m.Abort(err))
		}
		if len(m.flights) == 0 {
			return types.Done(struct{}{})
		}
		if err := m.stepAll(); err != nil {
			return types.Fail[struct{}](m.Abort(err))
		}
		if len(m.flights) == 0 || m.next < len(m.keys) && len(m.flights) < getManyInFlight {
			continue
		}
		if c := m.flights[0].pending; !c.Done() {
			return types.Wait[struct{}](c)
		}
	}
}

// refill starts lookups; those that memory can answer are over at once.
func (m *getMany) refill() error {
	for m.next < len(m.keys) && len(m.flights) < getManyInFlight {
		i := m.next
		m.next++
		if e, ok := m.src.Lookup(m.b.root, m.keys[i]); ok && e.Kind != btree.KindLarge {
			if err := m.set(i, e); err != nil {
				return err
			}
			continue
		}
		f := new(getFlight)
		if n := len(m.spare); n > 0 {
			f, m.spare = m.spare[n-1], m.spare[:n-1]
		}
		*f = getFlight{key: i}
		f.find.Start(m.src, m.b.root, m.keys[i])
		m.flights = append(m.flights, f)
	}
	return nil
}

// stepAll steps what can go on, and drops what is over.
func (m *getMany) stepAll() error {
	keep := m.flights[:0]
	var failed error
	for _, f := range m.flights {
		over := false
		if failed == nil && (f.pending == nil || f.pending.Done()) {
			if over, failed = m.step(f); failed != nil {
				over = true
			}
		}
		if over {
			m.spare = append(m.spare, f)
		} else {
			keep = append(keep, f)
		}
	}
	clear(m.flights[len(keep):])
	m.flights = keep
	return failed
}

// step steps one lookup. After an error it has ended.
func (m *getMany) step(f *getFlight) (over bool, err error) {
	if f.pending != nil && f.pending.Err() != nil {
		return false, f.abort(f.pending.Err())
	}
	if !f.reading {
		res, err := f.find.Step()
		f.pending = res.Pending
		if err != nil || res.Pending != nil {
			return false, err
		}
		if res.Value.Kind != btree.KindLarge {
			return true, m.set(f.key, res.Value)
		}
		f.large.start(m.b.tx, res.Value.Large)
		f.reading = true
	}
	res, err := f.large.Step()
	f.pending = res.Pending
	if err != nil || res.Pending != nil {
		return false, err
	}
	m.vals[f.key] = res.Value
	return true, nil
}

// set keeps what a lookup found.
func (m *getMany) set(i int, e btree.Entry) error {
	switch e.Kind {
	case btree.KindNone:
		m.vals[i] = nil
	case btree.KindBucket:
		return fmt.Errorf("%w: %q", ErrIsBucket, m.keys[i])
	default:
		m.vals[i] = m.b.tx.valueOf(e)
	}
	return nil
}

// abort ends a lookup.
func (f *getFlight) abort(cause error) error {
	if f.reading {
		return f.large.Abort(cause)
	}
	return f.find.Abort(cause)
}

// Abort ends all lookups.
func (m *getMany) Abort(cause error) error {
	for _, f := range m.flights {
		f.abort(cause)
	}
	m.flights = nil
	return cause
}
