package pawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

var errInjected = errors.New("injected")

// anyOp is an Op of any result.
type anyOp interface {
	step() (*io.Completion, error)
	Abort(cause error) error
	Ended() bool
	Run(ctx context.Context) error
}

// erased is an Op without its type. check looks at the result.
type erased[T any] struct {
	*Op[T]
	check func(T)
}

func (e erased[T]) step() (*io.Completion, error) {
	res, err := e.Op.Step()
	if err == nil && res.Pending == nil && e.check != nil {
		e.check(res.Value)
	}
	return res.Pending, err
}

func (e erased[T]) Run(ctx context.Context) error {
	v, err := e.Op.Run(ctx)
	if err == nil && e.check != nil {
		e.check(v)
	}
	return err
}

// plain erases an Op whose result does not matter.
func plain[T any](o *Op[T]) anyOp { return erased[T]{Op: o} }

// checked erases an Op whose result is looked at.
func checked[T any](o *Op[T], check func(T)) anyOp { return erased[T]{o, check} }

// chain is operations one after the other.
type chain struct {
	now  anyOp
	next func() anyOp // nil: no more
}

func (c *chain) step() (*io.Completion, error) {
	for {
		pending, err := c.now.step()
		if pending != nil || err != nil {
			return pending, err
		}
		next := c.next()
		if next == nil {
			return nil, nil
		}
		c.now = next
	}
}

func (c *chain) Abort(cause error) error       { return c.now.Abort(cause) }
func (c *chain) Ended() bool                   { return c.now.Ended() }
func (c *chain) Run(ctx context.Context) error { panic("not used") }

// stage is a database on a disk in memory, opened with OpenAsync, with a cold cache.
type stage struct {
	*testing.T
	m  *io.Memory
	db *DB
	a  *Async
}

var stageOptions = Options{PageSize: 512, CacheSize: 1, CheckpointBytes: 1 << 30}

// openStage opens a copy of a disk.
func openStage(t *testing.T, disk *io.Memory) *stage {
	s := &stage{T: t, m: disk.Crash(func(int, io.Change) bool { return true })}
	s.open()
	return s
}

func (s *stage) open() {
	o := stageOptions
	o.IO = s.m
	db, err := OpenAsync("db", &o).Run(s.Context())
	require.NoError(s, err)
	s.db, s.a = db, db.Async()
}

// stageDisk returns a disk with a closed database: 300 keys, some of them long, and buckets in buckets.
func stageDisk(t *testing.T) *io.Memory {
	s := &stage{T: t, m: io.NewMemory()}
	s.open()
	require.NoError(t, s.db.Update(func(tx *Tx) error {
		inner, err := tx.CreateBucketIfNotExists(b("bucket"), b("inner"))
		require.NoError(t, err)
		require.NoError(t, inner.SetSequence(7))
		for i := range 300 {
			v := bytes.Repeat([]byte{byte(i)}, 40)
			if i%100 == 50 {
				v = bytes.Repeat([]byte{byte(i)}, 5000)
			}
			for _, at := range []*Bucket{tx.Root(), inner} {
				require.NoError(t, at.Put(fmt.Appendf(nil, "key%03d", i), v))
			}
		}
		return nil
	}))
	require.NoError(t, s.db.Close())
	return s.m
}

// settle completes I/O, oldest first, until c has resolved.
func (s *stage) settle(c *io.Completion) {
	for range 10000 {
		if c.Done() {
			return
		}
		if q := s.m.Queue(); len(q) > 0 {
			q[0].Complete()
			continue
		}
		at, ok := s.m.NextTimer()
		require.True(s, ok, "deadlock: nothing under way resolves %q", c.Reason())
		s.m.Advance(at - s.m.Now())
	}
	s.Fatal("does not settle")
}

// drive steps an operation, twice at each wait, and stops at wait number at, with what it waits for.
func (s *stage) drive(op anyOp, at int) (pending *io.Completion) {
	for waits := 0; ; waits++ {
		pending, err := op.step()
		require.NoError(s, err)
		if pending == nil {
			return nil
		}
		submitted := len(s.m.Queue())
		again, err := op.step()
		require.NoError(s, err)
		require.Same(s, pending, again, "a second step waits for something else")
		require.Len(s, s.m.Queue(), submitted, "a second step submits")
		require.Len(s, s.db.Waiting(), 1)
		if waits == at {
			return pending
		}
		s.settle(pending)
	}
}

// rest goes on without waits, and checks that nothing is under way.
func (s *stage) rest() {
	require.Empty(s, s.db.Waiting())
	s.m.SetManual(false)
	for len(s.m.Queue()) > 0 {
		s.m.Queue()[0].Complete()
	}
}

