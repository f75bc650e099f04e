package btree

import (
	"github.com/pawldb/pawl/types"
)

// TreeStats are figures of one tree, those nested in it left out.
type TreeStats struct {
	Depth              int   // levels
	Leaves, Interiors  int64 // nodes
	Extents            int64 // of large values, lists included
	Keys, Buckets      int64 // entries
	LeafBytesUsed      int64 // headers, slots, cells, fences
	InteriorBytesUsed  int64
	ExtentBytes        int64 // bytes of large values
	KeyBytes, ValBytes int64 // of values in leaves and large ones; buckets' keys left out
}

// Measure is a machine that goes through a tree and counts.
type Measure struct {
	src   Source
	walk  walk
	stats TreeStats
}

// Start readies the machine. Root 0 is the root bucket.
func (m *Measure) Start(src Source, root types.PageID) {
	*m = Measure{src: src}
	m.walk.start(src, src.rootOr(root))
}

// Step ends with the figures.
func (m *Measure) Step() (types.IOResult[TreeStats], error) {
	for {
		pg, ok, pending, err := m.walk.step()
		switch {
		case err != nil:
			return types.Fail[TreeStats](err)
		case pending != nil:
			return types.Wait[TreeStats](pending)
		case !ok:
			return types.Done(m.stats)
		}
		m.add(node(pg.Data))
	}
}

// add counts a node.
func (m *Measure) add(n node) {
	t := &m.stats
	t.Depth = max(t.Depth, n.level()+1)
	if !n.leaf() {
		t.Interiors++
		t.InteriorBytesUsed += int64(nodeHeader + n.used())
		return
	}
	t.Leaves++
	t.LeafBytesUsed += int64(nodeHeader + n.used())
	for i := range n.count() {
		e := n.entry(i)
		if e.Kind == KindBucket {
			t.Buckets++
			continue
		}
		t.Keys++
		t.KeyBytes += int64(n.storedLen(i))
		t.ValBytes += int64(len(e.Value)) + e.Large.Size
		if e.Kind == KindLarge {
			count, listed := e.Large.parts()
			t.Extents += int64(count)
			if listed {
				t.Extents++
			}
			t.ExtentBytes += e.Large.Size
		}
	}
}

// Abort leaves the read.
func (m *Measure) Abort(cause error) error { return m.walk.abort(cause) }
