package io

import "sync/atomic"

// chunkSectors is the number of sectors that are kept, shared and copied together.
const chunkSectors = 8

// memChunk is a piece of a file's content. It is written in place only by the side of the file whose token it
// carries; everybody else copies it first. So images share what they have in common.
type memChunk struct {
	token uint64
	stamp [chunkSectors]uint64 // when each sector was written last
	data  []byte
}

// tokens makes every token unique in the process; nothing depends on their values.
var tokens atomic.Uint64

// memSlot is one chunk's place in a file. A nil chunk is zeroes.
//
//	sector      now      durable   after a crash
//	clean       same     same      that
//	dirty       newer    older     either
//	lost        newer    older     older: a failed sync has dropped it
type memSlot struct {
	now, durable *memChunk
	dirty, lost  uint8 // one bit a sector
}

// sizeChange is one change of a file's size that is not durable.
type sizeChange struct {
	stamp  uint64
	size   int64
	shrink bool // what lay behind is gone, on the durable side too once this is
}

// memNode is a file: its content on both sides, and who has it open.
type memNode struct {
	number uint64
	first  string // name that it was made under
	sector int64  // bytes
	flat   bool   // no durable side

	token   uint64
	size    int64
	slots   []memSlot
	dirty   []int // slots that may be dirty, in the order in which they became so
	scratch []capture

	durableSize int64
	sizes       []sizeChange
	synced      uint64 // stamp up to which everything is durable

	links   int // names that opens see
	opens   int
	owner   *memFile // of the exclusive lock
	sharers map[*memFile]struct{}
}

func (m *Memory) newNode(name string) *memNode {
	m.nodes++
	return &memNode{number: m.nodes, first: name, sector: int64(m.config.SectorSize), flat: m.config.Volatile,
		token: tokens.Add(1)}
}

func (node *memNode) id() FileID { return FileID{Device: 1, Inode: node.number} }

func (node *memNode) chunkSize() int64 { return node.sector * chunkSectors }

// read fills buf from offset; the range lies inside the file.
func (node *memNode) read(buf []byte, offset int64) {
	size := node.chunkSize()
	for len(buf) > 0 {
		i, at := offset/size, offset%size
		n := min(int64(len(buf)), size-at)
		if i < int64(len(node.slots)) && node.slots[i].now != nil {
			copy(buf[:n], node.slots[i].now.data[at:])
		} else {
			clear(buf[:n])
		}
		buf, offset = buf[n:], offset+n
	}
}

// write puts b at offset; the file is large enough.
func (node *memNode) write(b []byte, offset int64, stamp uint64) {
	size := node.chunkSize()
	for len(b) > 0 {
		i, at := offset/size, offset%size
		n := min(int64(len(b)), size-at)
		for i >= int64(len(node.slots)) {
			node.slots = append(node.slots, memSlot{})
		}
		chunk := node.own(&node.slots[i].now)
		copy(chunk.data[at:], b[:n])
		if !node.flat {
			node.mark(int(i), at/node.sector, (at+n-1)/node.sector, stamp)
		}
		b, offset = b[n:], offset+n
	}
}

// own makes *place a chunk that node may write in place.
func (node *memNode) own(place **memChunk) *memChunk {
	old := *place
	if old != nil && old.token == node.token {
		return old
	}
	chunk := &memChunk{token: node.token, data: make([]byte, node.chunkSize())}
	if old != nil {
		chunk.stamp = old.stamp
		copy(chunk.data, old.data)
	}
	*place = chunk
	return chunk
}

// mark notes that the sectors first to last of slot i were written.
func (node *memNode) mark(i int, first, last int64, stamp uint64) {
	slot := &node.slots[i]
	if slot.dirty == 0 {
		node.dirty = append(node.dirty, i)
	}
	for s := first; s <= last; s++ {
		slot.dirty |= 1 << s
		slot.lost &^= 1 << s
		slot.now.stamp[s] = stamp
	}
}

// setSize changes the size; what a smaller size cuts off is gone.
func (node *memNode) setSize(size int64, stamp uint64) {
	if size == node.size {
		return
	}
	shrink := size < node.size
	node.size = size
	if !node.flat {
		node.sizes = append(node.sizes, sizeChange{stamp: stamp, size: size, shrink: shrink})
	}
	if !shrink {
		return
	}
	chunk := node.chunkSize()
	for i := int(size / chunk); i < len(node.slots); i++ {
		slot := &node.slots[i]
		keep := max(0, size-int64(i)*chunk)
		if slot.now != nil && keep > 0 {
			clear(node.own(&slot.now).data[keep:])
		} else {
			slot.now = nil
		}
		sectors := (keep + node.sector - 1) / node.sector
		slot.dirty &= 1<<sectors - 1
		slot.lost &= 1<<sectors - 1
	}
	node.prune()
	if node.flat {
		node.slots = node.slots[:min(int64(len(node.slots)), (size+chunk-1)/chunk)]
	}
}