// content is all keys and sequences that a transaction sees.
func content(t *testing.T, tx *Tx) map[string]string {
	all := map[string]string{}
	var read func(at *Bucket, path string)
	read = func(at *Bucket, path string) {
		all[path] = fmt.Sprint(at.Sequence())
		for k, v := range at.All() {
			all[path+"/"+string(k)] = string(v)
		}
		for name, below := range at.Buckets() {
			read(below, path+"/"+string(name))
		}
	}
	read(tx.Root(), "")
	require.NoError(t, tx.Err())
	return all
}

// finish checks that the database has the content, that it is sound, and that it can be closed.
func (s *stage) finish(want map[string]string) {
	for range 2 {
		require.NoError(s, s.db.View(func(tx *Tx) error {
			require.Equal(s, want, content(s.T, tx))
			report, err := tx.Check(s.Context())
			require.NoError(s, err)
			return report.Err()
		}))
		require.NoError(s, s.db.Close())
		require.Zero(s, s.m.InFlight())
		s.open()
	}
	require.NoError(s, s.db.Close())
}

// txScript is an operation in a transaction, and the blocking method that does the same, nil for one that changes nothing.
type txScript struct {
	name     string
	writable bool
	first    func(s *stage, tx *Tx) // before the operation; may be nil
	op       func(s *stage, tx *Tx) anyOp
	blocking func(tx *Tx) error
}

func paths(names ...string) (path [][]byte) {
	for _, name := range names {
		path = append(path, b(name))
	}
	return path
}

