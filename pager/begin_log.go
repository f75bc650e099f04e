package pager

import (
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

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
