package pawl

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
)

var modelSeed = flag.Uint64("modelseed", 0, "seed of TestModel; 0: a fixed one for each shape")

// modelDepth is how deep buckets are nested.
const modelDepth = 4

// modelShape says what a run of the model is like.
type modelShape struct {
	name       string
	pageSize   int
	cache      int64
	keys       int // different ones
	form       int // of keys; see key
	maxValue   int
	huge       bool  // values of some MiB at times
	checkpoint int64 // Options.CheckpointBytes
	disk       bool  // on the platform's files
}

// modelShapes each take the same share of the operations.
var modelShapes = []modelShape{
	{name: "tiny", pageSize: 512, cache: 1, keys: 400, form: 0, maxValue: 2000, checkpoint: 1 << 40},
	{name: "prefix", pageSize: 512, cache: 1, keys: 600, form: 1, maxValue: 500, checkpoint: 64 << 10},
	{name: "limit", pageSize: 1024, cache: 1, keys: 300, form: 2, maxValue: 8000, checkpoint: 1 << 18},
	{name: "binary", pageSize: 4096, cache: 1, keys: 1500, form: 3, maxValue: 20_000, checkpoint: 1 << 20},
	{name: "huge", pageSize: 4096, cache: 0, keys: 200, form: 2, maxValue: 5000, huge: true, checkpoint: 4 << 20},
	{name: "files", pageSize: 8192, cache: 1, keys: 500, form: 1, maxValue: 30_000, checkpoint: 1 << 20, disk: true},
}

// modelRun applies random operations to a database and to its model.
type modelRun struct {
	testing.TB
	shape modelShape
	rng   *rand.Rand
	pool  string // random bytes, of which values are parts
	mem   *io.Memory
	path  string
	db    *DB
	done  int // operations

	epoch   int // of the buckets that may be changed
	saved   *modelBucket
	history map[uint64]*modelBucket // by commit, as far back as a reader that begins now could see
	floor   uint64                  // newest commit that a reader has seen
	pending []*PendingCommit
	lagging bool // the newest commits may not be visible yet
	due     int  // calls of OnCommit
	called  atomic.Int64
	readers []*modelTx
	kept    [64]modelSlice
}

// key draws a key of the run's form. Few are drawn, so that they come again.
func (r *modelRun) key() []byte {
	limit, n := MaxKeySize(r.shape.pageSize), r.rng.IntN(r.shape.keys)
	switch r.shape.form {
	case 0: // short
		return fmt.Appendf(nil, "%d", n)
	case 1: // a long common prefix
		return append(bytes.Repeat([]byte("p"), limit/2), fmt.Sprintf("%04d", n)...)
	case 2: // at the limit, told apart at the end
		k := bytes.Repeat([]byte("z"), limit)
		copy(k[limit-4:], fmt.Sprintf("%04d", n))
		return k
	}
	k := bytes.Repeat([]byte{byte(n * 255 / r.shape.keys)}, 1+(n*37)%limit) // up to the limit, 0x00 and 0xff among them
	k[len(k)-1] = byte(n)
	return k
}

// value draws a value: mostly short, at times empty, at times of some pages.
func (r *modelRun) value() string {
	switch r.rng.IntN(20) {
	case 0:
		return ""
	case 1:
		return r.random(r.rng.IntN(r.shape.maxValue))
	case 2, 3:
		return r.random(r.rng.IntN(r.shape.pageSize))
	}
	return r.random(r.rng.IntN(60))
}

// random returns that many random bytes.
func (r *modelRun) random(n int) string {
	at := r.rng.IntN(len(r.pool) - n)
	return r.pool[at : at+n]
}

// open opens the database.
func (r *modelRun) open() {
	o := &Options{CacheSize: r.shape.cache, CheckpointBytes: r.shape.checkpoint, IO: r.io()}
	if r.rng.IntN(2) == 0 {
		o.CacheSize *= 1 << 21
	}
	if r.db == nil || r.rng.IntN(2) == 0 {
		o.PageSize = r.shape.pageSize
	}
	if r.rng.IntN(3) == 0 {
		o.Durability = Relaxed
	}
	o.MustExist = r.db != nil
	db, err := Open(r.path, o)
	require.NoError(r, err)
	r.db, r.floor, r.lagging = db, 0, false
	r.history = map[uint64]*modelBucket{db.seq(): r.saved}
}

// io returns the backend, nil for the platform's.
func (r *modelRun) io() io.IO {
	if r.mem == nil {
		return nil
	}
	return r.mem
}

// wait waits for all commits.
func (r *modelRun) wait() {
	for _, p := range r.pending {
		require.NoError(r, p.Wait(context.Background()))
	}
	r.pending, r.lagging = nil, false
	require.EqualValues(r, r.due, r.called.Load(), "calls of OnCommit")
}

