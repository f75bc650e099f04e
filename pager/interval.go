package pager

import (
	"github.com/pawldb/pawl/types"
)

// interval counts what the next checkpoint will have to place for the commits since the last one was begun: a block for each
// page with an image or a delta in the log, and one for each map node above a page that changed. The blocks are reserved before a commit
// is queued, so that a checkpoint never finds the disk full. The pager's lock guards it.
type interval struct {
	blocks uint64 // reserved in the space
	short  uint64 // that could not be reserved again after a failed checkpoint
	refers uint64 // blocks that commits wrote themselves and refer to: what they replace is free again behind the checkpoint
	nodes  [mapLevelsMax]map[uint64]struct{}
	height int
}

// mapLevelsMax is more than the levels that a map of 2^64 page ids has with the smallest pages.
const mapLevelsMax = 16

// need is what one commit adds to the interval.
type need struct {
	blocks uint64
	nodes  [mapLevelsMax][]uint64
	height int
}

// needOf counts what a commit with these pages adds. fulls are pages with an image or a delta, changed all pages whose map entry
// changes, ascending. next is the first page id never used. The caller holds p.mu.
func (p *Pager) needOf(n *need, fulls, changed []types.PageID, next types.PageID) {
	n.reset()
	for _, id := range fulls {
		if kind, ok := p.log.InNewestLayer(id); !ok || !kind.Image() {
			n.blocks++
		}
	}
	n.height = max(mapHeightFor(p.fanout(), next), p.interval.height, p.gen.height)
	fanout := p.fanout()
	for _, id := range changed {
		index := uint64(id)
		for level := range n.height {
			index /= fanout
			if k := len(n.nodes[level]); k > 0 && n.nodes[level][k-1] == index {
				break // and so are the nodes above it
			}
			if _, ok := p.interval.nodes[level][index]; ok {
				continue
			}
			n.nodes[level] = append(n.nodes[level], index)
			n.blocks++
		}
	}
	if grown := n.height - max(p.interval.height, p.gen.height); grown > 0 && p.gen.height > 0 {
		n.blocks += uint64(grown) // the old root's ancestors, if nothing below it changes
	}
}

// reset makes n that of nothing, and keeps its memory if that is little.
func (n *need) reset() {
	n.blocks, n.height = 0, 0
	for level := range n.nodes {
		if n.nodes[level] = n.nodes[level][:0]; cap(n.nodes[level]) > keptIDs {
			n.nodes[level] = nil
		}
	}
}

// add takes a commit's need into the interval, whose blocks have been reserved. The caller holds p.mu.
func (v *interval) add(n *need) {
	v.blocks += n.blocks
	v.height = n.height
	for level := range n.nodes {
		for _, index := range n.nodes[level] {
			if v.nodes[level] == nil {
				v.nodes[level] = map[uint64]struct{}{}
			}
			v.nodes[level][index] = struct{}{}
		}
	}
}

// join takes another interval in: the checkpoint that was to place it has failed.
func (v *interval) join(o interval) {
	v.blocks += o.blocks
	v.short += o.short
	v.refers += o.refers
	v.height = max(v.height, o.height)
	for level := range o.nodes {
		for index := range o.nodes[level] {
			if v.nodes[level] == nil {
				v.nodes[level] = map[uint64]struct{}{}
			}
			v.nodes[level][index] = struct{}{}
		}
	}
}

// fanout returns the entries of a map node.
func (p *Pager) fanout() uint64 { return mapFanout(p.pageSize) }
