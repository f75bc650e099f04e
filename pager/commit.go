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

type commitState uint8

const (
	commitStart   commitState = iota // work: is there anything?
	commitSync                       // await: blocks that references will name are being synced
	commitBegin                      // await: the log of a clean database is being made
	commitRoom                       // work: does the cache have room for the images, which stay until they are written?
	commitDrain                      // await: the log writes what is queued
	commitReserve                    // work: reserve blocks for the next checkpoint
	commitGrow                       // await: the file is being made longer
	commitLog                        // await: log space
	commitQueue                      // work: hand the commit to the log
	commitWait                       // await: the log
	commitEnded                      // end
)

// Commit is a machine that makes a transaction durable, or visible, as its durability says.
//
//	step                   file            log          table, index   turn       after a cut
//	sync written blocks    + pages         -            -              held       old
//	begin the log          needs-log       empty        -              held       old (only the first write after a clean state)
//	room in the cache      same          as before    -              held       old
//	reserve blocks, log    longer          longer       -              held       old
//	queue                  same            queued       new            passed on  old
//	written                same            new, cached  new            -          old, or new if the group is whole
//	synced                 same            new          new            -          new
//
// Up to queue an error, or Abort, fails the transaction alone: it is rolled back and nothing of it is anywhere. From there
// the outcome is the log's: an error is types.ErrCommitUnknown, and Abort only stops waiting.
type Commit struct {
	tx   *Tx
	p    *Pager
	full bool
	seq  types.Seq

	state           commitState
	sync            *fileSync
	begin           *beginLog
	grow            *growFile
	log             *wal.Reserve
	space           wal.Reservation
	queued          bool
	blocks          uint64 // reserved in the file's space
	refers          uint64 // blocks that its references name
	frames          *wal.Commit
	staged          *staged
	logged, changed []types.PageID // those with an image, and those whose map entry changes, ascending
	counted         uint64         // Pager.recounts when Pager.need was counted
	wait            wal.Wait
}

// staged is what a commit has in the log's frames, until they are written.
type staged struct {
	images []*Image
	few    [2]*Image // memory of images
}

// Start readies the machine to commit tx. relaxed commits are visible once the operating system has them, others once they
// are durable. The transaction must not be used any more.
func (c *Commit) Start(tx *Tx, relaxed bool) {
	if len(tx.saves) > 0 {
		panic(invariant.Failf("pager: commit inside of %d savepoints", len(tx.saves)))
	}
	*c = Commit{tx: tx, p: tx.p, full: !relaxed, seq: tx.snap.Seq}
}

// Seq returns the commit's sequence number: the transaction's own, or, if that changed nothing, the one that it was based on.
func (c *Commit) Seq() types.Seq { return c.seq }

// Queued reports whether the commit is with the log: from there Abort does not undo it.
func (c *Commit) Queued() bool { return c.queued }

// Step goes on with the commit.
func (c *Commit) Step() (types.IOResult[struct{}], error) {
	for {
		var wait *io.Completion
		var err error
		switch c.state {
		case commitStart:
			err = c.start()
		case commitSync:
			wait, err = stepInto(c.sync, &c.state, commitBegin)
			if wait == nil && err == nil {
				err = c.tx.void()
			}
		case commitBegin:
			wait, err = c.beginLog()
		case commitRoom:
			c.room()
		case commitDrain:
			wait, err = stepInto(&c.wait, &c.state, commitRoom)
		case commitReserve:
			err = c.reserve()
		case commitGrow:
			wait, err = stepInto(c.grow, &c.state, commitReserve)
		case commitLog:
			wait, err = stepInto(c.log, &c.state, commitQueue)
		case commitQueue:
			err = c.queue()
		case commitWait:
			res, err := c.wait.Step()
			if err == nil && res.Pending == nil {
				c.state = commitEnded
			}
			return res, err
		default:
			panic(invariant.Failf("pager: Commit stepped in state %d", c.state))
		}
		if err != nil {
			return types.Fail[struct{}](c.Abort(err))
		}
		if wait != nil {
			return types.Wait[struct{}](wait)
		}
	}
}

