package pager

import (
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// ReserveIDs is a machine that sets page ids aside, so that New, which never waits, has them. Ids that commits gave back
// come first, lowest first; then those that the map has free, looked up a node at a time; then new ones. What is not
// used stays reserved for the next gather, and goes back when the transaction ends.
type ReserveIDs struct {
	tx    *Tx
	count int
	walk  mapWalk
	busy  bool
}

// Start readies the machine to make sure of count ids.
func (r *ReserveIDs) Start(tx *Tx, count int) { *r = ReserveIDs{tx: tx, count: count} }

// Started reports whether Start was called.
func (r *ReserveIDs) Started() bool { return r.tx != nil }

// Step ends when the transaction has that many ids.
func (r *ReserveIDs) Step() (types.IOResult[struct{}], error) {
	tx := r.tx
	ids := &tx.p.ids
	for len(tx.spare) < r.count {
		if !r.busy {
			id := ids.free.take()
			if id == 0 && !ids.scanned {
				if !r.nextNode() {
					ids.scanned = true
				}
				continue
			}
			if id == 0 {
				id = tx.next
			} else {
				tx.reuse.add(id)
			}
			tx.next = max(tx.next, id+1)
			tx.spare = append(tx.spare, id)
			continue
		}
		res, err := r.walk.Step()
		if err != nil || res.Pending != nil {
			return types.IOResult[struct{}]{Pending: res.Pending}, err
		}
		r.collect(res.Value)
		r.busy = false
	}
	return types.Done(struct{}{})
}

// nextNode begins to look at the next level-0 node of the map; false if there is none left.
func (r *ReserveIDs) nextNode() bool {
	tx := r.tx
	tx.adopt()
	gen, fanout := tx.snap.gen, tx.p.fanout()
	if gen.root == 0 || tx.p.ids.scan*fanout >= uint64(gen.globals.NextPage) {
		return false
	}
	r.walk.start(tx.p, gen, tx.p.ids.scan)
	r.busy = true
	return true
}

// collect adds the free ids of a node, and moves the scan on to the next node that can have some.
func (r *ReserveIDs) collect(found mapFound) {
	tx := r.tx
	p := tx.p
	fanout := p.fanout()
	for entry := range int(fanout) {
		id := types.PageID(found.index*fanout + uint64(entry))
		if id == 0 || id >= r.walk.gen.globals.NextPage {
			continue
		}
		if found.node != nil {
			if run, _ := mapRun(found.node, entry); run.Count > 0 {
				continue
			}
		}
		if e, ok := p.log.Lookup(id, tx.snap.Seq, 0); ok && e.Kind != wal.KindFreed {
			continue // in use since
		}
		if tx.reuse.has(id) {
			continue
		}
		p.ids.free.add(id)
	}
	p.ids.scan = found.next
}

// Abort ends the machine. What was found stays known.
func (r *ReserveIDs) Abort(cause error) error {
	if r.busy {
		return r.walk.Abort(cause)
	}
	return cause
}
