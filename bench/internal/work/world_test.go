package work

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
)

// brokenStore changes what an engine answers.
type brokenStore struct {
	engines.Store
	get  func(value []byte) ([]byte, error)
	scan func(fn engines.Visit) engines.Visit
}

type brokenReader struct {
	engines.Reader
	s brokenStore
}

func (s brokenStore) View(fn func(engines.Reader) error) error {
	return s.Store.View(func(r engines.Reader) error { return fn(brokenReader{r, s}) })
}

func (r brokenReader) Get(key []byte) ([]byte, error) {
	value, err := r.Reader.Get(key)
	if err == nil && r.s.get != nil {
		return r.s.get(bytes.Clone(value))
	}
	return value, err
}

func (r brokenReader) Scan(fn engines.Visit) error {
	if r.s.scan != nil {
		fn = r.s.scan(fn)
	}
	return r.Reader.Scan(fn)
}

// memoryStore returns a store that is quick to make.
func memoryStore(t *testing.T) engines.Store {
	t.Helper()
	for _, e := range engines.All() {
		if e.Volatile {
			s, err := e.Open("", engines.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	}
	t.Fatal("no store in memory")
	return nil
}

// newTestWorld returns a world with a store in memory.
func newTestWorld(t *testing.T, keys int) *World {
	t.Helper()
	w := NewWorld(keys, ValueSize, false)
	w.Store, w.Duration = memoryStore(t), time.Millisecond
	return w
}

// A store that lies is found out, by the workload that reads and by the check at the end.
func TestWrongAnswersAreErrors(t *testing.T) {
	flip := func(value []byte) ([]byte, error) { value[ValueSize-1] ^= 1; return value, nil }
	old := func(value []byte) ([]byte, error) {
		key := make([]byte, KeySize)
		FillKey(key, 0)
		FillValue(value, key, 77)
		return value, nil
	}
	gone := func([]byte) ([]byte, error) { return nil, engines.ErrAbsent }
	skipFirst := func(fn engines.Visit) engines.Visit {
		seen := false
		return func(key, value []byte) error {
			if !seen {
				seen = true
				return nil
			}
			return fn(key, value)
		}
	}
	twice := func(fn engines.Visit) engines.Visit {
		return func(key, value []byte) error { return errors.Join(fn(key, value), fn(key, value)) }
	}
	other := func(fn engines.Visit) engines.Visit {
		return func(key, value []byte) error { return fn(bytes.Repeat([]byte{1}, KeySize), value) }
	}
	each := func(w *World) error { _, err := getEach(w, 1); return err }
	inOne := func(w *World) error { _, err := getInOne(w); return err }
	scan := func(w *World) error { return w.scanAll(false) }
	many := func(w *World) error { _, err := coldMany(w); return err }
	verify := (*World).Verify
	for _, c := range []struct {
		name  string
		keys  int
		broke brokenStore
		run   func(*World) error
	}{
		{"get, flipped bit", 1, brokenStore{get: flip}, each},
		{"get, old version", 1, brokenStore{get: old}, inOne},
		{"get, absent", 1, brokenStore{get: gone}, each},
		{"many, flipped bit", 1, brokenStore{get: flip}, many},
		{"scan, first missing", 10, brokenStore{scan: skipFirst}, scan},
		{"scan, each twice", 10, brokenStore{scan: twice}, scan},
		{"verify, flipped bit", 1, brokenStore{get: flip}, verify},
		{"verify, old version", 1, brokenStore{get: old}, verify},
		{"verify, absent", 1, brokenStore{get: gone}, verify},
		{"verify, first missing", 10, brokenStore{scan: skipFirst}, verify},
		{"verify, other key", 1, brokenStore{scan: other}, verify},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTestWorld(t, c.keys)
			if err := w.Fill(); err != nil {
				t.Fatal(err)
			}
			if err := c.run(w); err != nil {
				t.Fatalf("before the store was broken: %v", err)
			}
			c.broke.Store = w.Store
			w.Store = c.broke
			if err := c.run(w); err == nil {
				t.Error("nobody noticed")
			}
		})
	}
}

// Keys that should be absent are not overlooked.
func TestKeysTooMany(t *testing.T) {
	w := newTestWorld(t, 5)
	if err := w.Fill(); err != nil {
		t.Fatal(err)
	}
	w.floors[3].Store(0)
	if err := w.Verify(); err == nil {
		t.Error("a key that was deleted is there, and nobody noticed")
	}
}

