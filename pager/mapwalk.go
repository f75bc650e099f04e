package pager

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// mapFound is a level-0 node of the map.
type mapFound struct {
	index uint64 // of the node; nodes between the one asked for and it have no free ids
	node  []byte // nil: no page of it is in use
	next  uint64 // the index to ask for next
}

// mapWalk is a machine that finds the first level-0 node, from an index on, below which there are free page ids. It skips
// what the nodes above count as full.
type mapWalk struct {
	p    *Pager
	gen  *generation
	from uint64

	load  *load
	level int
	index uint64 // of the node at level
	block types.Block
	sum   uint64
	ended bool
}

// start readies the machine. The caller holds gen.
func (w *mapWalk) start(p *Pager, gen *generation, from uint64) {
	*w = mapWalk{p: p, gen: gen, from: from, level: gen.height - 1, block: gen.root, sum: gen.sum}
}

// Step goes down from the root.
func (w *mapWalk) Step() (types.IOResult[mapFound], error) {
	if w.ended {
		panic(invariant.Failf("pager: mapWalk stepped after its end"))
	}
	for {
		node, pending, err := w.node()
		if err != nil {
			return types.Fail[mapFound](w.Abort(err))
		}
		if node == nil {
			return pending, nil
		}
		if w.level == 0 {
			w.ended = true
			return types.Done(mapFound{index: w.index, node: node, next: w.index + 1})
		}
		if found, ok := w.choose(node); ok {
			w.ended = true
			return types.Done(found)
		}
	}
}

// node returns the current node, or what to wait for.
func (w *mapWalk) node() ([]byte, types.IOResult[mapFound], error) {
	var none types.IOResult[mapFound]
	offset := w.p.offset(w.block)
	if w.load == nil {
		if node := w.p.cache.node(w.block, w.sum); node != nil {
			return node, none, nil
		}
		l, first := w.p.cache.beginLoad(loadKey{offset: offset, sum: w.sum})
		w.load = l
		if first {
			l.buf = make([]byte, w.p.pageSize)
			w.p.file.Read(l.io, l.buf, offset)
		}
	}
	if c := w.load.over(); !c.Done() {
		none.Pending = c
		return nil, none, nil
	}
	if err := w.load.err(); err != nil {
		return nil, none, err
	}
	if err := decodeMapNode(w.load.buf, w.level, w.index, w.sum, w.gen.blocks, w.p.name, offset); err != nil {
		return nil, none, err
	}
	node := w.p.cache.addNode(w.block, w.sum, w.load.buf)
	w.p.cache.leaveLoad(w.load)
	w.load = nil
	return node, none, nil
}

// choose goes to the first child that may have free ids, or returns that there is none in use, or none at all, below.
func (w *mapWalk) choose(node []byte) (mapFound, bool) {
	fanout := w.p.fanout()
	span := mapCapacity(fanout, w.level-1) // level-0 nodes below a child
	for entry := range int(fanout) {
		first := (w.index*fanout + uint64(entry)) * span
		if first+span <= w.from {
			continue
		}
		child, free, sum := mapChild(node, entry)
		if child == 0 {
			at := max(first, w.from)
			return mapFound{index: at, next: at + 1}, true
		}
		if free > 0 {
			w.level, w.index, w.block, w.sum = w.level-1, w.index*fanout+uint64(entry), child, sum
			if w.level == 0 {
				w.from = w.index
			}
			return mapFound{}, false
		}
	}
	// Nothing free below this node: the walk goes on behind it the next time.
	behind := (w.index + 1) * fanout * span
	return mapFound{index: behind, node: fullNode(w.p.pageSize), next: behind}, true
}

// fullNode returns a node in which no id is free.
func fullNode(pageSize int) []byte {
	node := newMapNode(pageSize, 0, 0)
	for entry := range int(mapFanout(pageSize)) {
		setMapRun(node, entry, types.Run{First: 1, Count: 1}, 1)
	}
	return node
}

// Abort leaves the read.
func (w *mapWalk) Abort(cause error) error {
	if w.load != nil {
		w.p.cache.leaveLoad(w.load)
		w.load = nil
	}
	w.ended = true
	return types.Truncated(cause, 0)
}
