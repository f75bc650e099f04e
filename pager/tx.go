package pager

import (
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// Tx is the one write transaction: private versions of pages on top of the newest queued commit. It is used by one
// goroutine at a time. Machines of the tree gather first (Get, Reserve, MakeRoom), which may wait, and then apply (Edit,
// New, Free), which never does.
type Tx struct {
	p      *Pager
	ticket types.TurnTicket
	slot   *readerSlot
	snap   *Snapshot // the newest queued commit, and the newest generation as of the last gather
	begun  Snapshot  // the first snap
	seq    types.Seq // of this transaction's commit

	globals Globals
	pages   dirtySet
	undo    []undoEntry
	saves   []savepoint
	epoch   int   // counts savepoints
	bases   int   // that undo entries hold
	bytes   int64 // of page data in memory that is on no disk
	loaded  int64 // of spilled pages that are in memory again
	held    int64 // of all that, what the cache's budget pays for

	spare []types.PageID // ids reserved, not used
	reuse idBits         // ids that were reserved and had been free: those that end up unused go back
	first types.PageID   // behind all that were in use before: from here on all were reserved
	next  types.PageID   // behind all of them
	ask   []types.PageID // memory of CanFreeAll

	adds     bool   // something was stored, not only removed
	wrote    bool   // blocks of the file were written and are not synced
	failures uint64 // failed syncs of the file before the first of those writes
	writing  int    // machines of this transaction with writes under way
	over     bool
}

// undoEntry is what pages were before a savepoint's changes.
type undoEntry struct {
	id     types.PageID
	count  int        // of pages from id on; more than one were all untouched
	before *dirtyPage // nil: untouched by this transaction
}

// savepoint is where a rollback goes back to.
type savepoint struct {
	undo    int // entries before it
	epoch   int
	globals Globals
}

// Begin is a machine that waits for the writer's turn and begins a transaction.
type Begin struct {
	p  *Pager
	tx *Tx
}

// Start readies the machine.
func (b *Begin) Start(p *Pager) { b.StartIn(p, new(Tx)) }

// StartIn is Start with memory for the transaction, which was never used before.
func (b *Begin) StartIn(p *Pager, memory *Tx) {
	memory.p = p
	*b = Begin{p: p, tx: memory}
}

// Step ends with the transaction, which holds the turn until it is committed or rolled back.
func (b *Begin) Step() (types.IOResult[*Tx], error) {
	p, tx := b.p, b.tx
	if c := p.turn.Acquire(&tx.ticket, "the writer's turn"); c != nil {
		return types.Wait[*Tx](c)
	}
	if err := p.refuses(); err != nil {
		p.turn.Release(&tx.ticket)
		return types.Fail[*Tx](err)
	}
	p.mu.Lock() // reap holds it too: the generation can't go before it is registered
	tx.globals = p.queued
	tx.begun = Snapshot{Seq: p.log.Queued(), Globals: p.queued, gen: p.gen}
	tx.snap = &tx.begun
	tx.slot = p.readers.acquireAt(tx.snap)
	p.mu.Unlock()
	p.writing.Store(true)
	tx.seq = tx.snap.Seq + 1
	tx.first = max(tx.globals.NextPage, 1)
	tx.next = tx.first
	tx.pages, p.spareSet = p.spareSet, dirtySet{}
	tx.pages.ready()
	return types.Done(tx)
}

// Abort leaves the queue.
func (b *Begin) Abort(cause error) error {
	b.p.turn.Release(&b.tx.ticket)
	return cause
}

// adopt moves the transaction on to the newest generation, so that it holds no older one. Only a gather that has not read
// anything yet may call it.
func (tx *Tx) adopt() {
	p := tx.p
	p.mu.Lock()
	if p.gen == tx.snap.gen {
		p.mu.Unlock()
		return
	}
	tx.snap = &Snapshot{Seq: tx.snap.Seq, Globals: tx.snap.Globals, gen: p.gen}
	old := tx.slot
	tx.slot = p.readers.acquireAt(tx.snap)
	p.mu.Unlock()
	p.readers.release(old)
	p.reap()
}

// Seq returns the sequence number that the transaction's commit will have.
func (tx *Tx) Seq() types.Seq { return tx.seq }

// Globals returns the database's globals as the transaction sees and may change them.
func (tx *Tx) Globals() *Globals { return &tx.globals }

// Adds notes that the transaction stores something: its commit leaves alone the space that is kept for deleting.
func (tx *Tx) Adds() { tx.adds = true }

// Dirty reports whether the transaction has changed anything.
func (tx *Tx) Dirty() bool { return !tx.pages.empty() || tx.globals != tx.snap.Globals }

// mutable reports whether d may be changed where it is: no savepoint needs it as it was.
func (tx *Tx) mutable(d *dirtyPage) bool {
	return len(tx.saves) == 0 || d.epoch >= tx.saves[len(tx.saves)-1].epoch
}

// remember notes what id was before a change, if a savepoint might want it back.
func (tx *Tx) remember(id types.PageID, before *dirtyPage) {
	if len(tx.saves) > 0 {
		tx.undo = append(tx.undo, undoEntry{id, 1, before})
		if before != nil && before.base != nil {
			tx.bases++
		}
	}
}

// Edit returns the page's bytes to change, private to the transaction: the page's own copy, or a new copy of what pg holds.
// It never waits. The bytes are good until the next gather.
func (tx *Tx) Edit(pg Page) []byte {
	d := tx.pages.get(pg.ID)
	switch {
	case d == nil:
		tx.remember(pg.ID, nil)
		d = tx.pages.make(dirtyPage{data: slices.Clone(pg.Data), base: pg.Image, epoch: tx.epoch, known: pg.Image != nil && pg.Image.Checked()})
		setPageVersion(d.data, tx.seq)
		tx.pages.add(pg.ID, d)
		tx.bytes += int64(len(d.data))
	case d.freed || d.data == nil:
		panic(invariant.Failf("pager: edit of page %d, freed %v, in memory %v", pg.ID, d.freed, d.data != nil))
	case !tx.mutable(d):
		tx.remember(pg.ID, d)
		d = &dirtyPage{data: slices.Clone(d.data), base: d.base, epoch: tx.epoch, fresh: d.fresh, known: d.known}
		tx.pages.set(pg.ID, d)
		tx.bytes += int64(len(d.data))
	case d.run.Count > 0: // loaded after it was spilled: what lies there is no longer it
		tx.p.space.release(d.run)
		d.run, d.sum = types.Run{}, 0
		tx.loaded -= int64(len(d.data))
		tx.bytes += int64(len(d.data))
	}
	d.parts = nil
	tx.pages.use(d)
	return d.data
}

// New returns a new page of one block, zero but for its header. Its id comes from what Reserve has set aside.
func (tx *Tx) New() (types.PageID, []byte) {
	id := tx.takeID()
	data := make([]byte, tx.p.pageSize)
	initPage(data, PageKindNode, id, tx.seq)
	tx.put(id, &dirtyPage{data: data, epoch: tx.epoch, fresh: true, known: true})
	tx.bytes += int64(len(data))
	return id, data
}

// pack packs a page that is only on disk, or freed, if no savepoint tells it from what it was before.
func (tx *Tx) pack(d *dirtyPage) {
	if d.data == nil && tx.packs(d) {
		tx.pages.pack(d)
	}
}

// packs reports whether d is older than all savepoints: packed, it has no epoch.
func (tx *Tx) packs(d *dirtyPage) bool { return len(tx.saves) == 0 || d.epoch < tx.saves[0].epoch }

// inMemory returns the bytes of the pages that are in memory, and of what they were made of.
func (tx *Tx) inMemory() int64 {
	return tx.bytes + tx.loaded + tx.p.recorded.bytes + int64(tx.pages.based+tx.bases)*int64(tx.p.pageSize)
}

// letGoBases forgets what pages were made of, to have more memory for them: a commit logs them whole then.
func (tx *Tx) letGoBases() {
	tx.pages.letGoBases()
	for _, u := range tx.undo {
		if u.before != nil {
			u.before.base = nil
		}
	}
	tx.bases = 0
}

// charge makes the cache's budget pay for what the transaction has in memory. Small differences wait.
func (tx *Tx) charge() {
	now := tx.inMemory() + tx.pages.bytes()
	if delta := now - tx.held; delta > 16*int64(tx.p.pageSize) || delta < -16*int64(tx.p.pageSize) {
		tx.p.cache.hold(delta)
		tx.held = now
	}
}

// takeID takes an id that was reserved.
func (tx *Tx) takeID() types.PageID {
	if len(tx.spare) == 0 {
		panic(invariant.Failf("pager: a page is made without a reserved id"))
	}
	id := tx.spare[len(tx.spare)-1]
	tx.spare = tx.spare[:len(tx.spare)-1]
	tx.globals.NextPage = max(tx.globals.NextPage, id+1)
	tx.globals.Pages++
	return id
}

// put makes d the transaction's version of id.
func (tx *Tx) put(id types.PageID, d *dirtyPage) {
	tx.remember(id, tx.pages.get(id))
	tx.pages.set(id, d)
	tx.pack(d)
}

// Free gives a page or an extent up. Its id may be used again by the next transaction.
func (tx *Tx) Free(id types.PageID) {
	d := tx.pages.get(id)
	if d != nil && d.freed {
		panic(invariant.Failf("pager: page %d freed twice", id))
	}
	fresh := d != nil && d.fresh
	tx.remember(id, d)
	if d != nil {
		tx.forget(d, tx.mutable(d))
	}
	gone := &dirtyPage{epoch: tx.epoch, fresh: fresh, freed: true}
	tx.pages.set(id, gone)
	if fresh {
		tx.pack(gone)
	}
	tx.globals.Pages--
}

// FreeAll is Free for many pages, ascending: those of earlier commits cost a bit each, and neighbours one entry of undo.
func (tx *Tx) FreeAll(ids []types.PageID) {
	for len(ids) > 0 {
		first, n := ids[0], 0
		for n < len(ids) && ids[n] == first+types.PageID(n) && tx.untouched(ids[n]) {
			n++
		}
		if n == 0 {
			tx.Free(first)
			ids = ids[1:]
			continue
		}
		if len(tx.saves) > 0 {
			tx.undo = append(tx.undo, undoEntry{id: first, count: n})
		}
		tx.pages.gone.addRun(first, n)
		tx.globals.Pages -= uint64(n)
		ids = ids[n:]
	}
}

// untouched reports whether the transaction has neither changed a page nor freed it.
func (tx *Tx) untouched(id types.PageID) bool {
	_, touched := tx.pages.peek(id)
	return !touched
}

// forget takes d out of the count of bytes, and gives its blocks back if nothing can want them again.
func (tx *Tx) forget(d *dirtyPage, forGood bool) {
	switch {
	case d.data != nil && d.run.Count == 0:
		tx.bytes -= int64(len(d.data))
	case d.data != nil:
		tx.loaded -= int64(len(d.data))
	}
	if forGood && d.run.Count > 0 && len(tx.saves) == 0 {
		tx.p.space.release(d.run)
		d.run = types.Run{}
	}
}

// Savepoint begins a part of the transaction that can be taken back, and returns its depth.
func (tx *Tx) Savepoint() int {
	tx.epoch++
	tx.saves = append(tx.saves, savepoint{undo: len(tx.undo), epoch: tx.epoch, globals: tx.globals})
	return len(tx.saves)
}

// RollbackTo takes back everything since the savepoint of that depth, and ends it and those inside it. It needs no I/O.
func (tx *Tx) RollbackTo(depth int) {
	s := tx.save(depth)
	for i := len(tx.undo) - 1; i >= s.undo; i-- {
		u := tx.undo[i]
		if now, _ := tx.pages.peek(u.id); now.run.Count > 0 {
			tx.p.space.release(now.run)
		}
		if u.before != nil {
			tx.pages.set(u.id, u.before)
			continue
		}
		for n := range u.count {
			tx.pages.remove(u.id + types.PageID(n))
		}
	}
	clear(tx.undo[s.undo:])
	tx.undo = tx.undo[:s.undo]
	tx.globals = s.globals
	tx.saves = tx.saves[:depth-1]
	tx.recount()
}

// Release ends the savepoint of that depth, and those inside it, and keeps what was done.
func (tx *Tx) Release(depth int) {
	s := tx.save(depth)
	tx.saves = tx.saves[:depth-1]
	keep := tx.undo[:s.undo]
	for _, u := range tx.undo[s.undo:] {
		// An outer savepoint wants what was there before it, and has an older entry for what was made since.
		if len(tx.saves) > 0 && (u.before == nil || u.before.epoch < tx.saves[len(tx.saves)-1].epoch) {
			keep = append(keep, u)
			continue
		}
		if u.before != nil && u.before.run.Count > 0 {
			tx.p.space.release(u.before.run)
		}
	}
	clear(tx.undo[len(keep):])
	tx.undo = keep
	tx.recount()
}

// save returns the savepoint of a depth.
func (tx *Tx) save(depth int) savepoint {
	if depth < 1 || depth > len(tx.saves) {
		panic(invariant.Failf("pager: savepoint %d of %d", depth, len(tx.saves)))
	}
	return tx.saves[depth-1]
}

// recount adds up the bytes that are dirty in memory, savepoints' versions included.
func (tx *Tx) recount() {
	tx.bytes, tx.loaded, tx.bases = 0, 0, 0
	count := func(d *dirtyPage) {
		switch {
		case d == nil || d.data == nil:
		case d.run.Count == 0:
			tx.bytes += int64(len(d.data))
		default:
			tx.loaded += int64(len(d.data))
		}
	}
	for _, d := range tx.pages.open { // a sum: the order does not matter
		count(d)
	}
	for _, u := range tx.undo {
		count(u.before)
		if u.before != nil && u.before.base != nil {
			tx.bases++
		}
	}
}

// Rollback ends the transaction and leaves nothing of it. It needs no I/O; blocks with writes under way are given back when
// those are retired.
func (tx *Tx) Rollback() {
	if tx.over {
		return
	}
	for _, d := range tx.pages.all() {
		if d.run.Count > 0 {
			tx.p.space.release(d.run)
		}
	}
	for _, u := range tx.undo {
		if u.before != nil && u.before.run.Count > 0 {
			tx.p.space.release(u.before.run)
		}
	}
	tx.returnIDs(func(types.PageID) bool { return false })
	tx.end()
}

// returnIDs makes those ids free again that were reserved and are not in use. Ids that no commit has come to are not
// remembered: the next transaction counts from the last commit's.
func (tx *Tx) returnIDs(used func(types.PageID) bool) {
	if tx.reuse == nil && tx.first == tx.next {
		return
	}
	tx.p.mu.Lock()
	next := tx.p.queued.NextPage
	tx.p.mu.Unlock()
	giveBack := func(id types.PageID) {
		if id < next && !used(id) {
			tx.p.ids.free.add(id)
		}
	}
	tx.reuse.each(giveBack)
	for id := tx.first; id < min(tx.next, next); id++ {
		giveBack(id)
	}
}

// end gives back the turn and the registration.
func (tx *Tx) end() {
	tx.over, tx.pages, tx.undo, tx.spare, tx.reuse = true, dirtySet{}, nil, nil, nil
	tx.p.recorded.reset()
	tx.p.cache.hold(-tx.held)
	tx.p.readers.release(tx.slot)
	tx.p.dirty.Store(0)
	tx.p.writing.Store(false)
	tx.p.turn.Release(&tx.ticket)
	if tx.snap.gen != tx.p.published.Load().gen {
		tx.p.reap() // it may have been the last that held something back
	}
}
