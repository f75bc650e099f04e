package pager

import (
	"fmt"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// CheckpointMode says how much a checkpoint does.
type CheckpointMode uint8

// The forms of checkpoint.
const (
	// CheckpointPassive moves what is durable when it begins into the database file.
	CheckpointPassive CheckpointMode = iota
	// CheckpointFull makes all that is queued when it begins durable first, and moves it.
	CheckpointFull
	// CheckpointTruncate does what CheckpointFull does, and cuts what is free off the ends of file and log.
	CheckpointTruncate
)

// CheckpointResult says what a checkpoint did.
type CheckpointResult struct {
	Covered    types.Seq        // newest commit in the database file
	Generation types.Generation // newest one
	Pages      int              // pages and extents whose map entry changed
	Moved      int              // blocks of pages and map nodes that got a lower place, so that the file can be cut
	Bytes      int64            // written to the database file
}

type attemptState uint8

const (
	attemptTurn    attemptState = iota // await: another checkpoint
	attemptLog                         // await: pending commits become durable
	attemptFix                         // work: the end of what it covers
	attemptGrow                        // await: blocks for commits behind that
	attemptFind                        // await: map nodes, to find what is to be moved
	attemptMove                        // await: pages to be read, room in the pipeline
	attemptPages                       // await: images to be read, room in the pipeline
	attemptMap                         // await: old map nodes, room in the pipeline
	attemptLength                      // await: the file's length, if it is to be cut
	attemptBitmaps                     // await: room in the pipeline
	attemptDrain                       // await: the pipeline
	attemptSync                        // await: the file
	attemptMeta                        // await: the meta block
	attemptTrim                        // await: the log's file is being cut
	attemptCut                         // await: the database file is being cut
	attemptEnded                       // end
)

// attempt is a machine that tries to make one checkpoint: the progress table is in the package's documentation. It fails
// without harm up to the meta block; Abort after that only stops waiting.
//
//	turn -> log -> fix (-> grow -> fix) (-> find -> move) -> pages -> map -> length -> bitmaps -> drain -> sync -> meta
//	     -> trim -> cut
type attempt struct {
	p      *Pager
	mode   CheckpointMode
	target types.Seq // that must be durable first

	state  attemptState
	ticket types.TurnTicket
	wait   wal.Wait
	grow   *growFile
	trim   wal.Trim
	length types.TurnTicket // of the file
	cut    io.Completion
	blocks types.Block // length of the file before it is cut; 0: it is not
	sync   *fileSync
	meta   *metaWrite

	slot     *readerSlot
	from     *generation
	x        types.Seq
	start    wal.Start
	globals  Globals
	failures uint64
	began    int64  // on the IO's clock, if it is looked at
	left     uint64 // blocks still reserved for it
	split    bool
	voided   bool // it ended because what it wrote can't be trusted: another attempt writes it again

	used      *blockSetEdit
	blocksSet types.Block // length of the file that used describes
	taken     []types.Run
	pipe      pipeline
	low       bool   // what it writes takes the lowest blocks
	moves     *moves // of a round that moves pages down, else nil: see shrink
	pages     pagePlacer
	build     mapBuild
	bitmaps   []bitmapWrite
	next      *generation
	result    CheckpointResult
}

// newAttempt returns the machine.
func newAttempt(p *Pager, mode CheckpointMode) *attempt {
	a := &attempt{p: p, mode: mode}
	if mode == CheckpointPassive {
		a.target = p.log.Visible()
	} else {
		a.target = p.log.Queued()
	}
	return a
}

// Step goes on with the checkpoint.
func (a *attempt) Step() (types.IOResult[CheckpointResult], error) {
	for {
		wait, err := a.step()
		if err != nil {
			a.voided = a.split && a.meta == nil && (a.pipe.failed() != nil || a.p.failures() != a.failures)
			return types.Fail[CheckpointResult](a.Abort(err))
		}
		if wait != nil {
			return types.Wait[CheckpointResult](wait)
		}
		if a.state == attemptEnded {
			return types.Done(a.result)
		}
	}
}

// step does what the state asks for, once.
func (a *attempt) step() (*io.Completion, error) {
	switch a.state {
	case attemptTurn:
		if c := a.p.ckpt.Acquire(&a.ticket, "another checkpoint"); c != nil {
			return c, nil
		}
		if err := a.p.refuses(); err != nil {
			return nil, err
		}
		a.wait.StartDurable(a.p.log, a.target)
		a.state = attemptLog
	case attemptLog:
		return stepInto(&a.wait, &a.state, attemptFix)
	case attemptFix:
		return nil, a.fix()
	case attemptGrow:
		return stepInto(a.grow, &a.state, attemptFix)
	case attemptFind:
		return a.step2(a.moves.find, func() {
			a.moves.copies.start(a.moves)
			a.state = attemptMove
		})
	case attemptMove:
		return a.step2(a.moves.copies.step, func() { a.state = attemptPages })
	case attemptPages:
		return a.step2(a.pages.step, func() {
			a.result.Pages = len(a.pages.changes)
			a.build.start(a, a.moves.changes(a.pages.changes))
			if a.moves.any() {
				a.build.again, a.result.Moved = a.moves.nodes, a.moves.blocks
			}
			a.state = attemptMap
		})
	case attemptMap:
		return a.step2(a.build.step, func() { a.state = attemptLength })
	case attemptLength:
		return a.planLength(), nil
	case attemptBitmaps:
		return a.writeBitmaps()
	case attemptDrain:
		c := a.pipe.finish()
		if !c.Done() {
			return c, nil
		}
		if err := a.pipe.group.Completion().Err(); err != nil {
			return nil, err
		}
		a.moves.letGo()
		a.sync, a.state = newFileSync(a.p), attemptSync
	case attemptSync:
		wait, err := stepInto(a.sync, &a.state, attemptMeta)
		if wait == nil && err == nil {
			err = a.writeMeta()
		}
		return wait, err
	case attemptMeta:
		if !a.meta.over.Done() {
			return &a.meta.over, nil
		}
		if a.meta.err != nil {
			return nil, a.meta.err
		}
		a.trim.Start(a.p.log)
		a.state = attemptTrim
	case attemptTrim:
		wait, err := stepInto(&a.trim, &a.state, attemptCut)
		if wait == nil && err == nil && a.blocks != 0 {
			a.p.file.Truncate(&a.cut, a.p.offset(a.next.blocks))
		}
		return wait, err
	case attemptCut:
		if !a.cut.Idle() {
			if !a.cut.Done() {
				return &a.cut, nil
			}
			if err := a.cut.Err(); err != nil {
				return nil, err // the file is longer than it needs to be
			}
		}
		a.p.resize.Release(&a.length)
		a.p.ckpt.Release(&a.ticket)
		a.state = attemptEnded
	default:
		panic(invariant.Failf("pager: checkpoint stepped in state %d", a.state))
	}
	return nil, nil
}

// step2 runs a part that says nil, nil when it is done, and then the transition behind it.
func (a *attempt) step2(part func() (*io.Completion, error), then func()) (*io.Completion, error) {
	wait, err := part()
	if wait == nil && err == nil {
		then()
	}
	return wait, err
}

// fix decides which commits the checkpoint covers, and splits the index and the counting of blocks there. Commits behind that
// are counted anew: a page that the checkpoint places and they change needs a second block.
func (a *attempt) fix() error {
	p := a.p
	p.mu.Lock()
	defer p.mu.Unlock()
	a.from = p.gen
	a.x, a.start = p.log.Fix()
	a.result.Covered, a.result.Generation = p.gen.covered, p.gen.number
	if a.x == p.gen.covered && a.mode != CheckpointTruncate || !p.log.Began() {
		a.state = attemptEnded
		p.ckpt.Release(&a.ticket)
		return nil
	}
	above, fulls := p.log.Above(a.x)
	var behind interval
	changed := make([]types.PageID, 0, len(above))
	for _, e := range above {
		changed = append(changed, e.Page)
	}
	need := p.needBehind(len(fulls), changed)
	if missing := need.blocks + p.interval.short; missing > 0 && !p.space.reserve(missing) {
		a.grow = &growFile{p: p, more: missing}
		a.state = attemptGrow
		return nil
	}
	p.interval.blocks += p.interval.short
	p.interval.short = 0
	behind.add(&need)
	p.running, p.interval = p.interval, behind
	p.recounts++
	p.log.Split(a.x, a.from.number+1)
	a.split = true
	p.covered[a.from.number+1] = a.x
	a.globals = p.globalsAt(a.x)
	a.left = p.running.blocks
	a.failures = p.fileFailures
	if p.cfg.Clock {
		a.began = p.io.Now()
	}
	a.slot = p.readers.acquireAt(&Snapshot{Seq: a.x, gen: a.from})
	a.used, a.blocksSet = a.from.used.edit(), a.from.used.blocks()
	a.fit(p.space.blocks())
	a.pipe.start(p)
	pages, _ := p.log.Changed(a.from.number, a.x)
	a.pages.start(a, pages)
	a.state = attemptPages
	if a.moves != nil {
		a.moves.start(a, a.pages.pages)
		a.state = attemptFind
	}
	return nil
}

// needBehind is needOf for commits that will be the first of an interval, with so many pages that have an image or a delta. The caller
// holds p.mu.
func (p *Pager) needBehind(images int, changed []types.PageID) need {
	saved := p.interval
	p.interval = interval{}
	var n need
	p.needOf(&n, nil, changed, p.queued.NextPage)
	p.interval = saved
	n.blocks += uint64(images)
	return n
}

// globalsAt returns the globals as of a durable commit. The caller holds p.mu.
func (p *Pager) globalsAt(s types.Seq) Globals {
	if s == p.gen.covered {
		return p.gen.globals
	}
	if q := p.queuedAt(s); q != nil {
		return q.globals
	}
	panic(invariant.Failf("pager: the globals of commit %d are gone", s))
}

// planLength decides whether the file will be shorter in the next generation. From here until it is cut, or the attempt has
// failed, nobody else changes its length.
func (a *attempt) planLength() *io.Completion {
	p := a.p
	now, end := p.space.blocks(), p.space.tail()
	worth := a.mode == CheckpointTruncate || now-end > max(now/3, 64)
	if end < now && worth && !a.moves.any() { // what is moved away from the end is not free yet
		if c := p.resize.Acquire(&a.length, "the database file's length"); c != nil {
			return c
		}
		now = p.space.blocks()
		if p.space.cut(end) {
			a.blocks = now
		} else {
			p.resize.Release(&a.length)
		}
	}
	a.planBitmaps()
	a.state = attemptBitmaps
	return nil
}

// fit makes the next generation's block set as long as the file is by now, as the caller has seen: others make it longer
// meanwhile.
func (a *attempt) fit(blocks types.Block) {
	if blocks <= a.blocksSet {
		return
	}
	a.used.resize(blocks)
	for _, run := range a.p.space.homesIn(a.blocksSet, blocks) {
		a.used.set(run)
	}
	a.blocksSet = blocks
}

// planBitmaps makes the bitmap nodes of the next generation.
func (a *attempt) planBitmaps() {
	p := a.p
	blocks := p.space.blocks() // asked once: it may grow at any time
	if blocks < a.blocksSet {
		for _, run := range p.space.homesIn(blocks, a.blocksSet) {
			a.used.clear(run)
		}
		a.used.resize(blocks)
	} else {
		a.fit(blocks)
	}
	a.next = &generation{
		number: a.from.number + 1, covered: a.x, globals: a.globals,
		root: a.build.root, sum: a.build.sum, height: a.build.height, blocks: blocks,
	}
	a.next.used = a.used.freeze()
	a.next.bitmaps, a.bitmaps = a.from.bitmaps.next(a.from.used, a.next.used, a.next.number)
}

// writeBitmaps writes them, each to the home that the last generation does not use.
func (a *attempt) writeBitmaps() (*io.Completion, error) {
	for len(a.bitmaps) > 0 {
		if wait := a.pipe.room(); wait != nil {
			return wait, nil
		}
		if err := a.pipe.failed(); err != nil {
			return nil, err
		}
		a.pipe.write(a.bitmaps[0].block, [][]byte{a.bitmaps[0].data})
		a.bitmaps = a.bitmaps[1:]
	}
	a.state = attemptDrain
	return nil, nil
}

// writeMeta begins to make the new generation the durable one.
func (a *attempt) writeMeta() error {
	p := a.p
	if err := p.voidSince(a.failures); err != nil {
		return err
	}
	if err := p.Failed(); err != nil {
		return err
	}
	p.log.PlanTrim(a.mode == CheckpointTruncate && a.moves == nil)
	a.start.Places = uint32(p.log.Promised())
	m := p.durableMeta()
	m.Generation, m.Covered, m.Blocks, m.Globals = a.next.number, a.x, a.next.blocks, a.globals
	m.MapRoot, m.MapSum, m.MapHeight = a.next.root, a.next.sum, a.next.height
	m.BitmapRoot, m.BitmapSum, m.BitmapHeight = a.next.bitmaps.root()
	m.Log = a.start
	a.meta = p.writeMeta(m, a.publish)
	return nil
}

// publish makes the generation that readers get, and lets go of what only older ones need. p is the proof of the meta
// block's sync.
func (a *attempt) publish(m metaBlock, proof io.Proof) {
	proof.Must(io.KindSync)
	p := a.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gen = a.next
	p.recounts++
	p.live = append(p.live, a.next)
	p.space.adopt(a.next.number, a.next.used)
	for _, run := range a.taken {
		p.space.release(run)
	}
	a.pages.letGo()
	a.build.changes = nil
	a.moves.release()
	if a.left > 0 {
		p.space.unreserve(a.left)
		a.left = 0
	}
	p.running = interval{}
	now := p.published.Load()
	p.publish(now.Seq, now.Globals)
	p.log.SetMeta(m.Write)
	p.log.Recycle(proof, a.x, a.start, p.windows())
	p.countAttempt(a, true)
	p.readers.release(a.slot)
	a.slot = nil
	p.reapLocked()
	a.result.Covered, a.result.Generation, a.result.Bytes = a.x, a.next.number, a.pipe.bytes
}

// windows returns what live readers may need of the log. The caller holds p.mu.
func (p *Pager) windows() []wal.Window {
	p.snapshots = p.readers.live(p.snapshots, &p.published)
	windows := make([]wal.Window, 0, len(p.snapshots))
	for _, s := range p.snapshots {
		windows = append(windows, wal.Window{After: s.gen.covered, Through: s.Seq})
	}
	clear(p.snapshots)
	return windows
}

// Abort gives the attempt up. Once the meta block is being written, that goes on and the checkpoint counts if it succeeds.
func (a *attempt) Abort(cause error) error {
	p := a.p
	state := a.state
	a.state = attemptEnded
	switch state {
	case attemptTurn, attemptFix:
	case attemptLog:
		cause = a.wait.Abort(cause)
	case attemptGrow:
		cause = a.grow.Abort(cause)
	case attemptTrim:
		cause = a.trim.Abort(cause)
	case attemptLength:
		p.resize.Release(&a.length)
	case attemptMeta:
		if a.meta != nil {
			a.meta.over.OnDone(func(*io.Completion) { a.metaOver() })
			return cause
		}
	case attemptFind:
		cause = a.moves.scan.Abort(cause)
	case attemptMove:
		a.moves.cancel()
	case attemptPages:
		a.pages.abort(cause)
	case attemptMap:
		a.build.abort(cause)
	case attemptSync:
		cause = a.sync.Abort(cause)
	}
	if !a.split || a.meta != nil {
		a.leave()
		return cause
	}
	a.pipe.abandon(func() { a.moves.retired(a.undo) })
	return fmt.Errorf("checkpoint of commits up to %d: %w", a.x, cause)
}

// metaOver ends an attempt that was left while its meta block was written, or whose meta block failed.
func (a *attempt) metaOver() {
	if a.meta.err != nil {
		a.p.mu.Lock()
		a.p.countAttempt(a, false)
		a.p.mu.Unlock()
		// The failure is sticky: nothing is reused any more that the attempt's snapshot could need. But a commit may be on its way
		// that makes the file longer, and must not make it shorter than the old meta block says instead.
		if a.blocks != 0 {
			a.p.space.grow(a.blocks)
		}
	}
	a.letGo()
	a.leave()
}

// letGo ends the registration of the attempt's snapshot, if publish has not.
func (a *attempt) letGo() {
	if a.slot != nil {
		a.p.readers.release(a.slot)
		a.slot = nil
	}
	if a.p.cfg.OnLetGo != nil {
		a.p.cfg.OnLetGo()
	}
}

// undo gives everything back, once no write can touch the blocks any more: the next attempt begins from the same state.
func (a *attempt) undo() {
	p := a.p
	p.mu.Lock()
	p.countAttempt(a, false)
	p.log.Unsplit(a.from.number + 1)
	delete(p.covered, a.from.number+1)
	taken := uint64(0)
	for _, run := range a.taken {
		p.space.release(run)
		taken += uint64(run.Count)
	}
	a.pages.letGo()
	a.moves.letGo()
	a.moves.release()
	taken = a.returnExtra(taken)
	behind := p.interval
	p.interval = p.running
	p.recounts++
	p.interval.blocks -= taken
	p.interval.join(behind)
	if p.space.reserve(taken) {
		p.interval.blocks += taken
	} else {
		p.interval.short += taken // somebody was faster: the next attempt asks for them again
	}
	p.running = interval{}
	p.mu.Unlock()
	a.letGo()
	p.reap()
	if a.blocks != 0 {
		p.space.grow(a.blocks) // it was not cut
	}
	a.leave()
}

// returnExtra gives back what is left of the blocks that were reserved for moves, out of which the first of those taken came. It
// returns how many were taken beside them.
func (a *attempt) returnExtra(taken uint64) uint64 {
	if a.moves == nil {
		return taken
	}
	mine := min(taken, a.moves.extra)
	a.p.space.unreserve(a.moves.extra - mine)
	return taken - mine
}

// leave gives back the turns that the attempt holds, once the file's length is settled.
func (a *attempt) leave() {
	release := func(*io.Completion) {
		a.p.resize.Release(&a.length)
		a.p.ckpt.Release(&a.ticket)
	}
	if a.cut.Idle() {
		release(nil)
		return
	}
	a.cut.Cancel()
	a.cut.OnRetire(release)
}
