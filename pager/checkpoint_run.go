package pager

import "github.com/pawldb/pawl/types"

// Checkpoint is a machine that makes a checkpoint. It fails without harm up to the meta block; Abort after that only stops
// waiting.
type Checkpoint struct{ try *attempt }

// Start readies the machine.
func (c *Checkpoint) Start(p *Pager, mode CheckpointMode) { c.try = newAttempt(p, mode) }

// Step ends with what was done.
func (c *Checkpoint) Step() (types.IOResult[CheckpointResult], error) { return c.try.Step() }

// Abort gives the checkpoint up.
func (c *Checkpoint) Abort(cause error) error { return c.try.Abort(cause) }
