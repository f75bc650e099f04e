package pager

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

const (
	moveBufferMin = 16      // blocks
	moveBufferMax = 1 << 20 // bytes
	moveBatchMax  = 256     // pages
)

// moveCopies copies pages from their old to their new places, in the order in which they lie in the file: neighbours are one
// read, and one write. While what one buffer holds is written, the other one is filled.
//
//	free --reads submitted--> filling --all there, verified--> writing --all submitted--> written, until they are over --> free
//
// Every page is verified against the checksum that the map has of it, and keeps it.
type moveCopies struct {
	m       *moves
	order   []int // moves, by old place
	at      int   // next of order to be read
	buffers [2]moveBuffer
	turn    int // buffer that is next
	size    int // bytes of a buffer, but for an extent that is longer
	held    int64
}

// moveBuffer holds some pages between their read and their write.
type moveBuffer struct {
	data   []byte
	moves  []movePiece // by old place until all are read, then by new place
	reads  []io.Completion
	group  *io.CompletionGroup
	over   *io.Completion // when the group is; it succeeds also when a read has failed
	sound  bool           // all pages are verified
	placed int            // moves whose write was submitted
	first  uint64         // number of the first of those writes
	last   uint64         // number of the one behind the last
}

// movePiece is a page in a buffer.
type movePiece struct {
	move int
	at   int // in data
}

// start readies the copying of the list.
func (c *moveCopies) start(m *moves) {
	p := m.a.p
	*c = moveCopies{m: m, order: make([]int, len(m.list))}
	for i := range c.order {
		c.order[i] = i
	}
	slices.SortFunc(c.order, func(a, b int) int { return cmp.Compare(m.list[a].from.First, m.list[b].from.First) })
	c.size = max(int(min(moveBufferMax, p.cfg.CacheSize/32)), moveBufferMin*p.pageSize)
}

// step copies until it has to wait. nil without an error: all writes are submitted.
func (c *moveCopies) step() (*io.Completion, error) {
	for {
		b := &c.buffers[c.turn]
		if b.group == nil {
			if c.at == len(c.order) {
				return nil, nil
			}
			if wait := c.written(b); wait != nil {
				return wait, nil
			}
			if err := c.read(b); err != nil {
				return nil, err
			}
		}
		if !b.over.Done() {
			return b.over, nil
		}
		if !b.sound {
			if err := c.verify(b); err != nil {
				return nil, err
			}
		}
		if wait, err := c.write(b); wait != nil || err != nil {
			return wait, err
		}
		b.group = nil
		c.turn = 1 - c.turn
	}
}

// written returns nil if all writes from a buffer are over, else what to wait for.
func (c *moveCopies) written(b *moveBuffer) *io.Completion {
	for n := b.first; n < b.last; n++ {
		if wait := c.m.a.pipe.written(n); wait != nil {
			return wait
		}
	}
	return nil
}

// read begins to read the next pages.
func (c *moveCopies) read(b *moveBuffer) error {
	m, p := c.m, c.m.a.p
	*b = moveBuffer{data: b.data, moves: b.moves[:0]}
	size := 0
	for c.at < len(c.order) && len(b.moves) < moveBatchMax {
		v := &m.list[c.order[c.at]]
		n := int(v.from.Count) * p.pageSize
		if size > 0 && size+n > c.size {
			break
		}
		if c.at > 0 && m.list[c.order[c.at-1]].from.End() > v.from.First {
			return m.corrupt(v, "its blocks are another page's too")
		}
		b.moves = append(b.moves, movePiece{c.order[c.at], size})
		size += n
		c.at++
	}
	c.room(b, size)
	b.group, b.over = new(io.CompletionGroup), new(io.Completion)
	b.group.Start("pages to be moved to be read")
	b.over.ArmYield("pages to be moved to be read")
	over := b.over
	b.group.Completion().OnDone(func(*io.Completion) { over.Finish(0, nil) })
	b.reads = make([]io.Completion, len(b.moves))
	for from := 0; from < len(b.moves); {
		to, end := from, m.list[b.moves[from].move].from.First
		for to < len(b.moves) && m.list[b.moves[to].move].from.First == end {
			end = m.list[b.moves[to].move].from.End()
			to++
		}
		start, stop := b.moves[from].at, size
		if to < len(b.moves) {
			stop = b.moves[to].at
		}
		b.group.Add(&b.reads[from])
		p.file.Read(&b.reads[from], b.data[start:stop:stop], p.offset(m.list[b.moves[from].move].from.First))
		from = to
	}
	b.group.Build()
	return nil
}

