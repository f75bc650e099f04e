package pager

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// loadKey names bytes on disk that are being read: one version of a page at one place, or a map node.
type loadKey struct {
	id            types.PageID // 0: a map node
	epoch, serial uint64       // of the log segment; 0, 0: in the database file
	offset        int64        // in that file
	sum           uint64       // that the bytes must have, in the database file: a reader that was ended may be reading those before
}

// load is a read that everyone who wants the same bytes shares. It is cancelled when the last one has left.
//
//	           first: true                             each, in the end
//	beginLoad ------------> submit, fill --> await over --> leaveLoad
//	         \------------------------------/
//	           first: false
//
// It is also the marker by which a load that comes too late is told: superseded is set when a newer version of the page
// is published, or the page is freed, while the load is there.
type load struct {
	// The attempt keeps a failed read an answer: a segment may have been recycled under it, and is then read elsewhere. What
	// everyone awaits is its Over, which is armed before anyone can see it.
	read io.Attempt
	io   *io.Completion // to submit with; for the first alone
	buf  []byte         // set by the first before it submits; others look only after over

	// guarded by cache.mu
	key        loadKey
	joined     int
	superseded bool
	sibling    *load // next load of the same page
}

// over returns the completion that everyone awaits. It succeeds also when the read failed: err tells.
func (l *load) over() *io.Completion { return l.read.Over() }

// err returns how the read ended, once over has resolved.
func (l *load) err() error { return l.read.Err() }

// beginLoad joins the load of key, or begins it: then first is true, and the caller sets l.buf and submits the read
// with l.io before it does anything else. A load whose read has failed is not joined.
func (c *cache) beginLoad(key loadKey) (l *load, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Loads++
	if l = c.loads[key]; l != nil && (!l.over().Done() || l.err() == nil) {
		l.joined++
		return l, false
	}
	l = &load{key: key, joined: 1}
	if key.id == 0 {
		l.io = l.read.Begin("a map node that is being read")
	} else {
		l.io = l.read.Begin("a page that is being read")
		l.sibling = c.byPage[key.id]
		c.byPage[key.id] = l
	}
	c.loads[key] = l
	return l, true
}

// leaveLoad ends one participation in a load. When the last one leaves a read that is under way, it is cancelled.
func (c *cache) leaveLoad(l *load) { c.leaveLoadThen(l, func() {}) }

// leaveLoadThen is leaveLoad, and runs then: once the read is retired if it was the last one's to wait for, else at once.
// Blocks of the file are not free before that.
func (c *cache) leaveLoadThen(l *load, then func()) {
	if !c.part(l) || l.over().Retired() {
		then()
		return
	}
	over := func() {}
	if c.onLate != nil && l.key.epoch == 0 {
		over = c.onLate(l.key.offset, len(l.buf))
	}
	l.read.OnRetire(func(*io.Completion) {
		over()
		then()
	})
	l.read.Cancel() // resolves completions: not under a lock
}

// part takes one participant off l, and reports whether that was the last.
func (c *cache) part(l *load) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.joined == 0 {
		panic(invariant.Failf("pager: load of page %d at %d left too often", l.key.id, l.key.offset))
	}
	l.joined--
	if l.joined > 0 {
		return false
	}
	if c.loads[l.key] == l {
		delete(c.loads, l.key)
	}
	if l.key.id != 0 {
		c.unlist(l)
	}
	return true
}

// unlist takes l off the loads of its page.
func (c *cache) unlist(l *load) {
	at := c.byPage[l.key.id]
	if at == l {
		if l.sibling == nil {
			delete(c.byPage, l.key.id)
		} else {
			c.byPage[l.key.id] = l.sibling
		}
		return
	}
	for at.sibling != l {
		at = at.sibling
	}
	at.sibling = l.sibling
}

// supersede marks the loads of a page: what they bring is not the newest version any more. The caller holds c.mu.
func (c *cache) supersede(id types.PageID) {
	for l := c.byPage[id]; l != nil; l = l.sibling {
		l.superseded = true
	}
}

// mayBeHead reports whether what a load of the page brings can still be the newest version: there is a load, and none of
// them was superseded. One that was, and has not been left, holds the others back too, which costs a read later at most.
func (c *cache) mayBeHead(id types.PageID) bool {
	if c.byPage[id] == nil {
		return false
	}
	for l := c.byPage[id]; l != nil; l = l.sibling {
		if l.superseded {
			return false
		}
	}
	return true
}
