package pager

import (
	"fmt"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// fileSync is a machine that syncs the database file. Syncs are done one at a time, in order: of two at once, one could be
// told of the other's lost writes. A failed one voids every write since the last good one, whoever made it; the second
// failure in a row is sticky.
//
// A sync that was submitted is never cancelled: an error that nobody waits for would make a later, successful sync lie.
// Abort leaves it to finish, and to be counted, on its own.
type fileSync struct {
	p      *Pager
	ticket types.TurnTicket
	sync   io.Completion
	over   io.Completion
	begun  bool
	err    error
}

// newFileSync returns the machine. Its result is the proof of the sync.
func newFileSync(p *Pager) *fileSync { return &fileSync{p: p} }

// Step waits for its turn and then for the sync.
func (s *fileSync) Step() (types.IOResult[io.Proof], error) {
	if !s.begun {
		if c := s.p.syncing.Acquire(&s.ticket, "another sync of the database file"); c != nil {
			return types.Wait[io.Proof](c)
		}
		s.begun = true
		s.over.ArmYield("the sync of the database file")
		s.sync.OnRetire(s.finish)
		s.p.file.Sync(&s.sync)
	}
	if !s.over.Done() {
		return types.Wait[io.Proof](&s.over)
	}
	if s.err != nil {
		return types.Fail[io.Proof](s.err)
	}
	return types.Done(s.sync.Proof())
}

// finish counts the outcome and lets the next sync begin.
func (s *fileSync) finish(c *io.Completion) {
	s.err = c.Err()
	s.p.countSync(s.err)
	s.p.syncing.Release(&s.ticket)
	s.over.Finish(0, nil)
}

// Abort leaves the queue, or the sync to itself.
func (s *fileSync) Abort(cause error) error {
	if !s.begun {
		s.p.syncing.Release(&s.ticket)
	}
	return cause
}

// countSync notes how a sync of the file ended.
func (p *Pager) countSync(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.figures.syncs++
	if err == nil {
		p.failedInARow = 0
		return
	}
	p.fileFailures++
	p.fileFailure = err
	p.failedInARow++
	if p.failedInARow >= 2 && p.failed == nil {
		p.failed = fmt.Errorf("%w: two syncs of the file failed in a row: %w", types.ErrFailed, err)
	}
}

// failures returns how many syncs of the file have failed: what was written before a failure and not synced is void.
func (p *Pager) failures() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fileFailures
}

// voidSince returns an error if a sync of the file has failed since the count was n.
func (p *Pager) voidSince(n uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fileFailures == n {
		return nil
	}
	return fmt.Errorf("a sync of %s failed, and with it what was written before it and not synced: %w", p.name, p.fileFailure)
}

// metaWrite writes a meta block and syncs it, and then does what that allows. Nothing stops it once it has begun: it goes on
// from callback to callback, so an operation that is aborted meanwhile leaves no doubt about which block is durable.
// A failure is sticky: neither the blocks nor the segments of either root are used again. So is that of another sync which is under
// way while the block is written: the system may have had it in hand, and lost it.
//
//	step        slot of this write     durable meta block   after a cut
//	write       new, unsynced          old                  old or new; what both need is still there
//	sync        new                    new                  new
//	done(proof) -                      new                  new; now what only the old one needed may be reused
type metaWrite struct {
	p      *Pager
	meta   metaBlock
	done   func(metaBlock, io.Proof)
	bufs   [1][]byte
	write  io.Completion
	ticket types.TurnTicket
	sync   io.Completion
	over   io.Completion
	before uint64 // failed syncs of the file when it was submitted
	err    error
}

// writeMeta begins to write m with the next write number. done runs with what was written and the proof of its sync, with no lock held, before the
// completion that writeMeta returns resolves. The caller holds the checkpoint's turn until then. err is for after that.
func (p *Pager) writeMeta(m metaBlock, done func(metaBlock, io.Proof)) *metaWrite {
	w := &metaWrite{p: p, meta: m, done: done, before: p.failures()}
	w.meta.Write = p.durableMeta().Write + 1
	w.over.ArmYield("the meta block to be written")
	w.bufs[0] = w.meta.encode()
	w.write.OnRetire(func(c *io.Completion) {
		if w.err = c.Err(); w.err != nil {
			w.end()
			return
		}
		w.begin()
	})
	p.file.Write(&w.write, w.bufs[:], int64(w.meta.Write%2)*metaSlotSize)
	return w
}

// begin syncs as soon as no other sync of the file is under way.
func (w *metaWrite) begin() {
	if c := w.p.syncing.Acquire(&w.ticket, "another sync of the database file"); c != nil {
		c.OnDone(func(*io.Completion) { w.begin() })
		return
	}
	w.sync.OnRetire(func(c *io.Completion) {
		w.err = c.Err()
		w.p.countSync(w.err)
		if w.err == nil {
			w.err = w.p.voidSince(w.before)
		}
		w.p.syncing.Release(&w.ticket) // the next one is another matter
		w.end()
	})
	w.p.file.Sync(&w.sync)
}

// end publishes, or makes the failure sticky.
func (w *metaWrite) end() {
	if w.err != nil {
		w.err = fmt.Errorf("meta block: %w", w.err)
		w.p.fail(w.err)
	} else {
		w.p.mu.Lock()
		w.p.meta, w.p.metaProven = w.meta, true
		w.p.mu.Unlock()
		w.done(w.meta, w.sync.Proof())
	}
	w.over.Finish(0, nil)
}

// durableMeta returns the meta block that is proven durable.
func (p *Pager) durableMeta() metaBlock {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.meta
}
