package pawl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// slowDisk is a disk in memory on which each I/O takes its time, by the clock of a bubble of testing/synctest: real goroutines
// meet at the locks and waits of the database, and no test sleeps.
type slowDisk struct {
	*io.Memory
	delay  time.Duration
	work   chan struct{} // a token: there is something to do
	frozen atomic.Bool   // nothing ends
}

// newSlowDisk returns one, and starts it. It ends with the test.
func newSlowDisk(t *testing.T, seed uint64, delay time.Duration) *slowDisk {
	d := &slowDisk{
		Memory: io.NewMemory(io.MemoryConfig{RealTime: true, Manual: true}), delay: delay, work: make(chan struct{}, 1),
	}
	d.SetTrace(func(e io.MemoryEvent) {
		if !e.Completed {
			d.wake()
		}
	})
	stop := make(chan struct{})
	go d.run(rand.New(rand.NewPCG(seed, 0)), stop)
	t.Cleanup(func() { close(stop) })
	return d
}

// wake gives it work.
func (d *slowDisk) wake() {
	select {
	case d.work <- struct{}{}:
	default:
	}
}

// freeze stops it, or lets it go on.
func (d *slowDisk) freeze(frozen bool) {
	d.frozen.Store(frozen)
	d.wake()
}

// run ends what was submitted, in any order, a delay later.
func (d *slowDisk) run(rng *rand.Rand, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-d.work:
		}
		time.Sleep(d.delay)
		if d.frozen.Load() {
			continue
		}
		q := d.Queue()
		for _, i := range rng.Perm(len(q)) {
			q[i].Start() // from here on a cancelled one waits for its end too
			if slices.Contains(d.Queue(), q[i]) {
				q[i].Complete()
			}
		}
	}
}

// Wait sleeps: the disk finishes what is under way.
func (d *slowDisk) Wait(ctx context.Context, c *io.Completion) error { return c.Park(ctx, nil) }

// bubble runs a test in a bubble with a database on a slow disk.
func bubble(t *testing.T, o Options, fn func(t *testing.T, d *slowDisk, db *DB)) {
	synctest.Test(t, func(t *testing.T) {
		d := newSlowDisk(t, 1, time.Millisecond)
		o := o
		o.IO = d
		db, err := Open("db", &o)
		require.NoError(t, err)
		fn(t, d, db)
		require.NoError(t, db.Close())
		require.Zero(t, d.InFlight())
	})
}

func putKey(key string) func(tx *Tx) error {
	return func(tx *Tx) error { return tx.Root().Put(b(key), b(key)) }
}

func hasKey(t *testing.T, db *DB, key string) (has bool) {
	require.NoError(t, db.View(func(tx *Tx) (err error) {
		has, err = tx.Root().Has(b(key))
		return err
	}))
	return has
}

// An update whose context ends at any moment of it either is there and returned nil, or is not and returned the context's error;
// the writers behind it get their turn.
func TestContextEndsUpdate(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, d *slowDisk, db *DB) {
		ended, done := 0, 0
		for i := range 12 {
			key := fmt.Sprint("k", i)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*d.delay-d.delay/2)
			var others sync.WaitGroup
			err := db.UpdateContext(ctx, func(tx *Tx) error {
				others.Go(func() { require.NoError(t, db.Update(putKey("other"+key))) })
				return putKey(key)(tx)
			})
			cancel()
			others.Wait()
			if err == nil {
				done++
			} else {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				ended++
			}
			require.Equal(t, err == nil, hasKey(t, db, key))
			require.Empty(t, db.Waiting())
		}
		require.Positive(t, ended)
		require.Positive(t, done)
	})
}

