package pager

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// The map is a radix tree of nodes of one block, level 0 at the bottom, with f = (page size - 16) / 16 entries a node.
// Entry p mod f of the level-0 node p / f is page p's; the level-l node i is entry i mod f of the level-l+1 node i / f.
// The root is the node 0 of the highest level; height counts the levels. Nodes are immutable and shared by generations.
//
//	0       4       5      8       16        32
//	+-------+-------+------+-------+---------+---------+-- ... --+
//	| magic | level | zero | index | entry 0 | entry 1 |         |
//	+-------+-------+------+-------+---------+---------+-- ... --+
//
//	offset  size  field
//	     0     4  magic  "PMN\x01"
//	     4     1  level
//	     5     3  zero
//	     8     8  index  of the node in its level
//	    16        f entries of 16 bytes
//
//	entry of level 0:    0  8  run: first block (bits 0-39) and block count (bits 40-63); 0: the page id is free
//	                     8  8  checksum  XXH64 of the run's blocks; 0 in an empty entry
//	entry above:         0  8  first block of the child (bits 0-39); bits 40-63: free page ids below, or all ones if
//	                           they are more than that holds; 0: no page below is in use
//	                     8  8  checksum  XXH64 of the child's block
//
// Page id 0 is never in use and never counted as free. Ids from the globals' next page on are empty and not counted as free.
const (
	mapMagic      = "PMN\x01"
	mapMagicOff   = 0
	mapLevelOff   = 4
	mapIndexOff   = 8
	mapHeaderSize = 16
	mapEntrySize  = 16
)

// mapFreeMany stands for any number of free page ids that is not below it.
const mapFreeMany = 1<<24 - 1

// mapFanout returns the entries of a node.
func mapFanout(pageSize int) uint64 { return uint64((pageSize - mapHeaderSize) / mapEntrySize) }

// mapCapacity returns the page ids below a node with so many levels, itself included, or pageIDLimit if they are more.
func mapCapacity(fanout uint64, levels int) uint64 {
	n := uint64(1)
	for range levels {
		n *= fanout // fanout is below 2^13 and n below 2^48
		if n >= uint64(pageIDLimit) {
			return uint64(pageIDLimit)
		}
	}
	return n
}

// mapHeightFor returns the fewest levels of a map that has an entry for every id below next; 0 if there are none.
func mapHeightFor(fanout uint64, next types.PageID) int {
	if next <= 1 {
		return 0
	}
	height := 1
	for mapCapacity(fanout, height) < uint64(next) {
		height++
	}
	return height
}

// mapStep returns the node of a level, and the entry in it, on the way to page id.
func mapStep(fanout uint64, id types.PageID, level int) (index uint64, entry int) {
	n := uint64(id)
	for range level {
		n /= fanout
	}
	return n / fanout, int(n % fanout)
}

// newMapNode returns a node without entries in use.
func newMapNode(pageSize, level int, index uint64) []byte {
	buf := make([]byte, pageSize)
	copy(buf, mapMagic)
	buf[mapLevelOff] = byte(level)
	binary.LittleEndian.PutUint64(buf[mapIndexOff:], index)
	return buf
}

// mapEntryAt returns the two words of an entry.
func mapEntryAt(buf []byte, entry int) (place, sum uint64) {
	at := buf[mapHeaderSize+entry*mapEntrySize:][:mapEntrySize]
	return binary.LittleEndian.Uint64(at), binary.LittleEndian.Uint64(at[8:])
}

func setMapEntry(buf []byte, entry int, place, sum uint64) {
	at := buf[mapHeaderSize+entry*mapEntrySize:][:mapEntrySize]
	binary.LittleEndian.PutUint64(at, place)
	binary.LittleEndian.PutUint64(at[8:], sum)
}

// mapRun returns where an entry of level 0 says that its page lies; a run of 0 blocks means that the id is free.
func mapRun(buf []byte, entry int) (run types.Run, sum uint64) {
	place, sum := mapEntryAt(buf, entry)
	return types.UnpackRun(place), sum
}

// setMapRun sets an entry of level 0. The zero run, with sum 0, makes the id free.
func setMapRun(buf []byte, entry int, run types.Run, sum uint64) {
	if run.First > types.RunBlockMax || run.Count > types.RunCountMax || run.Count == 0 && (run.First != 0 || sum != 0) {
		panic(invariant.Failf("pager: map entry for run %d+%d", run.First, run.Count))
	}
	setMapEntry(buf, entry, run.Pack(), sum)
}