func txScripts() []txScript {
	long := bytes.Repeat(b("long"), 2000)
	equal := func(s *stage, want []byte) func([]byte) {
		return func(got []byte) { require.True(s, bytes.Equal(want, got)) }
	}
	of := func(i, n int) []byte { return bytes.Repeat([]byte{byte(i)}, n) }
	var kept *Bucket
	inner := func(s *stage, tx *Tx) { kept = tx.Bucket(b("bucket"), b("inner")) }
	var cursor *Cursor
	reads := []txScript{
		{name: "Get", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.Get(tx.Root(), b("key123")), equal(s, of(123, 40)))
		}},
		{name: "Get of a long value", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.Get(tx.Root(), b("key150")), equal(s, of(150, 5000)))
		}},
		{name: "GetAppend", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.GetAppend(tx.Root(), b("x"), b("key150")), equal(s, append(b("x"), of(150, 5000)...)))
		}},
		{name: "Has", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.Has(tx.Root(), b("bucket")), func(has bool) { require.False(s, has) })
		}},
		{name: "GetMany", op: func(s *stage, tx *Tx) anyOp {
			keys, vals := paths("key001", "key150", "absent", "key299"), make([][]byte, 4)
			return checked(s.a.GetMany(tx.Root(), keys, vals), func(struct{}) {
				for i, want := range [][]byte{of(1, 40), of(150, 5000), nil, of(299, 40)} {
					require.Equal(s, want, vals[i])
				}
			})
		}},
		{name: "Bucket", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.Bucket(tx.Root(), b("bucket"), b("inner")), func(at *Bucket) {
				require.True(s, at.Exists())
				require.EqualValues(s, 7, at.Sequence())
			})
		}},
		{name: "Bucket that is absent", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.Bucket(tx.Root(), b("bucket"), b("none")), func(at *Bucket) {
				require.ErrorIs(s, at.Err(), ErrBucketNotFound)
			})
		}},
		{name: "Sequence", first: inner, op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.Sequence(kept), func(v uint64) { require.EqualValues(s, 7, v) })
		}},
		{name: "Stats", first: inner, op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.Stats(kept), func(f BucketStats) { require.EqualValues(s, 300, f.Keys) })
		}},
		{name: "Reader and ReadAt", op: func(s *stage, tx *Tx) anyOp {
			var r *ValueReader
			c := &chain{now: checked(s.a.Reader(tx.Root(), b("key150")), func(made *ValueReader) { r = made })}
			buf := make([]byte, 100)
			c.next = func() anyOp {
				c.next = func() anyOp { return nil }
				return checked(s.a.ReadAt(r, buf, 4950), func(n int) { require.Equal(s, of(150, 50), buf[:n]) })
			}
			return c
		}},
		{name: "cursor forward", first: func(s *stage, tx *Tx) { cursor = tx.Root().Cursor() },
			op: func(s *stage, tx *Tx) anyOp {
				keys := 0
				count := func(e Entry) {
					if e.Key != nil {
						keys++
					}
				}
				c := &chain{now: checked(s.a.Seek(cursor, b("key040")), count)}
				c.next = func() anyOp {
					if keys < 60 {
						return checked(s.a.Next(cursor), count)
					}
					require.Equal(s, "key099", string(cursor.c.Key()))
					return nil
				}
				return c
			}},
		{name: "cursor backward", first: func(s *stage, tx *Tx) { cursor = tx.Root().Cursor() },
			op: func(s *stage, tx *Tx) anyOp {
				keys := 0
				var last Entry
				count := func(e Entry) { keys, last = keys+1, e }
				c := &chain{now: checked(s.a.Last(cursor), count)}
				c.next = func() anyOp {
					if keys < 51 {
						return checked(s.a.Prev(cursor), count)
					}
					require.Equal(s, "key249", string(last.Key))
					require.Equal(s, of(249, 40), last.Value)
					return nil
				}
				return c
			}},
		{name: "First", first: func(s *stage, tx *Tx) { cursor = tx.Root().Cursor() }, op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.First(cursor), func(e Entry) {
				require.Equal(s, "bucket", string(e.Key))
				require.Nil(s, e.Value)
			})
		}},
		{name: "Check", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.Check(tx), func(r CheckReport) {
				require.NoError(s, r.Err())
				require.EqualValues(s, 600, r.Keys)
			})
		}},
		{name: "CopyFile", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.CopyFile(tx, "copy"), func(n int64) { require.Positive(s, n) })
		}},
		{name: "WriteTo", op: func(s *stage, tx *Tx) anyOp {
			var buf bytes.Buffer
			return checked(s.a.WriteTo(tx, &buf), func(n int64) { require.EqualValues(s, n, buf.Len()) })
		}},
	}
	writes := []txScript{
		{name: "Put", op: func(s *stage, tx *Tx) anyOp { return plain(s.a.Put(tx.Root(), b("key1001"), long[:90])) },
			blocking: func(tx *Tx) error { return tx.Root().Put(b("key1001"), long[:90]) }},
		{name: "Put of a long value", op: func(s *stage, tx *Tx) anyOp { return plain(s.a.Put(tx.Root(), b("k"), long)) },
			blocking: func(tx *Tx) error { return tx.Root().Put(b("k"), long) }},
		{name: "PutIfAbsent", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.PutIfAbsent(tx.Root(), b("key150"), nil), func(stored bool) { require.False(s, stored) })
		}},
		{name: "Delete", op: func(s *stage, tx *Tx) anyOp { return plain(s.a.Delete(tx.Root(), b("key150"))) },
			blocking: func(tx *Tx) error { return tx.Root().Delete(b("key150")) }},
		{name: "DeleteAt", first: func(s *stage, tx *Tx) {
			cursor = tx.Root().Cursor()
			cursor.Seek(b("key150"))
		}, op: func(s *stage, tx *Tx) anyOp { return plain(s.a.DeleteAt(cursor)) },
			blocking: func(tx *Tx) error { return tx.Root().Delete(b("key150")) }},
		{name: "DeleteRange", op: func(s *stage, tx *Tx) anyOp {
			return plain(s.a.DeleteRange(tx.Root(), b("key020"), b("key200")))
		}, blocking: func(tx *Tx) error { return tx.Root().DeleteRange(b("key020"), b("key200")) }},
		{name: "CreateBucket", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.CreateBucket(tx, b("bucket"), b("new")), func(at *Bucket) {
				require.True(s, at.Exists())
				require.Equal(s, tx.Bucket(b("bucket"), b("new")).root, at.root)
			})
		}, blocking: func(tx *Tx) error {
			_, err := tx.CreateBucket(b("bucket"), b("new"))
			return err
		}},
		{name: "CreateBucketIfNotExists", op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.CreateBucketIfNotExists(tx, b("bucket"), b("new"), b("newer")), func(at *Bucket) {
				require.Equal(s, tx.Bucket(b("bucket"), b("new"), b("newer")).root, at.root)
			})
		}, blocking: func(tx *Tx) error {
			_, err := tx.CreateBucketIfNotExists(b("bucket"), b("new"), b("newer"))
			return err
		}},
		{name: "DeleteBucket", op: func(s *stage, tx *Tx) anyOp { return plain(s.a.DeleteBucket(tx, b("bucket"))) },
			blocking: func(tx *Tx) error { return tx.DeleteBucket(b("bucket")) }},
		{name: "MoveBucket", op: func(s *stage, tx *Tx) anyOp {
			return plain(s.a.MoveBucket(tx, paths("bucket", "inner"), paths("moved")))
		}, blocking: func(tx *Tx) error { return tx.MoveBucket(paths("bucket", "inner"), paths("moved")) }},
		{name: "SetSequence", first: inner, op: func(s *stage, tx *Tx) anyOp { return plain(s.a.SetSequence(kept, 99)) },
			blocking: func(tx *Tx) error { return tx.Bucket(b("bucket"), b("inner")).SetSequence(99) }},
		{name: "NextSequence", first: inner, op: func(s *stage, tx *Tx) anyOp {
			return checked(s.a.NextSequence(kept), func(v uint64) { require.EqualValues(s, 8, v) })
		}, blocking: func(tx *Tx) error { return tx.Bucket(b("bucket"), b("inner")).SetSequence(8) }},
	}
	for i := range writes {
		writes[i].writable = true
	}
	for _, r := range reads { // the same in a write transaction
		switch r.name {
		case "Check", "CopyFile", "WriteTo":
		default:
			r.name, r.writable = r.name+", writable", true
			writes = append(writes, r)
		}
	}
	return append(reads, writes...)
}