// Each wait that a context can end does end with it, at that moment and with nothing left, though the disk stands still.
func TestContextEndsEachWait(t *testing.T) {
	waits := map[string]func(ctx context.Context, t *testing.T, db *DB) error{
		"the writer's turn": func(ctx context.Context, t *testing.T, db *DB) error {
			first, err := db.Begin(true)
			require.NoError(t, err)
			defer func() { require.NoError(t, first.Rollback()) }()
			_, err = db.BeginContext(ctx, true)
			return err
		},
		"a sync": func(ctx context.Context, t *testing.T, db *DB) error { return db.SyncContext(ctx) },
		"a checkpoint": func(ctx context.Context, t *testing.T, db *DB) error {
			_, err := db.Checkpoint(ctx, Complete)
			return err
		},
		"an update that has to begin the log or a checkpoint": func(ctx context.Context, t *testing.T, db *DB) error {
			return db.UpdateContext(ctx, putKey("k"))
		},
		"a copy": func(ctx context.Context, t *testing.T, db *DB) error {
			return db.View(func(tx *Tx) error {
				_, err := tx.CopyFile(ctx, "copy")
				return err
			})
		},
		"a pending commit": func(ctx context.Context, t *testing.T, db *DB) error {
			tx, err := db.Begin(true)
			require.NoError(t, err)
			require.NoError(t, putKey("pending")(tx))
			return tx.CommitAsync().Wait(ctx)
		},
		"close": func(ctx context.Context, t *testing.T, db *DB) error {
			tx, err := db.Begin(false)
			require.NoError(t, err)
			defer func() { require.NoError(t, tx.Rollback()) }()
			err = db.CloseContext(ctx)
			var open *OpenTxError
			require.ErrorAs(t, err, &open)
			return err
		},
		"another close": func(ctx context.Context, t *testing.T, db *DB) error {
			tx, err := db.Begin(false)
			require.NoError(t, err)
			var other sync.WaitGroup
			late, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			other.Go(func() { _ = db.CloseContext(late) })
			synctest.Wait()
			err = db.CloseContext(ctx)
			cancel()
			other.Wait()
			require.NoError(t, tx.Rollback())
			return err
		},
		"the lock": func(ctx context.Context, t *testing.T, db *DB) error {
			db.opts.IO.(*slowDisk).freeze(false)
			_, err := OpenContext(ctx, "db", &Options{IO: db.opts.IO, LockTimeout: time.Hour})
			return err
		},
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			o := Options{CheckpointBytes: 1, SyncInterval: time.Hour, Durability: Relaxed}
			if name != "an update that has to begin the log or a checkpoint" {
				o.CheckpointBytes = 0
			}
			bubble(t, o, func(t *testing.T, d *slowDisk, db *DB) {
				require.NoError(t, db.Update(putKey("first")))
				if o.CheckpointBytes == 1 {
					require.NoError(t, db.Update(putKey("second")))
				}
				synctest.Wait()
				d.freeze(true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				err := wait(ctx, t, db)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, time.Minute, time.Since(began))
				d.freeze(false)
				for len(db.Waiting()) > 0 { // a pending commit, or the background's checkpoint
					time.Sleep(d.delay)
				}
				require.NoError(t, db.Update(putKey("after")))
				require.True(t, hasKey(t, db, "after"))
			})
		})
	}
}

// A commit that is with the log when its context ends waits for the outcome.
func TestContextDoesNotEndQueuedCommit(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, d *slowDisk, db *DB) {
		require.NoError(t, db.Update(putKey("first")))
		ctx, cancel := context.WithCancel(t.Context())
		tx, err := db.BeginContext(ctx, true)
		require.NoError(t, err)
		require.NoError(t, putKey("k")(tx))
		d.freeze(true)
		var commit sync.WaitGroup
		commit.Go(func() { require.NoError(t, tx.Commit()) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.Equal(t, "commit", db.Waiting()[0].Operation)
		d.freeze(false)
		commit.Wait()
		require.True(t, hasKey(t, db, "k"))
	})
}

