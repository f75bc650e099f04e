package pager

import (
	"fmt"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// copyOwner is the part of a copy that finds out, for an error, what should lie in a block that is damaged so that it
// does not say itself. It goes through the generation's map, from the root, until something leads to the block.
type copyOwner struct {
	plan   *copyPlan
	damage *copyDamage
	path   []copyOwnerNode
	get    mapNodeGet
	want   copyNodeKey
	active bool // get is under way
}

// copyOwnerNode is a node on the way down.
type copyOwnerNode struct {
	copyNodeKey
	node []byte
	next int // entry
}

// start readies the part.
func (o *copyOwner) start(plan *copyPlan, damage *copyDamage) {
	*o = copyOwner{plan: plan, damage: damage}
	if plan.gen.root != 0 {
		o.look(copyNodeKey{level: plan.gen.height - 1})
	}
}

// look begins to get a node.
func (o *copyOwner) look(key copyNodeKey) {
	o.want, o.active = key, true
	o.get.start(o.plan.p, o.plan.gen, key.level, key.index)
}

// step ends with the error that tells the damage.
func (o *copyOwner) step() (*io.Completion, error) {
	if id, run, sum, ok := o.referred(); ok {
		return nil, o.corrupt(id, run, sum)
	}
	if root := o.plan.gen.root; root == o.damage.block {
		return nil, o.corrupt(0, types.Run{First: root, Count: 1}, o.plan.gen.sum)
	}
	for {
		if o.active {
			res, err := o.get.Step()
			if err != nil {
				o.active = false
				return nil, err
			}
			if res.Pending != nil {
				return res.Pending, nil
			}
			o.active = false
			if res.Value.node != nil {
				o.path = append(o.path, copyOwnerNode{copyNodeKey: o.want, node: res.Value.node})
			}
		}
		if len(o.path) == 0 {
			return nil, o.corrupt(0, types.Run{}, 0)
		}
		if err := o.scan(&o.path[len(o.path)-1]); err != nil {
			return nil, err
		}
	}
}

// referred looks for a reference in the log to the block.
func (o *copyOwner) referred() (types.PageID, types.Run, uint64, bool) {
	for _, c := range o.plan.changes[0] {
		if run := types.UnpackRun(c.place); run.First == o.damage.block {
			return types.PageID(c.index), run, c.sum, true
		}
	}
	return 0, types.Run{}, 0, false
}

// scan looks through a node until it leads further down, and leaves it at its end. An error says who owns the block.
func (o *copyOwner) scan(at *copyOwnerNode) error {
	fanout := o.plan.p.fanout()
	for at.next < int(fanout) {
		entry := at.next
		at.next++
		index := at.index*fanout + uint64(entry)
		if at.level == 0 {
			if run, sum := mapRun(at.node, entry); run.Count > 0 && run.First == o.damage.block {
				return o.corrupt(types.PageID(index), run, sum)
			}
			continue
		}
		child, _, sum := mapChild(at.node, entry)
		switch child {
		case 0:
		case o.damage.block:
			return o.corrupt(0, types.Run{First: child, Count: 1}, sum)
		default:
			o.look(copyNodeKey{level: at.level - 1, index: index})
			return nil
		}
	}
	o.path = o.path[:len(o.path)-1]
	return nil
}

// corrupt returns the error. run is what should lie at the block, zero if nothing should; id is 0 for a map node.
func (o *copyOwner) corrupt(id types.PageID, run types.Run, sum uint64) error {
	detail := o.damage.detail
	switch {
	case run.Count > 1:
		detail = fmt.Sprintf("not the first block of an extent of %d blocks", run.Count)
	case run.Count == 1:
		detail = fmt.Sprintf("checksum %016x, %016x expected", o.damage.sum, sum)
	}
	p := o.plan.p
	return &types.CorruptError{File: p.name, Offset: p.offset(o.damage.block), Page: id, Detail: detail}
}

// abort leaves a read that is under way.
func (o *copyOwner) abort(cause error) {
	if o.active {
		_ = o.get.Abort(cause)
	}
}
