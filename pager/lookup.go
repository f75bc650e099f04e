package pager

import (
	"github.com/pawldb/pawl/types"
)

// Find returns the image that the reader's snapshot has of a page, if it is in memory, else nil. It does not wait and does not
// allocate.
func (r *Reader) Find(id types.PageID) *Image {
	if r.slot.snapshot.Load() != r.snap {
		return nil // expired: Get says so
	}
	return r.p.cache.table.find(id, r.snap.Seq)
}

// Hint tells the processor that a page is about to be looked up, or read as well, so that what is in memory of it is near
// then. It is no use of the page: the cache does not count it.
func (r *Reader) Hint(id types.PageID, read bool) {
	size := 0
	if read {
		size = r.p.pageSize
	}
	r.p.cache.table.hint(id, size)
}

// EachResident calls visit for where the bytes of pages in memory begin, of each the image that readers look at first. They go on
// to change meanwhile.
func (p *Pager) EachResident(visit func(first *byte, size int)) {
	p.cache.table.each(func(first *byte) { visit(first, p.pageSize) })
}

// Pager returns the database that the reader reads.
func (r *Reader) Pager() *Pager { return r.p }

// Find returns a page as the transaction sees it, if it is in memory. It does not wait and does not allocate. The page is
// good until the transaction's next gather.
func (tx *Tx) Find(id types.PageID) (pg Page, ok bool) {
	if d := tx.pages.open[id]; d != nil {
		if d.freed || d.data == nil {
			return Page{}, false
		}
		tx.pages.use(d)
		return Page{ID: id, Data: d.data}, true
	}
	if tx.pages.packs(id) {
		return Page{}, false
	}
	if img := tx.p.cache.table.find(id, tx.snap.Seq); img != nil {
		return Page{ID: id, Data: img.data, Image: img}, true
	}
	return Page{}, false
}

// Pager returns the database that the transaction changes.
func (tx *Tx) Pager() *Pager { return tx.p }

// Checked reports whether SetChecked was called, for this image or for the one that a transaction made it of: the owner of
// the page has looked at what it holds, and need not again. Of a page that was new in its transaction it is the maker.
func (i *Image) Checked() bool { return i.checked.Load() }

// SetChecked notes that the owner of the page has looked at what it holds.
func (i *Image) SetChecked() { i.checked.Store(true) }

// CorruptPage returns an error for damage that the owner of a page found in it: the place is where the page can be found by
// its id, since its blocks move.
func (p *Pager) CorruptPage(id types.PageID, detail string) error {
	return &types.CorruptError{File: p.name, Page: id, Offset: p.placeOf(id), Detail: detail}
}

// placeOf returns the offset at which the newest generation's map has a page, as far as memory tells, or 0.
func (p *Pager) placeOf(id types.PageID) int64 {
	p.mu.Lock()
	gen := p.gen
	p.mu.Unlock()
	block, sum := gen.root, gen.sum
	for level := gen.height - 1; level >= 0 && block != 0; level-- {
		node := p.cache.node(block, sum)
		if node == nil {
			return 0
		}
		index, entry := mapStep(p.fanout(), id, level)
		if level == gen.height-1 && index != 0 {
			return 0
		}
		if level == 0 {
			run, _ := mapRun(node, entry)
			return p.offset(run.First)
		}
		block, _, sum = mapChild(node, entry)
	}
	return 0
}

// CanFree reports whether id can be a page in use, as far as is known without reading: what a damaged file names may be free
// already, or never have been.
func (tx *Tx) CanFree(id types.PageID) bool {
	_, ok := tx.CanFreeAll([]types.PageID{id})
	return ok
}

// CanFreeAll is CanFree for many pages, ascending, each of which has to be there once. If ok is false, bad is one that can't be
// freed.
func (tx *Tx) CanFreeAll(ids []types.PageID) (bad types.PageID, ok bool) {
	tx.ask = tx.ask[:0]
	for i, id := range ids {
		if id == 0 || id >= tx.globals.NextPage || i > 0 && ids[i-1] >= id {
			return id, false
		}
		d, touched := tx.pages.peek(id)
		switch {
		case d.freed:
			return id, false
		case touched:
		case tx.reuse.has(id) || tx.p.ids.free.has(id):
			return id, false
		default:
			tx.ask = append(tx.ask, id)
		}
	}
	bad, freed := tx.p.log.AnyFreed(tx.ask, tx.snap.Seq, tx.snap.gen.number)
	return bad, !freed
}

// EachReader calls visit for every registered reader, transactions included: the commit that it reads, and the IO's clock when
// it began, or was first seen (see Config.ExactAges), if Config.Clock is set.
func (p *Pager) EachReader(visit func(seq types.Seq, opened int64)) {
	p.readers.each(p.now(), func(s *Snapshot, opened int64) { visit(s.Seq, opened) })
}

// now returns the IO's clock, which is taken not to be 0, and 0 without Config.Clock.
func (p *Pager) now() int64 {
	if !p.cfg.Clock {
		return 0
	}
	return max(p.io.Now(), 1)
}

// OpenReaders returns how many readers are registered, transactions included.
func (p *Pager) OpenReaders() int {
	n := 0
	p.readers.each(0, func(*Snapshot, int64) { n++ })
	return n
}
