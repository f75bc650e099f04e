package wal

import "github.com/pawldb/pawl/io"

// growthSync syncs what the log has grown by. It runs beside the flush, so a sync of the flush can be under way at the same time, and
// of two at once one may be told of the other's lost writes: then the flush waits for this one before it counts its own. Nothing
// cancels it, because an error that nobody hears of would make the next sync lie; it goes on by itself if its machine is given up.
// A failure is the log's.
type growthSync struct {
	log  *Log
	sync io.Completion
	over io.Completion
	err  error
}

// syncGrowth submits the sync.
func (l *Log) syncGrowth() *growthSync {
	g := &growthSync{log: l}
	g.over.ArmYield("the log's new segments to be synced")
	g.sync.OnRetire(g.finish)
	l.mu.Lock()
	l.growth = g
	file := l.file
	l.mu.Unlock()
	file.Sync(&g.sync)
	return g
}

// finish counts the outcome.
func (g *growthSync) finish(c *io.Completion) {
	l := g.log
	if g.err = c.Err(); g.err != nil {
		l.failFrom(g.err)
	}
	l.mu.Lock()
	l.growth = nil
	l.at = l.at.block() // what is written may have become durable
	l.mu.Unlock()
	g.over.Finish(0, nil)
}

// growthUnderWay returns what to wait for before a sync of the flush counts; nil: nothing.
func (l *Log) growthUnderWay() *io.Completion {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.growth == nil {
		return nil
	}
	return &l.growth.over
}
