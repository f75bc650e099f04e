package pawl

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// dbScript is an operation that is not in a transaction of its own.
type dbScript struct {
	name  string
	first func(s *stage) *Tx // before it; what it returns is committed by the operation
	op    func(s *stage, tx *Tx) anyOp
}

// change begins a transaction with a change in it.
func change(s *stage) *Tx {
	tx, err := s.a.Begin(true).Run(s.Context())
	require.NoError(s, err)
	require.NoError(s, tx.Root().Put(b("changed"), b("yes")))
	return tx
}

func dbScripts() []dbScript {
	commit := func(d Durability) func(s *stage) *Tx {
		return func(s *stage) *Tx {
			tx := change(s)
			tx.SetDurability(d)
			require.NoError(s, tx.Commit())
			return nil
		}
	}
	scripts := []dbScript{
		{"Begin", nil, func(s *stage, _ *Tx) anyOp {
			return checked(s.a.Begin(true), func(tx *Tx) { require.NoError(s, tx.Rollback()) })
		}},
		{"Commit", change, func(s *stage, tx *Tx) anyOp { return plain(s.a.Commit(tx)) }},
		{"Commit, relaxed", func(s *stage) *Tx {
			tx := change(s)
			tx.SetDurability(Relaxed)
			return tx
		}, func(s *stage, tx *Tx) anyOp { return plain(s.a.Commit(tx)) }},
		{"Sync", commit(Relaxed), func(s *stage, _ *Tx) anyOp { return plain(s.a.Sync()) }},
		{"Close", commit(Full), func(s *stage, _ *Tx) anyOp { return plain(s.a.Close()) }},
		{"Close, relaxed", commit(Relaxed), func(s *stage, _ *Tx) anyOp { return plain(s.a.Close()) }},
	}
	for _, mode := range []CheckpointMode{Passive, Complete, Truncate} {
		scripts = append(scripts, dbScript{fmt.Sprint("Checkpoint ", mode), commit(Full), func(s *stage, _ *Tx) anyOp {
			return checked(s.a.Checkpoint(mode), func(r CheckpointResult) { require.Positive(s, r.Covered) })
		}})
	}
	return scripts
}

// Operations on the database, at each of their waits: stepped twice and abandoned there. The database then goes on, or, if it
// was on the way to being closed, is closed; what was committed is there, of a commit that was abandoned all or nothing.
func TestAsyncOnDB(t *testing.T) {
	disk := stageDisk(t)
	var before, after map[string]string
	{
		s := openStage(t, disk)
		require.NoError(t, s.db.View(func(tx *Tx) error { before = content(t, tx); return nil }))
		require.NoError(t, change(s).Commit())
		require.NoError(t, s.db.View(func(tx *Tx) error { after = content(t, tx); return nil }))
		require.NoError(t, s.db.Close())
	}
	waits := 0
	for _, x := range dbScripts() {
		t.Run(x.name, func(t *testing.T) {
			for at := 0; ; at++ {
				s := openStage(t, disk)
				var tx *Tx
				if x.first != nil {
					tx = x.first(s)
				}
				s.m.SetManual(true)
				op := x.op(s, tx)
				pending := s.drive(op, at)
				if pending != nil {
					waits++
					require.ErrorIs(t, op.Abort(errInjected), errInjected)
				}
				require.True(t, op.Ended())
				s.rest()
				if s.db.isClosed() {
					s.open()
				}
				require.NoError(t, s.db.Update(func(tx *Tx) error { return tx.Root().Put(b("x"), nil) }))
				require.NoError(t, s.db.Update(func(tx *Tx) error { return tx.Root().Delete(b("x")) }))
				want := after
				if x.name == "Begin" {
					want = before
				} else if tx != nil && pending != nil { // abandoned: all or nothing
					require.NoError(t, s.db.View(func(tx *Tx) error {
						if has, err := tx.Root().Has(b("changed")); !has {
							want = before
							return err
						}
						return nil
					}))
				}
				s.finish(want)
				if pending == nil {
					return
				}
			}
		})
	}
	require.Greater(t, waits, 30)
}