// change runs a write transaction.
func (r *modelRun) change() {
	t := &modelTx{modelRun: r, root: r.saved}
	r.epoch++
	oops := errors.New("oops")
	body := func(tx *Tx) error {
		t.tx = tx
		for range 1 + r.rng.IntN(60) {
			t.write()
		}
		if r.rng.IntN(2) == 0 {
			t.onCommit()
		}
		if r.rng.IntN(2) == 0 {
			tx.SetDurability(Durability(r.rng.IntN(2)))
		}
		if r.rng.IntN(10) == 0 {
			return oops
		}
		return nil
	}
	var err error
	lagging := false
	switch how := r.rng.IntN(8); how {
	case 0:
		err = r.db.Update(body)
	case 1:
		err = r.db.Batch(body)
	default:
		tx, began := r.db.Begin(true)
		require.NoError(r, began)
		if err = body(tx); err != nil {
			require.NoError(r, tx.Rollback())
			break
		}
		if how < 5 {
			lagging = true
			r.pending = append(r.pending, tx.CommitAsync())
		} else {
			require.NoError(r, tx.Commit())
		}
		require.ErrorIs(r, tx.Commit(), ErrTxClosed)
	}
	if err != nil {
		require.ErrorIs(r, err, oops)
		return
	}
	r.due += t.calls
	r.saved, r.lagging = t.root, lagging
	r.history[t.tx.Seq()] = t.root
	r.epoch++ // saved stays as it is
	if len(r.pending) > 8 {
		r.wait()
	}
}

// seen returns the model of what a reader that began now sees.
func (r *modelRun) seen(tx *Tx) *modelBucket {
	require.GreaterOrEqual(r, tx.Seq(), r.floor)
	r.floor = tx.Seq()
	for s := range r.history {
		if s < r.floor {
			delete(r.history, s)
		}
	}
	if r.lagging {
		root := r.history[tx.Seq()]
		require.NotNil(r, root, "commit %d", tx.Seq())
		return root
	}
	return r.saved
}

// view runs a read transaction, which looks at some things or at all.
func (r *modelRun) view() {
	require.NoError(r, r.db.View(func(tx *Tx) error {
		t := &modelTx{modelRun: r, tx: tx, root: r.seen(tx)}
		for range r.rng.IntN(40) {
			t.read()
		}
		require.ErrorIs(t, tx.Root().Put([]byte("k"), nil), ErrTxReadOnly)
		if r.rng.IntN(4) > 0 {
			return nil
		}
		if err := t.root.same(tx.Root(), r.rng.IntN(2) == 0); err != nil {
			return err
		}
		if r.rng.IntN(4) > 0 {
			return nil
		}
		return sameCounts(tx, t.root)
	}))
}

// begin opens a reader that stays; all that it sees is compared beside what goes on here, and again in the end.
func (r *modelRun) begin() {
	tx, err := r.db.Begin(false)
	require.NoError(r, err)
	t := &modelTx{modelRun: r, tx: tx, root: r.seen(tx), beside: make(chan error, 1)}
	go func() { t.beside <- t.root.same(tx.Root(), true) }()
	r.readers = append(r.readers, t)
	if len(r.readers) > 4 {
		r.end(0)
	}
}

// end ends a reader.
func (r *modelRun) end(i int) {
	t := r.readers[i]
	r.readers = append(r.readers[:i:i], r.readers[i+1:]...)
	require.NoError(r, <-t.beside)
	require.NoError(r, t.root.same(t.tx.Root(), false))
	if r.rng.IntN(2) == 0 {
		require.NoError(r, sameCounts(t.tx, t.root))
	}
	require.NoError(r, t.tx.Rollback())
	require.ErrorIs(r, t.tx.Rollback(), ErrTxClosed)
}

// copies makes a copy of what a reader sees, in one of the ways, and compares it.
func (r *modelRun) copies() {
	r.wait()
	path := r.path + ".copy"
	readOnly := r.rng.IntN(2) == 0
	o := &Options{IO: r.io(), CacheSize: 1, ReadOnly: readOnly}
	if r.rng.IntN(3) == 0 {
		dst, err := Open(path, &Options{IO: r.io(), CacheSize: 1, PageSize: r.shape.pageSize * (1 + r.rng.IntN(2))})
		require.NoError(r, err)
		require.NoError(r, Compact(context.Background(), dst, r.db))
		require.NoError(r, dst.Close())
		r.compare(path, o, r.saved)
		r.remove(path)
		return
	}
	tx, root := (*Tx)(nil), (*modelBucket)(nil)
	if n := len(r.readers); n > 0 && r.rng.IntN(2) == 0 {
		t := r.readers[r.rng.IntN(n)]
		tx, root = t.tx, t.root
	} else {
		own, err := r.db.Begin(false)
		require.NoError(r, err)
		defer func() { require.NoError(r, own.Rollback()) }()
		tx, root = own, r.seen(own)
	}
	if r.rng.IntN(2) == 0 {
		n, err := tx.CopyFile(context.Background(), path)
		require.NoError(r, err)
		require.EqualValues(r, len(r.content(path)), n)
	} else {
		var b bytes.Buffer
		n, err := tx.WriteTo(&b)
		require.NoError(r, err)
		require.EqualValues(r, b.Len(), n)
		if r.mem != nil {
			r.mem.SetBytes(path, b.Bytes())
		} else {
			require.NoError(r, os.WriteFile(path, b.Bytes(), 0o600))
		}
	}
	r.compare(path, o, root)
	r.remove(path)
}

