package pager

import (
	"errors"
	"maps"
	"slices"

	"github.com/pawldb/pawl/types"
)

// step is one operation of a script; its error may have been injected.
type step func(w *pagerWorld) error

// pagerScript is a short workload. Together they enter every state of every machine of the pager.
type pagerScript struct {
	name  string
	cache int64
	steps []step
}

// run runs the steps as a program would: it goes on behind errors, and reopens what has failed for good or was closed.
func (s pagerScript) run(w *pagerWorld) {
	w.cs = s.cache
	if w.open() != nil {
		return
	}
	for _, step := range s.steps {
		if err := step(w); err != nil && (errors.Is(err, types.ErrFailed) || w.dead) {
			return
		}
	}
}

func commits(n, adds, edits, frees int) step {
	return repeat(n, func(w *pagerWorld) error { return w.update(false, adds, edits, frees) })
}

func relaxedCommits(n, adds, edits, frees int) step {
	return repeat(n, func(w *pagerWorld) error { return w.update(true, adds, edits, frees) })
}

func repeat(n int, s step) step {
	return func(w *pagerWorld) error {
		for range n {
			if err := s(w); err != nil {
				return err
			}
		}
		return nil
	}
}

func passive(w *pagerWorld) error  { return w.checkpoint(CheckpointPassive) }
func fullCp(w *pagerWorld) error   { return w.checkpoint(CheckpointFull) }
func truncate(w *pagerWorld) error { return w.checkpoint(CheckpointTruncate) }

// reopenCleanly closes the database and opens it again.
func reopenCleanly(w *pagerWorld) error {
	if err := w.close(); err != nil {
		return err
	}
	return w.open()
}

// extents makes a transaction with extents, some of which it frees again.
func extents(sizes ...int) step {
	return func(w *pagerWorld) error {
		tx, err := w.begin()
		if err != nil {
			return err
		}
		for _, n := range sizes {
			if err := w.addExtent(tx, n); err != nil {
				tx.Rollback()
				return err
			}
		}
		if err := w.add(tx); err != nil {
			tx.Rollback()
			return err
		}
		return w.commit(tx, false)
	}
}

// replaceExtents makes a transaction that frees all extents and makes one.
func replaceExtents(size int) step {
	return func(w *pagerWorld) error {
		tx, err := w.begin()
		if err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(w.now)) {
			if w.now[id].extent > 0 {
				w.free(tx, id)
			}
		}
		if err := w.addExtent(tx, size); err != nil {
			tx.Rollback()
			return err
		}
		return w.commit(tx, false)
	}
}

// savepoints makes a transaction with parts that are kept and parts that are taken back.
func savepoints(w *pagerWorld) error {
	tx, err := w.begin()
	if err != nil {
		return err
	}
	fail := func(err error) error { tx.Rollback(); return err }
	if err := w.add(tx); err != nil {
		return fail(err)
	}
	kept := cloneModel(w.now)
	sp := tx.Savepoint()
	for range 5 {
		if err := w.add(tx); err != nil {
			return fail(err)
		}
	}
	if ids := w.pages(); len(ids) > 2 {
		if err := w.edit(tx, ids[0]); err != nil {
			return fail(err)
		}
		w.free(tx, ids[1])
	}
	tx.RollbackTo(sp)
	w.now = kept
	sp = tx.Savepoint()
	inner := tx.Savepoint()
	if err := w.add(tx); err != nil {
		return fail(err)
	}
	tx.Release(inner)
	if ids := w.pages(); len(ids) > 0 {
		if err := w.edit(tx, ids[0]); err != nil {
			return fail(err)
		}
	}
	tx.Release(sp)
	return w.commit(tx, false)
}

func cloneModel(m testModel) testModel {
	c := make(testModel, len(m))
	for id, v := range m {
		c[id] = v
	}
	return c
}

// rollback makes a transaction that comes to nothing.
func rollback(adds int) step {
	return func(w *pagerWorld) error {
		tx, err := w.begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for range adds {
			if err := w.add(tx); err != nil {
				return err
			}
		}
		return w.addExtent(tx, 1000)
	}
}

// queuedCommits queues commits without waiting, and then makes the last durable.
func queuedCommits(n int) step {
	return func(w *pagerWorld) error {
		for range n {
			tx, err := w.begin()
			if err != nil {
				return err
			}
			if err := w.add(tx); err != nil {
				tx.Rollback()
				return err
			}
			if err := w.commit(tx, true); err != nil {
				return err
			}
		}
		return w.update(false, 0, 1, 0)
	}
}