// mapChild returns where an entry above level 0 says that its child lies, and how many ids are free below: mapFreeMany
// may be more. Child 0 means that no page below is in use; free is 0 then, though all ids below may be free.
func mapChild(buf []byte, entry int) (child types.Block, free uint32, sum uint64) {
	place, sum := mapEntryAt(buf, entry)
	run := types.UnpackRun(place)
	return run.First, run.Count, sum
}

// setMapChild sets an entry above level 0; free is what mapFree says of the child. Child 0 has free and sum 0.
func setMapChild(buf []byte, entry int, child types.Block, free uint32, sum uint64) {
	if child > types.RunBlockMax || free > mapFreeMany || child == 0 && (free != 0 || sum != 0) {
		panic(invariant.Failf("pager: map entry for child %d with %d free ids", child, free))
	}
	setMapEntry(buf, entry, types.Run{First: child, Count: free}.Pack(), sum)
}

// mapEmpty reports whether no entry is in use.
func mapEmpty(buf []byte) bool { return allZero(buf[mapHeaderSize:]) }

// mapFree returns how many ids in [1, next) are free below a node that was verified; mapFreeMany if so many or more.
func mapFree(buf []byte, level int, index uint64, next types.PageID) uint32 {
	fanout := mapFanout(len(buf))
	span := mapCapacity(fanout, level)
	free := uint64(0)
	for entry := range int(fanout) {
		first := (index*fanout + uint64(entry)) * span
		if first >= uint64(next) {
			break
		}
		place, _ := mapEntryAt(buf, entry)
		switch {
		case place == 0:
			free += min(first+span, uint64(next)) - max(first, 1)
		case level > 0:
			free += uint64(types.UnpackRun(place).Count)
		}
		if free >= mapFreeMany {
			return mapFreeMany
		}
	}
	return uint32(free)
}

// decodeMapNode checks what was read as node index of a level: that it is that node, as it was written, and that its
// entries can be in a file of that many blocks. Damage is a *types.CorruptError for file and offset.
func decodeMapNode(buf []byte, level int, index, sum uint64, blocks types.Block, file string, offset int64) error {
	detail := ""
	if got := xxhash.Sum64(buf); got != sum {
		detail = fmt.Sprintf("checksum %016x, %016x expected", got, sum)
	} else {
		detail = mapProblem(buf, level, index, blocks)
	}
	if detail == "" {
		return nil
	}
	detail = fmt.Sprintf("map node %d of level %d: %s", index, level, detail)
	return &types.CorruptError{File: file, Offset: offset, Detail: detail}
}

// mapProblem returns what is wrong with a node, or "".
func mapProblem(buf []byte, level int, index uint64, blocks types.Block) string {
	if len(buf) < pageSizeMin || string(buf[:mapLevelOff]) != mapMagic {
		return "no magic"
	}
	got := binary.LittleEndian.Uint64(buf[mapIndexOff:])
	if int(buf[mapLevelOff]) != level || got != index || !allZero(buf[mapLevelOff+1:mapIndexOff]) {
		return fmt.Sprintf("is node %d of level %d", got, buf[mapLevelOff])
	}
	fanout := mapFanout(len(buf))
	if !allZero(buf[mapHeaderSize+int(fanout)*mapEntrySize:]) {
		return "not zero behind the entries"
	}
	span := mapCapacity(fanout, level)
	for entry := range int(fanout) {
		place, sum := mapEntryAt(buf, entry)
		if place == 0 && sum == 0 {
			continue
		}
		if p := mapEntryProblem(place, metaBlocks(len(buf)), blocks, level, span); p != "" {
			return fmt.Sprintf("entry %d: %s", entry, p)
		}
		if level == 0 && index == 0 && entry == 0 {
			return "page id 0 is in use"
		}
		if first := index*fanout + uint64(entry); first > uint64(pageIDLimit-1)/span {
			return fmt.Sprintf("entry %d: page ids out of range", entry)
		}
	}
	return ""
}

// mapEntryProblem returns what is wrong with an entry that is not empty, or "". span is how many ids it describes.
func mapEntryProblem(place uint64, from, blocks types.Block, level int, span uint64) string {
	run := types.UnpackRun(place)
	length := types.Block(1)
	if level == 0 {
		length = types.Block(run.Count)
	}
	switch {
	case length == 0 || run.First < from || run.First >= blocks || length > blocks-run.First:
		return fmt.Sprintf("%d blocks at %d in a file of %d", length, run.First, blocks)
	case level > 0 && uint64(run.Count) >= span:
		return fmt.Sprintf("%d free ids of %d, and a child", run.Count, span)
	}
	return ""
}
