package pager

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// Page is what Get found: a page's bytes as a snapshot or a transaction sees them. Those of a committed version are
// immutable and stay valid for as long as they are held; those of a transaction's own version change with it.
type Page struct {
	ID    types.PageID
	Data  []byte
	Image *Image // of a committed version; nil for a transaction's own
}

type getState uint8

const (
	getTable   getState = iota // work: is it in memory?
	getIndex                   // work: does the log have it?
	getFrame                   // await: a frame of the log is being read
	getDeltas                  // await: deltas of the log are being read
	getBase                    // await: the image that they are based on
	getNode                    // work: the next map node
	getNodeIn                  // await: a map node is being read
	getRun                     // work: submit or join the read of its blocks
	getRunIn                   // await: its blocks are being read
	getSpilled                 // await: a spilled page of the transaction is being read
	getEnded                   // end
)

// Get is a machine that finds a page. It lies inside the operation that needs the page, and allocates only to read.
//
//	table --in memory----------------------------------------------> done
//	  | no
//	  v     full frame
//	index ------------> frame --> done       (its segment was recycled meanwhile: index)
//	  |\ \  delta
//	  | \ +-----------> deltas --> base --> done      (likewise; base is a Get of its own)
//	  |  \  reference
//	  |   +-----------------------------> run --> done
//	  | not in the log                     ^
//	  v                                    |
//	node --> node in --> node ... level 0 -+
//
// Several operations that want the same bytes share one read. Damage is a *types.CorruptError.
type Get struct {
	p   *Pager
	tx  *Tx // nil for a reader
	id  types.PageID
	seq types.Seq
	gen *generation

	slot *readerSlot // of a reader that may expire, else nil
	snap *Snapshot   // that it stands for
	held bool        // the reader can't lose what it reads through

	state  getState
	alone  bool // for a rebuild: nobody else is to find what is found
	load   *load
	deltas *rebuild
	tries  int

	entry wal.Entry // frame, delta, or reference; zero for what the map has

	level int // node: of the node that block holds
	block types.Block
	sum   uint64
	node  []byte // verified, not used yet

	run    types.Run // run, spilled
	runSum uint64
}

// getTries bounds how often a lookup starts again because the log moved under it.
const getTries = 1000

// Start readies the machine to find page id for reader r.
func (g *Get) Start(r *Reader, id types.PageID) {
	*g = Get{p: r.p, id: id, seq: r.snap.Seq, gen: r.snap.gen, slot: r.slot, snap: r.snap}
}

// StartTx readies the machine to find page id for the transaction.
func (g *Get) StartTx(tx *Tx, id types.PageID) {
	*g = Get{p: tx.p, tx: tx, id: id, seq: tx.snap.Seq, gen: tx.snap.gen}
}

// Step ends with the page.
func (g *Get) Step() (types.IOResult[Page], error) {
	if g.slot != nil && g.slot.snapshot.Load() != g.snap {
		return types.Fail[Page](g.Abort(expiredError(g.snap)))
	}
	for {
		var found Page
		var err error
		switch g.state {
		case getTable:
			found, err = g.fromMemory()
		case getIndex:
			found, err = g.fromIndex()
		case getFrame, getNodeIn, getRunIn, getSpilled:
			if c := g.load.over(); !c.Done() {
				return types.Wait[Page](c)
			}
			found, err = g.arrived()
		case getDeltas:
			if _, err = g.deltas.step(); err != nil { // what it waits for is read beside the deltas
				break
			}
			if l := g.deltas.waiting(); l != nil {
				return types.Wait[Page](l.over())
			}
			g.state = getBase
		case getBase:
			var wait *io.Completion
			if wait, err = g.deltas.step(); wait != nil {
				return types.Wait[Page](wait)
			}
			if err == nil {
				found, err = g.apply()
			}
		case getNode:
			err = g.descend()
		case getRun:
			err = g.readRun(getRunIn)
		default:
			panic(invariant.Failf("pager: Get stepped in state %d", g.state))
		}
		if err != nil {
			return types.Fail[Page](g.Abort(err))
		}
		if found.Data != nil {
			g.end()
			return types.Done(found)
		}
	}
}

// fromMemory looks at the transaction's own pages and at the table.
func (g *Get) fromMemory() (Page, error) {
	if g.id == 0 || g.id >= pageIDLimit {
		return Page{}, g.corruptf("page id is out of range")
	}
	if g.tx != nil {
		if pg, ok := g.tx.Find(g.id); ok && pg.Image == nil {
			return pg, nil
		}
		if d, ok := g.tx.pages.peek(g.id); ok {
			if d.freed {
				return Page{}, g.corruptf("the tree leads to a page that was freed")
			}
			g.run, g.runSum = d.run, d.sum
			return Page{}, g.readRun(getSpilled)
		}
	}
	if img := g.p.cache.table.find(g.id, g.seq); img != nil {
		return Page{ID: g.id, Data: img.data, Image: img}, nil
	}
	if g.slot != nil && !g.held {
		if g.held = g.p.hold(g.slot, g.snap); !g.held {
			return Page{}, expiredError(g.snap)
		}
	}
	g.state = getIndex
	return Page{}, nil
}

