package pawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// memory opens a database in memory that is closed with the test.
func memory(t testing.TB, o *Options) *DB {
	t.Helper()
	db, err := OpenMemory(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func b(s string) []byte { return []byte(s) }

func TestReadBack(t *testing.T) {
	db := memory(t, nil)
	long := bytes.Repeat(b("long"), 1<<20)
	require.NoError(t, db.Update(func(tx *Tx) error {
		users, err := tx.CreateBucketIfNotExists(b("users"), b("by name"))
		if err != nil {
			return err
		}
		require.NoError(t, tx.Root().Put(b("plain"), b("value")))
		require.NoError(t, users.Put(b("nil"), nil))
		require.NoError(t, users.Put(b("long"), long))
		return users.Put(b("ada"), b("Lovelace"))
	}))
	check := func(tx *Tx) error {
		users := tx.Bucket(b("users"), b("by name"))
		v, err := users.Get(b("ada"))
		require.NoError(t, err)
		require.Equal(t, "Lovelace", string(v))
		require.Equal(t, len(v), cap(v))
		v, err = users.Get(b("nil"))
		require.NoError(t, err)
		require.NotNil(t, v)
		require.Empty(t, v)
		v, err = users.Get(b("long"))
		require.NoError(t, err)
		require.True(t, bytes.Equal(long, v))
		v, err = users.GetAppend(b("a "), b("ada"))
		require.NoError(t, err)
		require.Equal(t, "a Lovelace", string(v))
		_, err = users.Get(b("bob"))
		require.ErrorIs(t, err, ErrNotFound)
		_, err = tx.Root().Get(b("users"))
		require.ErrorIs(t, err, ErrIsBucket)
		require.ErrorIs(t, tx.Bucket(b("plain")).Err(), ErrNotBucket)
		_, err = tx.Bucket(b("nobody")).Get(b("x"))
		require.ErrorIs(t, err, ErrBucketNotFound)
		has, err := users.Has(b("ada"))
		require.NoError(t, err)
		require.True(t, has)
		var keys []string
		for k := range users.All() {
			keys = append(keys, string(k))
		}
		require.Equal(t, []string{"ada", "long", "nil"}, keys)
		keys = nil
		for k := range users.PrefixBackward(b("")) {
			keys = append(keys, string(k))
		}
		require.Equal(t, []string{"nil", "long", "ada"}, keys)
		for name, bucket := range tx.Root().Buckets() {
			require.Equal(t, "users", string(name))
			require.True(t, bucket.Bucket(b("by name")).Exists())
		}
		return nil
	}
	require.NoError(t, db.View(check))
	require.NoError(t, db.Update(check))
}

// Every method's own errors leave the transaction usable, and are the named ones.
func TestErrorsOfCallers(t *testing.T) {
	db := memory(t, nil)
	limit := MaxKeySize(4096)
	err := db.Update(func(tx *Tx) error {
		r := tx.Root()
		require.ErrorIs(t, r.Put(nil, b("v")), ErrKeyEmpty)
		require.ErrorIs(t, r.Put(make([]byte, limit+1), nil), ErrKeyTooLarge)
		require.NoError(t, r.Put(bytes.Repeat(b("k"), limit), b("v")))
		_, err := tx.CreateBucket(b("bucket"))
		require.NoError(t, err)
		_, err = tx.CreateBucket(b("bucket"))
		require.ErrorIs(t, err, ErrBucketExists)
		_, err = tx.CreateBucket(b("no"), b("parent"))
		require.ErrorIs(t, err, ErrBucketNotFound)
		require.ErrorIs(t, r.Put(b("bucket"), b("v")), ErrIsBucket)
		require.ErrorIs(t, r.Delete(b("bucket")), ErrIsBucket)
		require.NoError(t, r.Delete(b("absent")))
		require.NoError(t, r.Put(b("key"), b("v")))
		_, err = tx.CreateBucket(b("key"))
		require.ErrorIs(t, err, ErrNotBucket)
		require.ErrorIs(t, tx.DeleteBucket(b("key")), ErrNotBucket)
		require.ErrorIs(t, tx.DeleteBucket(b("absent")), ErrBucketNotFound)
		require.ErrorIs(t, tx.Commit(), ErrTxManaged)
		require.ErrorIs(t, tx.Rollback(), ErrTxManaged)
		require.ErrorIs(t, db.UpdateContext(tx.Context(), nil), ErrTxNested)
		stored, err := r.PutIfAbsent(b("key"), b("other"))
		require.NoError(t, err)
		require.False(t, stored)
		return nil
	})
	require.NoError(t, err)
	var kept *Tx
	require.NoError(t, db.View(func(tx *Tx) error {
		kept = tx
		require.ErrorIs(t, tx.Root().Put(b("k"), nil), ErrTxReadOnly)
		require.ErrorIs(t, tx.DeleteBucket(b("bucket")), ErrTxReadOnly)
		return nil
	}))
	_, err = kept.Root().Get(b("key"))
	require.ErrorIs(t, err, ErrTxClosed)
	require.ErrorIs(t, kept.Bucket(b("bucket")).Err(), ErrTxClosed)
	k, _ := kept.Root().Cursor().First()
	require.Nil(t, k)
	_, err = OpenMemory(&Options{PageSize: 1000})
	require.ErrorIs(t, err, ErrOptions)
}

// A failed function, a panic and a Goexit leave nothing, and the next writer goes on.
func TestUpdateRollsBack(t *testing.T) {
	db := memory(t, nil)
	oops := errors.New("oops")
	require.ErrorIs(t, db.Update(func(tx *Tx) error {
		require.NoError(t, tx.Root().Put(b("k"), b("v")))
		tx.OnCommit(func() { t.Error("called for a rollback") })
		return oops
	}), oops)
	require.PanicsWithValue(t, "oops", func() {
		_ = db.Update(func(tx *Tx) error {
			require.NoError(t, tx.Root().Put(b("k"), b("v")))
			panic("oops")
		})
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = db.Update(func(tx *Tx) error {
			_ = tx.Root().Put(b("k"), b("v"))
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
	called := 0
	require.NoError(t, db.Update(func(tx *Tx) error {
		has, err := tx.Root().Has(b("k"))
		require.False(t, has)
		tx.OnCommit(func() { called++ })
		return err
	}))
	require.Equal(t, 1, called)
}

// Try takes back what its function did, and handles of buckets made inside know it.
func TestTry(t *testing.T) {
	db := memory(t, nil)
	oops := errors.New("oops")
	require.NoError(t, db.Update(func(tx *Tx) error {
		require.NoError(t, tx.Root().Put(b("a"), b("1")))
		var inside *Bucket
		err := tx.Try(func() error {
			require.NoError(t, tx.Root().Put(b("a"), b("2")))
			var err error
			inside, err = tx.CreateBucket(b("inside"))
			require.NoError(t, err)
			require.NoError(t, inside.Put(b("x"), b("y")))
			return oops
		})
		require.ErrorIs(t, err, oops)
		require.ErrorIs(t, inside.Err(), ErrBucketNotFound)
		v, err := tx.Root().Get(b("a"))
		require.NoError(t, err)
		require.Equal(t, "1", string(v))
		return tx.Try(func() error { return tx.Root().Put(b("b"), b("3")) })
	}))
	require.NoError(t, db.View(func(tx *Tx) error {
		v, err := tx.Root().Get(b("b"))
		require.Equal(t, "3", string(v))
		return err
	}))
}

func TestMoveAndSequence(t *testing.T) {
	db := memory(t, nil)
	require.NoError(t, db.Update(func(tx *Tx) error {
		a, err := tx.CreateBucketIfNotExists(b("a"), b("b"))
		require.NoError(t, err)
		require.NoError(t, a.Put(b("k"), b("v")))
		n, err := a.NextSequence()
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		require.NoError(t, tx.MoveBucket([][]byte{b("a"), b("b")}, [][]byte{b("c")}))
		require.ErrorIs(t, a.Err(), ErrBucketNotFound)
		require.ErrorIs(t, tx.MoveBucket([][]byte{b("a")}, [][]byte{b("a"), b("d")}), ErrBucketExists)
		require.ErrorIs(t, tx.MoveBucket([][]byte{b("a")}, [][]byte{b("c")}), ErrBucketExists)
		require.True(t, tx.Bucket(b("a")).Exists())
		require.NoError(t, tx.Root().SetSequence(7))
		return nil
	}))
	require.NoError(t, db.View(func(tx *Tx) error {
		c := tx.Bucket(b("c"))
		v, err := c.Get(b("k"))
		require.NoError(t, err)
		require.Equal(t, "v", string(v))
		require.EqualValues(t, 1, c.Sequence())
		require.EqualValues(t, 7, tx.Root().Sequence())
		return nil
	}))
}

// Batch gives each caller its own error and its own panic, and one commit to all.
func TestBatch(t *testing.T) {
	db := memory(t, nil)
	hold, err := db.Begin(true)
	require.NoError(t, err)
	before := hold.Seq()
	var wg sync.WaitGroup
	oops := errors.New("oops")
	const callers = 32
	results := make([]error, callers)
	for i := range callers {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					results[i] = fmt.Errorf("panic %v", v)
				}
			}()
			results[i] = db.Batch(func(tx *Tx) error {
				if err := tx.Root().Put(fmt.Appendf(nil, "%d", i), b("v")); err != nil {
					return err
				}
				switch i {
				case 3:
					return oops
				case 4:
					panic(i)
				}
				return nil
			})
		})
	}
	for {
		db.batch.mu.Lock()
		n := len(db.batch.calls)
		db.batch.mu.Unlock()
		if n == callers {
			break
		}
		runtime.Gosched()
	}
	require.NoError(t, hold.Rollback())
	wg.Wait()
	require.NoError(t, db.View(func(tx *Tx) error {
		require.EqualValues(t, before, tx.Seq(), "one commit for all")
		for i := range callers {
			has, err := tx.Root().Has(fmt.Appendf(nil, "%d", i))
			require.NoError(t, err)
			require.Equal(t, i != 3 && i != 4, has)
		}
		return nil
	}))
	for i, err := range results {
		switch i {
		case 3:
			require.ErrorIs(t, err, oops)
		case 4:
			require.ErrorContains(t, err, "panic 4")
		default:
			require.NoError(t, err)
		}
	}
}

// Every caller of Batch is told when their commit fails.
func TestBatchCommitFails(t *testing.T) {
	m := io.NewMemory()
	db, err := Open("db", &Options{IO: m})
	require.NoError(t, err)
	oops := errors.New("oops")
	m.SetFault(func(op *io.Op) error {
		if op.Name() == "sync" {
			return oops
		}
		return nil
	})
	err = db.Batch(func(tx *Tx) error { return tx.Root().Put(b("k"), b("v")) })
	require.ErrorIs(t, err, oops)
	require.NotErrorIs(t, err, ErrCommitUnknown, "the log could not be begun")
	m.SetFault(nil)
	require.NoError(t, db.Batch(func(tx *Tx) error { return tx.Root().Put(b("k"), b("v")) }))
	m.SetFault(func(op *io.Op) error {
		if op.Name() == "sync" {
			return oops
		}
		return nil
	})
	require.ErrorIs(t, db.Batch(func(tx *Tx) error { return tx.Root().Put(b("k"), b("w")) }), ErrCommitUnknown)
	m.SetFault(nil)
	require.NoError(t, db.Close())
}

// Close waits for transactions, refuses new ones, and names the open ones when it gives up.
func TestCloseWaits(t *testing.T) {
	db, err := OpenMemory(&Options{Debug: true})
	require.NoError(t, err)
	tx, err := db.Begin(false)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err = db.CloseContext(ctx)
	var open *OpenTxError
	require.ErrorAs(t, err, &open)
	require.Len(t, open.Readers, 1)
	require.Contains(t, open.Readers[0].Stack, "TestCloseWaits")
	require.True(t, strings.Contains(err.Error(), "1 readers"))
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	for !db.closing.Load() {
		runtime.Gosched()
	}
	_, err = db.Begin(false)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, db.Update(func(*Tx) error { return nil }), ErrClosed)
	require.NoError(t, tx.Rollback())
	require.NoError(t, <-closed)
	require.NoError(t, db.Close())
	require.ErrorIs(t, db.View(func(*Tx) error { return nil }), ErrClosed)
	require.ErrorIs(t, db.Sync(), ErrClosed)
}

// A context that ends while a transaction waits for its turn ends the wait, and leaves nothing.
func TestContextEndsWait(t *testing.T) {
	db := memory(t, nil)
	first, err := db.Begin(true)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	waited := make(chan error)
	go func() {
		_, err := db.BeginContext(ctx, true)
		waited <- err
	}()
	for len(db.Waiting()) == 0 {
		runtime.Gosched()
	}
	require.Equal(t, "the writer's turn", db.Waiting()[0].On)
	cancel()
	require.ErrorIs(t, <-waited, context.Canceled)
	require.NoError(t, first.Rollback())
	require.NoError(t, db.Update(func(tx *Tx) error { return tx.Root().Put(b("k"), nil) }))
}

// Writers and readers of all kinds beside each other; each reader sees a whole commit.
func TestStress(t *testing.T) {
	db := memory(t, &Options{CacheSize: 1 << 19, CheckpointBytes: 1 << 18})
	const writers, rounds = 6, 60
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range rounds {
				update := db.Update
				if w%2 == 0 {
					update = db.Batch
				}
				require.NoError(t, update(func(tx *Tx) error {
					if w == 1 {
						tx.SetDurability(Relaxed)
					}
					n, err := tx.Root().NextSequence()
					if err != nil {
						return err
					}
					for k := range 20 {
						key := fmt.Appendf(nil, "%d/%d", k, i%10)
						if err := tx.Root().Put(key, fmt.Appendf(nil, "%d %0200d", n, w)); err != nil {
							return err
						}
						if err := tx.Root().Put(fmt.Appendf(nil, "%d", k), fmt.Appendf(nil, "%d", n)); err != nil {
							return err
						}
					}
					return nil
				}))
			}
		})
	}
	for range 3 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				require.NoError(t, db.View(func(tx *Tx) error {
					n := tx.Root().Sequence()
					for k := range 20 {
						v, err := tx.Root().Get(fmt.Appendf(nil, "%d", k))
						if n == 0 && errors.Is(err, ErrNotFound) {
							continue
						}
						require.NoError(t, err)
						require.Equal(t, fmt.Sprint(n), string(v))
					}
					return nil
				}))
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	require.NoError(t, db.View(func(tx *Tx) error {
		require.EqualValues(t, writers*rounds, tx.Root().Sequence())
		return nil
	}))
}
