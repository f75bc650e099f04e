package btree

import (
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// PutResult says what a Put found and did.
type PutResult struct {
	Stored bool
	Old    Entry // what was there; of a value only the kind
	New    Entry // what is there now, if Stored
}

// Put is a machine that stores an entry under a key. Everything before apply gathers and changes nothing.
//
//	start -> room -> find -> large -> old -> share -> ids -> apply
//	  \-- the leaf that was changed last will do: ended
//	                  |        |       |       +-- a full leaf: its neighbours, ids for new pages
//	                  |        |       +-- the extents of a large value that is replaced
//	                  |        +-- a value that is too long for a leaf
//	                  +-- the path to the leaf
type Put struct {
	w    *Writer
	root types.PageID
	key  []byte
	e    Entry
	over Kinds

	state putState
	room  pager.MakeRoom
	path  path
	found bool
	large LargeWriter
	own   bool         // the large value was written here, and is to be freed if nothing comes of it
	old   extents      // of the value that is replaced
	near  [2]neighbour // left, right
	ids   pager.ReserveIDs
}

type putState uint8

const (
	putStart putState = iota // work
	putRoom                  // await: pages are being spilled
	putFind                  // await: nodes of the path
	putLarge                 // await: extents are being written
	putOld                   // await: the list of a replaced value's extents
	putShare                 // await: the leaf's neighbours
	putIDs                   // await: page ids
	putEnded                 // end
)

// Start readies the machine to store e under key in the tree at root, if what is there is of a kind in over. key, 1 to
// MaxKeySize bytes, and e.Value stay unchanged until the end. A KindValue entry of any length up to MaxValueSize is stored as
// its length wants. A KindLarge entry's extents are the tree's once the machine has ended with Stored. A KindBucket entry
// without a root gets a new one. Root 0 is the root
// bucket, which gets a root page if it has none.
func (p *Put) Start(w *Writer, root types.PageID, key []byte, e Entry, over Kinds) {
	pageSize := w.tx.Pager().PageSize()
	if len(key) == 0 || len(key) > MaxKeySize(pageSize) || int64(len(e.Value)) > MaxValueSize {
		panic(invariant.Failf("btree: key of %d bytes, value of %d", len(key), len(e.Value)))
	}
	p.w, p.root, p.key, p.e, p.over = w, root, key, e, over
	p.state, p.found, p.own = putStart, false, false
	p.path.reset()
	p.forget()
}

// Clear lets go of what the machine, which has ended, worked on, and keeps its memory.
func (p *Put) Clear() {
	p.w, p.key, p.e = nil, nil, Entry{}
	p.path.reset()
	p.path.load, p.room = load{}, pager.MakeRoom{}
	p.forget()
}

// forget clears the parts that the last use has used: to clear all of the 2 KiB is a good part of what a Put costs.
func (p *Put) forget() {
	if p.large.w != nil {
		p.large = LargeWriter{}
	}
	if p.old.entry.Kind != KindNone {
		p.old = extents{}
	}
	if p.ids.Started() {
		p.ids = pager.ReserveIDs{}
	}
	for i := range p.near {
		if p.near[i].parent != nil {
			p.near[i] = neighbour{}
		}
	}
}

// Step goes on with storing.
func (p *Put) Step() (types.IOResult[PutResult], error) {
	if p.state == putStart {
		if err := p.w.begin(); err != nil {
			return types.Fail[PutResult](err)
		}
		if p.e.Kind == KindValue {
			if stored, old, done := p.w.putHot(p.root, p.key, p.e.Value, p.over); done {
				p.state = putEnded
				p.w.end()
				return types.Done(PutResult{Stored: stored, Old: Entry{Kind: old}})
			}
		}
		p.state = putRoom
		p.room.Start(p.w.tx)
		p.root = p.w.Source().rootOr(p.root)
	}
	for {
		pending, err := p.gather()
		switch {
		case err != nil:
			return types.Fail[PutResult](p.Abort(err))
		case pending != nil:
			return types.Wait[PutResult](pending)
		case p.state == putEnded:
			res := p.apply()
			p.w.end()
			return types.Done(res)
		}
	}
}

// gather does one state's work. putEnded means that all is there.
func (p *Put) gather() (pending *io.Completion, err error) {
	switch p.state {
	case putRoom:
		pending, err = stepOf(p.room.Step())
		if pending == nil && err == nil {
			p.state = putFind
		}
		return pending, err

	case putFind:
		return p.find()

	case putLarge:
		if pending, err = stepOf(p.large.Step()); pending != nil || err != nil {
			return pending, err
		}
		p.e = Entry{Kind: KindLarge, Large: p.large.Large()}
		p.state = putOld

	case putOld:
		if pending, err = p.old.step(p.w.Source()); pending != nil || err != nil {
			return pending, err
		}
		if err = p.spared(); err != nil {
			return nil, err
		}
		p.state = p.afterOld()

	case putShare:
		for i := range p.near {
			if pending, err = p.near[i].step(p.w.Source()); pending != nil || err != nil {
				return pending, err
			}
		}
		if err = p.spared(); err != nil {
			return nil, err
		}
		p.state = putIDs
		p.ids.Start(p.w.tx, len(p.path.steps)+2) // a node a level, one more above the root, a bucket's root

	case putIDs:
		if pending, err = stepOf(p.ids.Step()); pending != nil || err != nil {
			return pending, err
		}
		p.state = putEnded

	default:
		panic(invariant.Failf("btree: Put stepped in state %d", p.state))
	}
	return nil, nil
}

// find looks for the leaf, and decides what else is needed.
func (p *Put) find() (pending *io.Completion, err error) {
	src := p.w.Source()
	if p.root != 0 {
		if pending, err = p.path.descend(src, p.root, p.key); pending != nil || err != nil {
			return pending, err
		}
	}
	var was Entry
	if p.root != 0 {
		leaf := p.path.last()
		if p.found = p.path.found; p.found {
			was = leaf.node().entry(leaf.index)
		}
	}
	if !p.over.Has(was.Kind) {
		p.over = 0
		p.e = was
		p.state = putEnded
		return nil, nil
	}
	p.old.start(was)
	p.state = putOld
	if p.e.Kind == KindValue && p.paged() {
		p.large.Start(p.w)
		p.large.whole(p.e.Value)
		p.own, p.state = true, putLarge
	}
	return nil, nil
}

// spared checks that the extents that are to be freed are none of the pages that are to be changed, or were just written.
func (p *Put) spared() error {
	for _, id := range p.old.list {
		if p.own && (id == p.large.page || slices.Contains(p.large.list, id)) {
			return p.w.Source().corrupt(id, "an extent of a value that was free")
		}
	}
	return spared(p.w.Source(), p.old.list, &p.path, p.near[:]...)
}

// paged reports whether the entry has pages of its own: the nodes above the leaf have to tell of it.
func (p *Put) paged() bool {
	return p.e.Kind != KindValue || len(p.e.Value) > MaxInline(p.w.tx.Pager().PageSize(), len(p.key))
}

// afterOld decides, once it is known what goes into the leaf, whether it needs more pages.
func (p *Put) afterOld() putState {
	if p.root == 0 {
		p.ids.Start(p.w.tx, 2)
		return putIDs
	}
	if p.fits() && !p.makesBucket() {
		return putEnded
	}
	if !p.fits() && len(p.path.steps) > 1 && p.bias() == cutMiddle {
		parent := &p.path.steps[len(p.path.steps)-2]
		p.near[0].start(parent, parent.index-1)
		p.near[1].start(parent, parent.index+1)
	}
	return putShare
}

// fits reports whether the leaf has room for the entry.
func (p *Put) fits() bool {
	leaf := p.path.last()
	if p.found {
		return leaf.node().fitsReplaced(leaf.index, &p.e)
	}
	return leaf.node().fitsEntry(p.key, &p.e)
}

// makesBucket reports whether the entry is a bucket whose root is still to be made.
func (p *Put) makesBucket() bool { return p.e.Kind == KindBucket && p.e.Bucket.Root == 0 }

// bias looks whether keys come in order: at the tree's ends, or one behind the other in one leaf.
func (p *Put) bias() bias {
	leaf, w := p.path.last(), p.w
	n, i := leaf.node(), leaf.index
	run := w.hotRoot == p.root && w.hotLeaf == leaf.page.ID
	switch {
	case p.found:
		return cutMiddle
	case i == n.count() && (!n.bounded() || run && w.hotSlot == i-1):
		return cutAfter
	case i == 0 && len(n.low()) == 0 || run && w.hotSlot == i && i == 0:
		return cutBefore
	case run && w.hotSlot == i-1 && i > 1:
		return cutAfter
	}
	return cutMiddle
}

// apply stores the entry. It can't fail.
func (p *Put) apply() PutResult {
	w := p.w
	if p.over == 0 {
		old := p.e
		old.Value = nil
		return PutResult{Old: old}
	}
	res := PutResult{Stored: true, Old: p.old.entry}
	w.tx.Adds()
	p.old.free(w)
	if p.makesBucket() {
		id, buf := w.tx.New()
		reset(buf, 0, fences{})
		p.e.Bucket.Root = id
	}
	res.New = p.e
	if p.root == 0 {
		id, buf := w.tx.New()
		spare := w.borrow()
		reset(buf, 0, fences{}).insertEntry(0, p.key, &p.e, spare)
		w.giveBack(spare)
		w.tx.Globals().Root = id
		w.restructured()
		return res
	}
	leaf := p.path.last()
	if p.e.Kind != KindValue {
		w.addBelow(&p.path, p.e.Kind)
	}
	if p.fits() {
		w.place(p.root, leaf, p.key, &p.e, p.found)
		return res
	}
	b := p.bias()
	if p.found {
		w.edit(leaf).remove(leaf.index)
	}
	tail := append(p.e.tailHead(nil), p.e.Value...)
	it := item{key: p.key, tail: tail}
	if b != cutMiddle || !w.share(p, it) {
		w.splitInsert(&p.path, len(p.path.steps)-1, leaf.index, it, b)
	}
	w.restructured()
	return res
}

// share puts an item into the full leaf and evens it out with a neighbour that has room. It reports whether it did.
func (w *Writer) share(p *Put, it item) bool {
	leaf := p.path.last()
	var best *neighbour
	for i := range p.near {
		nb := &p.near[i]
		if nb.present && (best == nil || nb.at.node().used() < best.at.node().used()) {
			best = nb
		}
	}
	if best == nil || best.at.node().used() > best.at.node().capacity()*3/4 {
		return false
	}
	left, right, at := leaf, &best.at, p.path.steps[len(p.path.steps)-2].index+1
	if best == &p.near[0] {
		left, right, at = right, left, at-1
	}
	ln, freeLeft := w.stable(left)
	rn, freeRight := w.stable(right)
	defer freeLeft()
	defer freeRight()
	items, arena := ln.appendItems(w.mem.items[:0], w.mem.arena[:0])
	slot := leaf.index
	if left != leaf {
		slot += len(items)
	}
	items, arena = rn.appendItems(items, arena)
	items = append(items, item{})
	copy(items[slot+1:], items[slot:])
	items[slot] = it
	w.mem.items, w.mem.arena = items, arena
	f := ln.fences()
	f.high, f.bounded = rn.high()
	return w.redistribute(&p.path, len(p.path.steps)-2, at, left, right, f, items, ln.capacity())
}

// Abort leaves the transaction as it was.
func (p *Put) Abort(cause error) error {
	switch p.state {
	case putStart:
		return cause
	case putRoom:
		cause = p.room.Abort(cause)
	case putFind:
		cause = p.path.abort(cause)
	case putLarge:
		cause = p.large.Abort(cause)
		p.own = false
	case putOld:
		cause = p.old.abort(cause)
	case putShare:
		for i := range p.near {
			cause = p.near[i].load.abort(cause)
		}
	case putIDs:
		cause = p.ids.Abort(cause)
	}
	if p.own {
		p.large.discard()
	}
	if p.state != putEnded {
		p.w.end()
	}
	p.state = putEnded
	return cause
}

// stepOf takes the value off a step's result, where it is of no interest.
func stepOf[T any](res types.IOResult[T], err error) (*io.Completion, error) { return res.Pending, err }

// neighbour is a child beside the one that a path takes.
type neighbour struct {
	present bool
	parent  *pathStep
	at      pathStep
	load    load
	loaded  bool
}

// start names the child. Outside of the parent there is none.
func (nb *neighbour) start(parent *pathStep, index int) {
	nb.present = index >= 0 && index < parent.node().count()
	nb.parent, nb.loaded = parent, false
	nb.at = pathStep{index: index}
}

// step gets the neighbour's page.
func (nb *neighbour) step(s Source) (*io.Completion, error) {
	if !nb.present || nb.loaded {
		return nil, nil
	}
	pg, pending, err := nb.load.step(s, nb.parent.node().child(nb.at.index))
	if pending != nil || err != nil {
		return pending, err
	}
	if err := fitsUnder(s, nb.parent.page, nb.at.index, pg); err != nil {
		return nil, err
	}
	nb.at.page, nb.loaded = pg, true
	return nil, nil
}
