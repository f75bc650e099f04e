package pager

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

type closeState uint8

const (
	closeTurn    closeState = iota // await: the last writer
	closeAttempt                   // await: a checkpoint
	closeCkpt                      // await: another checkpoint
	closeMeta                      // await: the clean meta block
	closeLog                       // await
	closeFile                      // await
	closeEnded                     // end
)

// Close is a machine that closes the database: a last checkpoint, a clean meta block, and then the log's file is removed. No
// reader or transaction is open. If the checkpoint or the meta block fails, the files are closed as they are, the log
// stays, and the error is the result: nothing is lost, the next open recovers.
//
//	step             database file   log file   after a cut
//	checkpoint       needs-log       there      recovered
//	meta: clean      either          there      recovered, or clean beside an old log, which is ignored
//	sync             clean           there      clean beside an old log
//	remove the log   clean           either     same, or clean alone
type Close struct {
	p      *Pager
	state  closeState
	writer types.TurnTicket
	ticket types.TurnTicket
	check  Checkpoint
	meta   *metaWrite
	log    wal.Close
	io     io.Completion
	err    error
	clean  bool
}

// Start readies the machine.
func (c *Close) Start(p *Pager) { *c = Close{p: p} }

// Step goes on with closing.
func (c *Close) Step() (types.IOResult[struct{}], error) {
	p := c.p
	for {
		switch c.state {
		case closeTurn:
			if w := p.turn.Acquire(&c.writer, "the writer's turn"); w != nil {
				return types.Wait[struct{}](w)
			}
			if p.log.Began() && p.Failed() == nil && p.space != nil {
				c.check.Start(p, CheckpointTruncate)
				c.check.closing = true
				c.state = closeAttempt
				continue
			}
			c.closeLog()

		case closeAttempt:
			res, err := c.check.Step()
			if err != nil {
				c.err = err
				c.closeLog()
				continue
			}
			if res.Pending != nil {
				return types.Wait[struct{}](res.Pending)
			}
			c.state = closeCkpt

		case closeCkpt:
			if w := p.ckpt.Acquire(&c.ticket, "another checkpoint"); w != nil {
				return types.Wait[struct{}](w)
			}
			if c.err = p.Failed(); c.err != nil {
				p.ckpt.Release(&c.ticket)
				c.closeLog()
				continue
			}
			m := p.durableMeta()
			m.Clean, m.Log = true, wal.Start{}
			c.meta = p.writeMeta(m, func(metaBlock, io.Proof) {})
			c.state = closeMeta

		case closeMeta:
			if !c.meta.over.Done() {
				return types.Wait[struct{}](&c.meta.over)
			}
			c.err, c.clean = c.meta.err, c.meta.err == nil
			if c.clean {
				c.err = c.check.damage
			}
			c.closeLog()

		case closeLog:
			res, err := c.log.Step()
			if res.Pending != nil {
				return types.Wait[struct{}](res.Pending)
			}
			if err != nil && c.err == nil {
				c.err = err
			}
			c.state = closeFile
			p.file.Close(&c.io)

		case closeFile:
			if !c.io.Done() {
				return types.Wait[struct{}](&c.io)
			}
			c.end()
			if c.err == nil {
				c.err = c.io.Err()
			}
			if c.err != nil {
				return types.Fail[struct{}](c.err)
			}
			return types.Done(struct{}{})

		default:
			panic(invariant.Failf("pager: Close stepped in state %d", c.state))
		}
	}
}

// closeLog goes on with the log's file, which is removed if the database file alone is complete.
func (c *Close) closeLog() {
	c.p.closed.Store(true)
	c.log.Start(c.p.log, c.clean)
	c.state = closeLog
}

// end lets those go on who wait for a turn: they learn that there is nothing left to go on with.
func (c *Close) end() {
	c.state = closeEnded
	c.p.closed.Store(true) // Abort comes here too
	c.p.turn.Release(&c.writer)
	c.p.ckpt.Release(&c.ticket)
}

// Waiting reports whether Close still waits for the writer's turn: Abort then leaves the database open.
func (c *Close) Waiting() bool { return c.state == closeTurn }

// Abort closes the files without waiting, as they are. While it is the writer's turn that Close waits for, the database
// stays open instead.
func (c *Close) Abort(cause error) error {
	switch c.state {
	case closeTurn:
		c.p.turn.Release(&c.writer)
		return cause
	case closeAttempt:
		cause = c.check.Abort(cause)
	}
	log := c.p.log
	unlock := func() { // last: whoever gets the lock finds nothing under way in the log
		if c.io.Idle() {
			c.p.file.Close(&c.io)
		}
	}
	if c.state == closeLog {
		cause = c.log.AbortThen(cause, func() { log.Discard(unlock) })
	} else {
		log.Discard(unlock)
	}
	c.end()
	return cause
}