// Open waits for the lock as long as it was told, and gets it when it is let go.
func TestOpenWaitsForLock(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, d *slowDisk, db *DB) {
		began := time.Now()
		_, err := Open("db", &Options{IO: d, LockTimeout: time.Minute})
		require.ErrorIs(t, err, ErrLocked)
		require.InDelta(t, time.Minute, time.Since(began), float64(time.Second))
		began = time.Now()
		_, err = Open("db", &Options{IO: d, LockTimeout: -1})
		require.ErrorIs(t, err, ErrLocked)
		require.Less(t, time.Since(began), time.Second)
		time.AfterFunc(time.Second, func() { _ = db.Close() })
		other, err := Open("db", &Options{IO: d, LockTimeout: time.Minute})
		require.NoError(t, err)
		require.NoError(t, other.Close())
	})
}

// A relaxed commit is on stable storage after the interval, not before, and nothing is synced while nothing happens.
func TestSyncInterval(t *testing.T) {
	bubble(t, Options{Durability: Relaxed, SyncInterval: time.Minute}, func(t *testing.T, d *slowDisk, db *DB) {
		for range 3 {
			require.NoError(t, db.Update(putKey("k")))
			time.Sleep(time.Minute - time.Second)
			require.NotEqual(t, db.Stats().Seq, db.Stats().Durable)
			time.Sleep(2 * time.Second)
			s := db.Stats()
			require.Equal(t, s.Seq, s.Durable)
			time.Sleep(time.Hour)
			require.Equal(t, s.LogSyncs, db.Stats().LogSyncs)
		}
	})
}

// The log is moved into the file when it is long, without being asked; if the disk can't keep up, writers wait for it.
func TestAutomaticCheckpointAndStall(t *testing.T) {
	var checkpoints, stalls atomic.Int64
	o := Options{CheckpointBytes: 1 << 17, Durability: Relaxed, OnEvent: func(e Event) {
		switch e.Kind {
		case EventCheckpoint:
			checkpoints.Add(1)
		case EventStall:
			stalls.Add(1)
		}
	}}
	bubble(t, o, func(t *testing.T, d *slowDisk, db *DB) {
		value := make([]byte, 900)
		fill := func(i int) func(*Tx) error { // some 8 KiB of log
			return func(tx *Tx) error {
				for k := range 8 {
					if err := tx.Root().Put(fmt.Appendf(nil, "%d %d", k, i), value); err != nil {
						return err
					}
				}
				return nil
			}
		}
		for i := range 300 {
			require.NoError(t, db.Update(fill(i)))
			require.LessOrEqual(t, db.backlog(), int64(3<<17))
		}
		require.Positive(t, stalls.Load())
		for len(db.Waiting()) > 0 {
			time.Sleep(d.delay)
		}
		had := checkpoints.Load()
		require.Positive(t, had)
		for i := 0; db.backlog() < 1<<17; i++ {
			require.NoError(t, db.Update(fill(i)))
		}
		time.Sleep(time.Minute)
		require.Greater(t, checkpoints.Load(), had)
		require.Less(t, db.backlog(), int64(1<<17))
	})
}

// Writers of every kind, readers, syncs and checkpoints, some given up by contexts, on a disk that takes its time; then Close in
// the middle of it all. Every update that returned nil is there, and none that returned another error than ErrClosed's kind.
func TestBubbleStress(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) { stressRound(t, seed) })
	}
}

