package pager

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// copyChange is an entry of the copy's map that differs from the generation's: of level 0, where a page lies in the
// copy; above, where a node does. Place is the packed word of the entry, 0 for an empty one.
type copyChange struct {
	index uint64 // of the page, or of the node in its level
	place uint64
	sum   uint64
}

// copyOverlay is a block of the copy that the generation's file does not have like that: a page that the log has, or
// a map node above a change. Its bytes are made again when the stream gets there.
type copyOverlay struct {
	block types.Block
	index uint64 // of the page, or of the node in its level
	sum   uint64
	level int // of the node; copyPage for a page
}

const copyPage = -1

// copyPlan says what each block of a copy holds. Blocks of the generation keep their addresses, and so does what the
// log has changed, if it is one block before and after; what is new is laid into blocks that the generation has free,
// or behind its end. It holds about 80 bytes for each page that changed since the generation, and the file's bitmaps.
type copyPlan struct {
	p        *Pager
	gen      *generation
	seq      types.Seq
	globals  Globals
	geometry bitmapGeometry

	edit     *blockSetEdit // until laid out
	cursor   types.Block   // nothing below is handed out any more
	changes  [][]copyChange
	overlays []copyOverlay // ascending by block once laid out
	pages    uint64        // pages among them
	root     types.Block
	sum      uint64
	height   int

	used *blockSet // of the copy
	tree *bitmapTree
	meta []byte // what lies in the copy's meta blocks
}

// newCopyPlan starts a plan for a snapshot. used is the generation's.
func newCopyPlan(p *Pager, snap *Snapshot, used *blockSet) *copyPlan {
	l := &copyPlan{
		p: p, gen: snap.gen, seq: snap.Seq, globals: snap.Globals, geometry: geometryOf(p.pageSize),
		edit: used.edit(), root: snap.gen.root, sum: snap.gen.sum, height: snap.gen.height,
	}
	if height := mapHeightFor(p.fanout(), l.globals.NextPage); height > l.height {
		l.height = height
	}
	l.changes = make([][]copyChange, l.height+1)
	return l
}

// refer takes the blocks that references in the log name: they keep their addresses too. The file has that many
// blocks.
func (l *copyPlan) refer(entries []wal.Entry, blocks types.Block) error {
	for _, e := range entries {
		if e.Kind != wal.KindReference {
			continue
		}
		good := e.Run.Count > 0 && e.Run.End() <= blocks
		if good {
			l.resize(e.Run.End())
			good = l.edit.marked(e.Run) == 0
		}
		if !good {
			return &types.CorruptError{File: base(l.p.cfg.Path) + "-wal", Page: e.Page,
				Detail: fmt.Sprintf("the log refers to %d blocks at %d, which are not free", e.Run.Count, e.Run.First)}
		}
		l.edit.set(e.Run)
	}
	return nil
}

// resize makes the copy at least n blocks long.
func (l *copyPlan) resize(n types.Block) {
	old := l.edit.made.length
	if n <= old {
		return
	}
	for !l.geometry.isLength(n) {
		n++ // at most the homes of one group
	}
	l.edit.resize(n)
	for _, run := range l.geometry.homesIn(old, n) {
		l.edit.set(run)
	}
}

// take hands out a free block, the lowest that is left.
func (l *copyPlan) take() (types.Block, error) {
	for {
		if b := l.edit.made.next(l.cursor, false); b < l.edit.made.length {
			l.edit.set(types.Run{First: b, Count: 1})
			l.cursor = b + 1
			return b, nil
		}
		l.cursor = l.edit.made.length
		n, ok := l.geometry.longer(l.cursor, 1)
		if !ok {
			return 0, fmt.Errorf("%w: a copy of %s would be longer than a file can be", types.ErrFull, l.p.name)
		}
		l.resize(n)
	}
}

// release gives up blocks that the copy does not have. That they were in use is for the file to show.
func (l *copyPlan) release(run types.Run, what string) error {
	n := l.edit.marked(run)
	if len(l.geometry.homesIn(run.First, run.End())) > 0 {
		n = 0
	}
	if n != int(run.Count) {
		return &types.CorruptError{File: l.p.name, Offset: l.p.offset(run.First),
			Detail: fmt.Sprintf("%s lies in %d blocks of which %d are in use", what, run.Count, n)}
	}
	l.edit.clear(run)
	return nil
}

