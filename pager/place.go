package pager

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// pagePlacer is the part of an attempt that writes the changed pages, in page-id order: the newest image at or below X of
// each, from memory or else from the log, where reads overlap the writes of those before.
type pagePlacer struct {
	a       *attempt
	pages   []types.PageID // by id
	at      int
	batch   []pageTake
	images  [][]byte
	places  []placed
	ready   bool
	changes []mapChange // what the map has to take in, by page
	held    int64       // bytes of the lists, which the cache's budget pays for
}

// pageTake is a page whose image is wanted.
type pageTake struct {
	entry wal.Entry
	get   Get
	data  []byte
}

// placeBatch is how many pages are looked up, and if need be read, at once.
const placeBatch = 64

// start readies the part with the pages that the log has changed, by id.
func (b *pagePlacer) start(a *attempt, pages []types.PageID) {
	b.held = int64(len(pages)) * (8 + 40)
	a.p.cache.hold(b.held)
	b.a, b.pages, b.changes = a, pages, make([]mapChange, 0, len(pages))
}

// letGo gives up the lists, and ends what the cache's budget pays for them.
func (b *pagePlacer) letGo() {
	if b.held > 0 {
		b.a.p.cache.hold(-b.held)
		b.held, b.pages, b.changes = 0, nil, nil
	}
}

// step places until it has to wait. nil without an error: done.
func (b *pagePlacer) step() (*io.Completion, error) {
	for b.at < len(b.pages) || len(b.batch) > 0 {
		if len(b.batch) == 0 {
			b.gather()
		}
		if wait, err := b.read(); wait != nil || err != nil {
			return wait, err
		}
		if wait, err := b.place(); wait != nil || err != nil {
			return wait, err
		}
	}
	return nil, nil
}

// gather takes the next entries that need a block. References and freed ids only change the map.
func (b *pagePlacer) gather() {
	for b.at < len(b.pages) && len(b.batch) < placeBatch {
		e := b.a.p.log.ChangedEntry(b.a.from.number, b.pages[b.at], b.a.x)
		b.at++
		switch e.Kind {
		case wal.KindFreed:
			b.changes = append(b.changes, mapChange{index: uint64(e.Page)})
		case wal.KindReference:
			b.changes = append(b.changes, mapChange{index: uint64(e.Page), run: e.Run, sum: e.Sum, refer: true})
		default:
			t := pageTake{entry: e}
			t.get = Get{p: b.a.p, id: e.Page, seq: b.a.x, gen: b.a.from}
			b.batch = append(b.batch, t)
			b.changes = append(b.changes, mapChange{index: uint64(e.Page)})
		}
	}
}

// read gets the images of the batch.
func (b *pagePlacer) read() (*io.Completion, error) {
	if b.ready {
		return nil, nil
	}
	var wait *io.Completion
	for i := range b.batch {
		t := &b.batch[i]
		if t.data != nil {
			continue
		}
		res, err := t.get.Step()
		if err != nil {
			t.data = zeroPage[:0] // it has ended: nothing to abort
			return nil, err
		}
		if res.Pending != nil {
			wait = res.Pending
			continue
		}
		t.data = res.Value.Data
		if pageVersion(t.data) != t.entry.Version {
			panic(invariant.Failf("pager: page %d has version %d, the checkpoint wants %d",
				t.entry.Page, pageVersion(t.data), t.entry.Version))
		}
	}
	if wait != nil {
		return wait, nil
	}
	b.ready = true
	b.images, b.places = b.images[:0], b.places[:0]
	for i := range b.batch {
		b.images = append(b.images, b.batch[i].data)
	}
	return nil, nil
}

// zeroPage stands for no image.
var zeroPage = make([]byte, 1)

// place writes the batch's images and notes where they went.
func (b *pagePlacer) place() (*io.Completion, error) {
	a := b.a
	for len(b.places) < len(b.images) {
		if wait := a.pipe.room(); wait != nil {
			return wait, nil
		}
		if err := a.pipe.failed(); err != nil {
			return nil, err
		}
		b.places = a.place(b.images[len(b.places):], b.places)
	}
	n := len(b.batch)
	for i := len(b.changes) - 1; n > 0; i-- {
		if c := &b.changes[i]; types.PageID(c.index) == b.batch[n-1].entry.Page {
			n--
			c.run, c.sum = types.Run{First: b.places[n].block, Count: 1}, b.places[n].sum
		}
	}
	clear(b.batch)
	b.batch, b.ready = b.batch[:0], false
	return nil, nil
}

// abort leaves reads that are under way.
func (b *pagePlacer) abort(cause error) {
	for i := range b.batch {
		if b.batch[i].data == nil {
			_ = b.batch[i].get.Abort(cause)
		}
	}
}