// cut zeroes the durable side from size on.
func (node *memNode) cut(size int64) {
	chunk := node.chunkSize()
	for i := int(size / chunk); i < len(node.slots); i++ {
		slot := &node.slots[i]
		keep := max(0, size-int64(i)*chunk)
		if slot.durable == nil {
			continue
		}
		if keep > 0 {
			clear(node.own(&slot.durable).data[keep:])
		} else {
			slot.durable = nil
		}
	}
}

// renew makes every chunk of node shared: whoever writes next copies.
func (node *memNode) renew() { node.token = tokens.Add(1) }

// capture is one chunk that a sync will make durable.
type capture struct {
	slot  int
	mask  uint8 // sectors
	chunk *memChunk
}

// capture appends the dirty sectors to list; they do not change under it.
func (node *memNode) capture(list []capture) []capture {
	if node.flat {
		return list
	}
	for _, i := range node.dirty {
		if slot := &node.slots[i]; slot.dirty != 0 {
			list = append(list, capture{slot: i, mask: slot.dirty, chunk: slot.now})
		}
	}
	node.renew()
	return list
}

// sync makes what was captured at the stamp since durable. What was written after that stays dirty.
func (node *memNode) sync(captured []capture, since uint64, size int64) {
	if node.flat || node.synced > since {
		return // a later sync that has finished covers this one
	}
	node.synced = since
	kept := node.sizes[:0]
	for _, ch := range node.sizes {
		switch {
		case ch.stamp > since:
			kept = append(kept, ch)
		case ch.shrink:
			node.cut(ch.size)
		}
	}
	node.sizes, node.durableSize = kept, size
	for _, c := range captured {
		slot := &node.slots[c.slot]
		if slot.now == c.chunk && slot.lost == 0 && slot.dirty == c.mask {
			slot.durable = c.chunk
			slot.dirty = 0
			continue
		}
		node.merge(&slot.durable, c.chunk, c.mask)
		slot.dirty &^= settled(slot, c.mask, since)
	}
	node.prune()
}

// drop forgets that what was captured is dirty: a sync of it has failed.
func (node *memNode) drop(captured []capture, since uint64) {
	for _, c := range captured {
		slot := &node.slots[c.slot]
		gone := settled(slot, c.mask, since) & slot.dirty
		slot.dirty &^= gone
		slot.lost |= gone
	}
	node.prune()
}

// settled returns those sectors of mask that were not written after since.
func settled(slot *memSlot, mask uint8, since uint64) uint8 {
	for s := range chunkSectors {
		if slot.now != nil && slot.now.stamp[s] > since {
			mask &^= 1 << s
		}
	}
	return mask
}

// merge copies the sectors of mask from one chunk into another. nil is zeroes.
func (node *memNode) merge(place **memChunk, from *memChunk, mask uint8) {
	into := node.own(place)
	for s := range int64(chunkSectors) {
		if mask&(1<<s) != 0 {
			at := s * node.sector
			copy(into.data[at:at+node.sector], from.data[at:])
		}
	}
}

// prune takes the clean slots off the list of dirty ones.
func (node *memNode) prune() {
	kept := node.dirty[:0]
	for _, i := range node.dirty {
		if node.slots[i].dirty != 0 {
			kept = append(kept, i)
		}
	}
	node.dirty = kept
}

// replace makes content all that the file holds, on both sides.
func (node *memNode) replace(content []byte) {
	node.renew()
	node.slots, node.dirty, node.sizes = nil, nil, nil
	node.size = int64(len(content))
	flat := node.flat
	node.flat = true // no need to mark it only to sync it
	node.write(content, 0, 0)
	node.flat = flat
	node.settle()
}

// settle makes both sides the same: what node shows is all there is.
func (node *memNode) settle() {
	node.durableSize, node.sizes, node.dirty = node.size, nil, nil
	for i := range node.slots {
		slot := &node.slots[i]
		slot.dirty, slot.lost = 0, 0
		slot.durable = slot.now
	}
	node.renew()
}