// stepInto steps a child machine, and moves the parent to next when the child has ended.
func stepInto[T any, S any](child types.Stepper[T], state *S, next S) (*io.Completion, error) {
	res, err := child.Step()
	if err == nil && res.Pending == nil {
		*state = next
	}
	return res.Pending, err
}

// start decides whether there is something to commit. A transaction that changed nothing waits for what it has read: if it is a
// full one until that is durable, also if a relaxed commit wrote it.
func (c *Commit) start() error {
	tx := c.tx
	if tx.writing > 0 {
		panic(invariant.Failf("pager: commit with %d machines of the transaction unfinished", tx.writing))
	}
	if !tx.Dirty() {
		c.tx = nil
		tx.Rollback()
		c.state = commitWait
		if c.full {
			c.wait.StartDurable(c.p.log, c.seq)
		} else {
			c.wait.StartVisible(c.p.log, c.seq)
		}
		return nil
	}
	c.seq = tx.seq
	if err := c.p.Failed(); err != nil {
		return err
	}
	if problem := tx.globals.problem(); problem != "" {
		return c.p.miscounted(problem)
	}
	c.state = commitBegin
	if tx.references() > 0 {
		c.sync, c.state = newFileSync(c.p), commitSync
		return tx.void()
	}
	return nil
}

// references returns how many references to blocks of the file the commit will have.
func (tx *Tx) references() int {
	n := 0
	for _, d := range tx.pages.all() {
		if d.run.Count > 0 {
			n++
		}
	}
	return n
}

// beginLog makes the log of a database that was clean.
func (c *Commit) beginLog() (*io.Completion, error) {
	if c.begin == nil {
		if c.p.log.Began() {
			c.build()
			c.state = commitRoom
			return nil, nil
		}
		c.begin = newBeginLog(c.p)
	}
	wait, err := stepInto(c.begin, &c.state, commitRoom)
	if wait == nil && err == nil {
		c.begin = nil
		c.build()
	}
	return wait, err
}

// build stages the frames. Images become immutable here: nobody edits them any more.
func (c *Commit) build() {
	tx := c.tx
	c.frames, c.staged = wal.NewCommit(tx.seq), new(staged)
	c.staged.images = c.staged.few[:0]
	if n := tx.references(); n > 0 {
		c.frames.GrowReferences(n)
	}
	if n := tx.pages.resident; n > len(c.staged.few) {
		c.frames.GrowFrames(n)
		c.staged.images = make([]*Image, 0, n)
	}
	c.logged, c.changed = c.p.logged[:0], c.p.changed[:0]
	for id, d := range tx.pages.all() {
		if !d.freed {
			c.changed = append(c.changed, id)
		}
		switch {
		case d.freed: // it never was in a commit
		case d.run.Count > 0:
			c.frames.Reference(id, d.run, d.sum)
			c.refers += uint64(d.run.Count)
		default:
			img := newImage(id, tx.seq, d.data)
			img.checked.Store(d.known)
			c.staged.images = append(c.staged.images, img)
			c.logged = append(c.logged, id)
			c.stage(img, d)
		}
	}
	for first, count := range tx.pages.gone.runs() {
		c.frames.Freed(first, count)
	}
	c.changedByFrees()
	c.frames.Record(tx.globals.encode(make([]byte, 0, globalsSize)))
	if cap(c.changed) <= keptIDs {
		c.p.logged, c.p.changed = c.logged, c.changed
	}
}

// keptIDs is how many page ids' memory is kept from one commit to the next.
const keptIDs = 64 << 10

// deltaPart is the part of what a transaction's pages may take that its deltas may take as well, until they are written.
const deltaPart = 8

