package powercut

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pawldb/pawl"
)

// aim says when the power is cut. Which I/O that hits, the machine decides.
type aim uint8

const (
	anytime      aim = iota // a while after the database was opened
	afterCommits            // soon after some durable commits have returned
	inCheckpoint            // soon after one began
	inRecovery              // soon after Open began to recover
	inBirth                 // soon after Open began to make a database
	inClose                 // soon after Close began
	aims
)

var aimNames = [aims]string{"anytime", "commits", "checkpoint", "recovery", "birth", "close"}

// String returns the name.
func (a aim) String() string { return aimNames[a] }

const (
	longest = 10 * time.Second // an era lasts if what it waits for does not come
	most    = 3000             // commits of an era
)

// lost is what a cut has done that it must not do. It is an error of what is found on the disk, not of the time before.
type lost struct{ err error }

func (l *lost) Error() string { return "after the cut: " + l.err.Error() }
func (l *lost) Unwrap() error { return l.err }

// missingCommits means that acknowledged commits are not there.
type missingCommits struct{ acknowledged, found uint64 }

func (m *missingCommits) Error() string {
	return fmt.Sprintf("commit %d was acknowledged, and the newest is %d", m.acknowledged, m.found)
}

// books are what is known of a database: what it held when it was last looked at, and what has come since.
type books struct {
	path  string
	model model

	mu           sync.Mutex
	acknowledged uint64                         // commit that must be there, with all before it
	begun        map[uint64]map[uint64]struct{} // by number, the commits that may be there
	done         map[uint64]uint64              // by number, what has returned or was seen: nobody else can be there
}

func newBooks(path string) *books {
	return &books{path: path, begun: map[uint64]map[uint64]struct{}{}, done: map[uint64]uint64{}}
}

// begin notes that a commit is about to be handed to the log.
func (b *books) begin(n, nonce uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun[n] == nil {
		b.begun[n] = map[uint64]struct{}{}
	}
	b.begun[n][nonce] = struct{}{}
}

// end notes that a commit has returned, or was seen; that it is on stable storage if it is durable.
func (b *books) end(n, nonce uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[n] = nonce
	if isDurable(nonce) {
		b.acknowledged = max(b.acknowledged, n)
	}
}

// promised returns the newest commit that must be there, and the newest that has returned.
func (b *books) promised() (acknowledged, returned uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	returned = b.acknowledged
	for n := range b.done {
		returned = max(returned, n)
	}
	return b.acknowledged, returned
}

// acknowledge notes that everything up to commit n is on stable storage.
func (b *books) acknowledge(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acknowledged = max(b.acknowledged, n)
}

// verify holds what a transaction sees against the books after a cut, and brings these up to it. Nothing else is under way.
func (b *books) verify(tx *pawl.Tx) error {
	n := tx.Root().Sequence()
	if n < b.acknowledged {
		return &missingCommits{b.acknowledged, n}
	}
	history := tx.Bucket([]byte("history"))
	for i := b.model.n + 1; i <= n; i++ {
		value, err := history.Get([]byte(number(i)))
		if err != nil {
			return fmt.Errorf("commit %d of %d: %w", i, n, err)
		}
		var nonce uint64
		for candidate := range b.begun[i] {
			if number(candidate) == string(value) {
				nonce = candidate
			}
		}
		if nonce == 0 {
			return fmt.Errorf("commit %d of %d is %x, which was never begun", i, n, value)
		}
		if done, ok := b.done[i]; ok && done != nonce {
			return fmt.Errorf("commit %d of %d is %x, and %x had returned", i, n, nonce, done)
		}
		b.model.apply(nonce)
	}
	b.acknowledged = n // what was found stays
	clear(b.begun)
	clear(b.done)
	if err := b.model.same(tx); err != nil {
		return fmt.Errorf("commit %d: %w", n, err)
	}
	report, err := tx.Check(context.Background())
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return fmt.Errorf("commit %d: check: %w", n, err)
	}
	if values, buckets := b.model.sizes(); report.Keys != values || report.Trees != buckets {
		return fmt.Errorf("commit %d: %d values in %d buckets, not %d in %d", n, report.Keys, report.Trees, values, buckets)
	}
	return nil
}

// era is the time from an open to the cut.
type era struct {
	*books
	disk *disk
	aim  aim
	calm bool // the log is only written to: no checkpoints
	seed uint64
	io   *lyingIO // of the database; nil: its own
	rng  *rand.Rand

	db        *pawl.DB
	once      sync.Once
	nth       int           // of the checkpoints, or durable commits, the one that is waited for
	delay     time.Duration // from what is waited for to the cut
	isCut     atomic.Bool   // or about to be
	over      atomic.Bool   // writers end
	cutDone   chan struct{}
	recovered atomic.Bool // a recovery has begun
	within    atomic.Int32
	hit       bool // the cut was in what it was aimed at
	commits   atomic.Int64

	checkpoints atomic.Int32 // that have begun
	durable     atomic.Int32 // commits that have returned

	failure atomic.Pointer[error] // the first that has no excuse
}

