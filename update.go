package pawl

import (
	"context"
	"errors"
	"sync"
)

// View calls fn with a read transaction, and ends it. It returns fn's error, or else the first that fn swallowed in a loop or
// a cursor. Slices that fn read stay valid after it.
func (db *DB) View(fn func(*Tx) error) error { return db.ViewContext(context.Background(), fn) }

// ViewContext is View; waits inside end with ctx.
func (db *DB) ViewContext(ctx context.Context, fn func(*Tx) error) error {
	tx, err := db.beginRead(ctx)
	if err != nil {
		return err
	}
	tx.managed = true
	defer tx.finish()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Err()
}

// Update calls fn with a write transaction and commits it if fn returns nil. If fn returns an error, panics, or ends its
// goroutine, everything that it changed is rolled back. It returns fn's error or Commit's.
func (db *DB) Update(fn func(*Tx) error) error { return db.UpdateContext(context.Background(), fn) }

// UpdateContext is Update; ctx counts until the commit is handed to the log.
func (db *DB) UpdateContext(ctx context.Context, fn func(*Tx) error) error {
	tx, err := db.beginWrite(ctx)
	if err != nil {
		return err
	}
	tx.managed = true
	defer tx.finish()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.commitManaged()
}

// batcher collects the calls of Batch that wait while another write transaction is open.
type batcher struct {
	mu    sync.Mutex
	calls []*batchCall
	led   bool // someone is on the way to the writer's turn for all of calls
}

// batchCall is one call of Batch.
type batchCall struct {
	fn       func(*Tx) error
	err      error
	panicked any
	paniced  bool
	done     chan struct{}
}

// errGoexit is what a caller of Batch gets whose function ended the goroutine that ran it.
var errGoexit = errors.New("pawl: the function called runtime.Goexit")

// Batch is Update that shares one commit with the other calls that are waiting for the writer's turn. Each function runs once,
// in a savepoint of its own: its error takes back what it did and is its caller's alone, as is its panic. An error of the
// commit is everybody's, as is what a loop or a cursor of one of them could not return. The function runs on a goroutine of
// its own.
func (db *DB) Batch(fn func(*Tx) error) error {
	call := &batchCall{fn: fn, done: make(chan struct{})}
	b := &db.batch
	b.mu.Lock()
	b.calls = append(b.calls, call)
	lead := !b.led
	b.led = true
	b.mu.Unlock()
	if lead {
		db.leadBatch()
	}
	<-call.done
	if call.paniced {
		panic(call.panicked)
	}
	return call.err
}

// leadBatch waits for the writer's turn, then runs every call that has come by then.
func (db *DB) leadBatch() {
	tx, err := db.beginWrite(context.Background())
	b := &db.batch
	b.mu.Lock()
	calls := b.calls
	b.calls, b.led = nil, false
	b.mu.Unlock()
	if err == nil {
		tx.managed = true
		func() {
			defer tx.finish()
			for _, call := range calls {
				call.run(tx)
			}
			err = tx.commitManaged()
		}()
	}
	for _, call := range calls {
		if call.err == nil && !call.paniced {
			call.err = err
		}
		close(call.done)
	}
}

// run calls the function in a savepoint, on a goroutine of its own so that Goexit ends only that.
func (c *batchCall) run(tx *Tx) {
	ended := make(chan struct{})
	c.err = errGoexit
	go func() {
		defer close(ended)
		defer func() {
			if v := recover(); v != nil {
				c.paniced, c.panicked = true, v
			}
		}()
		c.err = tx.Try(func() error { return c.fn(tx) })
	}()
	<-ended
}