// Opening, given up at each of its waits, of a new database, of a closed one and of one that needs its log: the next open works.
func TestAsyncOpen(t *testing.T) {
	closed := stageDisk(t)
	s := openStage(t, closed)
	require.NoError(t, change(s).Commit())
	crashed := s.m.Crash(func(int, io.Change) bool { return true })
	require.NoError(t, s.db.Close())
	for name, disk := range map[string]*io.Memory{"new": io.NewMemory(), "closed": closed, "crashed": crashed} {
		t.Run(name, func(t *testing.T) {
			for at := 0; ; at++ {
				s := &stage{T: t, m: disk.Crash(func(int, io.Change) bool { return true })}
				o := stageOptions
				o.IO = s.m
				s.m.SetManual(true)
				open := OpenAsync("db", &o)
				s.db = open.db
				pending := s.drive(plain(open), at)
				if pending != nil {
					require.ErrorIs(t, open.Abort(errInjected), errInjected)
					s.rest()
					require.Zero(t, s.m.InFlight())
					s.open()
				}
				s.rest()
				require.NoError(t, s.db.View(func(tx *Tx) error {
					has, err := tx.Root().Has(b("changed"))
					require.Equal(t, name == "crashed", has)
					return err
				}))
				require.NoError(t, s.db.Close())
				if pending == nil {
					require.Greater(t, at, 3)
					return
				}
			}
		})
	}
}

// One goroutine, several operations at a time: writers get their turn in order, whoever gives up leaves the queue, and what a
// commit has handed on is visible to the next writer.
func TestAsyncInterleaves(t *testing.T) {
	s := openStage(t, stageDisk(t))
	first, err := s.a.Begin(true).Run(t.Context())
	require.NoError(t, err)
	require.NoError(t, first.Root().Put(b("k"), b("first")))
	second, third, fourth := s.a.Begin(true), s.a.Begin(true), s.a.Begin(true)
	for _, op := range []*Op[*Tx]{second, third, fourth} {
		res, err := op.Step()
		require.NoError(t, err)
		require.Equal(t, "the writer's turn", res.Pending.Reason())
	}
	require.Len(t, s.db.Waiting(), 3)
	require.ErrorIs(t, second.Abort(nil), context.Canceled)
	require.NoError(t, second.Abort(nil), "a second time")
	_, err = second.Step()
	require.ErrorIs(t, err, ErrOpEnded)

	s.m.SetManual(true)
	commit := s.a.Commit(first)
	var tx *Tx
	for tx == nil { // the third has its turn before the first is durable
		res, err := commit.Step()
		require.NoError(t, err)
		require.NotNil(t, res.Pending)
		turn, err := third.Step()
		require.NoError(t, err)
		if tx = turn.Value; tx == nil {
			s.settle(res.Pending)
		}
	}
	get := s.a.Get(tx.Root(), b("k"))
	put := s.a.Put(tx.Root(), b("other"), nil)
	var value []byte
	for !get.Ended() || !commit.Ended() {
		if !commit.Ended() {
			res, err := commit.Step()
			require.NoError(t, err)
			if res.Pending != nil {
				s.settle(res.Pending)
			}
		}
		if !get.Ended() {
			res, err := get.Step()
			require.NoError(t, err)
			value = res.Value
			if res.Pending != nil {
				_, err := s.a.Has(tx.Root(), b("k")).Step()
				require.ErrorIs(t, err, ErrTxBusy)
				require.ErrorIs(t, tx.Rollback(), ErrTxBusy)
				s.settle(res.Pending)
			}
		}
	}
	require.Equal(t, "first", string(value))
	require.ErrorIs(t, put.Abort(nil), context.Canceled, "never stepped")
	s.m.SetManual(false)
	require.NoError(t, tx.Rollback())
	last, err := fourth.Run(t.Context())
	require.NoError(t, err)
	_, err = s.a.Commit(last).Run(t.Context())
	require.NoError(t, err)
	require.Empty(t, s.db.Waiting())
	require.NoError(t, s.db.Close())
}

