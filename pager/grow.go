package pager

import (
	"errors"
	"fmt"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// growFile is a machine that makes the database file longer, so that it has at least more free blocks, and a free run of run
// blocks. It and the log's growth are the only steps of a transaction that can find the disk full: the error is
// types.ErrFull, and nothing has changed. It asks for more than is needed, so as not to be needed again soon; if there is no space
// for that, for what is needed.
//
//	step              file                    space         after a cut
//	truncate up       longer, room reserved   as before     longer, which the meta block need not know
//	space.grow        same                    + free        same
type growFile struct {
	p      *Pager
	more   uint64
	run    uint32
	begun  bool
	ticket types.TurnTicket
	least  types.Block // that are needed
	blocks types.Block // that are asked for
	try    io.Attempt
}

// growStep is the least by which the file grows, as a part of its length; growMax bounds it, in bytes.
const (
	growPart = 8
	growMin  = 16 // blocks
	growMax  = 16 << 20
)

// Step grows the file unless somebody else has done so meanwhile.
func (g *growFile) Step() (types.IOResult[struct{}], error) {
	p := g.p
	if !g.begun {
		if c := p.resize.Acquire(&g.ticket, "the database file's length"); c != nil {
			return types.Wait[struct{}](c)
		}
		if err := p.Failed(); err != nil { // nothing changes any more
			p.resize.Release(&g.ticket)
			return types.Fail[struct{}](err)
		}
		if g.run <= 1 {
			if free, reserved := p.space.available(); free-reserved >= g.more {
				p.resize.Release(&g.ticket)
				return types.Done(struct{}{})
			}
		}
		if err := g.plan(); err != nil {
			return types.Fail[struct{}](g.Abort(err))
		}
		g.begun = true
		g.submit()
	}
	for {
		if c := g.try.Over(); !c.Done() {
			return types.Wait[struct{}](c)
		}
		err := g.try.Err()
		if err == nil {
			break
		}
		if g.blocks == g.least || !errors.Is(err, io.ErrNoSpace) {
			return types.Fail[struct{}](g.Abort(err))
		}
		g.blocks = g.least
		g.try.Reset()
		g.submit()
	}
	p.space.grow(g.blocks)
	p.resize.Release(&g.ticket)
	return types.Done(struct{}{})
}

// submit makes the file longer.
func (g *growFile) submit() {
	g.p.file.Truncate(g.try.Begin("the database file to grow"), int64(g.blocks)*int64(g.p.pageSize))
}

// plan decides the new length.
func (g *growFile) plan() error {
	p := g.p
	now := p.space.blocks()
	missing := g.more
	if free, reserved := p.space.available(); free-reserved < missing {
		missing -= free - reserved
	} else { // what is missing is a run
		missing = 1
	}
	least, ok := p.space.lengthFor(missing, g.run)
	if !ok {
		return fmt.Errorf("%w: %s can't have %d more blocks", types.ErrFull, p.name, missing)
	}
	g.least, g.blocks = least, least
	step := min(max(uint64(now)/growPart, growMin), growMax/uint64(p.pageSize))
	if roomy, ok := p.space.lengthFor(g.more+step, g.run); ok && p.withinLimit(roomy) == nil {
		g.blocks = roomy
	}
	if g.blocks <= now {
		panic(invariant.Failf("pager: growing from %d to %d blocks", now, g.blocks))
	}
	return p.withinLimit(g.blocks)
}

// withinLimit returns ErrFull if a file of that many blocks would be more than MaxSize allows.
func (p *Pager) withinLimit(blocks types.Block) error {
	if p.cfg.MaxSize == 0 {
		return nil
	}
	if size := int64(blocks)*int64(p.pageSize) + p.log.Stats().FileBytes; size > p.cfg.MaxSize {
		return fmt.Errorf("%w: %s and its log would have %d bytes, the limit is %d", types.ErrFull, p.name, size, p.cfg.MaxSize)
	}
	return nil
}

// Abort gives up. A longer file does no harm.
func (g *growFile) Abort(cause error) error {
	if g.try.Idle() {
		g.p.resize.Release(&g.ticket)
	} else {
		g.try.Cancel()
		g.try.OnRetire(func(*io.Completion) { g.p.resize.Release(&g.ticket) })
	}
	if errors.Is(cause, io.ErrNoSpace) && !errors.Is(cause, types.ErrFull) {
		return fmt.Errorf("%w: %s: %w", types.ErrFull, g.p.name, cause)
	}
	return cause
}