// What may be read while several goroutines write the same key: nothing that is older than what was on its way when the
// newest acknowledged commit began.
func TestFloors(t *testing.T) {
	w := newTestWorld(t, 1)
	w.writers(2)
	w.commits.Store(4)
	w.inFlight[0].since.Store(5) // goroutine 0 has begun commit 5
	w.commits.Store(5)
	w.inFlight[1].since.Store(6) // goroutine 1 begins 6 meanwhile
	w.commits.Store(6)
	if got := w.oldest(6); got != 5 {
		t.Errorf("the oldest on its way is %d, expected 5", got)
	}
	w.acknowledged(0, 5)
	w.acknowledged(0, 4) // later, but of an older one
	if got := w.floor(0); got != 5 {
		t.Errorf("floor %d, expected 5", got)
	}
	w.inFlight[0].since.Store(0)
	w.inFlight[1].since.Store(0)
	if got := w.oldest(7); got != 7 {
		t.Errorf("with nothing on its way the oldest is %d, expected 7", got)
	}
	key, value := make([]byte, KeySize), make([]byte, ValueSize)
	FillKey(key, 0)
	for version, right := range map[uint64]bool{4: false, 5: true, 6: true, 7: false} {
		FillValue(value, key, version)
		if err := w.check(0, key, value, w.floor(0)); (err == nil) != right {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// snapshotStore holds one value, and has something happen between the beginning of a read transaction and its first read.
type snapshotStore struct {
	engines.Store
	value []byte
	begun func()
}

type snapshot struct {
	engines.Reader
	value []byte
}

func (s *snapshotStore) View(fn func(engines.Reader) error) error {
	view := snapshot{value: s.value}
	s.begun()
	return fn(view)
}

func (s *snapshotStore) Update(fn func(engines.Writer) error) error { return fn(snapshotWriter{s: s}) }

type snapshotWriter struct {
	engines.Writer
	s *snapshotStore
}

func (w snapshotWriter) Put(_, value []byte) error { w.s.value = bytes.Clone(value); return nil }

func (v snapshot) Get([]byte) ([]byte, error) { return v.value, nil }

// A reader need not see what is acknowledged after it began, but must see what was before.
func TestReadersOfASnapshot(t *testing.T) {
	s := &snapshotStore{begun: func() {}}
	w := NewWorld(1, ValueSize, false)
	w.Store, w.loose = s, true
	b := w.newBatch(1)
	commit := func() {
		if err := b.commit([]int{0}); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	s.begun = commit
	get := w.newGetter(0)
	if err := get.each(3); err != nil {
		t.Error(err)
	}
	s.begun = func() {}
	old := s.value
	commit()
	s.value = old
	if err := get.each(1); err == nil {
		t.Error("a version that is too old is not noticed")
	}
}

// A writer that waits for the reader is told from one that gets on.
func TestWatch(t *testing.T) {
	w := newTestWorld(t, 1)
	ended := make(chan struct{})
	released, watched := w.watch(func() error { close(ended); return nil })
	if watched() || released() != nil {
		t.Error("a watch that ends at once finds something")
	}
	<-ended
	ended = make(chan struct{})
	_, watched = w.watch(func() error { close(ended); return nil })
	<-ended // nobody commits
	if !watched() {
		t.Error("a writer that makes no commit is not noticed")
	}
}

// Zipfian writers meet at the same keys all the time.
func TestManyWritersOfFewKeys(t *testing.T) {
	w := newTestWorld(t, 3)
	if err := w.Fill(); err != nil {
		t.Fatal(err)
	}
	w.Duration = 20 * time.Millisecond
	if r, err := ycsb(w, 8, 50, true); err != nil || r.Ops < 8 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := w.Verify(); err != nil {
		t.Error(err)
	}
}

// Cold reads never warm up on the keys that they measure.
func TestColdKeysAreOthers(t *testing.T) {
	for _, keys := range []int{2, 10, 1000} {
		w := newTestWorld(t, keys)
		warm, cold, dice := w.coldKeys(0), w.coldKeys(1), w.dice(0)
		seen := map[int]bool{}
		for range 10 * keys {
			if i := warm(dice); i%2 != 0 || i >= keys {
				t.Fatalf("%d keys: %d is warmed", keys, i)
			}
			i := cold(dice)
			if i%2 != 1 || i >= keys {
				t.Fatalf("%d keys: %d is measured", keys, i)
			}
			seen[i] = true
		}
		if len(seen) < min(keys/2, 5) {
			t.Errorf("%d keys: %d of them are measured", keys, len(seen))
		}
	}
}

// Work that is stopped at the limit counts as far as it came, and what is there is verified.
func TestLimit(t *testing.T) {
	w := newTestWorld(t, 2*batchSize+500)
	w.Files = func() (int64, error) { return 0, nil }
	w.Limit = time.Nanosecond
	r, err := batchRandom(w)
	if err != nil || r.Ops != batchSize || r.Stopped != w.Limit {
		t.Errorf("%+v, %v", r, err)
	}
	if err := w.Verify(); err != nil {
		t.Error(err)
	}
	if err := w.Fill(); err != nil {
		t.Fatal(err)
	}
	if r, err = deleteHalf(w); err != nil || r.Ops != batchSize || r.Stopped != w.Limit {
		t.Errorf("%+v, %v", r, err)
	}
	if err := w.Verify(); err != nil {
		t.Error(err)
	}
	w.Limit = time.Hour
	if r, err = deleteHalf(w); err != nil || r.Ops != batchSize+250 || r.Stopped != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A store that was filled in a fixed world is right in one that takes it over, and its next versions are newer.
func TestTakeOver(t *testing.T) {
	made := NewWorld(50, ValueSize, true)
	made.Store = memoryStore(t)
	if err := made.Fill(); err != nil {
		t.Fatal(err)
	}
	w := NewWorld(50, ValueSize, false)
	w.Store = made.Store
	w.TakeOver()
	if err := w.Verify(); err != nil {
		t.Error(err)
	}
	if err := w.newBatch(1).commit([]int{7}); err != nil || w.floor(7) != 2 {
		t.Errorf("version %d, %v", w.floor(7), err)
	}
	if err := w.Verify(); err != nil {
		t.Error(err)
	}
}