// Close in steps: it waits for transactions and refuses new ones; given up, it leaves the database open.
func TestAsyncClose(t *testing.T) {
	s := openStage(t, stageDisk(t))
	tx, err := s.a.Begin(false).Run(t.Context())
	require.NoError(t, err)
	first, second := s.a.Close(), s.a.Close()
	res, err := first.Step()
	require.NoError(t, err)
	require.Equal(t, "open transactions", res.Pending.Reason())
	_, err = s.a.Begin(false).Step()
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.a.Begin(true).Step()
	require.ErrorIs(t, err, ErrClosed)
	res, err = second.Step()
	require.NoError(t, err)
	require.Equal(t, "another Close", res.Pending.Reason())
	err = first.Abort(errInjected)
	var open *OpenTxError
	require.ErrorAs(t, err, &open)
	require.ErrorIs(t, err, errInjected)
	require.Len(t, open.Readers, 1)
	other, err := s.a.Begin(false).Run(t.Context())
	require.NoError(t, err, "the database is open again")
	require.NoError(t, other.Rollback())
	res, err = second.Step()
	require.NoError(t, err)
	require.Equal(t, "open transactions", res.Pending.Reason(), "it is the second one's to close now")
	require.NoError(t, tx.Rollback())
	_, err = second.Run(t.Context())
	require.NoError(t, err)
	_, err = s.a.Close().Run(t.Context())
	require.NoError(t, err, "closed already")
	_, err = s.a.Sync().Run(t.Context())
	require.ErrorIs(t, err, ErrClosed)
	_, err = s.a.Checkpoint(Passive).Run(t.Context())
	require.ErrorIs(t, err, ErrClosed)
}

// idle steps the background work until it has nothing to do.
func (s *stage) idle(work *Op[struct{}]) {
	for {
		res, err := work.Step()
		require.NoError(s, err)
		require.NotNil(s, res.Pending)
		if res.Pending.Reason() == idleReason {
			return
		}
		s.settle(res.Pending)
	}
}

// The program does the background work itself: relaxed commits become durable after the interval, a long log is moved, what
// was abandoned is carried on; there is one of it, it ends with Close, and given up it can be begun again.
func TestAsyncBackground(t *testing.T) {
	s := &stage{T: t, m: io.NewMemory()}
	var checkpoints []Event
	o := Options{IO: s.m, SyncInterval: time.Minute, CheckpointBytes: 1 << 18, OnEvent: func(e Event) {
		if e.Kind == EventCheckpoint {
			checkpoints = append(checkpoints, e)
		}
	}}
	db, err := OpenAsync("db", &o).Run(t.Context())
	require.NoError(t, err)
	s.db, s.a = db, db.Async()
	work := s.a.Background()
	s.idle(work)
	require.Empty(t, db.Waiting(), "work that there is none of is not waited for")
	_, err = s.a.Background().Step()
	require.ErrorIs(t, err, ErrOptions)
	relaxed := func(size int) {
		require.NoError(t, db.Update(func(tx *Tx) error {
			tx.SetDurability(Relaxed)
			return tx.Root().Put(fmt.Appendf(nil, "%d", size), make([]byte, size))
		}))
	}
	relaxed(10)
	res, err := work.Step()
	require.NoError(t, err)
	require.Equal(t, io.KindTimer, res.Pending.Kind())
	s.m.Advance(int64(time.Minute) - 1)
	res, err = work.Step()
	require.NoError(t, err)
	require.NotNil(t, res.Pending)
	require.NotEqual(t, db.Stats().Seq, db.Stats().Durable)
	s.m.Advance(1)
	s.idle(work)
	require.Equal(t, db.Stats().Seq, db.Stats().Durable)

	relaxed(11)
	_, err = work.Step()
	require.NoError(t, err)
	require.ErrorIs(t, work.Abort(nil), context.Canceled)
	work = s.a.Background()
	s.idle(work) // settle moves the clock
	require.Equal(t, db.Stats().Seq, db.Stats().Durable, "the next one knows what the one before left")

	require.Empty(t, checkpoints)
	for i := 0; db.backlog() < 1<<18; i++ {
		relaxed(900 + i)
	}
	s.idle(work)
	require.Len(t, checkpoints, 1)
	require.NoError(t, checkpoints[0].Err)

	s.m.SetManual(true)
	commit := s.a.Commit(change(s))
	for !commit.m.(queuer).Queued() {
		_, err := commit.Step()
		require.NoError(t, err)
	}
	require.ErrorIs(t, commit.Abort(nil), context.Canceled)
	require.Less(t, db.Stats().Durable, db.Stats().Seq+1)
	s.idle(work)
	require.True(t, db.p.Log().Durable() == db.p.Log().Queued())
	require.NoError(t, db.View(func(tx *Tx) error {
		_, err := tx.Root().Get(b("changed"))
		return err
	}))

	relaxed = nil
	closing := s.a.Close()
	for !closing.Ended() {
		res, err := closing.Step()
		require.NoError(t, err)
		if res.Pending != nil {
			s.settle(res.Pending)
		}
	}
	_, err = work.Run(t.Context())
	require.NoError(t, err)
}

