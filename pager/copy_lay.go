package pager

import (
	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// copyLay is the part of a copy that makes the overlays of a window: pages that the log has, map nodes above changes.
type copyLay struct {
	plan  *copyPlan
	r     *Reader
	w     *copyWindow
	laid  []copyOverlay
	at    int // next overlay to be looked up
	pages []copyPageGet
	nodes []copyNodeGet
}

// start readies the part for a window.
func (y *copyLay) start(plan *copyPlan, r *Reader, w *copyWindow) {
	*y = copyLay{plan: plan, r: r, w: w, laid: plan.overlaysIn(w.first, w.first+types.Block(w.count))}
}

// step ends, with nil and nil, when all are in the window's buffer.
func (y *copyLay) step() (*io.Completion, error) {
	for y.at < len(y.laid) || len(y.pages)+len(y.nodes) > 0 {
		if len(y.pages)+len(y.nodes) == 0 {
			y.gather()
		}
		waitPages, err := stepGets(y.pages)
		if err != nil {
			return nil, err
		}
		waitNodes, err := stepNodes(y.nodes)
		if err != nil {
			return nil, err
		}
		if waitPages != nil {
			return waitPages, nil
		}
		if waitNodes != nil {
			return waitNodes, nil
		}
		for i := range y.pages {
			y.put(y.pages[i].to, y.pages[i].data)
		}
		for i := range y.nodes {
			g := &y.nodes[i]
			y.put(g.from, y.plan.node(g.found.node, g.level, g.index, y.plan.changesOf(g.level, g.index)))
		}
		clear(y.pages)
		clear(y.nodes)
		y.pages, y.nodes = y.pages[:0], y.nodes[:0]
	}
	return nil, nil
}

// gather begins to look up the next overlays.
func (y *copyLay) gather() {
	for ; y.at < len(y.laid) && len(y.pages)+len(y.nodes) < copyBatch; y.at++ {
		o := y.laid[y.at]
		if o.level == copyPage {
			y.pages = append(y.pages, copyPageGet{to: y.at})
			y.pages[len(y.pages)-1].get.Start(y.r, types.PageID(o.index))
			continue
		}
		y.nodes = append(y.nodes, copyNodeGet{level: o.level, index: o.index, from: y.at})
		y.nodes[len(y.nodes)-1].get.start(y.plan.p, y.plan.gen, o.level, o.index)
	}
}

// put takes over an overlay's bytes, which are those that the plan was made with.
func (y *copyLay) put(at int, data []byte) {
	o, size := y.laid[at], y.plan.p.pageSize
	if sum := xxhash.Sum64(data); sum != o.sum || len(data) != size {
		panic(invariant.Failf("pager: %d of level %d, copied to block %d, had checksum %016x and then %016x",
			o.index, o.level, o.block, o.sum, sum))
	}
	copy(y.w.buf[int(o.block-y.w.first)*size:][:size], data)
}

// abort leaves reads that are under way.
func (y *copyLay) abort(cause error) {
	abortGets(y.pages, cause)
	abortNodes(y.nodes, cause)
}