// fail notes an error that has no excuse. A cut excuses what follows from it; nothing excuses damage.
func (e *era) fail(what string, err error) {
	if err == nil {
		return
	}
	excused := errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS) || errors.Is(err, pawl.ErrFailed)
	if e.isCut.Load() && excused && !errors.Is(err, pawl.ErrCorrupt) {
		return
	}
	err = fmt.Errorf("%s: %w", what, err)
	e.failure.CompareAndSwap(nil, &err)
}

// cut cuts the power after a delay, once in an era, and has the writers end.
func (e *era) cut(delay time.Duration) {
	e.once.Do(func() {
		go func() {
			defer close(e.cutDone)
			time.Sleep(delay)
			e.hit = e.within.Load() > 0 || e.aim <= afterCommits
			e.isCut.Store(true)
			if err := e.disk.cut(); err != nil {
				err = fmt.Errorf("shutdown: %w", err)
				e.failure.CompareAndSwap(nil, &err)
			}
			e.over.Store(true)
		}()
	})
}

// soon is a short delay, in any order of magnitude.
func soon(rng *rand.Rand) time.Duration {
	return time.Duration(rng.IntN(100<<rng.IntN(7))) * time.Microsecond
}

// event cuts the power if that was waited for, and counts what is under way.
func (e *era) event(ev pawl.Event) {
	switch ev.Kind {
	case pawl.EventRecoveryBegin:
		e.recovered.Store(true)
		if e.aim == inRecovery {
			e.within.Add(1)
			e.cut(e.delay)
		}
	case pawl.EventRecovery:
		if e.aim == inRecovery {
			e.within.Add(-1)
		}
	case pawl.EventCheckpointBegin:
		if e.aim == inCheckpoint {
			e.within.Add(1)
			if int(e.checkpoints.Add(1)) == e.nth {
				e.cut(e.delay)
			}
		}
	case pawl.EventCheckpoint:
		if e.aim == inCheckpoint {
			e.within.Add(-1)
		}
	}
}

// options draws how the database is opened.
func (e *era) options() *pawl.Options {
	e.delay, e.nth = soon(e.rng), 1+e.rng.IntN(4)
	o := &pawl.Options{
		CacheSize:       1 << 18 << e.rng.IntN(4),
		CheckpointBytes: 64 << 10 << e.rng.IntN(5),
		SyncInterval:    time.Duration(1+e.rng.IntN(20)) * time.Millisecond,
		MustExist:       e.acknowledged > 0,
		OnEvent:         e.event,
	}
	if e.aim == afterCommits {
		e.nth = 2 + e.rng.IntN(40)
	}
	if e.calm {
		o.CheckpointBytes = 0 // far more than is written
	}
	if e.io != nil {
		o.IO = e.io
	}
	return o
}

// run opens the database, has writers at work, cuts the power and closes. What is on the disk then is not looked at.
func (e *era) run() error {
	e.cutDone = make(chan struct{})
	options := e.options()
	if e.aim == inBirth { // some after it
		e.within.Add(1)
		e.cut(soon(e.rng) + time.Duration(e.rng.IntN(8))*time.Millisecond)
	}
	db, err := pawl.Open(e.path, options)
	if err != nil {
		e.fail("open", err)
		e.cut(0) // unless that was it
		<-e.cutDone
		return e.failed()
	}
	e.db = db
	if e.aim == inBirth {
		e.within.Add(-1)
	}
	var all sync.WaitGroup
	if e.aim != inRecovery || !e.recovered.Load() {
		for w := range writers {
			all.Go(func() { e.write(w, rand.New(rand.NewPCG(e.seed, uint64(w)))) })
		}
		if !e.calm {
			all.Go(func() { e.tend(rand.New(rand.NewPCG(e.seed, writers))) })
		}
		all.Go(func() { e.read(rand.New(rand.NewPCG(e.seed, writers+1))) })
	}
	switch e.aim {
	case anytime:
		e.cut(time.Duration(1+e.rng.IntN(60)) * time.Millisecond)
	case inRecovery:
		e.cut(soon(e.rng)) // if there was nothing to recover
	case inClose:
		time.Sleep(time.Duration(1+e.rng.IntN(40)) * time.Millisecond)
		e.over.Store(true)
		all.Wait()
		e.within.Add(1)
		e.cut(soon(e.rng))
	default: // the event's, or else this
		late := time.AfterFunc(longest, func() { e.cut(0) })
		defer late.Stop()
	}
	all.Wait()
	if e.aim != inClose {
		<-e.cutDone
	}
	e.end()
	<-e.cutDone
	return e.failed()
}

// end closes the database, whether the power was cut or not.
func (e *era) end() {
	_, returned := e.promised()
	err := e.db.Close()
	if e.aim == inClose {
		e.within.Add(-1)
	}
	e.fail("close", err)
	if err == nil && !e.isCut.Load() {
		e.acknowledge(returned)
	}
}

