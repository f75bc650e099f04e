package io

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// ChangeKind says what a Change is about.
type ChangeKind uint8

// The kinds of change.
const (
	ChangeSector ChangeKind = iota // the newest content of one sector
	ChangeSize                     // a file's size
	ChangeName                     // one creation, link, rename or remove
)

// Change is one thing that a power cut may take or leave, each independently of the others.
type Change struct {
	Kind     ChangeKind
	File     string // name under which the file was made, or that the name change is about
	NewName  string // of a link or rename
	Offset   int64  // of the sector
	Length   int64  // bytes of the sector
	Size     int64  // the new size
	InFlight bool   // of an op in the queue: it may have reached the disk all the same

	stamp uint64
	node  *memNode
	slot  int
	mask  uint8     // the sector's bit in the slot
	chunk *memChunk // its content; nil if in flight
	op    *Op       // in flight
	size  sizeChange
	name  nameChange
}

// String describes the change.
func (ch Change) String() string {
	flight := ""
	if ch.InFlight {
		flight = " in flight"
	}
	switch {
	case ch.Kind == ChangeSector:
		return fmt.Sprintf("%s: sector at %d%s", ch.File, ch.Offset, flight)
	case ch.Kind == ChangeSize:
		return fmt.Sprintf("%s: size %d%s", ch.File, ch.Size, flight)
	case ch.name.code == opOpen:
		return fmt.Sprintf("create %s%s", ch.File, flight)
	case ch.NewName != "":
		return fmt.Sprintf("%s %s to %s%s", opNames[ch.name.code], ch.File, ch.NewName, flight)
	}
	return fmt.Sprintf("%s %s%s", opNames[ch.name.code], ch.File, flight)
}

// Unsynced returns what a power cut now could take, oldest first, and behind that what the writes, truncates and name
// changes in the queue could have done already. A sector that was written several times counts once, with its newest
// content. A failed sync under SetDropOnSyncFailure takes sectors off the list.
func (m *Memory) Unsynced() []Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unsynced()
}

func (m *Memory) unsynced() []Change {
	var list []Change
	for _, node := range m.reachable() {
		for _, i := range node.dirty {
			slot := &node.slots[i]
			for s := range int64(chunkSectors) {
				if slot.dirty&(1<<s) == 0 {
					continue
				}
				list = append(list, Change{Kind: ChangeSector, File: node.first, Offset: int64(i)*node.chunkSize() + s*node.sector,
					Length: node.sector, stamp: slot.now.stamp[s], node: node, slot: i, mask: 1 << s, chunk: slot.now})
			}
		}
		for _, size := range node.sizes {
			list = append(list, Change{Kind: ChangeSize, File: node.first, Size: size.size, stamp: size.stamp, node: node,
				size: size})
		}
	}
	for _, name := range m.journal {
		list = append(list, Change{Kind: ChangeName, File: name.name, NewName: name.newName, stamp: name.stamp, name: name})
	}
	slices.SortStableFunc(list, func(a, b Change) int {
		// The size that a write sets comes before its sectors.
		return cmp.Or(cmp.Compare(a.stamp, b.stamp), cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Offset, b.Offset))
	})
	for _, op := range m.queue {
		list = op.inFlight(list)
	}
	return list
}

// reachable returns the files that a durable name, or a change of names, leads to, in the order of their making.
func (m *Memory) reachable() []*memNode {
	nodes := make([]*memNode, 0, len(m.durable)+len(m.journal))
	for _, node := range m.durable {
		nodes = append(nodes, node)
	}
	for _, ch := range m.journal {
		nodes = append(nodes, ch.node)
	}
	slices.SortFunc(nodes, func(a, b *memNode) int { return cmp.Compare(a.number, b.number) })
	return slices.Compact(nodes)
}

