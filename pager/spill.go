package pager

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// MakeRoom is a machine that a gather begins with: while the transaction's pages take more memory than they may, it lets go of what
// they were made of, and then writes those that were not used for longest to free blocks of the file. Nothing refers to those blocks until a commit does,
// so a rollback, and a crash, just leave them free. The commit then logs a reference in place of the image.
//
//	step           file                transaction        after a cut
//	take blocks    as before           as before          the blocks are free
//	write          + pages, unsynced   as before          the blocks are free
//	written        same                pages on disk      the blocks are free
type MakeRoom struct {
	tx    *Tx
	state roomState
	grow  *growFile

	victims []types.PageID
	at      int // next victim to be placed
	writes  []*spillWrite
	group   *io.CompletionGroup // of the batch; see WriteExtent for why it is not part of the machine
}

type roomState uint8

const (
	roomStart roomState = iota // work: is it needed? which pages go?
	roomPlace                  // work: blocks for the next batch, and its writes
	roomGrow                   // await: the file is being made longer
	roomWrite                  // await: a batch is being written
	roomEnded                  // end
)

// spillWrite is one vectored write of neighbours.
type spillWrite struct {
	run  types.Run
	ids  []types.PageID
	bufs [][]byte
	io   io.Completion
}

const (
	spillRunMax    = 64 // blocks in one write
	spillWritesMax = 16 // writes of a batch
)

// Start readies the machine.
func (m *MakeRoom) Start(tx *Tx) { *m = MakeRoom{tx: tx} }

// NeedsRoom reports whether the transaction's pages take more memory than they may.
func (tx *Tx) NeedsRoom() bool { return tx.inMemory() > tx.p.dirtyMax() }

// dirtyMax is how much of the cache a transaction's own pages may take.
func (p *Pager) dirtyMax() int64 { return max(p.cfg.CacheSize/2, int64(16*p.pageSize)) }

// Step ends when there is room.
func (m *MakeRoom) Step() (types.IOResult[struct{}], error) {
	tx := m.tx
	for {
		switch m.state {
		case roomStart:
			if tx.NeedsRoom() {
				tx.letGoBases()
			}
			tx.p.dirty.Store(tx.inMemory())
			tx.charge()
			if !tx.NeedsRoom() {
				m.state = roomEnded
				return types.Done(struct{}{})
			}
			m.choose()
			if len(m.victims) == 0 {
				m.state = roomEnded
				return types.Done(struct{}{})
			}
			tx.beginWriting()
			m.state = roomPlace

		case roomPlace:
			more, err := m.place()
			if err != nil {
				return types.Fail[struct{}](m.Abort(err))
			}
			if more > 0 {
				m.grow = &growFile{p: tx.p, more: more + spareBlocks, run: 1}
				m.state = roomGrow
				continue
			}
			m.submit()
			m.state = roomWrite

		case roomGrow:
			res, err := m.grow.Step()
			if err != nil {
				return types.Fail[struct{}](m.Abort(err))
			}
			if res.Pending != nil {
				return types.Wait[struct{}](res.Pending)
			}
			m.state = roomPlace

		case roomWrite:
			c := m.group.Completion()
			if !c.Done() {
				return types.Wait[struct{}](c)
			}
			if err := c.Err(); err != nil {
				return types.Fail[struct{}](m.Abort(err))
			}
			m.written()
			if m.at < len(m.victims) {
				m.state = roomPlace
				continue
			}
			tx.endWriting()
			m.state = roomEnded
			return types.Done(struct{}{})

		default:
			panic(invariant.Failf("pager: MakeRoom stepped in state %d", m.state))
		}
	}
}

// choose picks the less recently used half of the pages that are in memory. Those that are on disk as well only leave.
func (m *MakeRoom) choose() {
	tx := m.tx
	d := tx.pages.oldest
	for range tx.pages.resident / 2 {
		next := d.newer
		if d.run.Count > 0 {
			tx.loaded -= int64(len(d.data))
			tx.pages.drop(d, tx.packs(d))
		} else {
			m.victims = append(m.victims, d.id)
		}
		d = next
	}
	slices.Sort(m.victims)
}