// begin begins a transaction of a script, up to where the operation is.
func (s *stage) begin(x txScript) *Tx {
	tx, err := s.a.Begin(x.writable).Run(s.Context())
	require.NoError(s, err)
	if x.first != nil {
		x.first(s, tx)
	}
	return tx
}

// Every operation in a transaction, at each of its waits: stepped twice there, abandoned there, its I/O failed there. It
// then leaves the transaction as it was, which goes on and commits; and run to its end it does what the blocking method does.
func TestAsyncInTx(t *testing.T) {
	disk := stageDisk(t)
	var before map[string]string
	{
		s := openStage(t, disk)
		require.NoError(t, s.db.View(func(tx *Tx) error {
			before = content(t, tx)
			return nil
		}))
		require.NoError(t, s.db.Close())
	}
	waits := 0
	for _, x := range txScripts() {
		t.Run(x.name, func(t *testing.T) {
			// goesOn checks that nothing is left of an operation that came to nothing.
			goesOn := func(s *stage, tx *Tx, size int64) {
				s.rest()
				require.Equal(t, size, tx.Size())
				require.Equal(t, before, content(t, tx))
				want := before
				if x.writable {
					require.False(t, tx.w.w.Busy())
					require.NoError(t, tx.Root().Put(b("goes on"), b("yes")))
					require.NoError(t, tx.Commit())
					want = map[string]string{"/goes on": "yes"}
					for k, v := range before {
						want[k] = v
					}
				} else {
					require.NoError(t, tx.Rollback())
				}
				s.finish(want)
			}
			for at := 0; ; at += stride(at) {
				s := openStage(t, disk)
				tx := s.begin(x)
				size := tx.Size()
				s.m.SetManual(true)
				op := x.op(s, tx)
				pending := s.drive(op, at)
				if pending == nil {
					s.rest()
					s.whole(x, tx, disk, before)
					return
				}
				waits++
				require.ErrorIs(t, op.Abort(errInjected), errInjected)
				require.True(t, op.Ended())
				goesOn(s, tx, size)

				s = openStage(t, disk)
				tx = s.begin(x)
				s.m.SetManual(true)
				op = x.op(s, tx)
				pending = s.drive(op, at)
				for !pending.Done() {
					q := s.m.Queue()
					require.NotEmpty(t, q)
					q[len(q)-1].Fail(errInjected)
				}
				if _, err := op.step(); err != nil { // a copy may read again
					require.ErrorIs(t, err, errInjected)
					require.True(t, op.Ended())
					goesOn(s, tx, size)
				}
			}
		})
	}
	require.Greater(t, waits, 70)
}

// stride is how far apart the waits are that a test looks at: with -short, and with the race detector, some of the later ones
// are left out.
func stride(at int) int {
	if effort.Short() {
		return 1 + at/4
	}
	return 1
}

// whole compares what an operation that was run to its end did with what the blocking method does.
func (s *stage) whole(x txScript, tx *Tx, disk *io.Memory, before map[string]string) {
	want := before
	if x.blocking != nil {
		other := openStage(s.T, disk)
		require.NoError(s, other.db.Update(x.blocking))
		require.NoError(s, other.db.View(func(tx *Tx) error {
			want = content(s.T, tx)
			return nil
		}))
		require.NoError(s, other.db.Close())
	}
	if x.writable {
		_, err := s.a.Commit(tx).Run(s.Context())
		require.NoError(s, err)
	} else {
		require.NoError(s, tx.Rollback())
	}
	s.finish(want)
}

var _ types.Stepper[bool] = (*Op[bool])(nil)