// Close waits for background work that is under way, which then ends.
func TestAsyncCloseWaitsForBackground(t *testing.T) {
	s := &stage{T: t, m: io.NewMemory()}
	db, err := OpenAsync("db", &Options{IO: s.m, Durability: Relaxed}).Run(t.Context())
	require.NoError(t, err)
	s.db, s.a = db, db.Async()
	work := s.a.Background()
	s.idle(work)
	require.NoError(t, change(s).Commit())
	s.m.SetManual(true)
	res, err := work.Step()
	require.NoError(t, err)
	s.settle(res.Pending) // the interval
	res, err = work.Step()
	require.NoError(t, err)
	require.Equal(t, io.KindSync, res.Pending.Kind())
	require.Equal(t, backgroundName, db.Waiting()[0].Operation)
	closing := s.a.Close()
	waits, err := closing.Step()
	require.NoError(t, err)
	require.Equal(t, "the background work", waits.Pending.Reason())
	require.ErrorIs(t, closing.Abort(nil), context.Canceled)
	closing = s.a.Close()
	_, err = closing.Step()
	require.NoError(t, err)
	s.settle(res.Pending)
	_, err = work.Run(t.Context())
	require.NoError(t, err, "it sees that the database is being closed")
	s.m.SetOnStall(func() bool {
		q := s.m.Queue()
		if len(q) > 0 {
			q[0].Complete()
		}
		return len(q) > 0
	})
	_, err = closing.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, s.m.InFlight())
}

// What the background work meets does not end it.
func TestAsyncBackgroundFails(t *testing.T) {
	s := &stage{T: t, m: io.NewMemory()}
	failed := 0
	db, err := OpenAsync("db", &Options{IO: s.m, CheckpointBytes: 1, OnEvent: func(e Event) {
		if e.Kind == EventCheckpoint && e.Err != nil {
			failed++
		}
	}}).Run(t.Context())
	require.NoError(t, err)
	s.db, s.a = db, db.Async()
	work := s.a.Background()
	s.idle(work)
	require.NoError(t, change(s).Commit())
	s.m.SetFault(func(op *io.Op) error {
		if op.File == "db" && op.Kind == io.KindWrite {
			return errInjected
		}
		return nil
	})
	s.idle(work)
	require.Equal(t, 1, failed)
	require.ErrorIs(t, db.Stats().LastCheckpointErr, errInjected)
	s.m.SetFault(nil)
	require.NoError(t, change(s).Commit())
	s.idle(work)
	require.NoError(t, db.Stats().LastCheckpointErr)
	require.NoError(t, db.Close())
}

