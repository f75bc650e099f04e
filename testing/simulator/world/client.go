package world

import (
	"context"
	"errors"
	"slices"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/oracle"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// clientBody does a client's tasks.
func (w *World) clientBody(a *actor, c *plan.Client) {
	for i := range c.Tasks {
		t := &c.Tasks[i]
		a.waits, a.giveUp = 0, t.GiveUp
		switch t.Kind {
		case plan.Write:
			w.writeTask(a, t)
		case plan.Read:
			w.readTask(a, t)
		case plan.Sync:
			w.syncTask(a)
		case plan.Checkpoint:
			_, err := await(a, "checkpoint", w.db.Async().Checkpoint(pawl.CheckpointMode(t.Mode)))
			w.check("checkpoint", err)
		case plan.Copy:
			w.copyTask(a)
		case plan.Check:
			w.checkTask(a)
		case plan.WriteTo:
			w.writeToTask(a)
		case plan.Compact:
			w.compactTask(a)
		case plan.Close:
			w.closeBody(a)
		case plan.OpenAgain:
			w.openAgainTask(a)
		default:
			disk.Violate("unknown task %q", t.Kind)
		}
		w.bounded()
	}
	a.giveUp = 0
}

// bounded checks that the memory that the database accounts for is within what it may have: CacheSize, half of it more for what a
// transaction is in the middle of, and a little for the smallest caches.
func (w *World) bounded() {
	if s := w.db.Stats(); s.CacheBytes > s.CacheLimit+s.CacheLimit/2+64<<10 {
		disk.Violate("%d bytes are in memory, %d of them changed pages; CacheSize is %d", s.CacheBytes, s.DirtyBytes, s.CacheLimit)
	}
}

// session is a transaction and what it must see.
type session struct {
	*World
	a     *actor
	tx    *pawl.Tx
	async *pawl.Async
	state *oracle.Bucket // of a read transaction
	model *oracle.Tx     // of a write transaction
	saves []save

	calls  []int // the operations that have given a function to OnCommit, and whose part is not taken back
	called []int // those whose functions were called
	walker walker

	handles int                     // that were asked for
	kept    map[string]*pawl.Bucket // by path
}

// root returns what the transaction must see now.
func (s *session) root() *oracle.Bucket {
	if s.model != nil {
		return s.model.Root()
	}
	return s.state
}

// writeTask is a write transaction.
func (w *World) writeTask(a *actor, t *plan.Task) {
	if t.Blocking {
		a.block()
		defer a.unblock()
	}
	tx, err := w.begin(a, true)
	if !w.check("begin", err) {
		return
	}
	model, err := w.hist.Begin(tx.Seq())
	if err != nil {
		disk.Violate("%v", err)
	}
	if t.Relaxed {
		tx.SetDurability(pawl.Relaxed)
	}
	full := !t.Relaxed && !w.era.Relaxed
	s := &session{World: w, a: a, tx: tx, async: w.db.Async(), model: model}
	for i := range t.Ops {
		s.do(&t.Ops[i])
	}
	defer w.compareHeld()
	if t.Leave {
		w.check("rollback", tx.Rollback())
		s.notCalled()
		return
	}
	for model.Savepoints() > 0 { // Commit keeps what is open
		model.Release()
	}
	seq := tx.Seq()
	commit, err := w.hist.Offer(seq, model)
	if err != nil {
		disk.Violate("%v", err)
	}
	w.onlyFull = w.onlyFull && full
	if a.ctx != nil {
		err = tx.Commit()
	} else {
		_, err = await(a, "commit", s.async.Commit(tx))
	}
	switch {
	case err == nil:
		w.counts.Commits++
		if err := w.hist.Visible(commit, full); err != nil {
			disk.Violate("%v", err)
		}
		if !slices.Equal(s.calls, s.called) {
			disk.Violate("operations %v gave functions to OnCommit, those of %v were called", s.calls, s.called)
		}
		return
	case errors.Is(err, errGivenUp): // it is there or not
		w.counts.GivenUp++
	case errors.Is(err, pawl.ErrCommitUnknown):
		w.counts.Unknown++
		w.check("commit", err)
	default:
		w.hist.Refused(commit)
		w.check("commit", err)
	}
	s.notCalled()
}

// begin begins a transaction.
func (w *World) begin(a *actor, writable bool) (*pawl.Tx, error) {
	if a.ctx != nil {
		return w.db.BeginContext(a.ctx, writable)
	}
	return await(a, "begin", w.db.Async().Begin(writable))
}

// readTask is a read transaction.
func (w *World) readTask(a *actor, t *plan.Task) {
	if t.Blocking {
		a.block()
		defer a.unblock()
	}
	tx, err := w.begin(a, false)
	if !w.check("begin", err) {
		return
	}
	s := &session{World: w, a: a, tx: tx, async: w.db.Async(), state: w.snapshot(tx)}
	for i := range t.Ops {
		s.do(&t.Ops[i])
	}
	w.compareHeld()
	if err := tx.Rollback(); err != nil {
		disk.Violate("rollback of a read transaction: %v", err)
	}
}

// snapshot returns what a read transaction must see, and checks that it is new enough.
func (w *World) snapshot(tx *pawl.Tx) *oracle.Bucket {
	seq := tx.Seq()
	state := w.hist.At(seq)
	least := w.hist.Seen()
	if s := w.db.Stats(); s.Failed != nil {
		least = w.hist.Safe() // relaxed commits are gone with the log
		var op *io.OpError
		if errors.As(s.Failed, &op) && disk.IsLog(op.File) && seq > s.Durable {
			disk.Violate("the log has failed behind commit %d, and a transaction that begins sees commit %d", s.Durable, seq)
		}
	}
	if state == nil || seq < least {
		disk.Violate("a transaction sees commit %d; it must be one of %d to %d", seq, least, w.hist.Last())
	}
	if w.onlyFull && !w.era.ReadOnly && !w.disk.Lied() {
		w.hist.Promised(seq) // readers see only what is on stable storage
	}
	return state
}

func (w *World) syncTask(a *actor) {
	seen := w.hist.Seen()
	_, err := await(a, "sync", w.db.Async().Sync())
	if w.check("sync", err) {
		w.hist.Promised(seen)
	}
}

// checkTask goes through the whole structure.
func (w *World) checkTask(a *actor) {
	tx, err := await(a, "begin", w.db.Async().Begin(false))
	if !w.check("begin", err) {
		return
	}
	state := w.snapshot(tx)
	report, err := await(a, "check", w.db.Async().Check(tx))
	if w.check("check", err) {
		w.checkReport(report, state)
	}
	if err := tx.Rollback(); err != nil {
		disk.Violate("rollback of a read transaction: %v", err)
	}
}

// checkReport compares what a check found with what must be there.
func (w *World) checkReport(report pawl.CheckReport, state *oracle.Bucket) {
	if err := report.Err(); err != nil {
		w.check("check", err)
		return
	}
	keys, trees := state.Count()
	if report.Keys != keys || report.Trees != trees {
		disk.Violate("check counts %d keys in %d buckets, there are %d in %d", report.Keys, report.Trees, keys, trees)
	}
}

// check reports whether an operation was successful. An error that nothing explains is a violation.
func (w *World) check(what string, err error) bool {
	if err == nil {
		return true
	}
	if errors.Is(err, errGivenUp) || w.cancelled && errors.Is(err, context.Canceled) {
		w.counts.GivenUp++
		return false
	}
	w.counts.Errors++
	if !w.excused(err) {
		disk.Violate("%s: %v", what, err)
	}
	w.say("  excused   %s: %v", what, err)
	return false
}

// excused reports whether something explains an error.
func (w *World) excused(err error) bool {
	switch {
	case errors.Is(err, disk.ErrInjected), errors.Is(err, io.ErrCancelled):
		return w.disk.Failed()
	case errors.Is(err, pawl.ErrFailed), errors.Is(err, pawl.ErrCommitUnknown):
		return w.disk.Failed() || w.disk.Filled() || w.era.Capacity > 0 || w.disk.Lied() || w.halfClosed
	case errors.Is(err, pawl.ErrFull), errors.Is(err, io.ErrNoSpace):
		return w.disk.Filled() || w.era.Capacity > 0 || w.era.MaxSize > 0
	case errors.Is(err, pawl.ErrSnapshotExpired):
		return w.era.MaxHeldBytes > 0
	case errors.Is(err, pawl.ErrClosed):
		return w.era.Closes()
	case errors.Is(err, pawl.ErrReadOnly):
		return w.era.ReadOnly
	case errors.Is(err, pawl.ErrCorrupt), errors.Is(err, pawl.ErrNotDatabase), errors.Is(err, pawl.ErrVersion),
		errors.Is(err, pawl.ErrLogMissing), errors.Is(err, pawl.ErrLogMismatch):
		return w.disk.Lied()
	}
	return false
}
