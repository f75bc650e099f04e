package pawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// errDisk is what a broken disk says.
var errDisk = errors.New("the disk is broken")

// badDisk plays a script on a disk on which one I/O, or all from one on, fail.
type badDisk struct {
	t       *testing.T
	m       *io.Memory
	db      *DB
	acked   int  // commits that were acknowledged
	unknown bool // the outcome of the next one is
	what    string
}

// value is what commit i stores: some are large, and lie in extents.
func (d *badDisk) value(i int) []byte {
	n := 300
	if i%5 == 3 {
		n = 20_000
	}
	return bytes.Repeat([]byte{byte(i)}, n)
}

// commit makes the next commit. It returns false when the database refuses to go on.
func (d *badDisk) commit(relaxed bool) bool {
	i := d.acked
	err := d.db.Update(func(tx *Tx) error {
		if relaxed {
			tx.SetDurability(Relaxed)
		}
		return tx.Root().Put(fmt.Appendf(nil, "%06d", i), d.value(i))
	})
	if err == nil && relaxed {
		err = d.db.Sync() // until then a power cut may take it
		d.unknown = err != nil
	}
	switch {
	case err == nil:
		d.acked++
		return true
	case errors.Is(err, ErrCommitUnknown):
		d.unknown = true
	}
	require.True(d.t, errors.Is(err, errDisk) || errors.Is(err, ErrFailed), "%s: %v", d.what, err)
	failed := d.db.Stats().Failed
	if failed == nil {
		require.False(d.t, d.unknown, "%s: %v, and the database goes on", d.what, err)
		return true // that transaction alone
	}
	require.ErrorIs(d.t, failed, ErrFailed, d.what)
	require.ErrorIs(d.t, failed, errDisk, "%s: it says why", d.what)
	for range 2 { // it refuses for good, whatever the disk does
		err := put(d.db, "refused", nil)
		require.ErrorIs(d.t, err, ErrFailed, d.what)
		require.NotErrorIs(d.t, err, ErrCommitUnknown, d.what)
	}
	d.check(d.db, true)
	return false
}

// check fails the test unless the database has all that was acknowledged, and the commit of unknown outcome or not; of an open
// one it is known that nobody has seen it.
func (d *badDisk) check(db *DB, open bool) {
	n := 0
	require.NoError(d.t, db.View(func(tx *Tx) error {
		for k, v := range tx.Root().All() {
			require.Equal(d.t, fmt.Sprintf("%06d", n), string(k), d.what)
			require.True(d.t, bytes.Equal(d.value(n), v), d.what)
			n++
		}
		report, err := tx.Check(tx.Context())
		require.NoError(d.t, err, d.what)
		return report.Err()
	}), d.what)
	most := d.acked
	if d.unknown {
		most++
	}
	require.GreaterOrEqual(d.t, n, d.acked, "%s: an acknowledged commit is lost", d.what)
	require.LessOrEqual(d.t, n, most, "%s: a commit is there that failed", d.what)
	if !open {
		d.acked, d.unknown = n, false
	}
}

// play makes commits and checkpoints, closes, opens again and goes on, as far as the disk lets it.
func (d *badDisk) play() {
	o := &Options{IO: d.m, CacheSize: 1}
	for range 2 {
		db, err := Open("db", o)
		if err != nil {
			require.ErrorIs(d.t, err, errDisk, d.what)
			return
		}
		d.db = db
		on := true
		for i := 0; i < 6 && on; i++ {
			on = d.commit(i == 4)
			if i == 2 && on {
				_, err := db.Checkpoint(context.Background(), Complete)
				if err != nil {
					require.ErrorIs(d.t, err, errDisk, d.what)
				}
			}
		}
		require.Zero(d.t, db.p.OpenReaders(), "%s: Close would wait for a reader", d.what)
		err = db.Close()
		if err != nil {
			require.ErrorIs(d.t, err, errDisk, d.what)
		}
		if !on || err != nil {
			return
		}
	}
}

// Every write, sync, growth and name of the script fails, alone or with all behind it, and the system keeps or drops what it
// did not write. The errors are named, what was acknowledged is there behind a reopen and behind a power cut, and what
// failed for sure is not.
func TestDiskFailsAtEachIO(t *testing.T) {
	cases := 0
	for _, c := range []struct{ forever, drop bool }{{false, false}, {false, true}, {true, false}} {
		for fault := 0; ; fault++ {
			m := io.NewMemory(io.MemoryConfig{RealTime: true})
			m.SetDropOnSyncFailure(c.drop)
			d := &badDisk{t: t, m: m}
			n, reached := 0, false
			m.SetFault(func(op *io.Op) error {
				switch op.Name() {
				case "read", "close", "lock", "stat":
					return nil
				}
				n++
				if n-1 == fault || c.forever && n > fault {
					if !reached {
						d.what = fmt.Sprintf("%v fails, with all behind it: %t, dropping: %t", op, c.forever, c.drop)
					}
					reached = true
					return errDisk
				}
				return nil
			})
			d.play()
			m.SetFault(nil)
			if !reached {
				break
			}
			cases++
			// A restart of the process, and a power cut that takes all that was not synced.
			for _, disk := range []*io.Memory{m.Crash(nil), m} {
				after := &badDisk{t: t, m: disk, acked: d.acked, unknown: d.unknown, what: d.what}
				db, err := Open("db", &Options{IO: disk})
				require.NoError(t, err, d.what)
				after.check(db, false)
				after.db = db
				require.True(t, after.commit(false), d.what)
				require.NoError(t, db.Close(), d.what)
				db, err = Open("db", &Options{IO: disk})
				require.NoError(t, err, d.what)
				after.check(db, false)
				require.NoError(t, db.Close(), d.what)
			}
		}
	}
	t.Logf("%d cases", cases)
	require.Greater(t, cases, 100)
}