// fromIndex looks for the page in the log, and else begins at the root of the map.
func (g *Get) fromIndex() (Page, error) {
	if g.tries++; g.tries > getTries {
		panic(invariant.Failf("pager: page %d is not found in %d tries", g.id, getTries))
	}
	e, ok := g.p.log.Lookup(g.id, g.seq, g.gen.number)
	switch {
	case !ok:
		if g.gen.root == 0 {
			return Page{}, g.corruptf("page is not in the map")
		}
		g.entry = wal.Entry{}
		g.level, g.block, g.sum = g.gen.height-1, g.gen.root, g.gen.sum
		g.state = getNode
	case e.Kind == wal.KindFreed:
		return Page{}, g.corruptf("the tree leads to a page that was freed by commit %d", e.Version)
	case e.Kind == wal.KindReference:
		g.entry, g.run, g.runSum, g.state = e, e.Run, e.Sum, getRun
	case !e.Written:
		if err := g.p.log.Failed(); err != nil {
			return Page{}, err // a transaction on top of a commit that was lost: its images were thrown away
		}
		g.state = getTable // its image is pinned until it is
	case e.Kind == wal.KindDelta:
		return Page{}, g.readDeltas(e)
	default:
		if l, ok := g.readLog(e); ok {
			g.entry, g.load, g.state = e, l, getFrame
		}
	}
	return Page{}, nil
}

// arrived takes what a read has brought.
func (g *Get) arrived() (Page, error) {
	err := g.load.err()
	switch {
	case g.state == getFrame:
		return g.decodeFrame(err)
	case err != nil:
		return Page{}, err
	case g.state == getNodeIn:
		return Page{}, g.addNode()
	}
	offset := g.p.offset(g.run.First)
	limit := g.gen.covered
	switch {
	case g.state == getSpilled:
		limit = g.tx.seq
	case g.entry.Version > 0:
		limit = g.entry.Version
	}
	if err := verifyPage(g.load.buf, g.run, g.id, limit, g.runSum, g.p.name, offset); err != nil {
		return Page{}, err
	}
	if g.state == getSpilled {
		return g.unspilled(), nil
	}
	if g.entry.Version > 0 {
		if problem := versionProblem(g.load.buf, g.entry.Version); problem != "" {
			return Page{}, &types.CorruptError{File: g.p.name, Offset: offset, Page: g.id, Detail: problem}
		}
	}
	return g.publish(g.load.buf, g.runSum), nil
}

// decodeFrame rebuilds the image from a frame of the log.
func (g *Get) decodeFrame(err error) (Page, error) {
	image := make([]byte, g.p.pageSize)
	if err == nil {
		err = g.p.log.Decode(g.entry, g.load.buf, image)
	}
	if moved, err := g.moved(g.entry, err); moved || err != nil {
		return Page{}, err
	}
	if err := g.logged(image, g.entry); err != nil {
		return Page{}, err
	}
	return g.publish(image, 0), nil
}

// moved takes the error with which a frame was read or decoded. If the frame's segment has been recycled meanwhile, the page is
// somewhere else by now: it is looked for again, and moved is true.
func (g *Get) moved(e wal.Entry, err error) (moved bool, _ error) {
	if err == nil {
		return false, nil
	}
	if _, _, _, ok := g.p.log.Locate(e); ok && !errors.Is(err, wal.ErrMoved) {
		return false, err
	}
	g.leave()
	g.state = getIndex
	return true, nil
}

// versionProblem returns what is wrong with the version of a page that the log has from a commit, or "": what a commit logs is of that
// commit, and whoever finds the page in memory relies on it.
func versionProblem(data []byte, commit types.Seq) string {
	if got := pageVersion(data); got != commit {
		return fmt.Sprintf("version %d, logged by commit %d", got, commit)
	}
	return ""
}

// publish makes what was read an image that others find. It becomes the head if no newer version can exist: the generation
// that it was found through is the newest, so that every later commit is in a layer of the log's index, and none there
// changed the page. Through an older generation its successor may be in a layer that is gone. sum is its XXH64, 0 if it was not computed.
func (g *Get) publish(data []byte, sum uint64) Page {
	if g.alone {
		return Page{ID: g.id, Data: data}
	}
	version := pageVersion(data)
	newest, ok := g.p.log.Newest(g.id)
	head := (!ok || newest <= version) && g.p.published.Load().gen == g.gen
	img := newImage(g.id, version, data)
	img.sum.Store(sum)
	img = g.p.cache.loaded(img, head, g.seq)
	return Page{ID: g.id, Data: img.data, Image: img}
}