// placePages decides where the changed pages of a level-0 node go. old is nil if there was no such node; changes come
// with the sums of full pages, and leave with the places.
func (l *copyPlan) placePages(old []byte, entries []wal.Entry, changes []copyChange) error {
	fanout := l.p.fanout()
	for i := range changes {
		c, e := &changes[i], &entries[i]
		var was types.Run
		if old != nil {
			was, _ = mapRun(old, int(c.index%fanout))
		}
		if was.Count > 0 {
			if err := l.release(was, fmt.Sprintf("page %d", c.index)); err != nil {
				return err
			}
		}
		switch e.Kind {
		case wal.KindFreed:
			*c = copyChange{index: c.index}
			continue
		case wal.KindReference:
			c.place, c.sum = e.Run.Pack(), e.Sum
			continue
		}
		at := was.First
		if was.Count == 1 {
			l.edit.set(was)
		} else {
			var err error
			if at, err = l.take(); err != nil {
				return err
			}
		}
		c.place = types.Run{First: at, Count: 1}.Pack()
		l.overlays = append(l.overlays, copyOverlay{block: at, index: c.index, sum: c.sum, level: copyPage})
		l.pages++
	}
	return nil
}

// placeNode decides where a map node with changes goes, and notes what the level above has to change.
func (l *copyPlan) placeNode(old mapNodeAt, level int, index uint64, changes []copyChange) error {
	data := l.node(old.node, level, index, changes)
	if mapEmpty(data) {
		if old.node == nil {
			return nil
		}
		l.changes[level+1] = append(l.changes[level+1], copyChange{index: index})
		return l.release(types.Run{First: old.block, Count: 1}, fmt.Sprintf("map node %d of level %d", index, level))
	}
	at := old.block
	if old.node == nil {
		var err error
		if at, err = l.take(); err != nil {
			return err
		}
	}
	sum := xxhash.Sum64(data)
	place := types.Run{First: at, Count: mapFree(data, level, index, l.globals.NextPage)}.Pack()
	l.changes[level+1] = append(l.changes[level+1], copyChange{index, place, sum})
	l.overlays = append(l.overlays, copyOverlay{block: at, index: index, sum: sum, level: level})
	return nil
}

// node returns a node of the copy's map: the old one, if any, with changes.
func (l *copyPlan) node(old []byte, level int, index uint64, changes []copyChange) []byte {
	var data []byte
	if old != nil {
		data = slices.Clone(old)
	} else {
		data = newMapNode(l.p.pageSize, level, index)
	}
	for _, c := range changes {
		setMapEntry(data, int(c.index%l.p.fanout()), c.place, c.sum)
	}
	return data
}

// changesOf returns the changes in one node.
func (l *copyPlan) changesOf(level int, index uint64) []copyChange {
	byIndex := func(c copyChange, want uint64) int { return cmp.Compare(c.index, want) }
	from, _ := slices.BinarySearchFunc(l.changes[level], index*l.p.fanout(), byIndex)
	to, _ := slices.BinarySearchFunc(l.changes[level], (index+1)*l.p.fanout(), byIndex)
	return l.changes[level][from:to]
}

// changeOf returns the change of a page, if there is one.
func (l *copyPlan) changeOf(id types.PageID) (copyChange, bool) {
	at, ok := slices.BinarySearchFunc(l.changes[0], uint64(id), func(c copyChange, want uint64) int {
		return cmp.Compare(c.index, want)
	})
	if !ok {
		return copyChange{}, false
	}
	return l.changes[0][at], true
}

