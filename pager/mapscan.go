package pager

import "github.com/pawldb/pawl/types"

// scanBatch is how many nodes of level 0 are read at once.
const scanBatch = 32

// mapScan is a machine that goes through the nodes of a generation's map, those above before those below, ascending in each
// level, from the way to a level-0 node on. What is not there costs nothing. Its memory is a node a level, and a batch
// of level-0 nodes, whose reads overlap.
type mapScan struct {
	p     *Pager
	gen   *generation
	from  uint64 // level-0 nodes before this one are left out
	begun bool
	path  []scanNode // that lead down to the batch, all above level 0
	batch []copyNodeGet
	at    int // next of the batch to be handed out
}

// scanNode is a node of which some children have been looked at.
type scanNode struct {
	level int
	index uint64
	node  []byte
	entry int // next child
}

// scanned is a node that a scan has come to. node is nil at the end.
type scanned struct {
	level int
	index uint64
	block types.Block
	node  []byte
}

// start readies the machine. The caller holds gen.
func (w *mapScan) start(p *Pager, gen *generation, from uint64) {
	*w = mapScan{p: p, gen: gen, from: from}
}

// Step ends with the next node. It is stepped again for the one behind that.
func (w *mapScan) Step() (types.IOResult[scanned], error) {
	for {
		if w.at == len(w.batch) {
			clear(w.batch)
			w.batch, w.at = w.batch[:0], 0
			if !w.fill() {
				return types.Done(scanned{})
			}
		}
		if wait, err := stepNodes(w.batch); err != nil || wait != nil {
			if err != nil {
				err = w.Abort(err)
			}
			return types.IOResult[scanned]{Pending: wait}, err
		}
		g := &w.batch[w.at]
		w.at++
		if g.level == 0 && g.index < w.from {
			continue
		}
		if g.level > 0 {
			w.path = append(w.path, scanNode{g.level, g.index, g.found.node, w.firstChild(g.level, g.index)})
		}
		return types.Done(scanned{g.level, g.index, g.found.block, g.found.node})
	}
}

// firstChild returns the first entry of a node that leads to level-0 nodes that are not left out.
func (w *mapScan) firstChild(level int, index uint64) int {
	fanout := w.p.fanout()
	child := w.from / mapCapacity(fanout, level-1) // on its level, that which leads to from
	if child <= index*fanout {
		return 0
	}
	return int(min(child-index*fanout, fanout))
}

// fill begins to load the next node above level 0, or a batch of those on it. False: there are no more.
func (w *mapScan) fill() bool {
	if !w.begun {
		w.begun = true
		if w.gen.root == 0 {
			return false
		}
		w.add(w.gen.height-1, 0, w.gen.root, w.gen.sum)
		return true
	}
	fanout := int(w.p.fanout())
	for len(w.path) > 0 {
		top := &w.path[len(w.path)-1]
		for top.entry < fanout && len(w.batch) < scanBatch {
			child, _, sum := mapChild(top.node, top.entry)
			if child != 0 {
				w.add(top.level-1, top.index*uint64(fanout)+uint64(top.entry), child, sum)
			}
			top.entry++
			if child != 0 && top.level > 1 {
				return true
			}
		}
		if len(w.batch) > 0 {
			return true
		}
		w.path = w.path[:len(w.path)-1]
	}
	return false
}

// add begins to load a node.
func (w *mapScan) add(level int, index uint64, block types.Block, sum uint64) {
	w.batch = append(w.batch, copyNodeGet{level: level, index: index})
	w.batch[len(w.batch)-1].get = mapNodeGet{
		p: w.p, gen: w.gen, level: level, index: index, at: level, block: block, sum: sum,
	}
}

// Abort leaves the reads.
func (w *mapScan) Abort(cause error) error {
	abortNodes(w.batch, cause)
	w.batch, w.path, w.at, w.begun = nil, nil, 0, true
	return cause
}
