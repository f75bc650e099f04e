package pager

import "github.com/pawldb/pawl/types"

// mapNodeGet is a machine that finds one node of a generation's map, or that it is not there.
type mapNodeGet struct {
	p     *Pager
	gen   *generation
	level int // wanted
	index uint64

	load  *load
	at    int // level of the node in block
	block types.Block
	sum   uint64
}

// mapNodeAt is a node that was found; node is nil if no page below it is in use.
type mapNodeAt struct {
	node  []byte
	block types.Block
}

// start readies the machine. The caller holds gen.
func (g *mapNodeGet) start(p *Pager, gen *generation, level int, index uint64) {
	*g = mapNodeGet{p: p, gen: gen, level: level, index: index, at: gen.height - 1, block: gen.root, sum: gen.sum}
}

// Step goes down from the root.
func (g *mapNodeGet) Step() (types.IOResult[mapNodeAt], error) {
	if g.gen.root == 0 || g.level >= g.gen.height || g.above(g.gen.height-1) != 0 {
		return types.Done(mapNodeAt{})
	}
	for {
		node := g.p.cache.node(g.block, g.sum)
		if node == nil {
			offset := g.p.offset(g.block)
			if g.load == nil {
				l, first := g.p.cache.beginLoad(loadKey{offset: offset, sum: g.sum})
				g.load = l
				if first {
					l.buf = make([]byte, g.p.pageSize)
					g.p.file.Read(l.io, l.buf, offset)
				}
			}
			if c := g.load.over(); !c.Done() {
				return types.Wait[mapNodeAt](c)
			}
			err := g.load.err()
			if err == nil {
				err = decodeMapNode(g.load.buf, g.at, g.above(g.at), g.sum, g.gen.blocks, g.p.name, offset)
			}
			if err != nil {
				return types.Fail[mapNodeAt](g.Abort(err))
			}
			node = g.p.cache.addNode(g.block, g.sum, g.load.buf)
		}
		g.leave()
		if g.at == g.level {
			return types.Done(mapNodeAt{node, g.block})
		}
		child, _, sum := mapChild(node, int(g.above(g.at-1)%g.p.fanout()))
		if child == 0 {
			return types.Done(mapNodeAt{})
		}
		g.at, g.block, g.sum = g.at-1, child, sum
	}
}

// above returns the index of the wanted node's ancestor at a level.
func (g *mapNodeGet) above(level int) uint64 {
	index := g.index
	for range level - g.level {
		index /= g.p.fanout()
	}
	return index
}

// leave gives up the part in a shared read.
func (g *mapNodeGet) leave() {
	if g.load != nil {
		g.p.cache.leaveLoad(g.load)
		g.load = nil
	}
}

// Abort leaves the read.
func (g *mapNodeGet) Abort(cause error) error {
	g.leave()
	return types.Truncated(cause, 0)
}
