package io

import "sync"

// CompletionGroup finishes when all of its children have finished.
//
// The builder holds one count from the start, so a group can't finish while it is being filled: Add links children,
// submitted or not, finished or not; Build releases the builder's count. The group's own completion then resolves
// when the last child has resolved, as Succeeded, or with the first error that a child ended with; it is retired
// when the last child is. Groups nest: add the Completion of one to another.
//
//	Start --> Add, Add, ... --> Build --> children finish --> Completion resolves, then retires
//
// A finished child is unlinked, so neither keeps the other alive. A completion is a child of one group at a time.
// The methods may be called from any goroutine; Start and Reset by the owner alone.
type CompletionGroup struct {
	done Completion

	mu         sync.Mutex
	unresolved int // children not resolved, and one for the builder until Build
	unretired  int // the same for retirement
	first      *Completion
	err        error
	started    bool
	built      bool
	cancelled  bool
}

// Start readies an idle group. reason is what its completion reports to those who ask what is waited on.
func (g *CompletionGroup) Start(reason string) {
	if g.started {
		panic("io: group started twice")
	}
	g.done.Arm(KindGroup, reason)
	g.done.nested = g
	g.started, g.unresolved, g.unretired = true, 1, 1
}

// Completion returns the completion that resolves when the group has finished.
func (g *CompletionGroup) Completion() *Completion { return &g.done }

// Add makes c a child. After Cancel, c is cancelled at once, and is still waited for.
// It panics after Build, when no count holds the group open.
func (g *CompletionGroup) Add(c *Completion) {
	if c == &g.done {
		panic("io: group added to itself")
	}
	g.mu.Lock()
	if !g.started || g.built {
		g.mu.Unlock()
		panic("io: Add outside of Start and Build")
	}
	g.unresolved++
	g.unretired++
	g.mu.Unlock()

	c.mu.Lock()
	if c.group != nil {
		c.mu.Unlock()
		panic("io: completion is a child of a group already")
	}
	resolved, retired := c.settled, c.word.Load()&retiredBit != 0
	if !retired {
		c.group = g // claimRetirement will find it
	}
	cancelled := false
	var err error
	if resolved {
		err = c.err
	} else {
		cancelled = g.link(c) // and resolve will find g
	}
	c.mu.Unlock()

	if retired {
		g.childRetired()
	}
	if resolved {
		g.finishOne(err)
	}
	if cancelled {
		g.Cancel()
	}
}

// Build says that no child will be added. The group may finish within the call.
func (g *CompletionGroup) Build() {
	g.mu.Lock()
	if !g.started || g.built {
		g.mu.Unlock()
		panic("io: Build outside of Start and the first Build")
	}
	g.built = true
	g.mu.Unlock()
	g.childRetired() // before the resolution, as in Completion.resolve
	g.finishOne(nil)
}

// Cancel cancels every unfinished child, and those added later. Cancelled children resolve at once; the group
// resolves when it is built, and is retired when the I/O of its children is. A group that is over stays as it is.
func (g *CompletionGroup) Cancel() {
	g.mu.Lock()
	if g.unretired == 0 {
		g.mu.Unlock()
		return
	}
	g.cancelled = true
	g.unretired++ // the group can't be over, and started again, while its list is walked
	for g.first != nil {
		c := g.first
		g.unlink(c)
		c.pins.Add(1) // it was linked, hence is not retired; now it can't be reset under our hands
		g.mu.Unlock()
		if c.nested != nil {
			c.nested.Cancel()
		} else {
			c.Cancel()
		}
		c.unpin()
		g.mu.Lock()
	}
	g.mu.Unlock()
	g.childRetired()
}

// Reset makes a retired group idle. It panics where Completion.Reset does.
func (g *CompletionGroup) Reset() {
	g.done.Reset()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unresolved, g.unretired = 0, 0
	g.first, g.err = nil, nil
	g.started, g.built, g.cancelled = false, false, false
}

// drop takes a child that has resolved off the list. The caller holds the child's lock.
func (g *CompletionGroup) drop(c *Completion) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unlink(c)
}

// finishOne gives back one count, keeping the first error, and resolves the group with the last.
func (g *CompletionGroup) finishOne(err error) {
	g.mu.Lock()
	if g.err == nil {
		g.err = err
	}
	g.unresolved--
	last := g.unresolved == 0
	err = g.err
	g.mu.Unlock()
	if !last {
		return
	}
	state := Succeeded
	switch {
	case err == ErrCancelled:
		state = Cancelled
	case err != nil:
		state = Failed
	}
	g.done.resolve(state, 0, err, 0)
}

// childRetired gives back one count of retirement: a child's, the builder's, or that of a Cancel.
func (g *CompletionGroup) childRetired() {
	g.mu.Lock()
	g.unretired--
	last := g.unretired == 0
	g.mu.Unlock()
	if last {
		g.done.word.Or(releasedBit)
		g.done.runRetirement()
	}
}

// link puts an unresolved child on the list that Cancel walks, and reports whether Cancel has been there already.
func (g *CompletionGroup) link(c *Completion) (cancelled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.next = g.first
	if g.first != nil {
		g.first.prev = c
	}
	g.first, c.linked = c, true
	return g.cancelled
}

// unlink takes c off the list, if it is on it. The caller holds g.mu.
func (g *CompletionGroup) unlink(c *Completion) {
	if !c.linked {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		g.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next, c.linked = nil, nil, false
}
