package pager

import (
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// blockSet says of each block of a file whether it is in the set. It is immutable, and sets share the chunks in which
// they don't differ: a new generation costs what it changed. A chunk is what one bitmap of level 0 describes.
type blockSet struct {
	per    types.Block // blocks of a chunk; a multiple of 64
	length types.Block
	used   uint64
	chunks []*blockChunk // ceil(length / per)
}

// blockChunk is a part of a blockSet, immutable once a set has it.
type blockChunk struct {
	blocks int // of the file; less than a chunk has room for only at the end of the file
	used   int
	words  []uint64 // bit i is block i of the chunk; bits from blocks on are 0
}

// newBlockSet returns the empty set of a file without blocks.
func newBlockSet(pageSize int) *blockSet {
	return &blockSet{per: geometryOf(pageSize).chunk}
}

// blocks returns the length of the file that the set describes.
func (s *blockSet) blocks() types.Block { return s.length }

// count returns how many blocks are in the set.
func (s *blockSet) count() uint64 { return s.used }

// has reports whether b is in the set; no block behind the file is.
func (s *blockSet) has(b types.Block) bool {
	if b >= s.length {
		return false
	}
	i := b % s.per
	return s.chunks[b/s.per].words[i/64]>>(i%64)&1 != 0
}

// changedChunks returns, ascending, the chunks that a and b don't share, those that only one of them has included. It
// compares one pointer a chunk.
func changedChunks(a, b *blockSet) []int {
	var changed []int
	long, short := a.chunks, b.chunks
	if len(long) < len(short) {
		long, short = short, long
	}
	for i := range short {
		if short[i] != long[i] {
			changed = append(changed, i)
		}
	}
	for i := len(short); i < len(long); i++ {
		changed = append(changed, i)
	}
	return changed
}

// edit starts a changed copy of s.
func (s *blockSet) edit() *blockSetEdit {
	e := &blockSetEdit{made: *s, own: make([]bool, len(s.chunks))}
	e.made.chunks = slices.Clone(s.chunks)
	return e
}

// blockSetEdit is a blockSet in the making. It belongs to one goroutine.
type blockSetEdit struct {
	made   blockSet
	own    []bool // chunks that no other set has
	frozen bool
}

// set adds the blocks of a run, none of which is in the set.
func (e *blockSetEdit) set(run types.Run) { e.change(run, true) }

// clear takes out the blocks of a run, all of which are in the set.
func (e *blockSetEdit) clear(run types.Run) { e.change(run, false) }

func (e *blockSetEdit) change(run types.Run, used bool) {
	e.mustBeOpen()
	if run.Count == 0 || run.First >= e.made.length || run.End() > e.made.length {
		panic(invariant.Failf("pager: run %d+%d set in a file of %d blocks", run.First, run.Count, e.made.length))
	}
	per := e.made.per
	for at := run.First; at < run.End(); {
		end := min(run.End(), (at/per+1)*per)
		chunk := e.chunk(int(at / per))
		from, to := int(at%per), int((end-1)%per)+1
		before := countBits(chunk.words, from, to)
		if used && before != 0 || !used && before != to-from {
			panic(invariant.Failf("pager: %d of blocks %d to %d are used already, set to %v", before, at, end-1, used))
		}
		if used {
			fillBits(chunk.words, from, to)
			chunk.used += to - from
			e.made.used += uint64(to - from)
		} else {
			wipeBits(chunk.words, from, to)
			chunk.used -= to - from
			e.made.used -= uint64(to - from)
		}
		at = end
	}
}

// chunk returns chunk i for changing, copied if other sets have it.
func (e *blockSetEdit) chunk(i int) *blockChunk {
	c := e.made.chunks[i]
	if !e.own[i] {
		c = &blockChunk{blocks: c.blocks, used: c.used, words: slices.Clone(c.words)}
		e.made.chunks[i], e.own[i] = c, true
	}
	return c
}

// resize sets the length of the file. Blocks behind it must not be in the set, and new ones are not.
func (e *blockSetEdit) resize(blocks types.Block) {
	e.mustBeOpen()
	m := &e.made
	if blocks == m.length {
		return
	}
	per := m.per
	keep := int((blocks + per - 1) / per)
	for i := keep; i < len(m.chunks); i++ {
		if m.chunks[i].used != 0 {
			panic(invariant.Failf("pager: file cut to %d blocks with %d used in chunk %d", blocks, m.chunks[i].used, i))
		}
	}
	if keep < len(m.chunks) {
		clear(m.chunks[keep:])
		m.chunks, e.own = m.chunks[:keep], e.own[:keep]
	}
	if last := len(m.chunks) - 1; last >= 0 {
		want := int(min(blocks-types.Block(last)*per, per))
		if old := m.chunks[last]; old.blocks != want {
			if n := countBits(old.words, min(want, old.blocks), old.blocks); n != 0 {
				panic(invariant.Failf("pager: file cut to %d blocks with %d used behind that", blocks, n))
			}
			e.chunk(last).blocks = want
		}
	}
	for i := len(m.chunks); i < keep; i++ {
		c := &blockChunk{blocks: int(min(blocks-types.Block(i)*per, per)), words: make([]uint64, per/64)}
		m.chunks, e.own = append(m.chunks, c), append(e.own, true)
	}
	m.length = blocks
}

// freeze ends the edit and returns what it made.
func (e *blockSetEdit) freeze() *blockSet {
	e.mustBeOpen()
	e.frozen = true
	if invariant.Enabled {
		e.made.check()
	}
	made := e.made // keeps nothing of e alive
	return &made
}

func (e *blockSetEdit) mustBeOpen() {
	if e.frozen {
		panic(invariant.Failf("pager: block set changed after it was frozen"))
	}
}

// check panics unless counts and lengths agree with the bits.
func (s *blockSet) check() {
	used := uint64(0)
	for i, c := range s.chunks {
		n := countBits(c.words, 0, c.blocks)
		if n != c.used || countBits(c.words, 0, len(c.words)*64) != n {
			panic(invariant.Failf("pager: chunk %d counts %d blocks of %d, its bits say %d", i, c.used, c.blocks, n))
		}
		if want := int(min(s.length-types.Block(i)*s.per, s.per)); c.blocks != want {
			panic(invariant.Failf("pager: chunk %d has %d blocks instead of %d", i, c.blocks, want))
		}
		used += uint64(n)
	}
	if used != s.used || types.Block(len(s.chunks)) != (s.length+s.per-1)/s.per {
		panic(invariant.Failf("pager: set counts %d blocks, its chunks %d", s.used, used))
	}
}
