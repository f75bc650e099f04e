package pawl

import (
	"context"
	"sync"
	"time"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// run drives a machine to its end on the caller's goroutine, which lends its thread to the I/O: Op.Run, without an Op where
// nothing has to be waited for.
func run[T any](ctx context.Context, db *DB, what string, s types.Stepper[T]) (T, error) {
	res, err := s.Step()
	if err != nil || res.Pending == nil {
		if err != nil && db.p != nil {
			db.foundFull(err)
		}
		return res.Value, err
	}
	o := Op[T]{db: db, what: what, m: s, begun: true}
	o.note(res.Pending, nil)
	return o.Run(ctx)
}

// Waiting is an operation that waits.
type Waiting struct {
	Operation string        // as "commit"
	On        string        // what it waits for, as "sync" or "the writer's turn"
	For       time.Duration // since it first had to wait
}

// waitList is all operations that wait.
type waitList struct {
	mu             sync.Mutex
	oldest, newest *waitEntry
}

// waitEntry is one of them, and lies in its operation.
type waitEntry struct {
	older, newer *waitEntry
	listed       bool

	what    string
	machine any // of the operation; for those who look from outside at what waits, as the simulator does
	since   int64
	pending *io.Completion
	kind    io.Kind
	on      string
}

// idle reports whether it is background work that has nothing to do yet.
func (w *waitEntry) idle() bool {
	return w.what == backgroundName && (w.on == idleReason || w.kind == io.KindTimer)
}

// on notes that an operation has to wait, and for what.
func (l *waitList) on(w *waitEntry, c *io.Completion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.pending, w.kind, w.on = c, c.Kind(), c.Reason()
	if w.listed {
		return
	}
	w.older, w.listed = l.newest, true
	if l.newest == nil {
		l.oldest = w
	} else {
		l.newest.newer = w
	}
	l.newest = w
}

// leave notes that it is over.
func (l *waitList) leave(w *waitEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.older == nil {
		l.oldest = w.newer
	} else {
		w.older.newer = w.newer
	}
	if w.newer == nil {
		l.newest = w.older
	} else {
		w.newer.older = w.older
	}
	*w = waitEntry{}
}

// Waiting returns every operation of the database that waits for I/O or for another operation, in the order in which they first
// had to.
func (db *DB) Waiting() []Waiting {
	now := db.io.Now()
	db.waits.mu.Lock()
	defer db.waits.mu.Unlock()
	var all []Waiting
	for w := db.waits.oldest; w != nil; w = w.newer {
		if w.idle() {
			continue
		}
		on := w.on
		if on == "" {
			on = w.kind.String()
		}
		all = append(all, Waiting{Operation: w.what, On: on, For: time.Duration(now - w.since)})
	}
	return all
}
