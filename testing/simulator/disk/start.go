package disk

import (
	"maps"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// Start is a disk between two eras, from which others can go on.
type Start struct {
	memory *io.Memory
	source rand.PCG
	hash   xxhash.Digest
	lied   bool
	lies   int
	origin uint64
	counts Counts
}

// Keep notes what the disk is, at a moment when nobody uses it.
func (d *Disk) Keep() *Start {
	return &Start{memory: d.Memory.Clone(), source: *d.source, hash: d.hash, lied: d.lied, lies: d.lies, origin: d.origin, counts: d.Counts.clone()}
}

// Disk returns a disk that is what the other one was. I/Os end in an order of its own.
func (s *Start) Disk(order plan.Order) *Disk {
	source := s.source
	d := New(s.memory.Clone(), order, &source)
	d.hash, d.lied, d.lies, d.origin, d.Counts = s.hash, s.lied, s.lies, s.origin, s.counts.clone()
	return d
}

// clone returns counts that share nothing with c.
func (c Counts) clone() Counts {
	c.Faults = maps.Clone(c.Faults)
	return c
}
