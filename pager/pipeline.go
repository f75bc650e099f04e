package pager

import (
	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// pipeline writes runs of blocks with a bounded number of writes in flight: neighbours are one vectored write, and a slot that
// is done takes the next one. All writes are children of one CompletionGroup, which tells when everything is written,
// and cancels and retires them together.
type pipeline struct {
	p     *Pager
	group io.CompletionGroup
	over  io.Completion // when the group is; it succeeds also when a write has failed: failed tells
	pace  pace
	slots []pipeSlot
	next  int // slot to use next: the one that was used longest ago
	built bool
	bytes int64
	count uint64 // writes that were submitted
}

// pipeSlot is one write in flight. That it has failed is an answer, not the end of the checkpoint.
type pipeSlot struct {
	io   io.Attempt
	bufs [][]byte
}

const (
	pipeDepth  = 16 // writes in flight
	pipeRunMax = 64 // blocks in one write
)

// start readies the pipeline.
func (l *pipeline) start(p *Pager) {
	l.p, l.slots = p, make([]pipeSlot, pipeDepth)
	l.group.Start("the pages of a checkpoint to be written")
	l.pace.rate = p.cfg.CheckpointRate
}

// room returns nil if a write can be submitted, else what to wait for.
func (l *pipeline) room() *io.Completion {
	if c := l.slot(); c != nil {
		return c
	}
	return l.pace.paid(l.p)
}

// slot returns nil if the next slot can take a write, else what to wait for.
func (l *pipeline) slot() *io.Completion {
	s := &l.slots[l.next].io
	if over := s.Over(); !s.Idle() && !over.Done() {
		return over
	}
	return nil
}

// write submits the blocks of data at first. There is room.
func (l *pipeline) write(first types.Block, data [][]byte) {
	s := &l.slots[l.next]
	if l.built || l.slot() != nil {
		panic(invariant.Failf("pager: write into a full pipeline"))
	}
	l.next = (l.next + 1) % len(l.slots)
	s.io.Reset()
	s.bufs = append(s.bufs[:0], data...)
	c := s.io.Begin("a checkpoint's write")
	l.group.Add(c)
	n := int64(0)
	for _, b := range data {
		n += int64(len(b))
	}
	l.bytes += n
	l.count++
	l.pace.spend(l.p, n)
	l.p.file.Write(c, s.bufs, l.p.offset(first))
}

// written returns nil if the n-th write, from 0, is over, else what to wait for.
func (l *pipeline) written(n uint64) *io.Completion {
	if depth := uint64(len(l.slots)); n+depth >= l.count { // else its slot was used again
		if over := l.slots[n%depth].io.Over(); !over.Done() {
			return over
		}
	}
	return nil
}

// failed returns the error of a write that has failed, if there is one.
func (l *pipeline) failed() error {
	for i := range l.slots {
		if err := l.slots[i].io.Err(); err != nil {
			return err
		}
	}
	return nil
}

// finish says that no write will come, and returns what to wait for until all are done.
func (l *pipeline) finish() *io.Completion {
	if !l.built {
		l.built = true
		l.over.ArmYield("the pages of a checkpoint to be written")
		l.group.Completion().OnDone(func(*io.Completion) { l.over.Finish(0, nil) })
		l.group.Build()
	}
	return &l.over
}

// abandon cancels what is in flight and runs then once nothing can touch the file any more.
func (l *pipeline) abandon(then func()) {
	if l.p == nil {
		then()
		return
	}
	l.pace.stop()
	l.group.Cancel()
	l.finish()
	l.group.Completion().OnRetire(func(*io.Completion) { then() })
}

// placed is what became of a block that was handed to place.
type placed struct {
	block types.Block
	sum   uint64
}

// place takes blocks for some images out of the reservation and writes them: as many as form one run. The caller has asked
// for room. It returns where they went.
func (a *attempt) place(images [][]byte, out []placed) []placed {
	take := a.p.space.takeReserved
	if a.low {
		take = a.p.space.takeReservedLow
	}
	run, ok := take(uint32(min(len(images), pipeRunMax)))
	if !ok {
		panic(invariant.Failf("pager: a checkpoint needs more blocks than were reserved for it"))
	}
	a.taken = append(a.taken, run)
	a.left -= uint64(run.Count)
	a.fit(a.p.space.blocks())
	a.used.set(run)
	images = images[:run.Count]
	for i, image := range images {
		out = append(out, placed{run.First + types.Block(i), xxhash.Sum64(image)})
	}
	a.pipe.write(run.First, images)
	return out
}
