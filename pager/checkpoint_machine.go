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
	again bool // this is the second attempt
	hurry bool // counted in p.hurry
}

type checkpointState uint8

const (
	checkpointBegin checkpointState = iota // work: the first attempt
	checkpointTry                          // await: an attempt
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
			c.try, c.state = newAttempt(c.p, c.mode), checkpointTry
		case checkpointTry:
			res, err := c.try.Step()
			switch {
			case err != nil && !c.again && c.try.voided && c.p.Failed() == nil && !errors.Is(err, io.ErrNoSpace):
				c.again, c.try = true, newAttempt(c.p, c.mode)
			case err != nil:
				c.end()
				if c.p.Failed() != nil && !errors.Is(err, types.ErrFailed) {
					err = fmt.Errorf("%w: %w", types.ErrFailed, err)
				}
				return types.Fail[CheckpointResult](err)
			case res.Pending != nil:
				return res, nil
			default:
				c.end()
				return res, nil
			}
		default:
			panic(invariant.Failf("pager: Checkpoint stepped in state %d", c.state))
		}
	}
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
	if c.state == checkpointTry {
		cause = c.try.Abort(cause)
	}
	c.end()
	return cause
}
