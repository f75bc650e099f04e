package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/oracle"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// worldIO is the disk as the engine gets it. Operations that block wait by letting others go on.
type worldIO struct {
	*io.Memory
	w *World
}

// Wait lets others go on until c is done.
func (i worldIO) Wait(ctx context.Context, c *io.Completion) error {
	a := i.w.current
	if c.Done() {
		return nil
	}
	a.pending, a.what, a.states = c, "a call that blocks", a.states[:0]
	defer func() { a.pending, a.what = nil, "" }()
	a.waits++
	if kind := i.w.waits(a, nil); kind == plan.Abandon || a.giveUp > 0 && a.waits >= a.giveUp {
		a.giveUp = 0
		if a.cancel == nil {
			return errGivenUp
		}
		i.w.givesUp(a)
		a.cancel()
		i.w.cancelled = true
	}
	for !c.Done() {
		if err := ctx.Err(); err != nil {
			return err
		}
		a.rest()
	}
	return nil
}

// copyTask makes a copy of a snapshot and looks at it.
func (w *World) copyTask(a *actor) {
	name := w.newName("copy")
	w.ofSnapshot(a, func(tx *pawl.Tx, state *oracle.Bucket) {
		_, err := await(a, "copy", w.db.Async().CopyFile(tx, name))
		if !w.check("copy", err) {
			return
		}
		content, err := w.disk.Bytes(name)
		if err != nil {
			disk.Violate("%s: %v", name, err)
		}
		w.verifyCopy(content, state)
		if w.plan.Tampers() {
			made := &files{content: map[string][]byte{path: content}, hist: w.hist.Clone(), lies: w.disk.Lies()}
			made.hist.Only(tx.Seq())
			w.made = append(w.made, made)
		}
	})
}

// writeToTask does the same with a copy that goes into a writer.
func (w *World) writeToTask(a *actor) {
	w.ofSnapshot(a, func(tx *pawl.Tx, state *oracle.Bucket) {
		var to bytes.Buffer
		_, err := await(a, "write to", w.db.Async().WriteTo(tx, &to))
		if w.check("write to", err) {
			w.verifyCopy(to.Bytes(), state)
		}
	})
}

// ofSnapshot calls fn with a read transaction and what that must see.
func (w *World) ofSnapshot(a *actor, fn func(tx *pawl.Tx, state *oracle.Bucket)) {
	tx, err := await(a, "begin", w.db.Async().Begin(false))
	if !w.check("begin", err) {
		return
	}
	fn(tx, w.snapshot(tx))
	if err := tx.Rollback(); err != nil {
		disk.Violate("rollback of a read transaction: %v", err)
	}
}

// newName returns the name of a file that is not there yet.
func (w *World) newName(what string) string {
	w.copies++
	return fmt.Sprintf("%s%d", what, w.copies)
}

// compactTask compacts the database into a new one. Compact blocks: it is given up where it waits.
func (w *World) compactTask(a *actor) {
	name := w.newName("compact")
	dst, err := await(a, "open", pawl.OpenAsync(name, w.options()))
	if !w.check("open of the database to compact into", err) {
		return
	}
	least := w.hist.Seen()
	err = pawl.Compact(context.Background(), dst, w.db)
	done := w.check("compact", err)
	most := w.hist.Last()
	if w.db.Stats().Failed != nil {
		least = min(least, w.hist.Safe()) // relaxed commits are gone with the log
	}
	if !w.closeOther(a, dst) || !done {
		return
	}
	content, err := w.disk.Bytes(name)
	if err != nil {
		disk.Violate("%s: %v", name, err)
	}
	w.verifyCopy(content, w.hist.Between(least, most)...)
}

// closeOther closes a database that is not the world's, and reports whether that was successful at once.
func (w *World) closeOther(a *actor, db *pawl.DB) bool {
	for first := true; ; first = false {
		_, err := await(a, "close", db.Async().Close())
		if !errors.Is(err, errGivenUp) {
			return w.check("close of another database", err) && first
		}
	}
}

// openAgainTask opens the database a second time, which must fail while it is open.
func (w *World) openAgainTask(a *actor) {
	o := w.options()
	o.LockTimeout = 30 * time.Millisecond
	db, err := await(a, "open", pawl.OpenAsync(path, o))
	switch {
	case errors.Is(err, pawl.ErrLocked):
	case err == nil && w.era.Closes(): // the first one has closed it
		if seq := db.Stats().Seq; seq < w.hist.Safe() || seq > w.hist.Last() {
			disk.Violate("opened again the database is at commit %d, of %d that are safe and %d that there are", seq, w.hist.Safe(), w.hist.Last())
		}
		w.closeOther(a, db)
	case err == nil:
		disk.Violate("the database was opened twice")
	default:
		w.check("second open", err)
	}
}