// compare opens a database and compares all of it. Opened for reading only it is not changed by that.
func (r *modelRun) compare(path string, o *Options, root *modelBucket) {
	before := r.content(path)
	db, err := Open(path, o)
	require.NoError(r, err)
	require.NoError(r, db.View(func(tx *Tx) error {
		return errors.Join(root.same(tx.Root(), r.rng.IntN(2) == 0), sameCounts(tx, root))
	}))
	if o.ReadOnly {
		other, err := Open(path, o)
		require.NoError(r, err, "readers share")
		require.ErrorIs(r, db.Update(func(*Tx) error { return nil }), ErrReadOnly)
		_, err = db.Checkpoint(context.Background(), Passive)
		require.ErrorIs(r, err, ErrReadOnly)
		require.NoError(r, other.Close())
	}
	_, err = Open(path, &Options{IO: r.io(), LockTimeout: -1})
	require.ErrorIs(r, err, ErrLocked)
	require.NoError(r, db.Close())
	if o.ReadOnly {
		require.True(r, bytes.Equal(before, r.content(path)))
	}
}

// content returns the bytes of a file.
func (r *modelRun) content(path string) []byte {
	if r.mem == nil {
		b, err := os.ReadFile(path)
		require.NoError(r, err)
		return b
	}
	b, err := r.mem.Bytes(path)
	require.NoError(r, err)
	return b
}

// remove removes a file.
func (r *modelRun) remove(path string) {
	if r.mem == nil {
		require.NoError(r, os.Remove(path))
		return
	}
	var c io.Completion
	r.mem.Remove(&c, path)
	require.NoError(r, r.mem.Wait(context.Background(), &c))
	require.NoError(r, c.Err())
}

// reopen closes the database, looks at it with another open, and opens it again with other options.
func (r *modelRun) reopen() {
	r.close()
	r.compare(r.path, &Options{IO: r.io(), CacheSize: 1, ReadOnly: r.rng.IntN(2) == 0}, r.saved)
	other := 512
	if r.shape.pageSize == other {
		other = 4096
	}
	_, err := Open(r.path, &Options{IO: r.io(), PageSize: other})
	require.ErrorIs(r, err, ErrPageSize)
	r.open()
}

// close ends everything.
func (r *modelRun) close() {
	r.wait()
	for len(r.readers) > 0 {
		r.end(0)
	}
	r.keptSlices()
	require.NoError(r, r.db.Close())
}

// checkpoint makes one, in one of the forms.
func (r *modelRun) checkpoint() {
	mode := CheckpointMode(r.rng.IntN(3))
	if mode != Passive {
		r.wait()
	}
	res, err := r.db.Checkpoint(context.Background(), mode)
	require.NoError(r, err)
	if mode != Passive {
		require.Equal(r, r.db.seq(), res.Covered)
	}
}

// run does about n operations.
func (r *modelRun) run(n int) {
	r.saved = new(modelBucket)
	r.open()
	for r.done < n {
		switch op := r.rng.IntN(400); {
		case op < 240:
			r.change()
		case op < 320:
			r.view()
		case op < 340:
			r.begin()
		case op < 375:
			if len(r.readers) > 0 {
				t := r.readers[r.rng.IntN(len(r.readers))]
				for range r.rng.IntN(30) {
					t.read()
				}
			}
		case op < 385:
			if len(r.readers) > 0 {
				r.end(r.rng.IntN(len(r.readers)))
			}
		case op < 393:
			r.checkpoint()
		case op < 395:
			seq := r.db.seq() // of those that are under way some come meanwhile
			require.NoError(r, r.db.Sync())
			require.GreaterOrEqual(r, r.db.Stats().Durable, seq)
			r.keptSlices()
		case op < 397:
			r.copies()
		case op < 398:
			r.reopen()
		}
	}
	r.reopen()
	r.close()
}

// A database does what nested sorted lists do, through whatever else happens to it: checkpoints, copies, reopens, readers
// that stay, savepoints, rollbacks, and caches that hold little of it.
func TestModel(t *testing.T) {
	operations := 24_000
	switch {
	case effort.Long():
		operations = 1_000_000
	case testing.Short():
		operations = 8000
	}
	pool := make([]byte, 8<<20)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(pool)
	for i, shape := range modelShapes {
		t.Run(shape.name, func(t *testing.T) {
			seed := *modelSeed
			if seed == 0 {
				seed = uint64(i + 1)
			}
			t.Logf("replay: go test -run '^TestModel$/^%s$' -modelseed %d", shape.name, seed)
			r := &modelRun{TB: t, shape: shape, rng: rand.New(rand.NewPCG(seed, 1)), pool: string(pool), path: "model.pawl"}
			if shape.disk {
				r.path = filepath.Join(t.TempDir(), "model.pawl")
			} else {
				r.mem = io.NewMemory(io.MemoryConfig{RealTime: true, Volatile: true})
			}
			r.run(operations / len(modelShapes))
			t.Logf("%d operations", r.done)
		})
	}
}
