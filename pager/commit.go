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

	state  commitState
	sync   *fileSync
	begin  *beginLog
	grow   *growFile
	log    wal.Reserve
	space  wal.Reservation
	queued bool
	blocks uint64 // reserved in the file's space
	refers uint64 // blocks that its references name
	frames *wal.Commit
	images []*Image
	need   need
	wait   wal.Wait
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
		case commitReserve:
			err = c.reserve()
		case commitGrow:
			wait, err = stepInto(c.grow, &c.state, commitReserve)
		case commitLog:
			wait, err = stepInto(&c.log, &c.state, commitQueue)
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
			c.state = commitReserve
			return nil, nil
		}
		c.begin = newBeginLog(c.p)
	}
	wait, err := stepInto(c.begin, &c.state, commitReserve)
	if wait == nil && err == nil {
		c.begin = nil
		c.build()
	}
	return wait, err
}

// build stages the frames. Images become immutable here: nobody edits them any more.
func (c *Commit) build() {
	tx := c.tx
	c.frames = wal.NewCommit(tx.seq)
	c.frames.GrowReferences(tx.references())
	for id, d := range tx.pages.all() {
		switch {
		case d.freed: // it never was in a commit
		case d.run.Count > 0:
			c.frames.Reference(id, d.run, d.sum)
			c.refers += uint64(d.run.Count)
		default:
			img := newImage(id, tx.seq, d.data)
			img.checked.Store(d.known)
			c.images = append(c.images, img)
			c.stage(img, d.base)
		}
	}
	for first, count := range tx.pages.gone.runs() {
		c.frames.Freed(first, count)
	}
	c.frames.Record(tx.globals.encode(make([]byte, 0, globalsSize)))
}

// deltaPart is the part of what a transaction's pages may take that its deltas may take as well, until they are written.
const deltaPart = 8

// stage logs a page's new version: what has changed since base, if that is there and it is worth it, else the whole image.
func (c *Commit) stage(img, base *Image) {
	p := c.p
	start, end := pageGap(img.data)
	if base != nil && c.frames.DeltaBytes() < p.dirtyMax()/deltaPart {
		count, bytes := p.log.Deltas(img.id)
		limit := min((len(img.data)-(end-start))/4*3, len(img.data)-bytes)
		var ok bool
		if p.ranges, ok = wal.Diff(p.ranges[:0], base.data, img.data, limit); ok && count < wal.DeltasMax {
			c.frames.Delta(img.id, base.version, p.ranges, base.Sum(), img.Sum())
			return
		}
	}
	c.frames.Full(img.id, img.data, start, end)
}

// shrinks reports whether the transaction gives back at least as many pages as it takes, adds nothing, and is small: it may use
// the space that is kept so that deleting is possible on a full disk.
func (c *Commit) shrinks() bool {
	return !c.tx.adds && c.tx.globals.Pages <= c.tx.snap.Globals.Pages && len(c.images) <= spareBlocks/4
}

// spareBlocks is how many free blocks are kept for transactions that give space back.
const spareBlocks = 32

// reserve reserves blocks for what the next checkpoint will have to place for this commit.
func (c *Commit) reserve() error {
	p := c.p
	p.mu.Lock()
	c.need = p.needOf(c.fulls(), c.changed(), c.tx.globals.NextPage)
	p.mu.Unlock()
	spare := uint64(spareBlocks)
	if c.shrinks() {
		spare = 0
	}
	if c.need.blocks > 0 {
		free, reserved := p.space.available()
		if free-reserved < c.need.blocks+spare || !p.space.reserve(c.need.blocks) {
			c.grow = &growFile{p: p, more: c.need.blocks + spareBlocks}
			c.state = commitGrow
			return nil
		}
	}
	c.blocks = c.need.blocks
	c.log.Start(p.log, c.frames.Size(), c.shrinks(), &c.space)
	c.state = commitLog
	return nil
}

// fulls returns the pages whose new version the next checkpoint has to place, ascending: those that are not references.
func (c *Commit) fulls() []types.PageID {
	ids := make([]types.PageID, len(c.images))
	for i, img := range c.images {
		ids[i] = img.id
	}
	return ids
}

