package pager

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// bitmapReadsMax bounds the reads of a bitmapLoad in flight, and so its buffers: 1 MiB with the largest pages.
const bitmapReadsMax = 16

// bitmapSource is where bitmaps are read from, and what the meta block says of them.
type bitmapSource struct {
	file     io.File
	name     string // base name, for errors
	size     int64  // of the file, in bytes, as the file system has it
	pageSize int    // checked by the caller

	metaOffset  int64 // of the meta block: where it is wrong itself
	generation  types.Generation
	blocks      types.Block
	homeAndFree uint64
	sum         uint64
	height      int
}

// bitmapLoaded is the free space of a generation.
type bitmapLoaded struct {
	used *blockSet
	tree *bitmapTree
}

type bitmapLoadState uint8

const (
	bitmapLoadBegin  bitmapLoadState = iota // work: check what the meta block claims against the file
	bitmapLoadSubmit                        // work: submit reads of the next nodes of the level
	bitmapLoadAwait                         // await: the reads
	bitmapLoadVerify                        // work: check the nodes, take what they say
	bitmapLoadDone                          // end: Step must not be called again
)

// bitmapLoad reads all bitmap nodes of a generation, level by level from the root, and believes nothing that the
// checksums and counts don't confirm. What it allocates is in proportion to nodes that it has verified.
//
//	begin --> submit --> await ---all read---> verify ---last of level 0---> done
//	            ^                                |
//	            +-----------more nodes-----------+
//
// Abort cancels the reads and waits for nothing: their buffers are not used again.
type bitmapLoad struct {
	src      bitmapSource
	geometry bitmapGeometry
	state    bitmapLoadState

	entries [][]bitmapEntry // by level: nodes that verified parents name
	chunks  []*blockChunk
	used    uint64
	level   int
	first   int // node with which the next batch starts

	// submit to verify
	group *io.CompletionGroup // of this batch
	reads []*bitmapRead       // kept for the next batch; the first batch of them are in use
	batch int
}

// bitmapRead is one read of a batch.
type bitmapRead struct {
	done io.Completion
	buf  []byte
}

// newBitmapLoad returns the machine, not started.
func newBitmapLoad(src bitmapSource) *bitmapLoad {
	return &bitmapLoad{src: src, geometry: geometryOf(src.pageSize)}
}

// Step runs until all is read or reads must be waited for. Damage is a *types.CorruptError.
func (l *bitmapLoad) Step() (types.IOResult[bitmapLoaded], error) {
	for {
		switch l.state {
		case bitmapLoadBegin:
			if err := l.begin(); err != nil {
				return l.fail(err)
			}
			l.state = bitmapLoadSubmit

		case bitmapLoadSubmit:
			l.submit()
			l.state = bitmapLoadAwait

		case bitmapLoadAwait:
			c := l.group.Completion()
			if !c.Done() {
				return types.Wait[bitmapLoaded](c)
			}
			if err := c.Err(); err != nil {
				return l.fail(err)
			}
			l.state = bitmapLoadVerify

		case bitmapLoadVerify:
			if err := l.verify(); err != nil {
				return l.fail(err)
			}
			if l.level < 0 {
				l.state = bitmapLoadDone
				return types.Done(l.result())
			}
			l.state = bitmapLoadSubmit

		default:
			panic(invariant.Failf("pager: bitmapLoad stepped in state %d", l.state))
		}
	}
}

// Abort ends the load and returns cause.
func (l *bitmapLoad) Abort(cause error) error {
	if l.state == bitmapLoadAwait {
		l.group.Cancel()
	}
	l.state, l.group, l.reads = bitmapLoadDone, nil, nil
	return types.Truncated(cause, 0)
}

func (l *bitmapLoad) fail(err error) (types.IOResult[bitmapLoaded], error) {
	l.state = bitmapLoadDone
	return types.Fail[bitmapLoaded](err)
}

// begin checks the meta block's claims before anything is allocated for them.
func (l *bitmapLoad) begin() error {
	s, g := &l.src, &l.geometry
	corrupt := func(format string, args ...any) error {
		return &types.CorruptError{File: s.name, Offset: s.metaOffset, Detail: fmt.Sprintf(format, args...)}
	}
	if !g.isLength(s.blocks) {
		return corrupt("%d blocks is not the length of a file with pages of %d bytes", s.blocks, s.pageSize)
	}
	if there := max(s.size, 0) / int64(s.pageSize); int64(s.blocks) > there {
		return corrupt("%d blocks expected, the file has %d", s.blocks, there)
	}
	if want := g.height(s.blocks); s.height != want {
		return corrupt("bitmap height %d for %d blocks, %d expected", s.height, s.blocks, want)
	}
	l.level = s.height
	l.entries = make([][]bitmapEntry, s.height+1)
	l.entries[s.height] = []bitmapEntry{{homeAndFree: s.homeAndFree, sum: s.sum}}
	return nil
}

// offset returns where a node lies.
func (l *bitmapLoad) offset(level, index int) int64 {
	home := l.entries[level][index].home()
	return int64(l.geometry.home(level, uint64(index), home)) * int64(l.src.pageSize)
}