func stressRound(t *testing.T, seed uint64) {
	d := newSlowDisk(t, seed, time.Millisecond)
	o := &Options{
		IO: d, CacheSize: 1 << 18, CheckpointBytes: 1 << 17, SyncInterval: 20 * time.Millisecond, Debug: seed%2 == 0,
	}
	db, err := Open("db", o)
	require.NoError(t, err)
	const writers = 8
	var acked, tried [writers]int
	var all sync.WaitGroup
	closing := func(err error) bool { return errors.Is(err, ErrClosed) }
	for w := range writers {
		rng := rand.New(rand.NewPCG(seed, uint64(w)))
		all.Go(func() {
			for n := 1; ; n++ {
				tried[w] = n
				err := stressWrite(t, db, rng, w, n)
				switch {
				case err == nil:
					acked[w] = n
				case closing(err):
					return
				case !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("writer %d: %v", w, err)
					return
				default:
					err := db.View(func(tx *Tx) error { // given up: it is not there
						n, err := stressValue(tx, w)
						if err == nil && n > acked[w] {
							t.Errorf("writer %d: commit %d was given up and is there", w, n)
						}
						return err
					})
					if closing(err) {
						return
					}
					require.NoError(t, err)
				}
			}
		})
	}
	for r := range 3 {
		rng := rand.New(rand.NewPCG(seed, uint64(100+r)))
		all.Go(func() {
			for {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(30))*d.delay)
				var err error
				switch rng.IntN(3) {
				case 0:
					err = db.SyncContext(ctx)
				case 1:
					_, err = db.Checkpoint(ctx, CheckpointMode(rng.IntN(3)))
				case 2:
					err = db.ViewContext(ctx, func(tx *Tx) error { return stressRead(t, tx, writers) })
				}
				cancel()
				if closing(err) {
					return
				}
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("reader: %v", err)
					return
				}
				time.Sleep(d.delay)
			}
		})
	}
	time.Sleep(300 * d.delay)
	require.NoError(t, db.Close())
	all.Wait()
	require.Empty(t, db.Waiting())
	require.Zero(t, d.InFlight())

	db, err = Open("db", o)
	require.NoError(t, err)
	total := 0
	require.NoError(t, db.View(func(tx *Tx) error {
		for w := range writers {
			n, err := stressValue(tx, w)
			require.NoError(t, err)
			require.GreaterOrEqual(t, n, acked[w])
			require.LessOrEqual(t, n, tried[w])
			total += acked[w]
		}
		report, err := tx.Check(t.Context())
		require.NoError(t, err)
		return report.Err()
	}))
	require.Greater(t, total, 50)
	require.NoError(t, db.Close())
}

// stressWrite makes commit n of a writer: in both halves of what it writes.
func stressWrite(t *testing.T, db *DB, rng *rand.Rand, w, n int) error {
	kind, pause := rng.IntN(4), rng.IntN(3)
	write := func(tx *Tx) error {
		if kind == 1 {
			tx.SetDurability(Relaxed)
		}
		for _, half := range []string{"a", "z"} {
			value := fmt.Appendf(make([]byte, 0, 200), "%d %0150d", n, w)
			if err := tx.Root().Put(fmt.Appendf(nil, "%s%d", half, w), value); err != nil {
				return err
			}
			time.Sleep(time.Duration(pause) * time.Millisecond)
		}
		return nil
	}
	switch kind {
	case 0:
		return db.Batch(write)
	case 2:
		tx, err := db.Begin(true)
		if err != nil {
			return err
		}
		if err := write(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.CommitAsync().Wait(t.Context())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(60))*time.Millisecond)
	defer cancel()
	return db.UpdateContext(ctx, write)
}

// stressValue returns a writer's newest commit.
func stressValue(tx *Tx, w int) (n int, err error) {
	v, err := tx.Root().Get(fmt.Appendf(nil, "a%d", w))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(v), &n)
	return n, err
}

// stressRead checks that no commit is there by half.
func stressRead(t *testing.T, tx *Tx, writers int) error {
	var keys [][]byte
	for w := range writers {
		keys = append(keys, fmt.Appendf(nil, "a%d", w), fmt.Appendf(nil, "z%d", w))
	}
	vals := make([][]byte, len(keys))
	if err := tx.Root().GetMany(keys, vals); err != nil {
		return err
	}
	for w := range writers {
		require.Equal(t, string(vals[2*w]), string(vals[2*w+1]))
	}
	return nil
}
