package btree

import (
	"fmt"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// Lookup finds what a tree holds under key if every page on the way is in memory and sound; ok is false if not: Find tells.
// It does not wait and does not allocate. An absent key has KindNone. Root 0 is the root bucket.
func (s Source) Lookup(root types.PageID, key []byte) (e Entry, ok bool) {
	if root = s.rootOr(root); root == 0 {
		return Entry{}, true
	}
	level := -1
	for id := root; ; {
		pg, ok := s.findPage(id)
		if !ok {
			return Entry{}, false
		}
		n := node(pg.Data)
		if level >= 0 && n.level() != level-1 {
			return Entry{}, false
		}
		if n.leaf() {
			i, found := n.search(key)
			if !found {
				return Entry{}, true
			}
			e = n.entry(i)
			e.Shared, e.Page = pg.Image != nil, id
			return e, true
		}
		level = n.level()
		id = n.child(n.childIndex(key))
	}
}

// Find is a machine that finds what a tree holds under a key.
//
//	node --interior--> node --leaf--> ended
//	 ^                  |
//	 +--changed meanwhile by the transaction: from the root
type Find struct {
	src  Source
	root types.PageID
	key  []byte

	state findState
	id    types.PageID
	level int // of the node that led here; -1: none
	seen  uint64
	load  load
}

type findState uint8

const (
	findNode  findState = iota // await: a node
	findEnded                  // end
)

// Start readies the machine. key stays unchanged until the end. Root 0 is the root bucket.
func (f *Find) Start(src Source, root types.PageID, key []byte) {
	root = src.rootOr(root)
	*f = Find{src: src, root: root, key: key, id: root, level: -1, seen: src.mutations()}
}

// Step ends with the entry; KindNone means that the key is absent. Damage is a *types.CorruptError.
func (f *Find) Step() (types.IOResult[Entry], error) {
	if f.state == findEnded {
		panic(invariant.Failf("btree: Find stepped after its end"))
	}
	if f.root == 0 {
		f.state = findEnded
		return types.Done(Entry{})
	}
	for {
		pg, pending, err := f.load.step(f.src, f.id)
		switch {
		case pending != nil:
			return types.Wait[Entry](pending)
		case f.seen != f.src.mutations():
			f.id, f.level, f.seen = f.root, -1, f.src.mutations()
			continue
		case err != nil:
			return types.Fail[Entry](f.Abort(err))
		}
		n := node(pg.Data)
		if f.level >= 0 && n.level() != f.level-1 {
			err := f.src.corrupt(pg.ID, fmt.Sprintf("level %d below a node of level %d", n.level(), f.level))
			return types.Fail[Entry](f.Abort(err))
		}
		if n.leaf() {
			f.state = findEnded
			i, found := n.search(f.key)
			if !found {
				return types.Done(Entry{})
			}
			e := n.entry(i)
			e.Shared, e.Page = pg.Image != nil, pg.ID
			return types.Done(e)
		}
		f.level, f.id = n.level(), n.child(n.childIndex(f.key))
	}
}

// Abort ends the machine.
func (f *Find) Abort(cause error) error {
	f.state = findEnded
	return f.load.abort(cause)
}