// failed returns the error that has no excuse.
func (e *era) failed() error {
	if err := e.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// write makes commits until the cut, in each of the ways; some return before they are on stable storage.
func (e *era) write(writer int, rng *rand.Rand) {
	var pending sync.WaitGroup
	defer pending.Wait()
	for !e.over.Load() && e.commits.Add(1) < most {
		nonce := newNonce(rng, writer)
		var n uint64
		body := func(tx *pawl.Tx) error {
			var err error
			if n, err = commit(tx, nonce); err != nil {
				return err
			}
			e.begin(n, nonce)
			if !isDurable(nonce) {
				tx.SetDurability(pawl.Relaxed)
			}
			return nil
		}
		var err error
		switch way := rng.IntN(4); {
		case way == 0 && isDurable(nonce): // others share the transaction
			err = e.db.Batch(body)
		case way == 1:
			var tx *pawl.Tx
			if tx, err = e.db.Begin(true); err != nil {
				break
			}
			if err = body(tx); err != nil {
				err = errors.Join(err, tx.Rollback())
				break
			}
			p := tx.CommitAsync()
			pending.Go(func() {
				err := p.Wait(context.Background())
				if e.fail("commit", err); err == nil {
					e.committed(n, nonce)
				}
			})
			continue
		default:
			err = e.db.Update(body)
		}
		if err != nil {
			e.fail("commit", err)
			return
		}
		e.committed(n, nonce)
	}
}

// committed notes that a commit has returned. From the first on syncs are lies, if they ever are.
func (e *era) committed(n, nonce uint64) {
	e.books.end(n, nonce)
	if isDurable(nonce) && e.aim == afterCommits && int(e.durable.Add(1)) == e.nth {
		e.cut(e.delay)
	}
	if e.io != nil {
		e.io.lies.Store(true)
	}
}

// tend makes checkpoints and syncs, and takes their word that what had returned before is on stable storage.
func (e *era) tend(rng *rand.Rand) {
	for !e.over.Load() {
		time.Sleep(soon(rng))
		_, returned := e.promised()
		var err error
		durable := true
		switch rng.IntN(6) {
		case 0:
			_, err = e.db.Checkpoint(context.Background(), pawl.Truncate)
		case 1:
			_, err = e.db.Checkpoint(context.Background(), pawl.Complete)
		case 2:
			durable = false
			_, err = e.db.Checkpoint(context.Background(), pawl.Passive)
		default:
			err = e.db.Sync()
		}
		if err != nil {
			e.fail("sync or checkpoint", err)
			return
		}
		if durable {
			e.acknowledge(returned)
		}
	}
}

// read looks at snapshots: each has what was acknowledged before it began, and its newest commit whole. What is seen of a durable
// commit has to stay, and what a transaction is based on that changes nothing.
func (e *era) read(rng *rand.Rand) {
	for !e.over.Load() {
		acknowledged, _ := e.promised()
		var n, nonce uint64
		look := func(tx *pawl.Tx) (err error) {
			n, nonce, err = newest(tx)
			if err == nil && n < acknowledged {
				err = &missingCommits{acknowledged, n}
			}
			return err
		}
		if rng.IntN(3) == 0 {
			err := e.db.Update(look)
			if err != nil {
				e.fail("empty update", err)
				return
			}
			e.acknowledge(n)
			continue
		}
		err := e.db.View(func(tx *pawl.Tx) error {
			if rng.IntN(2) == 0 {
				time.Sleep(soon(rng))
			}
			return look(tx)
		})
		if err != nil {
			e.fail("view", err)
			return
		}
		if n > 0 {
			e.books.end(n, nonce)
		}
	}
}

// newest returns the newest commit that a transaction sees, after a look at both ends of it; 0 if there is none yet.
func newest(tx *pawl.Tx) (n, nonce uint64, err error) {
	if n = tx.Root().Sequence(); n == 0 {
		return 0, 0, nil
	}
	first, err := tx.Bucket([]byte("history")).Get([]byte(number(n)))
	if err != nil {
		return 0, 0, err
	}
	last, err := tx.Bucket([]byte("shared")).Get([]byte("last"))
	if err != nil {
		return 0, 0, err
	}
	if string(first) != string(last) || len(first) != 8 {
		return 0, 0, fmt.Errorf("commit %d is %x, and %x of it is there", n, first, last)
	}
	return n, binary.BigEndian.Uint64(first), nil
}

// check mounts the disk anew and verifies what is there. A read-only open leaves the log to the next era's recovery.
func (e *era) check() error {
	if err := e.disk.again(); err != nil {
		return err
	}
	db, err := pawl.Open(e.path, &pawl.Options{ReadOnly: e.rng.IntN(4) > 0, MustExist: true, CacheSize: 1 << 20})
	if errors.Is(err, fs.ErrNotExist) && e.acknowledged == 0 && e.db == nil {
		return nil // the cut came before the file
	}
	if err != nil {
		return &lost{fmt.Errorf("open: %w", err)}
	}
	if err := errors.Join(db.View(e.verify), db.Close()); err != nil {
		return &lost{err}
	}
	return nil
}

// name returns the path of a database on the disk.
func (d *disk) name(base string) string { return filepath.Join(d.dir, base+".pawl") }
