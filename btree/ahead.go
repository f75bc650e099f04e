package btree

import (
	"slices"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// readAhead reads leaves that a reader's cursor is about to come to, many at once: a disk does a few dozen reads in little more time
// than one. The node above the leaves names them. It begins when a move to the next leaf has to read that, and takes twice as many
// each time, so that who reads little reads little in vain:
//
//	leaf  1 2   3 4   5 6 7 8   9 ...
//	read  1 2   --+   ------+   ----- up to aheadMost at once
//
// What was read stays in the cursor until it gets there: a small cache may let go of it before.
type readAhead struct {
	size  int  // leaves of the next read, 0 as 1
	back  bool // the direction of the last one
	loads []aheadLoad
	wait  *io.Completion // what step has returned last
	pages []pager.Page   // that were read, and not come to
}

// aheadLoad is one leaf that is being read.
type aheadLoad struct {
	id   types.PageID
	load load
	over bool
}

// aheadMost is how many leaves are read at once at the most.
const aheadMost = 32

// begin starts to read leaves from the child on that the last step of the path leads to. It reports whether there is something to be
// read together.
func (a *readAhead) begin(s Source, p *path, back bool) bool {
	if a.back != back {
		a.size, a.back = 0, back
	}
	up := p.last()
	n := up.node()
	if s.reader == nil || n.level() != 1 || a.has(n.child(up.index)) || s.reader.Find(n.child(up.index)) != nil {
		return false
	}
	a.drop()
	a.letGo()
	a.size = max(a.size, 1)
	step := 1
	if back {
		step = -1
	}
	for i := up.index; len(a.loads) < a.size && i >= 0 && i < n.count(); i += step {
		if id := n.child(i); s.reader.Find(id) == nil {
			a.loads = append(a.loads, aheadLoad{id: id})
		}
	}
	a.size = min(2*a.size, aheadMost)
	return len(a.loads) > 1
}

// step ends when all were read. That one behind the first can't be read is found when the cursor gets there.
func (a *readAhead) step(s Source) (*io.Completion, error) {
	if a.wait != nil && !a.wait.Done() {
		return a.wait, nil
	}
	a.wait = nil
	for i := range a.loads {
		l := &a.loads[i]
		if l.over {
			continue
		}
		pg, pending, err := l.load.step(s, l.id)
		switch {
		case err != nil && i == 0:
			l.over = true
			return nil, a.abort(err)
		case err != nil:
			l.over = true
		case pending == nil:
			l.over = true
			a.pages = append(a.pages, pg)
		case a.wait == nil:
			a.wait = pending
		}
	}
	if a.wait == nil {
		a.letGo()
	}
	return a.wait, nil
}

// has reports whether a page was read.
func (a *readAhead) has(id types.PageID) bool {
	return slices.ContainsFunc(a.pages, func(pg pager.Page) bool { return pg.ID == id })
}

// take returns a page that was read, once.
func (a *readAhead) take(id types.PageID) (pg pager.Page, ok bool) {
	for i := range a.pages {
		if a.pages[i].ID == id {
			pg = a.pages[i]
			a.pages = slices.Delete(a.pages, i, i+1)
			return pg, true
		}
	}
	return pager.Page{}, false
}

// letGo forgets the reads, which are over or were left.
func (a *readAhead) letGo() {
	clear(a.loads)
	a.loads = a.loads[:0]
}

// drop forgets what was read.
func (a *readAhead) drop() {
	clear(a.pages)
	a.pages = a.pages[:0]
}

// abort leaves the reads.
func (a *readAhead) abort(cause error) error {
	for i := range a.loads {
		if l := &a.loads[i]; !l.over {
			cause = l.load.abort(cause)
		}
	}
	a.wait = nil
	a.letGo()
	a.drop()
	return cause
}
