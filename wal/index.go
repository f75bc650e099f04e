package wal

import (
	"cmp"
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// Entry says what a commit did to a page and where the log, or the database file, has it.
type Entry struct {
	Page    types.PageID
	Version types.Seq
	Kind    Kind // KindFull, KindDelta, KindReference or KindFreed
	Written bool // a full frame or a delta can be read back; until then its image must be in memory

	Pos    Position  // of a full frame or a delta
	Length uint32    // bytes of a full frame or a delta in the log, header included
	Run    types.Run // of a reference
	Sum    uint64    // of a reference: XXH64 of the run
}

// indexEntry is an Entry in a layer's arena, without pointers: 56 bytes, beside those of the page's place in newest.
type indexEntry struct {
	page    types.PageID
	version types.Seq
	a, b, c uint64 // full, delta: epoch, serial, offset; reference: packed run, checksum, -
	length  uint32
	older   int32 // the page's entry before in the same layer; -1: none
	kind    Kind
	written bool

	deltas     uint8  // how many it is rebuilt of
	deltaBytes uint32 // of their frames
}

// layer holds what the commits between two generations did. It starts behind the commit that its generation covers.
type layer struct {
	generation types.Generation
	newest     newest
	entries    []indexEntry // in commit order
	bulks      []*lists     // of commits that name very many pages without a frame, in commit order; never empty
}

// newLayer returns an empty layer behind generation.
func newLayer(generation types.Generation) *layer {
	return &layer{generation: generation, newest: newest{chunks: map[types.PageID]*newestChunk{}}}
}

// add appends an entry, which must be of the newest commit so far.
func (y *layer) add(e indexEntry) {
	e.older = y.newest.set(e.page, int32(len(y.entries)))
	y.entries = append(y.entries, e)
}

// find returns the index of the page's newest entry at or below s, or -1.
func (y *layer) find(page types.PageID, s types.Seq) int32 {
	return y.below(y.newest.get(page), s)
}

// below returns the index of the newest entry at or below s of a page whose newest one of all is at, or -1.
func (y *layer) below(at int32, s types.Seq) int32 {
	for at >= 0 && y.entries[at].version > s {
		at = y.entries[at].older
	}
	return at
}

// addLists takes in a commit's references and freed runs. The commit must be the newest so far. The layer keeps them.
func (y *layer) addLists(b *lists) {
	if b.bulk() && len(y.bulks) < bulkMax {
		y.bulks = append(y.bulks, b)
		return
	}
	b.each(y.add)
}

// lookup returns the page's newest entry at or below s.
func (y *layer) lookup(page types.PageID, s types.Seq) (indexEntry, bool) {
	return y.lookupFrom(y.newest.get(page), page, s)
}

// lookupFrom is lookup for a page whose newest entry of all but those of the lists is at, or -1.
func (y *layer) lookupFrom(at int32, page types.PageID, s types.Seq) (indexEntry, bool) {
	at = y.below(at, s)
	for i := len(y.bulks) - 1; i >= 0; i-- {
		b := y.bulks[i]
		if b.seq > s {
			continue
		}
		if at >= 0 && y.entries[at].version >= b.seq {
			break
		}
		if e, ok := b.find(page); ok {
			return e, true
		}
	}
	if at < 0 {
		return indexEntry{}, false
	}
	return y.entries[at], true
}

// each calls visit for every page's newest entry at or below s, in no order.
func (y *layer) each(s types.Seq, visit func(indexEntry)) {
	y.newest.each(func(page types.PageID, at int32) { // callers sort
		if e, ok := y.lookupFrom(at, page, s); ok {
			visit(e)
		}
	})
	for _, b := range y.bulks {
		if b.seq > s {
			break
		}
		b.each(func(e indexEntry) {
			if y.newest.get(e.page) >= 0 {
				return
			}
			if newest, _ := y.lookup(e.page, s); newest.version == b.seq {
				visit(e)
			}
		})
	}
}

// public returns the exported form of an entry.
func (i *indexEntry) public() Entry {
	e := Entry{Page: i.page, Version: i.version, Kind: i.kind, Written: i.written, Length: i.length}
	switch i.kind {
	case KindFull, KindDelta:
		e.Pos = Position{Epoch: i.a, Serial: i.b, Offset: int64(i.c)}
	case KindReference:
		e.Run, e.Sum = types.UnpackRun(i.a), i.b
	}
	return e
}

// bytes returns about how much memory the layer takes.
func (y *layer) bytes() int64 {
	n := y.newest.bytes() + int64(cap(y.entries)*56)
	for _, b := range y.bulks {
		n += int64(cap(b.refs) + cap(b.freed)*16)
	}
	return n
}

// index finds the newest frame of a page for a snapshot: layers by generation, oldest first. The log's lock guards it.
type index struct {
	layers []*layer
}

// weigh notes how much memory the index takes.
func (l *Log) weigh() {
	n := int64(0)
	for _, y := range l.index.layers {
		n += y.bytes()
	}
	l.indexBytes.Store(n)
	l.newestBytes.Store(l.index.top().bytes())
}

// IndexBytes returns about how much memory the index of frames takes, in bytes.
func (l *Log) IndexBytes() int64 { return l.indexBytes.Load() }

// NewestIndexBytes returns that of the layer that new commits go to: what the next checkpoint can make superfluous.
func (l *Log) NewestIndexBytes() int64 { return l.newestBytes.Load() }

// top returns the layer that new commits go to.
func (x *index) top() *layer { return x.layers[len(x.layers)-1] }

// Lookup returns the newest entry of page with a version at or below s, in the layers of generation from and later.
func (l *Log) Lookup(page types.PageID, s types.Seq, from types.Generation) (Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.index.lookup(page, s, from)
	if !ok {
		return Entry{}, false
	}
	return e.public(), true
}

// lookup returns the newest entry of page with a version at or below s, in the layers of generation from and later.
func (x *index) lookup(page types.PageID, s types.Seq, from types.Generation) (indexEntry, bool) {
	for i := len(x.layers) - 1; i >= 0 && x.layers[i].generation >= from; i-- {
		if e, ok := x.layers[i].lookup(page, s); ok {
			return e, true
		}
	}
	return indexEntry{}, false
}

// AnyFreed returns one of the pages whose newest entry, as Lookup finds it, says that it was freed; ok is false if there is none.
func (l *Log) AnyFreed(pages []types.PageID, s types.Seq, from types.Generation) (freed types.PageID, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, page := range pages {
		if e, ok := l.index.lookup(page, s, from); ok && e.kind == KindFreed {
			return page, true
		}
	}
	return 0, false
}

// Newest returns the version of the newest entry of page, over all layers.
func (l *Log) Newest(page types.PageID) (types.Seq, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.index.layers) - 1; i >= 0; i-- {
		if e, ok := l.index.layers[i].lookup(page, ^types.Seq(0)); ok {
			return e.version, true
		}
	}
	return 0, false
}