// inFlight appends what op, which is in the queue, may have done by now.
func (op *Op) inFlight(list []Change) []Change {
	m := op.m
	switch {
	case op.fault != nil || m.readOnly || op.file != nil && !op.file.writable:
		return list
	case op.code == opWrite && op.Length > op.moved && op.Offset >= 0 && op.Offset <= maxMemoryFile-op.Length:
		node := op.file.node
		from, end := op.Offset+op.moved, op.Offset+op.Length
		if end > node.size {
			list = append(list, Change{Kind: ChangeSize, File: node.first, Size: end, InFlight: true, node: node,
				size: sizeChange{size: end}})
		}
		for at := from - from%node.sector; at < end; at += node.sector {
			list = append(list, Change{Kind: ChangeSector, File: node.first, Offset: at, Length: node.sector, InFlight: true,
				node: node, op: op})
		}
	case op.code == opTruncate && op.Length >= 0 && op.Length <= maxMemoryFile && op.Length != op.file.node.size:
		node := op.file.node
		list = append(list, Change{Kind: ChangeSize, File: node.first, Size: op.Length, InFlight: true, node: node,
			size: sizeChange{size: op.Length, shrink: op.Length < node.size}})
	case op.code == opRemove, op.code == opRename, op.code == opLink && m.names[op.NewName] == nil:
		if node := m.names[op.File]; node != nil {
			list = append(list, Change{Kind: ChangeName, File: op.File, NewName: op.NewName, InFlight: true,
				name: nameChange{code: op.code, name: op.File, newName: op.NewName, node: node}})
		}
	}
	return list
}

// Crash returns a Memory in automatic mode that holds what a disk could show after a power cut now: the durable side,
// and on top of that those changes of Unsynced for which survive, called with their indexes there, returns true. A nil
// survive takes none. A file with no surviving name is gone. m goes on unharmed; the two share what they have in
// common, so a crash costs little more than the changes that survive.
func (m *Memory) Crash(survive func(i int, ch Change) bool) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crash(m.unsynced(), survive)
}

func (m *Memory) crash(changes []Change, survive func(i int, ch Change) bool) *Memory {
	if m.config.Volatile {
		panic("io: Crash of a Memory without a durable side")
	}
	cfg := m.config
	cfg.Manual = false
	cfg.Seed = splitMix(&cfg.Seed)
	after := NewMemory(cfg)
	images := map[*memNode]*memNode{}
	image := func(node *memNode) *memNode {
		if images[node] == nil {
			images[node] = node.image()
		}
		return images[node]
	}
	for name, node := range m.durable {
		after.names[name] = image(node)
	}
	for i, ch := range changes {
		if survive == nil || !survive(i, ch) {
			continue
		}
		switch ch.Kind {
		case ChangeSector:
			image(ch.node).land(ch)
		case ChangeSize:
			image(ch.node).resize(ch.size)
		case ChangeName:
			ch.name.node = image(ch.name.node)
			ch.name.apply(after.names)
		}
	}
	for name, node := range after.names {
		node.links++
		after.durable[name] = node
		after.nodes = max(after.nodes, node.number)
	}
	for _, node := range images {
		if node.links > 0 {
			node.clip()
			node.settle()
			after.used += node.size
		}
	}
	return after
}

// image returns a file that shows the durable side of node. Its chunks are shared.
func (node *memNode) image() *memNode {
	node.renew()
	img := &memNode{number: node.number, first: node.first, sector: node.sector, token: tokens.Add(1),
		size: node.durableSize, slots: make([]memSlot, len(node.slots))}
	for i := range node.slots {
		img.slots[i].now = node.slots[i].durable
	}
	return img
}

// resize does a surviving change of size.
func (node *memNode) resize(ch sizeChange) {
	if !ch.shrink {
		node.size = max(node.size, ch.size)
		return
	}
	node.flat = true
	if ch.size < node.size {
		node.setSize(ch.size, 0)
	}
	node.flat = false
}