// stage logs a page's new version: what has changed since its base, if that is there and it is worth it, else the whole image.
func (c *Commit) stage(img *Image, d *dirtyPage) {
	p, base := c.p, d.base
	start, end := pageGap(img.data)
	if base != nil && c.frames.DeltaBytes() < p.dirtyMax()/deltaPart {
		count, bytes := p.log.Deltas(img.id)
		limit := min((len(img.data)-(end-start))/4*3, len(img.data)-bytes)
		if count < wal.DeltasMax {
			if parts, ok := c.changes(img, d, limit); ok {
				c.frames.Delta(img.id, base.version, parts, base.Sum(), img.Sum())
				return
			}
		}
	}
	c.frames.Full(img.id, img.data, start, end)
}

// changes returns the parts of a delta, which come to at most limit bytes in the log, and whether there are such.
func (c *Commit) changes(img *Image, d *dirtyPage, limit int) (parts []byte, ok bool) {
	if d.parts == nil {
		return c.p.differ.Diff(d.base.data, img.data, limit)
	}
	if invariant.Enabled && !wal.Makes(d.parts, d.base.data, img.data) {
		panic(invariant.Failf("pager: what was recorded of page %d is not what has changed", img.id))
	}
	img.sum.Store(d.sum)
	return d.parts, wal.DeltaSize(d.parts) <= limit
}

// shrinks reports whether the transaction gives back at least as many pages as it takes, adds nothing, and is small: it may use
// the space that is kept so that deleting is possible on a full disk.
func (c *Commit) shrinks() bool {
	return !c.tx.adds && c.tx.globals.Pages <= c.tx.snap.Globals.Pages && len(c.staged.images) <= spareBlocks/4
}

// spareBlocks is how many free blocks are kept for transactions that give space back.
const spareBlocks = 32

// reserve reserves blocks for what the next checkpoint will have to place for this commit.
func (c *Commit) reserve() error {
	p := c.p
	p.mu.Lock()
	c.count()
	p.mu.Unlock()
	spare := uint64(spareBlocks)
	if c.shrinks() {
		spare = 0
	}
	if p.need.blocks > 0 {
		free, reserved := p.space.available()
		if free-reserved < p.need.blocks+spare || !p.space.reserve(p.need.blocks) {
			c.grow = &growFile{p: p, more: p.need.blocks + spareBlocks}
			c.state = commitGrow
			return nil
		}
	}
	c.blocks = p.need.blocks
	ok, err := p.log.TryReserve(c.frames.Size(), c.shrinks(), &c.space)
	if err != nil {
		return err
	}
	c.state = commitQueue
	if !ok {
		c.log = new(wal.Reserve)
		c.log.Start(p.log, c.frames.Size(), c.shrinks(), &c.space)
		c.state = commitLog
	}
	return nil
}

// changedByFrees adds to the changed pages those that are freed; of neighbours in a node of the map, the first.
func (c *Commit) changedByFrees() {
	if len(c.tx.pages.gone) == 0 {
		return
	}
	fanout := types.PageID(c.p.fanout())
	for first, count := range c.tx.pages.gone.runs() {
		for id, end := first, first+types.PageID(count); id < end; id = (id/fanout + 1) * fanout {
			c.changed = append(c.changed, id)
		}
	}
	slices.Sort(c.changed)
}

// count counts the blocks that the next checkpoint will need for the commit. The caller holds p.mu.
func (c *Commit) count() {
	c.p.needOf(&c.p.need, c.logged, c.changed, c.tx.globals.NextPage)
	c.counted = c.p.recounts
}

