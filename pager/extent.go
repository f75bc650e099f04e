package pager

import (
	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// MaxExtent is how many of the owner's bytes an extent holds at the most; its header takes a block more. Longer values are
// several extents, so that whoever reads or writes one needs no more memory than that, and can check what it reads. Values of
// just this length are common.
const MaxExtent = 1 << 20

// isExtent reports whether a run that the map, or a reference, names is no longer than the longest extent.
func (p *Pager) isExtent(run types.Run) bool {
	return uint64(run.Count)*uint64(p.pageSize) <= MaxExtent+uint64(p.pageSize)
}

// WriteExtent is a machine that writes bytes straight to free blocks of the file, as an extent that nothing refers to yet, and
// ends with its page id. The bytes are written once: the commit logs a reference. An abandoned extent's blocks and
// id are free again.
//
// A machine's memory may be used for its next run as soon as this one is over, while the goroutine that finished the I/O is
// on its last instructions with it, or the I/O of an abandoned run goes on. So what I/O refers to is made anew for
// each: the group, the write, and the machine that grows the file.
type WriteExtent struct {
	tx    *Tx
	state extentState
	data  []byte // header, bytes, zeroes to the end of the last block
	ids   ReserveIDs
	grow  *growFile
	write []*spillWrite
	group *io.CompletionGroup
}

type extentState uint8

const (
	extentID    extentState = iota // await: an id
	extentTake                     // work: blocks
	extentGrow                     // await: the file is being made longer
	extentWrite                    // await: the blocks are being written
	extentEnded                    // end
)

// Start readies the machine to write the owner's bytes, at most MaxExtent, which it copies: a write that was abandoned can't be
// stopped, and the caller's memory is the caller's again.
func (m *WriteExtent) Start(tx *Tx, bytes []byte) {
	if len(bytes) == 0 || len(bytes) > MaxExtent {
		panic(invariant.Failf("pager: extent of %d bytes", len(bytes)))
	}
	*m = WriteExtent{tx: tx}
	size := PageHeaderSize + len(bytes)
	m.data = tx.p.takeExtentBuffer((size + tx.p.pageSize - 1) / tx.p.pageSize * tx.p.pageSize)
	copy(m.data[PageHeaderSize:], bytes)
	clear(m.data[size:])
	m.ids.Start(tx, 1)
}

// Step ends with the extent's page id.
func (m *WriteExtent) Step() (types.IOResult[types.PageID], error) {
	tx := m.tx
	for {
		switch m.state {
		case extentID:
			res, err := m.ids.Step()
			if err != nil {
				return types.Fail[types.PageID](m.Abort(err))
			}
			if res.Pending != nil {
				return types.Wait[types.PageID](res.Pending)
			}
			m.state = extentTake

		case extentTake:
			count := uint32(len(m.data) / tx.p.pageSize)
			run, ok := tx.p.space.takeSparing(count)
			if !ok {
				m.grow = &growFile{p: tx.p, more: uint64(count) + spareBlocks, run: count}
				m.state = extentGrow
				continue
			}
			m.submit(run)
			m.state = extentWrite

		case extentGrow:
			res, err := m.grow.Step()
			if err != nil {
				return types.Fail[types.PageID](m.Abort(err))
			}
			if res.Pending != nil {
				return types.Wait[types.PageID](res.Pending)
			}
			m.state = extentTake

		case extentWrite:
			c := m.group.Completion()
			if !c.Done() {
				return types.Wait[types.PageID](c)
			}
			if err := c.Err(); err != nil {
				return types.Fail[types.PageID](m.Abort(err))
			}
			return types.Done(m.written())

		default:
			panic(invariant.Failf("pager: WriteExtent stepped in state %d", m.state))
		}
	}
}

// submit writes the extent to its blocks. The id is only peeked at: it is taken when nothing can fail any more.
func (m *WriteExtent) submit(run types.Run) {
	tx := m.tx
	initPage(m.data, PageKindExtent, tx.spare[len(tx.spare)-1], tx.seq)
	tx.beginWriting()
	w := &spillWrite{run: run, bufs: [][]byte{m.data}}
	m.write, m.group = []*spillWrite{w}, new(io.CompletionGroup)
	m.group.Start("an extent to be written")
	m.group.Add(&w.io)
	tx.p.file.Write(&w.io, w.bufs, tx.p.offset(run.First))
	m.group.Build()
}

// written makes the extent the transaction's.
func (m *WriteExtent) written() types.PageID {
	tx := m.tx
	tx.endWriting()
	id := tx.takeID()
	if id != pageID(m.data) {
		panic(invariant.Failf("pager: extent written as page %d became page %d", pageID(m.data), id))
	}
	tx.put(id, &dirtyPage{run: m.write[0].run, sum: xxhash.Sum64(m.data), epoch: tx.epoch, fresh: true})
	if m.write[0].io.Retired() {
		tx.p.giveExtentBuffer(m.data)
	}
	m.data, m.state = nil, extentEnded
	return id
}

// Memory that is kept for the next extent has at least so many bytes, and takes at most that part of the cache's budget.
const (
	spareExtentMin  = 64 << 10
	spareExtentPart = 16
)

// takeExtentBuffer returns memory for an extent, with any bytes in it. Whoever holds the writer's turn calls it.
func (p *Pager) takeExtentBuffer(size int) []byte {
	if buf := p.spareExtent; len(buf) > 0 && cap(buf) >= size {
		p.spareExtent = buf[:0]
		return buf[:size]
	}
	return make([]byte, size)
}

// giveExtentBuffer keeps the memory of an extent that was written for the next one: new memory of that size has to be wiped first
// and collected afterwards. The budget pays for it.
func (p *Pager) giveExtentBuffer(buf []byte) {
	size, had := int64(cap(buf)), int64(cap(p.spareExtent))
	if size < max(had, spareExtentMin) || size > p.cfg.CacheSize/spareExtentPart {
		return
	}
	p.spareExtent = buf
	p.cache.hold(size - had)
}

// Abort gives the blocks back once they are retired.
func (m *WriteExtent) Abort(cause error) error {
	switch m.state {
	case extentID:
		cause = m.ids.Abort(cause)
	case extentGrow:
		cause = m.grow.Abort(cause)
	case extentWrite:
		m.tx.endWriting()
		m.tx.p.abandonWrites(m.group, m.write)
	}
	m.state = extentEnded
	return cause
}