// A transaction that loses what it wrote ahead of its commit to somebody else's failed sync says why that failed.
func TestVoidedTransactionTellsCause(t *testing.T) {
	m := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := Open("db", &Options{IO: m})
	require.NoError(t, err)
	require.NoError(t, put(db, "small", []byte("v")))
	err = db.Update(func(tx *Tx) error {
		require.NoError(t, tx.Root().Put([]byte("large"), make([]byte, 1<<20))) // written at once
		failed := false
		m.SetFault(func(op *io.Op) error {
			if op.Name() != "sync" || failed {
				return nil
			}
			failed = true
			return errDisk
		})
		_, err := db.Checkpoint(context.Background(), Passive)
		m.SetFault(nil)
		require.NoError(t, err, "it writes its pages again, elsewhere")
		require.True(t, failed)
		return nil
	})
	require.ErrorIs(t, err, errDisk)
	require.NotErrorIs(t, err, ErrCommitUnknown)
	require.NoError(t, put(db, "small", []byte("w")), "that transaction alone")
	require.NoError(t, db.Close())
}

// Sync does not vouch for relaxed commits that a failure of the log has taken back.
func TestSyncBehindFailedLog(t *testing.T) {
	for _, what := range []string{"write", "sync"} {
		m := io.NewMemory(io.MemoryConfig{RealTime: true})
		db, err := Open("db", &Options{IO: m, SyncInterval: time.Hour})
		require.NoError(t, err)
		require.NoError(t, put(db, "full", []byte("v")))
		require.NoError(t, db.Update(func(tx *Tx) error {
			tx.SetDurability(Relaxed)
			return tx.Root().Put([]byte("relaxed"), []byte("v"))
		}))
		m.SetFault(func(op *io.Op) error {
			if op.Name() == what {
				return errDisk
			}
			return nil
		})
		require.ErrorIs(t, put(db, "unknown", []byte("v")), ErrCommitUnknown)
		m.SetFault(nil)
		for range 2 {
			err = db.Sync()
			require.ErrorIs(t, err, ErrFailed)
			require.ErrorIs(t, err, errDisk)
		}
		_, err = db.Checkpoint(context.Background(), Complete)
		require.ErrorIs(t, err, ErrFailed)
		require.NoError(t, db.Close())
	}
}

// What a failed read leaves is an error at the call that wanted it; the database goes on.
func TestReadsFail(t *testing.T) {
	m := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := Open("db", &Options{IO: m})
	require.NoError(t, err)
	commits(t, db, 0, 200)
	require.NoError(t, db.Close())
	for fault := 0; ; fault++ {
		db, err := Open("db", &Options{IO: m})
		require.NoError(t, err)
		n := 0
		m.SetFault(func(op *io.Op) error {
			if op.Name() != "read" {
				return nil
			}
			if n++; n-1 == fault {
				return errDisk
			}
			return nil
		})
		err = db.Update(func(tx *Tx) error {
			for range tx.Root().All() {
			}
			if err := tx.Err(); err != nil {
				require.ErrorIs(t, tx.Commit(), ErrTxManaged)
				return nil // swallowed: the commit refuses
			}
			return tx.Root().Put(b("x"), b("y"))
		})
		m.SetFault(nil)
		if n <= fault {
			require.NoError(t, err)
			require.NoError(t, db.Close())
			require.Positive(t, fault)
			break
		}
		require.ErrorIs(t, err, errDisk, "read %d", fault)
		require.NoError(t, db.Stats().Failed)
		require.Equal(t, 200, countCommits(t, db))
		require.NoError(t, db.Close())
	}
}

// Close waits for a checkpoint that was given up while its writes were under way, and goes on when they are retired.
func TestCloseBehindAbandonedCheckpoint(t *testing.T) {
	m := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := Open("db", &Options{IO: m})
	require.NoError(t, err)
	commits(t, db, 0, 20)
	ctx, cancel := context.WithCancel(context.Background())
	m.SetManual(true)
	m.SetOnStall(func() bool {
		for _, op := range m.Queue() {
			op.Start() // it can't be stopped any more
		}
		cancel()
		return true
	})
	_, err = db.Checkpoint(ctx, Passive)
	require.ErrorIs(t, err, context.Canceled)
	m.SetOnStall(nil)
	m.SetManual(false)
	under := m.Queue()
	require.NotEmpty(t, under)
	require.Equal(t, 1, db.p.OpenReaders())

	closed := make(chan error)
	go func() { closed <- db.Close() }()
	for !db.closing.Load() {
		runtime.Gosched()
	}
	select {
	case err := <-closed:
		t.Fatalf("closed with writes under way: %v", err)
	case <-time.After(10 * time.Millisecond): // by now it waits, as a rule; it ends either way
	}
	for _, op := range under {
		op.Complete()
	}
	require.NoError(t, <-closed)
	db, err = Open("db", &Options{IO: m})
	require.NoError(t, err)
	require.Equal(t, 20, countCommits(t, db))
	require.NoError(t, db.Close())
}