// queue hands the commit over, publishes its pages to the next writer, and passes the turn on.
func (c *Commit) queue() error {
	p, tx := c.p, c.tx
	if err := tx.void(); err != nil {
		return err
	}
	p.mu.Lock()
	// A checkpoint may have begun since the blocks were counted: then this commit belongs to the next interval.
	if c.counted != p.recounts {
		if c.count(); p.need.blocks > c.blocks {
			p.mu.Unlock()
			c.release()
			c.state = commitReserve
			return nil
		}
		p.space.unreserve(c.blocks - p.need.blocks)
		c.blocks = p.need.blocks
	}
	c.frames.Tag = c.staged
	if err := p.log.Queue(c.frames, &c.space, c.full); err != nil {
		p.mu.Unlock()
		return err
	}
	c.queued = true
	p.interval.add(&p.need)
	p.interval.refers += c.refers
	p.queued = tx.globals
	p.commits = append(p.commits, queuedCommit{tx.seq, tx.globals})
	c.publish()
	p.chargeIndex()
	p.mu.Unlock()

	tx.returnIDs(func(id types.PageID) bool { d, ok := tx.pages.peek(id); return ok && !d.freed })
	for id, d := range tx.pages.all() {
		if d.freed {
			p.ids.free.add(id)
		}
	}
	for first, count := range tx.pages.gone.runs() {
		p.ids.free.addRun(first, count)
	}
	c.tx, c.staged, c.logged, c.changed, c.frames = nil, nil, nil, nil, nil
	tx.pages.recycle(&p.spareSet) // not behind a rollback: that may come under a change, by a caller's mistake
	tx.end()
	c.state = commitWait
	c.wait.StartVisible(p.log, c.seq)
	return nil
}

// publish puts the new versions into the table. The caller holds p.mu.
func (c *Commit) publish() {
	p := c.p
	if p.cfg.Clock {
		p.readers.see(p.now())
	}
	p.snapshots = p.readers.live(p.snapshots, &p.published)
	p.seqs = p.seqs[:0]
	for _, s := range p.snapshots {
		p.seqs = append(p.seqs, s.Seq)
	}
	clear(p.snapshots)
	p.cache.pruneAll(p.superseded, p.seqs)
	p.superseded = p.superseded[:0]
	for id, d := range c.tx.pages.all() {
		switch {
		case d.freed:
		case d.run.Count > 0 && d.data != nil:
			p.cache.publish(newImage(id, c.seq, d.data), false, p.seqs)
		case d.run.Count > 0:
			p.cache.freed(id, 1, c.seq, p.seqs) // the new version is on disk alone
		}
	}
	for first, count := range c.tx.pages.gone.runs() {
		p.cache.freed(first, count, c.seq, p.seqs)
	}
	for _, img := range c.staged.images {
		if p.cache.publish(img, true, p.seqs) {
			p.superseded = append(p.superseded, img.id)
		}
	}
}

// release gives back what reserve took.
func (c *Commit) release() {
	if c.blocks > 0 {
		c.p.space.unreserve(c.blocks)
		c.blocks = 0
	}
	c.space.Release()
}

// Abort rolls the transaction back if the log does not have it yet, else it stops waiting.
func (c *Commit) Abort(cause error) error {
	switch c.state {
	case commitWait:
		c.state = commitEnded
		return c.wait.Abort(cause)
	case commitSync:
		cause = c.sync.Abort(cause)
	case commitBegin:
		if c.begin != nil {
			cause = c.begin.Abort(cause)
		}
	case commitDrain:
		cause = c.wait.Abort(cause)
	case commitGrow:
		cause = c.grow.Abort(cause)
	case commitLog:
		cause = c.log.Abort(cause)
	}
	c.release()
	tx := c.tx
	c.tx = nil
	if tx != nil {
		tx.Rollback()
		if errors.Is(cause, types.ErrFull) {
			cause = c.p.explainFull(cause)
		}
	}
	c.state = commitEnded
	return cause
}

// explainFull names the reader that keeps most blocks from being used again, if there is one.
func (p *Pager) explainFull(cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.live) < 2 {
		return cause
	}
	oldest := p.live[0]
	return fmt.Errorf("%w (a reader of commit %d or before holds %d blocks that would be free)",
		cause, p.coveredNext(oldest), p.space.heldBy(oldest.number))
}

// coveredNext returns the newest commit that a reader of a generation can see. The caller holds p.mu.
func (p *Pager) coveredNext(gen *generation) types.Seq {
	for _, other := range p.live {
		if other.number > gen.number {
			return other.covered
		}
	}
	return p.log.Visible()
}
