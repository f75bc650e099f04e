package pager

import "github.com/pawldb/pawl/types"

// Reader is a registered reader of one snapshot. Goroutines may share it; it is closed once.
type Reader struct {
	p    *Pager
	slot *readerSlot
	snap *Snapshot
}

// Near is a hint of where a reader may register: where another one of the same goroutine or processor did, so that the memory is
// near and no other processor's. Its zero value is none. It is of one database, and one goroutine uses it at a time.
type Near struct{ slot *readerSlot }

// Start registers r as a reader of the newest published snapshot. It needs no I/O and allocates nothing.
func (r *Reader) Start(p *Pager) { r.StartNear(p, &Near{}) }

// StartNear is Start with a hint, which is r's place then.
func (r *Reader) StartNear(p *Pager, near *Near) {
	r.p = p
	r.slot, r.snap = p.readers.acquire(&p.published, near.slot)
	near.slot = r.slot
	if p.cfg.ExactAges {
		r.slot.opened.Store(p.now())
	}
	if p.cfg.MaxHeldBytes > 0 {
		r.slot.expires.Store(true)
	}
}

// Seq returns the newest commit that the reader sees.
func (r *Reader) Seq() types.Seq { return r.snap.Seq }

// Globals returns the globals of that commit.
func (r *Reader) Globals() Globals { return r.snap.Globals }

// Lookup returns a page that is in memory, without waiting and without allocating; ok is false if it has to be read.
func (r *Reader) Lookup(id types.PageID) (data []byte, ok bool) {
	if img := r.Find(id); img != nil {
		return img.data, true
	}
	return nil, false
}

// Close ends the reader. Slices of pages that it handed out stay valid.
func (r *Reader) Close() {
	r.p.readers.release(r.slot)
	if r.snap.gen != r.p.published.Load().gen {
		r.p.reap() // it may have been the last that held something back
	}
	r.slot, r.snap = nil, nil
}

// letGo ends a registration that was there for reads that were given up, behind the last of them. Whoever waits for readers
// was told of no end that would come this late. No lock is held.
func (p *Pager) letGo(slot *readerSlot) {
	p.readers.release(slot)
	p.reap()
	if p.cfg.OnLetGo != nil {
		p.cfg.OnLetGo()
	}
}

// reap lets go of what no reader can come to need any more: generations, layers of the log's index with the blocks that
// their references name, segments of the log.
func (p *Pager) reap() {
	if p.space == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reapLocked()
}

// reapLocked is reap for who holds p.mu.
func (p *Pager) reapLocked() {
	if p.failed != nil {
		return // blocks and segments of neither root are used again
	}
	changed := p.reapOnce() || p.judged != p.gen.number
	for changed && p.expireOver() { // each time the readers of a generation less
		p.reapOnce()
	}
	p.judged = p.gen.number
}

// reapOnce lets go of what the live snapshots don't need. It reports whether a generation or a layer of the log's index went:
// what the others keep alone may be more then. The caller holds p.mu.
func (p *Pager) reapOnce() (dropped bool) {
	p.snapshots = p.readers.live(p.snapshots, &p.published)
	keep := p.live[:0]
	for _, gen := range p.live {
		if gen == p.gen || p.hasReader(gen) {
			keep = append(keep, gen)
		} else {
			p.space.drop(gen.number)
			dropped = true
		}
	}
	clear(p.live[len(keep):])
	p.live = keep
	for _, y := range p.log.Layers() {
		if y >= p.gen.number || p.layerNeeded(y) {
			continue
		}
		for _, run := range p.log.DropLayer(y) {
			p.space.release(run)
		}
		delete(p.covered, y)
		dropped = true
	}
	p.log.Release(p.gen.covered, p.meta.Log, p.windows())
	if dropped {
		p.chargeIndex()
	}
	return dropped
}

// hasReader reports whether a live snapshot reads through gen. The caller has just filled p.snapshots.
func (p *Pager) hasReader(gen *generation) bool {
	for _, s := range p.snapshots {
		if s.gen == gen {
			return true
		}
	}
	return false
}

// layerNeeded reports whether a live snapshot may look into the log's layer behind generation y.
func (p *Pager) layerNeeded(y types.Generation) bool {
	for _, s := range p.snapshots {
		if s.gen.number <= y && s.Seq > p.covered[y] {
			return true
		}
	}
	return false
}
