package engines

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// tester asks a store what every store has to answer.
type tester struct {
	*testing.T
	s Store
}

func (t tester) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey(i int) []byte { return fmt.Appendf(nil, "key-%012d", i) }

func testValue(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, 100) }

// put puts keys in a transaction each.
func (t tester) put(numbers ...int) {
	t.Helper()
	for _, i := range numbers {
		t.must(t.s.Update(func(w Writer) error { return w.Put(testKey(i), testValue(i)) }))
	}
}

// found returns what one of a reader's walks visits, and checks the values.
func (t tester) found(walk func(Reader, Visit) error) string {
	t.Helper()
	var all []int
	t.must(t.s.View(func(r Reader) error {
		return walk(r, func(key, value []byte) error {
			var i int
			if _, err := fmt.Sscanf(string(key), "key-%d", &i); err != nil {
				return err
			}
			if !bytes.Equal(value, testValue(i)) {
				return fmt.Errorf("key %d has value %x", i, value)
			}
			all = append(all, i)
			return nil
		})
	}))
	return fmt.Sprint(all)
}

// has expects the keys, by every way to read them.
func (t tester) has(want ...int) {
	t.Helper()
	back := make([]int, 0, len(want))
	for i := range want {
		back = append(back, want[len(want)-1-i])
	}
	if got := t.found(func(r Reader, fn Visit) error { return r.Scan(fn) }); got != fmt.Sprint(want) {
		t.Errorf("scan: %s, expected %v", got, want)
	}
	if got := t.found(func(r Reader, fn Visit) error { return r.ScanBack(fn) }); got != fmt.Sprint(back) {
		t.Errorf("scan backward: %s, expected %v", got, back)
	}
	t.must(t.s.View(func(r Reader) error {
		for i := range 12 {
			value, err := r.Get(testKey(i))
			there := bytes.Contains([]byte(fmt.Sprint(want)), fmt.Appendf(nil, "%d", i))
			if there && (err != nil || !bytes.Equal(value, testValue(i))) || !there && !errors.Is(err, ErrAbsent) {
				t.Errorf("get %d: %x, %v", i, value, err)
			}
		}
		return nil
	}))
}

func (t tester) seek(from, n int, want string) {
	t.Helper()
	got := t.found(func(r Reader, fn Visit) error { return r.Seek(testKey(from), n, fn) })
	if got != want {
		t.Errorf("%d from %d on: %s, expected %s", n, from, got, want)
	}
}

// Every engine does what the workloads ask for, durable or not, and has it after a reopen.
func TestEngines(t *testing.T) {
	for _, e := range All() {
		for _, noSync := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", e.Name, noSync), func(t *testing.T) {
				t.Parallel()
				testEngine(t, e, Options{NoSync: noSync, CacheBytes: 8 << 20})
			})
		}
	}
}

func testEngine(t *testing.T, e Engine, o Options) {
	dir := t.TempDir()
	open := func() Store {
		s, err := e.Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := tester{t, open()}
	s.has()
	s.put(5, 2, 7, 3, 2)
	s.has(2, 3, 5, 7)
	s.seek(3, 2, "[3 5]")
	s.seek(4, 1, "[5]")
	s.seek(6, 9, "[7]")
	s.seek(8, 9, "[]")
	s.must(s.s.Update(func(w Writer) error {
		if value, err := w.Get(testKey(7)); err != nil || !bytes.Equal(value, testValue(7)) {
			return fmt.Errorf("%x: %w", value, err)
		}
		if _, err := w.Get(testKey(1)); !errors.Is(err, ErrAbsent) {
			return fmt.Errorf("an absent key: %w", err)
		}
		return errors.Join(w.Delete(testKey(7)), w.Put(testKey(1), testValue(1)))
	}))
	s.has(1, 2, 3, 5)
	if !e.Volatile {
		failure := errors.New("failure")
		err := s.s.Update(func(w Writer) error { return errors.Join(w.Put(testKey(9), testValue(9)), failure) })
		if !errors.Is(err, failure) {
			t.Errorf("a transaction that fails returns %v", err)
		}
	}
	s.has(1, 2, 3, 5)
	if !e.Volatile {
		s.must(s.s.Close())
		s.s = open()
		s.has(1, 2, 3, 5)
	}
	s.must(s.s.DeleteRange(testKey(2), testKey(5)))
	s.has(1, 5)
	s.put(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	s.must(s.s.DeleteRange(testKey(1), nil))
	s.has(0)
	s.put(4)
	s.must(s.s.Drop())
	s.has()
	s.put(8, 6)
	if settler, ok := s.s.(Settler); ok {
		s.must(settler.Settle())
	}
	s.has(6, 8)
	testOptional(s)
	s.must(s.s.Close())
}

// testOptional asks for what some engines have, with keys 6 and 8 there.
func testOptional(t tester) {
	t.must(t.s.View(func(r Reader) error {
		many, ok := r.(ManyGetter)
		if !ok {
			return nil
		}
		vals := make([][]byte, 3)
		err := many.GetMany([][]byte{testKey(8), testKey(7), testKey(6)}, vals)
		if !bytes.Equal(vals[0], testValue(8)) || vals[1] != nil || !bytes.Equal(vals[2], testValue(6)) {
			t.Errorf("many: %x", vals)
		}
		return err
	}))
	if h, ok := t.s.(Holder); ok {
		release, err := h.Hold()
		t.must(err)
		t.put(9)
		t.must(release())
	}
	if f, ok := t.s.(Figured); ok {
		if got := f.Figures(); got.Commits < 1 || got.CacheLimit != 8<<20 || got.CacheBytes <= 0 || got.LogBytes <= 0 {
			t.Errorf("figures: %+v", got)
		}
	}
	if l, ok := t.s.(LogFiller); ok && l.LogFull() {
		t.Error("the log is full already")
	}
}

// A walk ends with the first error of what it calls.
func TestVisitsEnd(t *testing.T) {
	for _, e := range All() {
		s, err := e.Open(t.TempDir(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		tester{t, s}.put(1, 2, 3)
		failure := errors.New("failure")
		for name, walk := range map[string]func(Reader, Visit) error{
			"scan": Reader.Scan, "scan backward": Reader.ScanBack,
			"seek": func(r Reader, fn Visit) error { return r.Seek(testKey(0), 3, fn) },
		} {
			n := 0
			err := s.View(func(r Reader) error { return walk(r, func(_, _ []byte) error { n++; return failure }) })
			if !errors.Is(err, failure) || n != 1 {
				t.Errorf("%s, %s: %d calls, %v", e.Name, name, n, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, e := range All() {
		if e.Config == "" || e.Module == "" {
			t.Errorf("%s lacks its configuration or its module", e.Name)
		}
	}
}

// An engine that says that it copies does so: what was put is not what is changed afterwards.
func TestCopies(t *testing.T) {
	for _, e := range All() {
		if !e.Copies {
			continue
		}
		s, err := e.Open(t.TempDir(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Update(func(w Writer) error {
			key, value := testKey(1), testValue(1)
			if err := w.Put(key, value); err != nil {
				return err
			}
			copy(key, testKey(2))
			copy(value, testValue(2))
			return w.Put(key, value)
		})
		if err != nil {
			t.Fatal(err)
		}
		tester{t, s}.has(1, 2)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Engines with a cache of their own get what pawl takes by itself.
func TestDefaultCache(t *testing.T) {
	s, err := openPawl(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.(Figured).Figures().CacheLimit; int64(got) != defaultCache() {
		t.Errorf("pawl has a cache of %v bytes, the others one of %d", got, defaultCache())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
