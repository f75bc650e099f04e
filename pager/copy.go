package pager

import (
	"errors"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// CopyChunk is a part of a copy: the bytes of the new file from Offset on, or a number of zeroes there.
type CopyChunk struct {
	Offset int64
	Data   []byte // valid until the next Step of the copy
	Zeroes int64  // without Data; they need not be written where the file reads as zeroes anyway
}

// End reports whether the copy is complete. Offset is then the length of the new file, in bytes.
func (c CopyChunk) End() bool { return len(c.Data) == 0 && c.Zeroes == 0 }

type copyState uint8

const (
	copyBegin   copyState = iota // work: what is in use?
	copyStat                     // await: the file's length, in a read-only open
	copyBitmaps                  // await: the bitmaps, in a read-only open
	copySum                      // await: pages that the log has
	copyPlace                    // await: map nodes above them
	copyAhead                    // work: begin to read
	copyZero                     // work: zeroes before the next window
	copyRead                     // await: the window's blocks
	copyFill                     // await: its overlays
	copyLook                     // await: map nodes that its blocks need
	copyVerify                   // await: map nodes that were not seen to be needed
	copyBlame                    // await: map nodes, to name what is damaged
	copyEnded                    // end
)

// Copy is a machine that makes a new, clean database of a snapshot, as a stream of chunks that follow each other from
// offset 0 to the end of the new file. What it does is in the package's documentation.
//
// It is stepped differently from others: each result is one chunk, and the next Step goes on with the next one, until
// a chunk says End. A types.StateMachine drives one chunk. A caller who stops before the end calls Abort.
//
//	begin (-> stat -> bitmaps) -> sum -> place -> ahead -> zero -> read -> fill -> look -> verify --> chunk
//	                                                ^        |                               |
//	                                                |        +--no more--> end      damage --+--> blame --> error
//	                                                +-----------------next Step--------------+
//
// Memory: the buffers of five windows of at most 1 MiB each, for which the cache's budget pays, and what copyPlan
// says. The writer and checkpoints go on as beside any other reader. Damage is a *types.CorruptError that names the
// place in the database's file; chunks that were handed out before may have shown parts of it.
type Copy struct {
	p     *Pager
	r     *Reader
	held  bool // r is kept from being ended
	state copyState
	wait  *io.Completion // of the last Step
	at    types.Block    // everything before has been handed out

	try     io.Completion
	look    io.Lookup
	blocks  types.Block // of the database's file
	bitmaps *bitmapLoad
	plan    *copyPlan
	sums    copySums
	places  copyMap
	reads   copyReads
	lay     copyLay
	check   copyCheck
	owner   copyOwner
	out     []byte // in the caller's hands until the next Step
}

// Start readies the machine to copy what r sees. r stays open until the copy has ended.
func (c *Copy) Start(r *Reader) { *c = Copy{p: r.p, r: r} }

// Step ends with the next chunk.
func (c *Copy) Step() (types.IOResult[CopyChunk], error) {
	if c.wait != nil && !c.wait.Done() {
		return types.Wait[CopyChunk](c.wait)
	}
	if c.out != nil {
		c.reads.recycle(c.out)
		c.out = nil
	}
	if err := c.hold(); err != nil {
		return types.Fail[CopyChunk](c.Abort(err))
	}
	for {
		chunk, wait, err := c.step()
		c.wait = wait
		switch {
		case err != nil:
			return types.Fail[CopyChunk](c.Abort(err))
		case wait != nil:
			return types.Wait[CopyChunk](wait)
		case chunk != nil:
			if chunk.End() {
				c.unhold()
			}
			return types.Done(*chunk)
		}
	}
}

// hold keeps what the reader holds from the first step to the end, so that what is read is right; a reader that was ended
// for what it holds ends the copy at its next step.
func (c *Copy) hold() error {
	if !c.held && c.state == copyBegin {
		if c.held = c.p.hold(c.r.slot, c.r.snap); !c.held {
			return expiredError(c.r.snap)
		}
	}
	return c.r.Err()
}

// unhold ends the hold.
func (c *Copy) unhold() {
	if c.held {
		c.held = false
		c.p.unhold(c.r.slot)
	}
}

// step does what the state asks for, once.
func (c *Copy) step() (*CopyChunk, *io.Completion, error) {
	switch c.state {
	case copyBegin:
		return nil, nil, c.begin()
	case copyStat:
		return c.stated()
	case copyBitmaps:
		res, err := c.bitmaps.Step()
		if err != nil || res.Pending != nil {
			return nil, res.Pending, err
		}
		return nil, nil, c.begun(res.Value.used)
	case copySum:
		return c.part(c.sums.step, func() {
			c.places.start(c.plan, c.sums.entries)
			c.state = copyPlace
		})
	case copyPlace:
		wait, err := c.places.step()
		if wait == nil && err == nil {
			err = c.placed()
		}
		return nil, wait, err
	case copyAhead:
		c.reads.fill()
		c.state = copyZero
	case copyZero:
		return c.zeroes()
	case copyRead:
		done := c.reads.head().group.Completion()
		if !done.Done() {
			return nil, done, nil
		}
		if err := done.Err(); err != nil {
			return nil, nil, err
		}
		c.lay.start(c.plan, c.r, c.reads.head())
		c.state = copyFill
	case copyFill:
		return c.part(c.lay.step, func() {
			c.check.start(c.reads.head())
			c.state = copyLook
		})
	case copyLook:
		if wait := c.check.lookAhead(); wait != nil {
			return nil, wait, nil
		}
		c.state = copyVerify
	case copyVerify:
		return c.verify()
	case copyBlame:
		wait, err := c.owner.step()
		return nil, wait, err
	default:
		panic(invariant.Failf("pager: Copy stepped in state %d", c.state))
	}
	return nil, nil, nil
}

// part runs a part that says nil, nil when it is done, and then the transition behind it.
func (c *Copy) part(part func() (*io.Completion, error), then func()) (*CopyChunk, *io.Completion, error) {
	wait, err := part()
	if wait == nil && err == nil {
		then()
	}
	return nil, wait, err
}

// begin looks for the blocks that the generation uses. A read-only open has not read the bitmaps.
func (c *Copy) begin() error {
	if used := c.r.snap.gen.used; used != nil {
		c.blocks = c.p.space.blocks()
		return c.begun(used)
	}
	c.look.Path = c.p.file.Name()
	c.state = copyStat
	c.p.io.Stat(&c.try, &c.look)
	return nil
}

// stated goes on with the bitmaps of a read-only open. Nobody writes to the file meanwhile.
func (c *Copy) stated() (*CopyChunk, *io.Completion, error) {
	if !c.try.Done() {
		return nil, &c.try, nil
	}
	if err := c.try.Err(); err != nil {
		return nil, nil, err
	}
	p := c.p
	m := p.durableMeta()
	c.blocks = types.Block(c.look.Size / int64(p.pageSize))
	c.bitmaps = newBitmapLoad(bitmapSource{
		file: p.file, name: p.name, size: c.look.Size, pageSize: p.pageSize, metaOffset: int64(m.slot()) * metaSlotSize,
		generation: m.Generation, blocks: m.Blocks, homeAndFree: m.BitmapRoot, sum: m.BitmapSum, height: m.BitmapHeight,
	})
	c.state = copyBitmaps
	return nil, nil, nil
}

// begun starts the plan: used is what the generation has in use.
func (c *Copy) begun(used *blockSet) error {
	c.plan = newCopyPlan(c.p, c.r.snap, used)
	entries := c.p.log.ChangedSince(c.r.snap.gen.number, c.r.snap.Seq)
	if err := c.plan.refer(entries, c.blocks); err != nil {
		return err
	}
	c.sums.start(c.plan, c.r, entries)
	c.state = copySum
	return nil
}

// placed completes the plan. The stream can begin: its first bytes, the meta blocks, depend on everything.
func (c *Copy) placed() error {
	c.sums, c.places = copySums{}, copyMap{}
	var id [16]byte
	c.p.io.Random(id[:])
	if err := c.plan.layOut(id); err != nil {
		return err
	}
	c.reads.start(c.plan)
	c.check = copyCheck{plan: c.plan}
	c.state = copyAhead
	return nil
}

// zeroes hands out what is between two windows, or ends the copy behind the last.
func (c *Copy) zeroes() (*CopyChunk, *io.Completion, error) {
	w := c.reads.head()
	if w == nil {
		if err := c.check.end(); err != nil {
			return nil, nil, err
		}
		if c.at != c.plan.used.blocks() {
			panic(invariant.Failf("pager: copy of %d blocks ends at %d", c.plan.used.blocks(), c.at))
		}
		c.reads.close()
		c.state = copyEnded
		return &CopyChunk{Offset: c.p.offset(c.at)}, nil, nil
	}
	c.state = copyRead
	if w.first == c.at {
		return nil, nil, nil
	}
	chunk := &CopyChunk{Offset: c.p.offset(c.at), Zeroes: c.p.offset(w.first - c.at)}
	c.at = w.first
	return chunk, nil, nil
}

// verify hands the window out if all is well with it.
func (c *Copy) verify() (*CopyChunk, *io.Completion, error) {
	wait, err := c.check.step()
	var damage *copyDamage
	if errors.As(err, &damage) {
		c.owner.start(c.plan, damage)
		c.state = copyBlame
		return nil, nil, nil
	}
	if wait != nil || err != nil {
		return nil, wait, err
	}
	w := c.reads.pop()
	c.at, c.out = w.first+types.Block(w.count), w.buf
	c.state = copyAhead
	return &CopyChunk{Offset: c.p.offset(w.first), Data: w.buf}, nil, nil
}

// detach leaves the bytes of the last chunk to the caller, who gives them back with recycle or pays for them with
// forget.
func (c *Copy) detach() { c.out = nil }

// Abort ends the copy. Its snapshot stays readable until the reads under way can't touch the file any more.
func (c *Copy) Abort(cause error) error {
	switch c.state {
	case copyStat:
		c.try.Cancel()
	case copyBitmaps:
		cause = c.bitmaps.Abort(cause)
	case copySum:
		c.sums.abort(cause)
	case copyPlace:
		c.places.abort(cause)
	case copyFill:
		c.lay.abort(cause)
	case copyLook, copyVerify:
		c.check.abort(cause)
	case copyBlame:
		c.owner.abort(cause)
	case copyEnded:
		return cause
	}
	c.state, c.wait = copyEnded, nil
	cause = types.Truncated(cause, 0)
	defer c.unhold()
	if c.out != nil {
		c.reads.recycle(c.out)
		c.out = nil
	}
	if c.reads.plan == nil {
		return cause
	}
	if c.reads.head() != nil {
		p, slot := c.p, c.p.readers.acquireAt(c.r.snap)
		c.reads.abandon(func() { p.letGo(slot) })
	}
	c.reads.close()
	return cause
}