// room makes the buffer large enough. The cache's budget pays for it.
func (c *moveCopies) room(b *moveBuffer, size int) {
	if size <= len(b.data) {
		return
	}
	more := int64(max(size, c.size) - len(b.data))
	c.m.a.p.cache.hold(more)
	c.held += more
	b.data = make([]byte, max(size, c.size))
}

// verify checks what was read, and readies it to be written in the order of the new places.
func (c *moveCopies) verify(b *moveBuffer) error {
	m, p := c.m, c.m.a.p
	if err := b.group.Completion().Err(); err != nil {
		return fmt.Errorf("pages to be moved: %w", types.Truncated(err, 0))
	}
	for _, piece := range b.moves {
		v := &m.list[piece.move]
		err := verifyPage(b.bytes(m, piece), v.from, v.id, m.a.from.covered, v.sum, p.name, p.offset(v.from.First))
		if err != nil {
			return err
		}
	}
	slices.SortFunc(b.moves, func(x, y movePiece) int {
		return cmp.Compare(m.list[x.move].to.First, m.list[y.move].to.First)
	})
	b.first, b.sound = m.a.pipe.count, true
	b.last = b.first
	return nil
}

// bytes returns a page in the buffer.
func (b *moveBuffer) bytes(m *moves, piece movePiece) []byte {
	return b.data[piece.at:][:int(m.list[piece.move].from.Count)*m.a.p.pageSize]
}

// write submits the writes of a buffer.
func (c *moveCopies) write(b *moveBuffer) (*io.Completion, error) {
	m, pipe := c.m, &c.m.a.pipe
	for b.placed < len(b.moves) {
		if wait := pipe.room(); wait != nil {
			return wait, nil
		}
		if err := pipe.failed(); err != nil {
			return nil, err
		}
		first := m.list[b.moves[b.placed].move].to.First
		var bufs [][]byte
		blocks := types.Block(0)
		for b.placed < len(b.moves) {
			piece := b.moves[b.placed]
			to := m.list[piece.move].to
			if to.First != first+blocks || blocks > 0 && blocks+types.Block(to.Count) > pipeRunMax {
				break
			}
			bufs = append(bufs, b.bytes(m, piece))
			blocks += types.Block(to.Count)
			b.placed++
		}
		pipe.write(first, bufs)
		b.last = pipe.count
	}
	return nil, nil
}

// corrupt returns an error about a page in its old place.
func (m *moves) corrupt(v *move, detail string) error {
	return &types.CorruptError{File: m.a.p.name, Offset: m.a.p.offset(v.from.First), Page: v.id, Detail: detail}
}

// letGo ends what the cache's budget pays for the buffers, once nothing can touch them.
func (m *moves) letGo() {
	if m == nil || m.copies.held == 0 {
		return
	}
	m.a.p.cache.hold(-m.copies.held)
	m.copies.held = 0
	m.copies.buffers = [2]moveBuffer{}
}

// reading returns the reads under way, or nil: those of one buffer at the most.
func (m *moves) reading() *io.CompletionGroup {
	if m == nil {
		return nil
	}
	return m.copies.buffers[m.copies.turn].group
}

// cancel gives up reads under way.
func (m *moves) cancel() {
	if g := m.reading(); g != nil {
		g.Cancel()
	}
}

// retired runs then once no read can touch a block or a buffer any more.
func (m *moves) retired(then func()) {
	if g := m.reading(); g != nil {
		g.Completion().OnRetire(func(*io.Completion) { then() })
		return
	}
	then()
}