// changed returns the pages whose map entry will change, ascending; of freed ones that are neighbours in a node of the map, the
// first.
func (c *Commit) changed() []types.PageID {
	var ids []types.PageID
	for id, d := range c.tx.pages.all() {
		if !d.freed {
			ids = append(ids, id)
		}
	}
	if len(c.tx.pages.gone) == 0 {
		return ids
	}
	fanout := types.PageID(c.p.fanout())
	for first, count := range c.tx.pages.gone.runs() {
		for id, end := first, first+types.PageID(count); id < end; id = (id/fanout + 1) * fanout {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// queue hands the commit over, publishes its pages to the next writer, and passes the turn on.
func (c *Commit) queue() error {
	p, tx := c.p, c.tx
	if err := tx.void(); err != nil {
		return err
	}
	p.mu.Lock()
	// A checkpoint may have begun since the blocks were counted: then this commit belongs to the next interval.
	if need := p.needOf(c.fulls(), c.changed(), tx.globals.NextPage); need.blocks > c.blocks {
		p.mu.Unlock()
		c.release()
		c.state = commitReserve
		return nil
	} else {
		p.space.unreserve(c.blocks - need.blocks)
		c.blocks, c.need = need.blocks, need
	}
	c.frames.Tag = c.images
	if err := p.log.Queue(c.frames, &c.space, c.full); err != nil {
		p.mu.Unlock()
		return err
	}
	c.queued = true
	p.interval.add(c.need)
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
	c.tx, c.images, c.frames = nil, nil, nil
	tx.end()
	c.state = commitWait
	c.wait.StartVisible(p.log, c.seq)
	return nil
}

// publish puts the new versions into the table. The caller holds p.mu.
func (c *Commit) publish() {
	p := c.p
	p.snapshots = p.readers.live(p.snapshots, &p.published)
	p.seqs = p.seqs[:0]
	for _, s := range p.snapshots {
		p.seqs = append(p.seqs, s.Seq)
	}
	clear(p.snapshots)
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
	for _, img := range c.images {
		p.cache.publish(img, true, p.seqs)
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

// beginLog is a machine for the first write after a clean state: a log that nothing needs yet, then a meta block that says
// that it is needed, and only then groups. An old log is taken over only once the clean meta block is known to be on the
// disk: the system may show one whose sync failed, and the disk then has the one before, which needs that log.
type beginLog struct {
	p      *Pager
	ticket types.TurnTicket
	held   bool
	again  io.Completion // the clean meta block is being written again
	before uint64        // failed syncs of the file when it was submitted
	bufs   [1][]byte
	sync   *fileSync
	proven bool
	create wal.Create
	meta   *metaWrite
}

// newBeginLog returns the machine.
func newBeginLog(p *Pager) *beginLog { return &beginLog{p: p} }

// Step goes on with it.
func (b *beginLog) Step() (types.IOResult[struct{}], error) {
	p := b.p
	if !b.held {
		if c := p.ckpt.Acquire(&b.ticket, "a checkpoint"); c != nil {
			return types.Wait[struct{}](c)
		}
		b.held = true
		if p.log.Began() { // another one, which was first
			p.ckpt.Release(&b.ticket)
			return types.Done(struct{}{})
		}
		// The one who was first may have failed with the meta block on its way: the disk may need the log that it made.
		if err := p.refuses(); err != nil {
			p.ckpt.Release(&b.ticket)
			return types.Fail[struct{}](err)
		}
	}
	if !b.proven {
		if wait, err := b.prove(); err != nil || wait != nil {
			return types.IOResult[struct{}]{Pending: wait}, err
		}
		b.proven = true
		b.create.Start(p.log)
		b.create.OnGivenUp(func() { p.ckpt.Release(&b.ticket) })
	}
	if b.meta == nil {
		res, err := b.create.Step()
		if err != nil || res.Pending != nil {
			return types.IOResult[struct{}]{Pending: res.Pending}, err
		}
		m := p.durableMeta()
		m.Clean, m.Log = false, res.Value
		b.meta = p.writeMeta(m, func(m metaBlock, proof io.Proof) {
			p.log.SetMeta(m.Write)
			p.log.Begin(proof)
		})
		b.meta.over.OnDone(func(*io.Completion) { p.ckpt.Release(&b.ticket) })
	}
	if !b.meta.over.Done() {
		return types.Wait[struct{}](&b.meta.over)
	}
	if b.meta.err != nil {
		return types.Fail[struct{}](b.meta.err)
	}
	return types.Done(struct{}{})
}

// prove writes the clean meta block again, the same bytes to the same place, and syncs it, unless this open has done so or
// has made the file. nil without an error: done.
func (b *beginLog) prove() (*io.Completion, error) {
	p := b.p
	p.mu.Lock()
	m, proven := p.meta, p.metaProven
	p.mu.Unlock()
	if proven {
		return nil, nil
	}
	if b.again.Idle() {
		b.before = p.failures()
		b.bufs[0] = m.encode()
		p.file.Write(&b.again, b.bufs[:], int64(m.slot())*metaSlotSize)
	}
	if !b.again.Done() {
		return &b.again, nil
	}
	if err := b.again.Err(); err != nil {
		return nil, err
	}
	if b.sync == nil {
		b.sync = newFileSync(p)
	}
	res, err := b.sync.Step()
	if err == nil && res.Pending == nil {
		if err = p.voidSince(b.before); err != nil {
			return nil, err
		}
		p.mu.Lock()
		p.metaProven = true
		p.mu.Unlock()
	}
	return res.Pending, err
}

// Abort stops waiting. A meta block that is being written is finished all the same.
func (b *beginLog) Abort(cause error) error {
	if b.held && !b.proven {
		if b.sync != nil {
			cause = b.sync.Abort(cause)
		}
		if b.again.Idle() {
			b.p.ckpt.Release(&b.ticket)
		} else {
			b.again.Cancel()
			b.again.OnRetire(func(*io.Completion) { b.p.ckpt.Release(&b.ticket) })
		}
	} else if b.held && b.meta == nil {
		cause = b.create.Abort(cause)
	} else if !b.held {
		b.p.ckpt.Release(&b.ticket)
	}
	return cause
}
