package btree

import (
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// rebalance is the part of a delete that removes slots from the leaf at a path's end and sets right what that leaves too
// empty: gather plans, level by level upward, and loads the neighbours that the plan needs; apply carries it out.
//
//	level: under a quarter full? --no--> end
//	  | yes
//	neighbours --both fit into one--> merge, then the parent without a child: next level
//	  | neither does
//	borrow, end
type rebalance struct {
	w       *Writer
	path    *path
	removed []int // slots of the leaf, ascending
	upward  bool  // nodes above have lost children too: look at all of them, up to the root

	depth int // being planned
	ready bool
	plan  []levelPlan // from the leaf upward
}

// levelPlan is what is done about one node of the path.
type levelPlan struct {
	removed []int // its slots that go
	act     levelAct
	near    [2]neighbour // left, right
	looking bool         // near is being loaded
}

type levelAct uint8

const (
	actNone levelAct = iota
	actMergeLeft
	actMergeRight
	actBorrowLeft
	actBorrowRight
)

// start readies r to remove slots from the leaf of a complete path.
func (r *rebalance) start(w *Writer, p *path, removed []int) {
	*r = rebalance{w: w, path: p, removed: removed, depth: len(p.steps) - 1, plan: r.plan[:0]}
	r.plan = append(r.plan, levelPlan{removed: removed})
}

// step ends when the plan is made.
func (r *rebalance) step(s Source) (*io.Completion, error) {
	for !r.ready {
		lp, here := &r.plan[len(r.plan)-1], &r.path.steps[r.depth]
		if !lp.looking {
			full := usedWithout(here.node(), lp.removed) >= here.node().capacity()/4
			if r.depth == 0 || full && !r.upward {
				r.ready = true
				break
			}
			if full {
				r.plan = append(r.plan, levelPlan{})
				r.depth--
				continue
			}
			parent := &r.path.steps[r.depth-1]
			lp.near[0].start(parent, parent.index-1)
			lp.near[1].start(parent, parent.index+1)
			lp.looking = true
		}
		for i := range lp.near {
			if pending, err := lp.near[i].step(s); pending != nil || err != nil {
				return pending, err
			}
		}
		r.decide(lp, here)
		parent := r.path.steps[r.depth-1]
		switch lp.act {
		case actMergeLeft:
			r.plan = append(r.plan, levelPlan{removed: []int{parent.index}})
		case actMergeRight:
			r.plan = append(r.plan, levelPlan{removed: []int{parent.index + 1}})
		default:
			if r.ready = !r.upward; r.upward {
				r.plan = append(r.plan, levelPlan{})
			}
		}
		r.depth--
	}
	return nil, nil
}

// usedWithout returns what a node's used comes to when slots go.
func usedWithout(n node, removed []int) int {
	used := n.used()
	for _, i := range removed {
		used -= slotSize + n.cellSize(i)
	}
	return used
}

// decide chooses between the neighbours.
func (r *rebalance) decide(lp *levelPlan, here *pathStep) {
	capacity := here.node().capacity()
	limit := capacity * 7 / 8 // so that the next few keys don't split it again
	if here.node().count() == len(lp.removed) {
		limit = capacity // nothing is left of it
	}
	if lp.near[0].present && r.merged(lp, here, actMergeLeft) <= limit {
		lp.act = actMergeLeft
		return
	}
	if lp.near[1].present && r.merged(lp, here, actMergeRight) <= limit {
		lp.act = actMergeRight
		return
	}
	best := 0
	for i, act := range []levelAct{actBorrowLeft, actBorrowRight} {
		if nb := &lp.near[i]; nb.present && nb.at.node().used() > best {
			best, lp.act = nb.at.node().used(), act
		}
	}
}

// merged returns what a merge with a neighbour comes to.
func (r *rebalance) merged(lp *levelPlan, here *pathStep, act levelAct) int {
	left, right, removed := lp.pair(here, act)
	items, f := r.together(left.node(), right.node(), removed)
	return itemsSize(left.node().level(), f, items)
}

// pair returns the two nodes that an act is about, and the slots that go from each.
func (lp *levelPlan) pair(here *pathStep, act levelAct) (left, right *pathStep, removed [2][]int) {
	if act == actMergeLeft || act == actBorrowLeft {
		return &lp.near[0].at, here, [2][]int{nil, lp.removed}
	}
	return here, &lp.near[1].at, [2][]int{lp.removed, nil}
}

// together returns the items of two neighbours without the removed slots, and the fences around both. They are in memory of
// the writer's.
func (r *rebalance) together(left, right node, removed [2][]int) ([]item, fences) {
	w := r.w
	w.mem.items, w.mem.arena = w.mem.items[:0], w.mem.arena[:0]
	for i, n := range []node{left, right} {
		from := len(w.mem.items)
		w.mem.items, w.mem.arena = n.appendItems(w.mem.items, w.mem.arena)
		w.mem.items = without(w.mem.items, from, removed[i])
	}
	f := left.fences()
	f.high, f.bounded = right.high()
	return w.mem.items, f
}

// without takes the items at from + each of removed out.
func without(items []item, from int, removed []int) []item {
	keep := from
	for i := from; i < len(items); i++ {
		if len(removed) > 0 && removed[0] == i-from {
			removed = removed[1:]
			continue
		}
		items[keep] = items[i]
		keep++
	}
	return items[:keep]
}

// apply removes the slots and carries the plan out. It reports whether nodes came, went or changed their fences.
func (r *rebalance) apply() (restructured bool) {
	depth := len(r.path.steps) - 1
	for i := range r.plan {
		r.applyLevel(&r.plan[i], depth)
		depth--
	}
	r.collapse(depth + 1)
	return len(r.plan) > 1 || r.plan[0].act != actNone
}

// applyLevel does what was planned for the node at a depth.
func (r *rebalance) applyLevel(lp *levelPlan, depth int) {
	w, here := r.w, &r.path.steps[depth]
	if lp.act == actNone {
		r.removeSlots(lp, here)
		return
	}
	left, right, removed := lp.pair(here, lp.act)
	ln, freeLeft := w.stable(left)
	rn, freeRight := w.stable(right)
	defer freeLeft()
	defer freeRight()
	items, f := r.together(ln, rn, removed)
	level := ln.level()
	parent := &r.path.steps[depth-1]
	at := parent.index
	if lp.act == actMergeLeft || lp.act == actMergeRight {
		if lp.act == actMergeLeft {
			at--
		}
		w.rebuild(left, level, f, items)
		w.tx.Free(right.page.ID)
		w.setBelow(parent, at, pagedItems(level, items))
		return
	}
	if lp.act == actBorrowRight {
		at++
	}
	if !w.redistribute(r.path, depth-1, at, left, right, f, items, ln.capacity()) {
		r.removeSlots(lp, here)
	}
}

// removeSlots takes a node's slots out and leaves its neighbours alone.
func (r *rebalance) removeSlots(lp *levelPlan, here *pathStep) {
	if len(lp.removed) == 0 {
		return
	}
	first, was := here.page.Image != nil, here.node()
	n := r.w.edit(here)
	for j := len(lp.removed) - 1; j >= 0; j-- {
		n.remove(lp.removed[j])
	}
	n.assert()
	if i := lp.removed[0]; first && len(lp.removed) == 1 && n.leaf() && n.count() > 0 {
		r.w.removed(here, i, was.cellOff(i), was.cellSize(i))
	}
}

// collapse gives the root its only child's contents, as often as it has just one, if the plan went up to the root.
func (r *rebalance) collapse(top int) {
	w := r.w
	root := &r.path.steps[0]
	for depth := 1; top == 0 && depth < len(r.plan) && !root.node().leaf() && root.node().count() == 1; depth++ {
		below := &r.plan[len(r.plan)-1-depth]
		child, _, _ := below.pair(&r.path.steps[depth], below.act)
		cn, free := w.stable(child)
		w.mem.items, w.mem.arena = cn.appendItems(w.mem.items[:0], w.mem.arena[:0])
		w.rebuild(root, cn.level(), fences{}, w.mem.items)
		w.tx.Free(child.page.ID)
		free()
	}
}

// spared checks that pages which are freed besides are none of those of the plan.
func (r *rebalance) spared(s Source, gone []types.PageID) error {
	for i := range r.plan {
		if err := spared(s, gone, r.path, r.plan[i].near[:]...); err != nil {
			return err
		}
	}
	return nil
}

// abort leaves reads.
func (r *rebalance) abort(cause error) error {
	for i := range r.plan {
		for j := range r.plan[i].near {
			cause = r.plan[i].near[j].load.abort(cause)
		}
	}
	return cause
}