// submit starts the reads of the next nodes of the level.
func (l *bitmapLoad) submit() {
	l.batch = min(len(l.entries[l.level])-l.first, bitmapReadsMax)
	l.group = new(io.CompletionGroup) // the last one may be in the hands of the goroutine that finished it
	l.group.Start("bitmaps of " + l.src.name)
	for i := range l.batch {
		if i == len(l.reads) {
			l.reads = append(l.reads, &bitmapRead{buf: make([]byte, l.src.pageSize)})
		}
		r := l.reads[i]
		r.done.Reset()
		l.src.file.Read(&r.done, r.buf, l.offset(l.level, l.first+i))
		l.group.Add(&r.done)
	}
	l.group.Build()
}

// verify checks the batch and goes on to the next nodes, or the next level.
func (l *bitmapLoad) verify() error {
	for i := range l.batch {
		if err := l.take(l.first+i, l.reads[i].buf); err != nil {
			return err
		}
	}
	l.first += l.batch
	if l.first == len(l.entries[l.level]) {
		l.level, l.first = l.level-1, 0
	}
	return nil
}

// take checks one node of the level and keeps what it says.
func (l *bitmapLoad) take(index int, data []byte) error {
	e := l.entries[l.level][index]
	detail := ""
	if sum := xxhash.Sum64(data); sum != e.sum {
		detail = fmt.Sprintf("bitmap checksum is %016x, %016x expected", sum, e.sum)
	} else if detail = checkBitmapHeader(data, l.level, uint64(index), l.src.generation, e.free()); detail == "" {
		if l.level == 0 {
			detail = l.takeBits(index, data, e)
		} else {
			detail = l.takeEntries(index, data, e)
		}
	}
	if detail == "" {
		return nil
	}
	return &types.CorruptError{File: l.src.name, Offset: l.offset(l.level, index), Detail: detail}
}

// checkBitmapHeader returns what is wrong with a node's header, or "".
func checkBitmapHeader(data []byte, level int, index uint64, gen types.Generation, free uint64) string {
	le := binary.LittleEndian
	switch {
	case string(data[:bitmapLevelOff]) != bitmapMagic:
		return "not a bitmap"
	case int(data[bitmapLevelOff]) != level:
		return fmt.Sprintf("bitmap of level %d, %d expected", data[bitmapLevelOff], level)
	case data[5]|data[6]|data[7] != 0:
		return "bitmap header is not zero behind the level"
	case le.Uint64(data[bitmapIndexOff:]) != index:
		return fmt.Sprintf("bitmap %d, %d expected", le.Uint64(data[bitmapIndexOff:]), index)
	case le.Uint64(data[bitmapFreeOff:]) != free:
		return fmt.Sprintf("bitmap has %d free blocks, %d expected", le.Uint64(data[bitmapFreeOff:]), free)
	}
	if wrote := le.Uint64(data[bitmapGenerationOff:]); wrote == 0 || wrote > uint64(gen) {
		return fmt.Sprintf("bitmap of generation %d, the file is at %d", wrote, gen)
	}
	return ""
}

// takeBits takes a bitmap of level 0, or returns what is wrong with it.
func (l *bitmapLoad) takeBits(index int, data []byte, e bitmapEntry) string {
	g := &l.geometry
	start := types.Block(index) * g.chunk
	c := &blockChunk{
		blocks: int(min(l.src.blocks-start, g.chunk)),
		words:  make([]uint64, g.chunk/64),
	}
	for i := range c.words {
		c.words[i] = binary.LittleEndian.Uint64(data[bitmapHeaderSize+8*i:])
	}
	c.used = onesIn(c.words)
	fixed := g.fixedMask(uint64(index))
	switch {
	case c.words[0]&fixed != fixed:
		return fmt.Sprintf("meta blocks or bitmap homes of group %d are not used", index)
	case countBits(c.words, c.blocks, len(c.words)*64) != 0:
		return fmt.Sprintf("blocks behind the file's %d are used", l.src.blocks)
	case uint64(c.blocks-c.used) != e.free():
		return fmt.Sprintf("bitmap has %d free blocks, %d expected", c.blocks-c.used, e.free())
	}
	l.chunks = append(l.chunks, c)
	l.used += uint64(c.used)
	return ""
}

// takeEntries takes a node above the bitmaps, or returns what is wrong with it.
func (l *bitmapLoad) takeEntries(index int, data []byte, e bitmapEntry) string {
	g := &l.geometry
	first := uint64(index) * g.fan
	here := min(g.nodes(l.level-1, l.src.blocks)-first, g.fan)
	free := uint64(0)
	for i := range g.fan {
		at := data[bitmapHeaderSize+bitmapEntrySize*int(i):]
		child := bitmapEntry{homeAndFree: binary.LittleEndian.Uint64(at), sum: binary.LittleEndian.Uint64(at[8:])}
		if i >= here {
			if child != (bitmapEntry{}) {
				return fmt.Sprintf("entry %d behind the last bitmap is not empty", i)
			}
			continue
		}
		if child.free() > uint64(l.src.blocks) {
			return fmt.Sprintf("entry %d has %d free blocks of %d", i, child.free(), l.src.blocks)
		}
		free += child.free()
		l.entries[l.level-1] = append(l.entries[l.level-1], child)
	}
	if free != e.free() {
		return fmt.Sprintf("bitmaps below have %d free blocks, %d expected", free, e.free())
	}
	return ""
}

// result returns what was read.
func (l *bitmapLoad) result() bitmapLoaded {
	used := &blockSet{per: l.geometry.chunk, length: l.src.blocks, used: l.used, chunks: l.chunks}
	if invariant.Enabled {
		used.check()
	}
	return bitmapLoaded{used: used, tree: &bitmapTree{geometry: l.geometry, blocks: l.src.blocks, levels: l.entries}}
}