// layOut fixes the copy's length, bitmaps and meta blocks, once all changes have their places.
func (l *copyPlan) layOut(id [16]byte) error {
	for _, c := range l.changes[l.height] {
		if c.index != 0 {
			return &types.CorruptError{File: l.p.name, Detail: "the log has pages behind the end of the map"}
		}
		l.root, l.sum = types.UnpackRun(c.place).First, c.sum
	}
	if l.root == 0 {
		l.height = 0
	}
	slices.SortFunc(l.overlays, func(a, b copyOverlay) int { return cmp.Compare(a.block, b.block) })
	for i := 1; i < len(l.overlays); i++ {
		if b := l.overlays[i].block; b == l.overlays[i-1].block {
			return &types.CorruptError{File: l.p.name, Offset: l.p.offset(b), Detail: "the map leads to one block twice"}
		}
	}
	l.cut()
	l.used, l.edit = l.edit.freeze(), nil
	l.tree, _ = newBitmapTree(l.p.pageSize).next(newBlockSet(l.p.pageSize), l.used, 1)
	m := metaBlock{
		PageSize: l.p.pageSize, Clean: true, Database: id, Write: 1, Generation: 1, Covered: l.seq,
		Blocks: l.used.blocks(), MapRoot: l.root, MapSum: l.sum, MapHeight: l.height, Globals: l.globals,
	}
	m.BitmapRoot, m.BitmapSum, m.BitmapHeight = l.tree.root()
	if problem := m.problem(); problem != "" {
		return &types.CorruptError{File: l.p.name, Detail: "a copy would not be a database: " + problem}
	}
	// As in a new database: the other slot gets the block that this one follows.
	after := m
	after.Write = 2
	l.meta = make([]byte, 2*metaSlotSize)
	copy(l.meta[m.slot()*metaSlotSize:], m.encode())
	copy(l.meta[after.slot()*metaSlotSize:], after.encode())
	return nil
}

// cut takes free blocks off the end.
func (l *copyPlan) cut() {
	set, g := &l.edit.made, &l.geometry
	n := g.shortest()
	for i := len(set.chunks) - 1; i >= 0; i-- {
		if c := set.chunks[i]; c.used > g.fixed(uint64(i)) {
			n = types.Block(i)*g.chunk + types.Block(lastSet(c.words, 0, c.blocks)+1)
			break
		}
	}
	for _, run := range g.homesIn(n, set.length) {
		l.edit.clear(run)
	}
	l.edit.resize(n)
}

// fixed reports whether a block is one of the meta blocks or a home of a bitmap node.
func (l *copyPlan) fixed(b types.Block) bool {
	return b%l.geometry.chunk < types.Block(l.geometry.fixed(uint64(b/l.geometry.chunk)))
}

// fillFixed writes what the copy has in such a block into dst, which is all zero. Of a bitmap node the first home is
// used.
func (l *copyPlan) fillFixed(dst []byte, b types.Block) {
	g := &l.geometry
	group, at := uint64(b/g.chunk), b%g.chunk
	if group == 0 {
		if at < g.meta {
			copy(dst, l.meta[int(at)*g.pageSize:])
			return
		}
		at -= g.meta
	}
	level, index := int(at/2), int(group)
	for range level {
		index /= int(g.fan)
	}
	if e, ok := l.tree.at(level, index); ok && uint64(at%2) == e.home() {
		copy(dst, newBitmapNode(g.pageSize, level, uint64(index), 1))
		fillBitmapNode(dst, l.tree, l.used, level, index)
		if sum := xxhash.Sum64(dst); sum != e.sum {
			panic(invariant.Failf("pager: bitmap %d of level %d has checksum %016x, then %016x", index, level, e.sum, sum))
		}
	}
}

// overlaysIn returns what is laid into blocks [from, to).
func (l *copyPlan) overlaysIn(from, to types.Block) []copyOverlay {
	byBlock := func(o copyOverlay, want types.Block) int { return cmp.Compare(o.block, want) }
	first, _ := slices.BinarySearchFunc(l.overlays, from, byBlock)
	end, _ := slices.BinarySearchFunc(l.overlays, to, byBlock)
	return l.overlays[first:end]
}

// next returns the first block from b on that is in the set, or is not, or the length of the file.
func (s *blockSet) next(b types.Block, used bool) types.Block {
	for b < s.length {
		c := s.chunks[b/s.per]
		at := int(b % s.per)
		if used {
			at = nextSet(c.words, at, c.blocks)
		} else {
			at = nextClear(c.words, at, c.blocks)
		}
		start := b / s.per * s.per
		b = start + types.Block(at)
		if at < c.blocks {
			return b
		}
	}
	return s.length
}

// marked returns how many blocks of a run are in the set.
func (e *blockSetEdit) marked(run types.Run) int {
	n := 0
	for at := run.First; at < min(run.End(), e.made.length); {
		end := min(run.End(), e.made.length, (at/e.made.per+1)*e.made.per)
		n += countBits(e.made.chunks[at/e.made.per].words, int(at%e.made.per), int((end-1)%e.made.per)+1)
		at = end
	}
	return n
}
