package engines

import (
	"bytes"
	"sync"

	google "github.com/google/btree"
	tidwall "github.com/tidwall/btree"
)

var googleBTree = Engine{
	Name: "google-btree", Module: "github.com/google/btree", Volatile: true,
	Config: "in memory, for orientation: BTreeG of degree 32 under a sync.RWMutex",
	Open: func(string, Options) (Store, error) {
		return newMemoryStore(func() memoryTree { return googleTree{google.NewG(32, pairLess)} }), nil
	},
}

var tidwallBTree = Engine{
	Name: "tidwall-btree", Module: "github.com/tidwall/btree", Volatile: true,
	Config: "in memory, for orientation: BTreeG with its defaults, without its own lock, under a sync.RWMutex",
	Open: func(string, Options) (Store, error) {
		return newMemoryStore(func() memoryTree {
			return tidwallTree{tidwall.NewBTreeGOptions(pairLess, tidwall.Options{NoLocks: true})}
		}), nil
	},
}

// pair is what the trees hold.
type pair struct{ key, value []byte }

func pairLess(a, b pair) bool { return bytes.Compare(a.key, b.key) < 0 }

// memoryTree is what the two trees have in common.
type memoryTree interface {
	get(key []byte) ([]byte, bool)
	put(p pair)
	remove(key []byte)
	ascend(from []byte, fn func(pair) bool)
	descend(fn func(pair) bool)
}

// memoryStore makes a Store of a tree.
type memoryStore struct {
	empty func() memoryTree
	mu    sync.RWMutex
	tree  memoryTree
}

func newMemoryStore(empty func() memoryTree) *memoryStore {
	return &memoryStore{empty: empty, tree: empty()}
}

func (s *memoryStore) Update(fn func(Writer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fn(memoryTx{s})
}

func (s *memoryStore) View(fn func(Reader) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return fn(memoryTx{s})
}

func (s *memoryStore) DeleteRange(from, to []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys [][]byte
	s.tree.ascend(from, func(p pair) bool {
		in := to == nil || bytes.Compare(p.key, to) < 0
		if in {
			keys = append(keys, p.key)
		}
		return in
	})
	for _, key := range keys {
		s.tree.remove(key)
	}
	return nil
}

func (s *memoryStore) Drop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tree = s.empty()
	return nil
}

func (s *memoryStore) Close() error { return nil }

type memoryTx struct{ s *memoryStore }

func (t memoryTx) Get(key []byte) ([]byte, error) {
	if value, ok := t.s.tree.get(key); ok {
		return value, nil
	}
	return nil, ErrAbsent
}

// Put copies both, in one allocation.
func (t memoryTx) Put(key, value []byte) error {
	own := append(append(make([]byte, 0, len(key)+len(value)), key...), value...)
	t.s.tree.put(pair{own[:len(key):len(key)], own[len(key):]})
	return nil
}

func (t memoryTx) Delete(key []byte) error {
	t.s.tree.remove(key)
	return nil
}

func (t memoryTx) Scan(fn Visit) (err error) {
	t.s.tree.ascend(nil, func(p pair) bool { err = fn(p.key, p.value); return err == nil })
	return err
}

func (t memoryTx) ScanBack(fn Visit) (err error) {
	t.s.tree.descend(func(p pair) bool { err = fn(p.key, p.value); return err == nil })
	return err
}

func (t memoryTx) Seek(key []byte, n int, fn Visit) (err error) {
	t.s.tree.ascend(key, func(p pair) bool {
		if n == 0 {
			return false
		}
		n--
		err = fn(p.key, p.value)
		return err == nil && n > 0
	})
	return err
}

type googleTree struct{ t *google.BTreeG[pair] }

func (t googleTree) get(key []byte) ([]byte, bool) {
	p, ok := t.t.Get(pair{key: key})
	return p.value, ok
}

func (t googleTree) put(p pair)        { t.t.ReplaceOrInsert(p) }
func (t googleTree) remove(key []byte) { t.t.Delete(pair{key: key}) }

func (t googleTree) ascend(from []byte, fn func(pair) bool) {
	t.t.AscendGreaterOrEqual(pair{key: from}, google.ItemIteratorG[pair](fn))
}

func (t googleTree) descend(fn func(pair) bool) { t.t.Descend(google.ItemIteratorG[pair](fn)) }

type tidwallTree struct{ t *tidwall.BTreeG[pair] }

func (t tidwallTree) get(key []byte) ([]byte, bool) {
	p, ok := t.t.Get(pair{key: key})
	return p.value, ok
}

func (t tidwallTree) put(p pair)        { t.t.Set(p) }
func (t tidwallTree) remove(key []byte) { t.t.Delete(pair{key: key}) }

func (t tidwallTree) ascend(from []byte, fn func(pair) bool) { t.t.Ascend(pair{key: from}, fn) }

func (t tidwallTree) descend(fn func(pair) bool) { t.t.Reverse(fn) }