// land puts a surviving sector in its place, even behind the end: the size may follow.
func (node *memNode) land(ch Change) {
	slot := int(ch.Offset / node.chunkSize())
	for slot >= len(node.slots) {
		node.slots = append(node.slots, memSlot{})
	}
	if ch.op == nil {
		node.merge(&node.slots[slot].now, ch.chunk, ch.mask)
		return
	}
	chunk := node.own(&node.slots[slot].now)
	base := int64(slot) * node.chunkSize()
	at := ch.op.Offset // of the buffer
	for _, b := range ch.op.bufs {
		from := max(at, ch.Offset)
		to := min(at+int64(len(b)), ch.Offset+ch.Length)
		if from < to {
			copy(chunk.data[from-base:to-base], b[from-at:to-at])
		}
		at += int64(len(b))
	}
}

// clip zeroes what lies behind the end: sectors that survived without the size that covered them.
func (node *memNode) clip() {
	size := node.size
	node.flat = true
	node.size = int64(len(node.slots)) * node.chunkSize()
	if size < node.size {
		node.setSize(size, 0)
	}
	node.size = size
	node.flat = false
}

// Survivors names one choice among the changes of a power cut.
type Survivors struct {
	Changes []Change // shared by all choices of one enumeration
	Kept    []bool   // by index; valid until the enumeration goes on
}

// String lists the changes, each with + if it survived and - if not.
func (s Survivors) String() string {
	var b strings.Builder
	for i, ch := range s.Changes {
		if i > 0 {
			b.WriteString("; ")
		}
		if s.Kept[i] {
			b.WriteString("+ ")
		} else {
			b.WriteString("- ")
		}
		b.WriteString(ch.String())
	}
	return b.String()
}

// crashSamples is how many random choices CrashImages adds where it can't try all.
const crashSamples = 32

// crashSubsets is up to how many changes it tries all.
const crashSubsets = 6

// CrashImageCount returns how many images CrashImages enumerates for a number of changes.
func CrashImageCount(changes int) int {
	if changes <= crashSubsets {
		return 1 << changes
	}
	return changes + 1 + changes - 1 + crashSamples
}

// CrashImages enumerates what a disk could show after a power cut now. Up to six changes, all subsets; beyond that
// none, all, each prefix, each with a single hole, and 32 subsets drawn from seed. m must not be used by other
// goroutines, nor changed, until the enumeration ends.
func (m *Memory) CrashImages(seed uint64) iter.Seq2[Survivors, *Memory] {
	return func(yield func(Survivors, *Memory) bool) {
		for s := range m.survivors(seed) {
			if !yield(s, m.crashWith(s)) {
				return
			}
		}
	}
}

// CrashImage returns one of the images of CrashImages, by its number there; nil if there are not so many.
func (m *Memory) CrashImage(seed uint64, number int) *Memory {
	for s := range m.survivors(seed) {
		if number--; number < 0 {
			return m.crashWith(s)
		}
	}
	return nil
}

// crashWith returns the Memory that a choice leaves.
func (m *Memory) crashWith(s Survivors) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crash(s.Changes, func(i int, _ Change) bool { return s.Kept[i] })
}

// survivors enumerates the choices of CrashImages.
func (m *Memory) survivors(seed uint64) iter.Seq[Survivors] {
	return func(yield func(Survivors) bool) {
		changes := m.Unsynced()
		s := Survivors{Changes: changes, Kept: make([]bool, len(changes))}
		try := func(kept func(i int) bool) bool {
			for i := range s.Kept {
				s.Kept[i] = kept(i)
			}
			return yield(s)
		}
		n := len(changes)
		if n <= crashSubsets {
			for subset := range 1 << n {
				if !try(func(i int) bool { return subset>>i&1 != 0 }) {
					return
				}
			}
			return
		}
		for prefix := range n + 1 {
			if !try(func(i int) bool { return i < prefix }) {
				return
			}
		}
		for hole := range n - 1 { // the last hole is a prefix
			if !try(func(i int) bool { return i != hole }) {
				return
			}
		}
		for range crashSamples {
			// A quarter, half or three quarters of the changes, so that sparse and dense survivors both come up.
			density := 64 + 64*(splitMix(&seed)%3)
			if !try(func(int) bool { return splitMix(&seed)>>56 < density }) {
				return
			}
		}
	}
}
