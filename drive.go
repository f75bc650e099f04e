package pawl

import (
	"context"
	"sync"
	"time"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// run drives a machine to its end on the caller's goroutine, which lends its thread to the I/O. If ctx ends first, the machine
// is aborted and the context's error returned, unless the machine is past its point of no return: then run waits for the
// outcome.
func run[T any](ctx context.Context, db *DB, what string, s types.Stepper[T]) (T, error) {
	res, err := s.Step()
	if err == nil && res.Pending != nil {
		res.Value, err = wait(ctx, db, what, s, res.Pending)
	}
	if err != nil && db.p != nil {
		db.foundFull(err)
	}
	return res.Value, err
}

// queuer is a machine with a point of no return.
type queuer interface{ Queued() bool }

// wait is run from where a step had to wait.
func wait[T any](ctx context.Context, db *DB, what string, s types.Stepper[T], pending *io.Completion) (none T, err error) {
	w := db.waits.enter(what, db.io.Now())
	defer db.waits.leave(w)
	for {
		db.waits.on(w, pending)
		if err := db.io.Wait(ctx, pending); err != nil {
			if q, ok := s.(queuer); ok && q.Queued() && ctx.Err() != nil {
				ctx = context.WithoutCancel(ctx)
				continue
			}
			return none, s.Abort(err)
		}
		if err := pending.Err(); err != nil {
			return none, s.Abort(err)
		}
		res, err := s.Step()
		if err != nil || res.Pending == nil {
			return res.Value, err
		}
		pending = res.Pending
	}
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
	what  string
	since int64
	kind  io.Kind
	on    string
}

// enter notes that an operation has to wait.
func (l *waitList) enter(what string, now int64) *waitEntry {
	w := &waitEntry{what: what, since: now}
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
	w.kind, w.on = c.Kind(), c.Reason()
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
		on := w.on
		if on == "" {
			on = w.kind.String()
		}
		all = append(all, Waiting{Operation: w.what, On: on, For: time.Duration(now - w.since)})
	}
	return all
}
