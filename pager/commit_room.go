package pager

// Between queue and written the images of a commit are pinned, since nothing else has them, and commits are queued faster than a slow
// disk writes them. So a commit for whose images the cache has no room waits, with the writer's turn, until those before it are written:
//
//	                 fits, or nothing is pinned
//	begin ---> room ----------------------------> reserve
//	            | ^
//	   too much | | a group is written
//	            v |
//	           drain
//
// While it waits nobody else can queue, so what is pinned only becomes less. A commit that takes more than pinnedMax alone goes
// ahead when nothing else is pinned: it was in memory already, as the transaction's pages.

// pinnedMax is how much of the cache the images of queued commits may take together: as much as the pages of a transaction, so that
// both are within the budget.
func (p *Pager) pinnedMax() int64 { return p.dirtyMax() }

// room decides whether the commit's images may be pinned.
func (c *Commit) room() {
	p := c.p
	c.state = commitReserve
	pinned := p.cache.pinnedBytes()
	more := int64(len(c.staged.images)) * (int64(p.pageSize) + imageOverhead)
	if pinned > 0 && more > 0 && pinned+more > p.pinnedMax() && c.wait.StartWritten(p.log) {
		c.state = commitDrain
	}
}
