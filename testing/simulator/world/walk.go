package world

import (
	"slices"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/oracle"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// save is a savepoint that is open.
type save struct {
	*pawl.Savepoint
	calls int // of OnCommit before it
}

// onCommit gives the transaction a function to call when it is committed.
func (s *session) onCommit(id int) {
	s.calls = append(s.calls, id)
	s.tx.OnCommit(func() { s.called = append(s.called, id) })
}

// notCalled checks that no function was called: there was no commit.
func (s *session) notCalled() {
	if len(s.called) > 0 {
		disk.Violate("there is no commit, and the functions of operations %v were called", s.called)
	}
}

// walker is a cursor that a transaction keeps while it does other things.
type walker struct {
	cursor *pawl.Cursor // nil: there is none
	path   []string
	key    string // its position
}

// walk moves the transaction's cursor some entries on, mostly from where it was left.
func (s *session) walk(op *plan.Op, path []string, key string) {
	wk := &s.walker
	again := wk.cursor != nil && op.Key%4 != 0 // where the cursor is, whatever was changed since
	if again {
		path = wk.path
	}
	want, err := s.root().At(path)
	if err != nil {
		return
	}
	if !again {
		b, _, ok := s.bucket(path)
		if !ok {
			return
		}
		*wk = walker{cursor: b.Cursor(), path: path, key: key}
		at, err := await(s.a, "seek", s.async.Seek(wk.cursor, []byte(key)))
		i, _ := want.Find(key)
		if !s.walked(want, i, at, err) {
			return
		}
	}
	for range op.To {
		i, found := want.Find(wk.key)
		var at pawl.Entry
		if op.Kind == plan.WalkBack {
			i--
			at, err = await(s.a, "prev", s.async.Prev(wk.cursor))
		} else {
			if found {
				i++
			}
			at, err = await(s.a, "next", s.async.Next(wk.cursor))
		}
		if !s.walked(want, i, at, err) {
			return
		}
	}
}

// walked compares where the transaction's cursor has come to with the i-th entry. A move that came to nothing leaves it where it
// was, but for one that failed.
func (s *session) walked(want *oracle.Bucket, i int, at pawl.Entry, err error) bool {
	if !s.check("cursor", err) {
		s.walker = walker{}
		return false
	}
	s.isAt(want, i, at)
	if at.Key != nil {
		s.walker.key = want.Entries[i].Key
	}
	return true
}

// loop goes through the values of a range, or the first few of them, in one direction.
func (s *session) loop(op *plan.Op, b *pawl.Bucket, want *oracle.Bucket, key string) {
	if s.tx.Err() != nil {
		return // it is said only once
	}
	to := s.plan.Key(op.Key + op.To)
	if to < key {
		key, to = to, key
	}
	in := want.Within(key, to)
	entries := b.Range([]byte(key), []byte(to))
	if op.Kind == plan.RangeBack {
		entries = b.RangeBackward([]byte(key), []byte(to))
		slices.Reverse(in)
	}
	n := 0
	for k, v := range entries {
		if n == len(in) {
			disk.Violate("a loop from %q to %q goes on to %q", key, to, k)
		}
		if err := in[n].Is(k, v); err != nil {
			disk.Violate("loop: %v", err)
		}
		s.hold(v, in[n].Value)
		if n++; n == op.Size {
			return
		}
	}
	if s.check("loop", s.tx.Err()) && n < len(in) {
		disk.Violate("a loop from %q to %q ends behind %d of %d values, before %q", key, to, n, len(in), in[n].Key)
	}
}