// InNewestLayer returns the kind of page's newest entry in the layer that new commits go to.
func (l *Log) InNewestLayer(page types.PageID) (Kind, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.index.top().lookup(page, ^types.Seq(0))
	return e.kind, ok
}

// Split opens the layer of generation next: entries above x move to it. x is what Fix returned.
func (l *Log) Split(x types.Seq, next types.Generation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.index.top()
	if next <= old.generation {
		panic(invariant.Failf("wal: layer %d opened above layer %d", next, old.generation))
	}
	cut := len(old.entries)
	for cut > 0 && old.entries[cut-1].version > x {
		cut--
	}
	y := newLayer(next)
	for _, e := range old.entries[cut:] {
		y.add(e)
	}
	for i := len(old.entries) - 1; i >= cut; i-- {
		old.newest.set(old.entries[i].page, old.entries[i].older)
	}
	old.entries = old.entries[:cut]
	for n := len(old.bulks); n > 0 && old.bulks[n-1].seq > x; n-- {
		y.bulks = slices.Insert(y.bulks, 0, old.bulks[n-1])
		old.bulks = old.bulks[:n-1]
	}
	l.index.layers = append(l.index.layers, y)
	l.weigh()
}

// Unsplit joins the layer of generation next, the newest, to the one before: the checkpoint that would have made it failed.
func (l *Log) Unsplit(next types.Generation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	y := l.index.top()
	if y.generation != next || len(l.index.layers) < 2 {
		panic(invariant.Failf("wal: layer %d joined, the newest is %d", next, y.generation))
	}
	l.index.layers = l.index.layers[:len(l.index.layers)-1]
	for _, e := range y.entries {
		l.index.top().add(e)
	}
	l.index.top().bulks = append(l.index.top().bulks, y.bulks...)
	l.weigh()
}