// unspilled keeps what was read in the transaction, which still has its copy on disk.
func (g *Get) unspilled() Page {
	d := g.tx.pages.get(g.id)
	if d == nil || d.run != g.run {
		panic(invariant.Failf("pager: page %d was changed while it was read", g.id))
	}
	if d.data == nil {
		g.tx.pages.load(d, slices.Clone(g.load.buf)) // others may share the read's buffer
		g.tx.loaded += int64(len(d.data))
	}
	g.tx.pages.use(d)
	return Page{ID: g.id, Data: d.data}
}

// descend takes the next map node from memory, or begins to read it.
func (g *Get) descend() error {
	node := g.node // what was just read need not have found room in the cache
	g.node = nil
	if node == nil {
		node = g.p.cache.node(g.block, g.sum)
	}
	if node == nil {
		offset := g.p.offset(g.block)
		l, first := g.p.cache.beginLoad(loadKey{offset: offset, sum: g.sum})
		g.load, g.state = l, getNodeIn
		if first {
			l.buf = make([]byte, g.p.pageSize)
			g.p.file.Read(l.io, l.buf, offset)
		}
		return nil
	}
	index, entry := mapStep(g.p.fanout(), g.id, g.level)
	if g.level == g.gen.height-1 && index != 0 {
		return g.corruptf("page is behind the end of the map")
	}
	if g.level > 0 {
		child, _, sum := mapChild(node, entry)
		if child == 0 {
			return g.corruptf("page is not in the map")
		}
		g.level, g.block, g.sum = g.level-1, child, sum
		return nil
	}
	g.run, g.runSum = mapRun(node, entry)
	if g.run.Count == 0 {
		return g.corruptf("page is not in the map")
	}
	g.state = getRun
	return nil
}

// addNode verifies a map node that was read and keeps it.
func (g *Get) addNode() error {
	index, _ := mapStep(g.p.fanout(), g.id, g.level)
	err := decodeMapNode(g.load.buf, g.level, index, g.sum, g.gen.blocks, g.p.name, g.p.offset(g.block))
	if err != nil {
		return err
	}
	g.node = g.p.cache.addNode(g.block, g.sum, g.load.buf)
	g.leave()
	g.state = getNode
	return nil
}

// readRun begins, or joins, the read of the page's blocks.
func (g *Get) readRun(then getState) error {
	if !g.p.isExtent(g.run) {
		return g.corruptf("run of %d blocks is longer than any page", g.run.Count)
	}
	offset := g.p.offset(g.run.First)
	l, first := g.p.cache.beginLoad(loadKey{id: g.id, offset: offset, sum: g.runSum})
	g.load, g.state = l, then
	if first {
		l.buf = make([]byte, int(g.run.Count)*g.p.pageSize)
		g.p.file.Read(l.io, l.buf, offset)
	}
	return nil
}

// corruptf returns an error about the page, where it was looked for.
func (g *Get) corruptf(format string, args ...any) error {
	return &types.CorruptError{
		File: g.p.name, Offset: g.p.offset(g.block), Page: g.id, Detail: fmt.Sprintf(format, args...),
	}
}

// leave gives up the part in shared reads.
func (g *Get) leave() {
	if l := g.load; l != nil {
		g.load = nil
		g.leaveLate(l)
	}
	if r := g.deltas; r != nil {
		g.deltas = nil
		for i := range r.deltas {
			g.leaveLate(r.deltas[i].load)
		}
	}
}

// end leaves the reads. What nobody else waits for stays where it is until its read is retired.
func (g *Get) end() {
	g.state = getEnded
	g.leave()
	if g.held {
		g.held = false
		g.p.unhold(g.slot)
	}
}

// leaveLate leaves a read. If it is not retired, it holds what the reader reads through until it is.
func (g *Get) leaveLate(l *load) {
	p, slot := g.p, g.slot
	if l.over().Retired() {
		p.cache.leaveLoad(l)
		return
	}
	var pin *readerSlot
	if l.key.epoch != 0 { // the snapshot keeps the log's segment
		p.mu.Lock()
		pin = p.readers.acquireAt(&Snapshot{Seq: g.seq, gen: g.gen})
		p.mu.Unlock()
	}
	held := g.held
	if held {
		slot.reads.Add(1) // as hold does, but that the reader may have expired: then this one holds on for it
	}
	p.cache.leaveLoadThen(l, func() {
		if pin != nil {
			p.letGo(pin)
		}
		if held {
			p.unhold(slot)
		}
	})
}

// lateRead keeps blocks of the file from being free until over is called: a read of them was given up and is not retired.
func (p *Pager) lateRead(offset int64, size int) (over func()) {
	run := types.Run{First: types.Block(offset / int64(p.pageSize)), Count: uint32(size / p.pageSize)}
	p.space.lateRead(run)
	return func() { p.space.lateReadOver(run) }
}

// Abort leaves the read, which is cancelled if nobody else waits for it.
func (g *Get) Abort(cause error) error {
	if g.deltas != nil && g.deltas.finding {
		cause = g.deltas.find.Abort(cause)
	}
	g.end()
	return types.Truncated(cause, g.id)
}

// offset returns where a block lies in the file.
func (p *Pager) offset(b types.Block) int64 { return int64(b) * int64(p.pageSize) }
