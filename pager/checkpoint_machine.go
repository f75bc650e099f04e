package pager

import (
	"errors"
	"fmt"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Checkpoint is a machine that moves what commits have changed from the log into the database file, and makes a new
// generation of it. Readers and the writer go on meanwhile; one checkpoint is made at a time, others wait for their turn.
//
//	try --done--------------------------------------------------> done
//	 |  \--a write, or the sync, of the pages failed----> again --> done, or the error
//	 +--any other error--> the error
//
// A truncating checkpoint makes more attempts behind that, each a generation, which move what lies at the end of the file into
// holes, and cut it: see shrink. In a database that was not written to since it was opened, clean, they need a log
// first. An error of theirs is the result, though the checkpoint is done and nothing is lost; for Close it is none,
// unless the database has failed, but for damage that was found.
//
// A failed write or sync of what the meta block is to refer to voids the attempt: nothing of it is trusted, and the second
// attempt writes everything again, from memory or the log, to other places. A second failed sync in a row is sticky (the
// error matches types.ErrFailed), and so is a failed write or sync of the meta block. Every other error fails this
// checkpoint alone and leaves the database as it was: a full disk (io.ErrNoSpace, types.ErrFull), damage that was found
// (*types.CorruptError), a failed read, a log that has failed. An error of cutting the files, at the end, leaves the
// checkpoint done and a file longer than it needs to be.
//
// Config.CheckpointRate slows a passive checkpoint down, until a full or truncate one, or Close, waits for it.
//
// Abort at any wait leaves no trace, once the writes under way are retired: the next checkpoint waits for that. From the meta
// block on the checkpoint goes on by itself, and counts if that succeeds.
type Checkpoint struct {
	p     *Pager
	mode  CheckpointMode
	state checkpointState
	try   *attempt
	again bool // an attempt was voided: the next one that is ends the checkpoint
	hurry bool // counted in p.hurry

	closing bool  // for Close: no more is moved than is worth it, and what goes wrong with that is no failure
	damage  error // that was found in what was to be moved, by a checkpoint for Close
	shrink  shrink
	tried   bool // the first attempt is done: the others only make the file shorter
	begin   *beginLog
	result  CheckpointResult
}

type checkpointState uint8

const (
	checkpointBegin checkpointState = iota // work: the first attempt
	checkpointTry                          // await: an attempt
	checkpointLog                          // await: the log of a database that was clean, before something is moved
	checkpointEnded                        // end
)

// Start readies the machine.
func (c *Checkpoint) Start(p *Pager, mode CheckpointMode) { *c = Checkpoint{p: p, mode: mode} }

// Step ends with what was done. If there was nothing to do, that is the newest generation and no pages.
func (c *Checkpoint) Step() (types.IOResult[CheckpointResult], error) {
	for {
		switch c.state {
		case checkpointBegin:
			if c.mode != CheckpointPassive {
				c.hurry = true
				c.p.hurryUp()
			}
			if c.mode == CheckpointTruncate {
				c.shrink.start(c.p, c.closing)
			}
			c.try, c.state = c.next(), checkpointTry
		case checkpointTry:
			res, err := c.try.Step()
			switch {
			case err != nil && !c.again && c.try.voided && c.p.Failed() == nil && !errors.Is(err, io.ErrNoSpace):
				c.again, c.try = true, c.next()
			case err != nil && c.forgives(err):
				return c.done()
			case err != nil:
				return c.fail(err)
			case res.Pending != nil:
				return res, nil
			case !c.goOn(res.Value):
				return c.done()
			}
		case checkpointLog:
			res, err := c.begin.Step()
			if err != nil {
				return c.fail(c.begin.Abort(err))
			}
			if res.Pending != nil {
				return types.Wait[CheckpointResult](res.Pending)
			}
			c.try, c.state = c.next(), checkpointTry
		default:
			panic(invariant.Failf("pager: Checkpoint stepped in state %d", c.state))
		}
	}
}

// next returns the next attempt.
func (c *Checkpoint) next() *attempt {
	a := newAttempt(c.p, c.mode)
	if c.tried {
		a.target = c.p.log.Durable() // it is about the file: commits that are not durable yet can stay in the log
	}
	if a.low = c.mode == CheckpointTruncate && (c.tried || !c.closing); c.tried && c.shrink.phase == shrinkMove {
		a.moves = newMoves(&c.shrink)
	}
	return a
}

// goOn takes what an attempt has done, and begins the next one, or returns that none is needed.
func (c *Checkpoint) goOn(res CheckpointResult) bool {
	r := &c.result
	r.Covered, r.Generation = res.Covered, res.Generation
	r.Pages, r.Moved, r.Bytes = r.Pages+res.Pages, r.Moved+res.Moved, r.Bytes+res.Bytes
	if c.mode != CheckpointTruncate {
		return false
	}
	if c.tried {
		c.shrink.took(c.try.moves)
	}
	c.tried = true
	c.shrink.plan()
	switch {
	case c.shrink.phase == shrinkOver:
		return false
	case c.p.log.Began():
		c.try = c.next()
	default:
		c.try, c.begin, c.state = nil, newBeginLog(c.p), checkpointLog
	}
	return true
}

// forgives reports whether an error is nothing to Close: the checkpoint that it needs is done.
func (c *Checkpoint) forgives(err error) bool {
	if !c.closing || !c.tried || c.p.Failed() != nil {
		return false
	}
	if errors.Is(err, types.ErrCorrupt) {
		c.damage = err
	}
	return true
}

// done ends the machine with what was done.
func (c *Checkpoint) done() (types.IOResult[CheckpointResult], error) {
	c.end()
	return types.Done(c.result)
}

// fail ends the machine with an error.
func (c *Checkpoint) fail(err error) (types.IOResult[CheckpointResult], error) {
	c.end()
	if c.p.Failed() != nil && !errors.Is(err, types.ErrFailed) {
		err = fmt.Errorf("%w: %w", types.ErrFailed, err)
	}
	return types.Fail[CheckpointResult](err)
}

// end ends the machine.
func (c *Checkpoint) end() {
	c.state = checkpointEnded
	if c.hurry {
		c.p.hurry.Add(-1)
		c.hurry = false
	}
}

// Abort gives the checkpoint up.
func (c *Checkpoint) Abort(cause error) error {
	switch c.state {
	case checkpointTry:
		cause = c.try.Abort(cause)
	case checkpointLog:
		cause = c.begin.Abort(cause)
	}
	c.end()
	return cause
}