// Changed returns the pages that have an entry at or below x in the layer of generation gen, ascending: ChangedEntry
// returns it, for as long as the layer is there and x is not above what it was split at. Of images of them are images or deltas.
func (l *Log) Changed(gen types.Generation, x types.Seq) (changed []types.PageID, images int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	y := l.layer(gen)
	changed = make([]types.PageID, 0, y.pages())
	y.each(x, func(e indexEntry) {
		changed = append(changed, e.page)
		if e.kind.Image() {
			images++
		}
	})
	slices.Sort(changed)
	return changed, images
}

// ChangedEntry returns the newest entry at or below x of a page that Changed has named.
func (l *Log) ChangedEntry(gen types.Generation, page types.PageID, x types.Seq) Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.layer(gen).lookup(page, x)
	if !ok {
		panic(invariant.Failf("wal: page %d has no entry up to commit %d in the layer of generation %d", page, x, gen))
	}
	return e.public()
}

// Above returns the newest entry above x of every page in the newest layer, by page, and the pages that have an image above x,
// be it the newest entry or not: a checkpoint may cover the commit with the image and not the one behind it.
func (l *Log) Above(x types.Seq) (above []Entry, images []types.PageID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	y := l.index.top()
	add := func(e indexEntry) {
		p := e.public()
		if newest, _ := y.lookup(e.page, ^types.Seq(0)); newest.version == e.version {
			above = append(above, p)
		}
		if p.Kind.Image() {
			images = append(images, p.Page)
		}
	}
	for i := len(y.entries) - 1; i >= 0 && y.entries[i].version > x; i-- {
		add(y.entries[i])
	}
	for i := len(y.bulks) - 1; i >= 0 && y.bulks[i].seq > x; i-- {
		y.bulks[i].each(add)
	}
	slices.SortFunc(above, func(a, b Entry) int { return cmp.Compare(a.Page, b.Page) })
	slices.Sort(images)
	return above, slices.Compact(images)
}

// References returns the runs that references in the layer of generation gen name, whether superseded or not.
func (l *Log) References(gen types.Generation) []types.Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.layer(gen).references()
}

// DropLayer forgets the layer of generation gen, which no reader's window meets and a durable generation covers. It
// returns the runs that its references named: nothing but later generations keeps those blocks any more.
func (l *Log) DropLayer(gen types.Generation) []types.Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	y := l.layer(gen)
	if y == l.index.top() {
		panic(invariant.Failf("wal: the newest layer %d dropped", gen))
	}
	l.index.layers = slices.DeleteFunc(l.index.layers, func(z *layer) bool { return z == y })
	l.weigh()
	return y.references()
}

// references returns the runs that the layer's references name.
func (y *layer) references() []types.Run {
	var runs []types.Run
	for i := range y.entries {
		if e := &y.entries[i]; e.kind == KindReference {
			runs = append(runs, types.UnpackRun(e.a))
		}
	}
	for _, b := range y.bulks {
		runs = slices.Grow(runs, b.references())
		for i := range b.references() {
			runs = append(runs, types.UnpackRun(b.ref(i).a))
		}
	}
	return runs
}

// pages returns how many pages the layer names, or more.
func (y *layer) pages() int {
	n := y.newest.pages
	for _, b := range y.bulks {
		n += int(b.count)
	}
	return n
}

// layer returns the layer of generation gen.
func (l *Log) layer(gen types.Generation) *layer {
	for _, y := range l.index.layers {
		if y.generation == gen {
			return y
		}
	}
	panic(invariant.Failf("wal: no layer of generation %d", gen))
}

// Layers returns the generations that have a layer, oldest first.
func (l *Log) Layers() []types.Generation {
	l.mu.Lock()
	defer l.mu.Unlock()
	gens := make([]types.Generation, len(l.index.layers))
	for i, y := range l.index.layers {
		gens[i] = y.generation
	}
	return gens
}

// ChangedSince returns the newest entry at or below s of every page in the layers of generation from and later, by
// page: what a snapshot finds in the log. 96 bytes each.
func (l *Log) ChangedSince(from types.Generation, s types.Seq) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var changed []Entry
	for _, y := range l.index.layers {
		if y.generation < from {
			continue
		}
		y.each(s, func(e indexEntry) { changed = append(changed, e.public()) })
	}
	slices.SortFunc(changed, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Page, b.Page), cmp.Compare(b.Version, a.Version))
	})
	return slices.CompactFunc(changed, func(a, b Entry) bool { return a.Page == b.Page })
}
