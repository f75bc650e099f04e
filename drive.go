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
	mu   sync.Mutex
	list map[*waitEntry]struct{}
}

type waitEntry struct {
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

// enter notes that an operation has to wait.
func (l *waitList) enter(what string, machine any, now int64) *waitEntry {
	w := &waitEntry{what: what, machine: machine, since: now}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list == nil {
		l.list = map[*waitEntry]struct{}{}
	}
	l.list[w] = struct{}{}
	return w
}

// on notes what it waits for.
func (l *waitList) on(w *waitEntry, c *io.Completion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.pending, w.kind, w.on = c, c.Kind(), c.Reason()
}

// leave notes that it is over.
func (l *waitList) leave(w *waitEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.list, w)
}

// Waiting returns every operation of the database that waits for I/O or for another operation.
func (db *DB) Waiting() []Waiting {
	now := db.io.Now()
	db.waits.mu.Lock()
	defer db.waits.mu.Unlock()
	var all []Waiting
	for w := range db.waits.list {
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