// place takes blocks for the next batch. It returns how many blocks are missing if there is none at all.
func (m *MakeRoom) place() (missing uint64, err error) {
	tx := m.tx
	for m.at < len(m.victims) && len(m.writes) < spillWritesMax {
		want := min(len(m.victims)-m.at, spillRunMax)
		run, ok := tx.p.space.takeSparing(uint32(want))
		for !ok && want > 1 {
			want /= 2
			run, ok = tx.p.space.takeSparing(uint32(want))
		}
		if !ok {
			if len(m.writes) > 0 {
				return 0, nil
			}
			return uint64(len(m.victims) - m.at), nil
		}
		w := &spillWrite{run: run, ids: m.victims[m.at : m.at+want]}
		for _, id := range w.ids {
			w.bufs = append(w.bufs, tx.pages.get(id).data)
		}
		m.writes = append(m.writes, w)
		m.at += want
	}
	return 0, nil
}

// submit writes the batch.
func (m *MakeRoom) submit() {
	m.group = new(io.CompletionGroup)
	m.group.Start("a transaction's pages to be written")
	for i := range m.writes {
		w := m.writes[i]
		m.group.Add(&w.io)
		m.tx.p.file.Write(&w.io, w.bufs, m.tx.p.offset(w.run.First))
	}
	m.group.Build()
}

// written notes where the pages lie, and lets go of their bytes.
func (m *MakeRoom) written() {
	tx := m.tx
	for i := range m.writes {
		w := m.writes[i]
		for k, id := range w.ids {
			d := tx.pages.get(id)
			d.run = types.Run{First: w.run.First + types.Block(k), Count: 1}
			d.sum = xxhash.Sum64(d.data)
			tx.bytes -= int64(len(d.data))
			tx.pages.drop(d, tx.packs(d))
		}
		tx.p.spilled.Add(uint64(len(w.ids)))
	}
	tx.p.dirty.Store(tx.inMemory())
	tx.charge()
	m.writes = nil
}

// Abort leaves the pages in memory. The blocks are free again once no write can touch them. Writes that can't be stopped keep the
// bytes that they were given: the transaction goes on with copies, since it may change its pages at once.
func (m *MakeRoom) Abort(cause error) error {
	if m.state == roomGrow {
		cause = m.grow.Abort(cause)
	}
	if m.state != roomStart && m.state != roomEnded {
		m.tx.endWriting()
	}
	m.state = roomEnded
	m.tx.p.abandonWrites(m.group, m.writes)
	if m.group != nil && !m.group.Completion().Retired() && !m.group.Completion().Idle() {
		for _, w := range m.writes {
			for _, id := range w.ids {
				d := m.tx.pages.get(id)
				d.data = slices.Clone(d.data)
			}
		}
	}
	m.writes = nil
	return cause
}

// abandonWrites gives the blocks of unfinished writes back once the group that they belong to is retired.
func (p *Pager) abandonWrites(group *io.CompletionGroup, writes []*spillWrite) {
	release := func(*io.Completion) {
		for i := range writes {
			p.space.release(writes[i].run)
		}
	}
	if group == nil || group.Completion().Idle() {
		release(nil)
		return
	}
	group.Cancel()
	group.Completion().OnRetire(release)
}

// beginWriting notes that blocks of the file are written that no sync covers yet.
func (tx *Tx) beginWriting() {
	tx.writing++
	if !tx.wrote {
		tx.wrote, tx.failures = true, tx.p.failures()
	}
}

// endWriting is the counterpart of beginWriting.
func (tx *Tx) endWriting() { tx.writing-- }

// void returns an error if a failed sync has taken away what the transaction wrote.
func (tx *Tx) void() error {
	if !tx.wrote {
		return nil
	}
	if err := tx.p.voidSince(tx.failures); err != nil {
		return fmt.Errorf("transaction %d has written pages ahead of its commit: %w", tx.seq, err)
	}
	return nil
}