// heldReader runs steps beside a reader that stays open, which must see its snapshot all the while.
func heldReader(steps ...step) step {
	return func(w *pagerWorld) error {
		var r Reader
		r.Start(w.p)
		defer r.Close()
		for _, s := range steps {
			err := s(w)
			if w.dead {
				return err
			}
			if bad := w.verifyAt(&r, w.models); bad != nil && w.strict {
				w.t.Fatalf("held reader: %v", bad)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// manyReaders keeps readers of several generations open and reads through all of them again and again, while blocks that
// only some need are given up and used again. They leave in another order than they came.
func manyReaders(rounds int) step {
	return func(w *pagerWorld) error {
		var readers []*Reader
		defer func() {
			for _, r := range readers {
				r.Close()
			}
		}()
		for round := range rounds {
			for _, s := range []step{commits(1, 2, 5, 1), fullCp, replaceExtents(600), commits(1, 1, 2, 1)} {
				if err := s(w); err != nil {
					return err
				}
			}
			r := new(Reader)
			r.Start(w.p)
			readers = append(readers, r)
			if leave := (round + 2) % 3; leave < 2 && len(readers) > leave+1 { // the second, the oldest, none
				readers[1-leave].Close()
				readers = slices.Delete(readers, 1-leave, 2-leave)
			}
			for _, r := range readers {
				if bad := w.verifyAt(r, w.models); bad != nil && w.strict {
					w.t.Fatalf("reader of commit %d, round %d: %v", r.Seq(), round, bad)
				}
			}
		}
		return nil
	}
}

const bigCache, tinyCache = 256 << 10, 6 << 10

var pagerScripts = []pagerScript{
	{"first commits", bigCache, []step{commits(2, 2, 1, 0), commits(1, 0, 1, 1)}},
	{"checkpoints", bigCache, []step{
		commits(2, 3, 1, 0), passive, commits(2, 2, 2, 1), fullCp, commits(1, 1, 1, 1), truncate, commits(1, 1, 0, 0),
	}},
	{"relaxed", bigCache, []step{relaxedCommits(3, 1, 1, 0), passive, relaxedCommits(2, 1, 0, 1), queuedCommits(2)}},
	{"close and open", bigCache, []step{commits(2, 2, 0, 0), reopenCleanly, commits(1, 1, 1, 0), reopenCleanly}},
	{"extents", bigCache, []step{extents(100, 3000), commits(1, 1, 0, 1), fullCp, commits(2, 0, 1, 2), fullCp}},
	{"spill", tinyCache, []step{commits(1, 30, 5, 3), commits(1, 2, 4, 5), fullCp, commits(1, 5, 6, 4)}},
	{"savepoints", tinyCache, []step{commits(1, 4, 0, 0), savepoints, rollback(20), savepoints, fullCp}},
	{"held reader", tinyCache, []step{
		commits(2, 4, 0, 0), heldReader(commits(2, 2, 3, 1), fullCp, commits(2, 1, 2, 1), fullCp, commits(1, 1, 1, 0)), fullCp,
	}},
	{"shrinking", bigCache, []step{commits(2, 40, 0, 0), fullCp, commits(4, 0, 0, 18), truncate, truncate, commits(1, 2, 0, 0)}},
	{"moving beside a reader", coldCache, []step{
		commits(1, 30, 0, 0), extents(700, 1500), fullCp, commits(2, 0, 0, 12), heldReader(truncate, commits(1, 1, 1, 0)), truncate,
	}},
	{"spilling again", coldCache, []step{commits(1, 3, 0, 0), spilling(18, 3, 1), fullCp, spilling(17, 4, 5), commits(1, 1, 3, 1)}},
	{"spilled savepoints", coldCache, []step{commits(1, 4, 0, 0), fullCp, spilledSavepoints, fullCp, spilledSavepoints}},
	{"many readers", coldCache, []step{commits(1, 9, 0, 0), manyReaders(3), fullCp, commits(1, 1, 1, 1)}},
	{"the map grows", bigCache, []step{commits(1, 20, 0, 0), fullCp, commits(1, 30, 0, 0), fullCp, commits(1, 0, 2, 2), fullCp}},
}