// A sync that a relaxed commit was left to, and that was given up, is made up for.
func TestSyncGivenUpIsMadeUpFor(t *testing.T) {
	s := &stage{T: t, m: io.NewMemory()}
	db, err := OpenAsync("db", &Options{IO: s.m, Durability: Relaxed}).Run(t.Context())
	require.NoError(t, err)
	s.db, s.a = db, db.Async()
	work := s.a.Background()
	s.idle(work)
	require.NoError(t, change(s).Commit())
	s.m.SetManual(true)
	sync := s.a.Sync()
	_, err = sync.Step()
	require.NoError(t, err)
	s.idle(work) // nothing for it to do: somebody else syncs
	require.ErrorIs(t, sync.Abort(nil), context.Canceled)
	s.idle(work)
	require.Equal(t, db.Stats().Seq, db.Stats().Durable)
	s.rest()
	require.NoError(t, db.Close())
}

// Savepoints in steps nest like Try, and each ends once.
func TestAsyncSavepoint(t *testing.T) {
	s := openStage(t, stageDisk(t))
	tx := change(s)
	outer, err := s.a.Savepoint(tx)
	require.NoError(t, err)
	require.NoError(t, tx.Root().Put(b("a"), nil))
	inner, err := s.a.Savepoint(tx)
	require.NoError(t, err)
	called := 0
	tx.OnCommit(func() { called++ })
	require.NoError(t, tx.Root().Put(b("b"), nil))
	require.NoError(t, inner.Rollback())
	require.ErrorIs(t, inner.Release(), ErrSavepointEnded)
	has := func(key string) bool {
		has, err := tx.Root().Has(b(key))
		require.NoError(t, err)
		return has
	}
	require.True(t, has("a"))
	require.False(t, has("b"))
	inner, err = s.a.Savepoint(tx)
	require.NoError(t, err)
	require.ErrorIs(t, tx.Try(func() error { return outer.Rollback() }), ErrSavepointEnded)
	require.ErrorIs(t, inner.Rollback(), ErrSavepointEnded)
	require.False(t, has("a"))
	kept, err := s.a.Savepoint(tx)
	require.NoError(t, err)
	require.NoError(t, tx.Root().Put(b("c"), nil))
	require.NoError(t, tx.Commit(), "keeps what is in savepoints")
	require.ErrorIs(t, kept.Rollback(), ErrTxClosed)
	require.Zero(t, called)
	require.NoError(t, s.db.View(func(tx *Tx) error {
		_, err := tx.Root().Get(b("c"))
		return err
	}))
	_, err = s.a.Savepoint(tx)
	require.ErrorIs(t, err, ErrTxClosed)
	require.NoError(t, s.db.Close())
}

// A cursor whose move was given up is nowhere, and says so, instead of passing over an entry.
func TestAsyncCursorAdrift(t *testing.T) {
	s := openStage(t, stageDisk(t))
	require.NoError(t, s.db.View(func(tx *Tx) error {
		c := tx.Root().Cursor()
		k, _ := c.Seek(b("key049"))
		require.Equal(t, "key049", string(k))
		s.m.SetManual(true)
		next := s.a.Next(c) // to a long value
		res, err := next.Step()
		require.NoError(t, err)
		require.NotNil(t, res.Pending)
		_, err = s.a.First(c).Step()
		require.ErrorIs(t, err, ErrTxBusy)
		require.Error(t, next.Abort(nil))
		s.rest()
		for _, op := range []*Op[Entry]{s.a.Next(c), s.a.Prev(c)} {
			_, err = op.Run(t.Context())
			require.ErrorIs(t, err, ErrCursor)
		}
		e, err := s.a.Seek(c, b("key050")).Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, "key050", string(e.Key))
		require.Len(t, e.Value, 5000)
		return c.Err()
	}))
	require.NoError(t, s.db.Close())
}

// A transaction that View or Update ends can't be committed in steps.
func TestAsyncManaged(t *testing.T) {
	s := openStage(t, stageDisk(t))
	require.NoError(t, s.db.Update(func(tx *Tx) error {
		_, err := s.a.Commit(tx).Step()
		require.True(t, errors.Is(err, ErrTxManaged))
		return nil
	}))
	_, err := OpenAsync("", nil).Step()
	require.ErrorIs(t, err, ErrOptions)
	require.NoError(t, s.db.Close())
}
