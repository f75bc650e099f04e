package oracle

import "fmt"

// History is the states of a database, one for each commit in the order of commits, with what is known of which of them must
// survive a crash.
type History struct {
	epoch  uint64
	first  uint64    // commit sequence of states[0]
	states []*Bucket // consecutive
	safe   uint64    // a power cut keeps this commit and those before it
	alive  uint64    // the death of the process keeps this one; at least safe
	proven uint64    // a later commit says that this one is durable: one lie of the disk can't hide that; at most safe
	seen   uint64    // a transaction begun now sees this commit, or a later one
}

// NewHistory returns the history of an empty database.
func NewHistory() *History { return &History{states: []*Bucket{{}}} }

// Clone returns a history that goes on by itself. The two share the states that there are.
func (h *History) Clone() *History {
	c := *h
	c.states = append([]*Bucket(nil), h.states...)
	return &c
}

// Only forgets all but commit seq, which is promised: the history of a copy.
func (h *History) Only(seq uint64) {
	h.states, h.first = []*Bucket{h.At(seq)}, seq
	h.safe, h.alive, h.seen = seq, seq, seq
}

// Last returns the newest commit that was offered.
func (h *History) Last() uint64 { return h.first + uint64(len(h.states)) - 1 }

// Safe returns the newest commit that must survive the next power cut.
func (h *History) Safe() uint64 { return h.safe }

// Proven returns the newest commit that is there even if one place on the disk is wrong, or whose loss is noticed: the log says
// with each commit what was durable before, so that only the newest one can go unnoticed.
func (h *History) Proven() uint64 { return h.proven }

// Alive returns the newest commit that must be there at the next open.
func (h *History) Alive() uint64 { return max(h.safe, h.alive) }

// Killed notes that the process dies: what a transaction could see stays, until the next power cut at least.
func (h *History) Killed() { h.alive = max(h.alive, h.seen) }

// PowerCut notes that the power fails: what was not promised may be lost.
func (h *History) PowerCut() { h.alive, h.seen = h.safe, h.safe }

// Seen returns the newest commit that every new transaction must see.
func (h *History) Seen() uint64 { return h.seen }

// At returns the state after commit seq, nil if there is none.
func (h *History) At(seq uint64) *Bucket {
	if seq < h.first || seq > h.Last() {
		return nil
	}
	return h.states[seq-h.first]
}

// Between returns the states after the commits of a range.
func (h *History) Between(from, to uint64) (states []*Bucket) {
	for seq := from; seq <= to; seq++ {
		if state := h.At(seq); state != nil {
			states = append(states, state)
		}
	}
	return states
}

// Begin returns a transaction whose commit will have the number seq. If that was offered before, that commit never came about:
// it failed, was given up, or had changed nothing.
func (h *History) Begin(seq uint64) (*Tx, error) {
	switch {
	case seq == h.Last()+1:
	case seq == h.Last() && seq > h.seen && seq > h.safe:
		h.states = h.states[:len(h.states)-1]
	default:
		return nil, fmt.Errorf("a transaction has number %d, behind commit %d, of which %d was seen", seq, h.Last(), h.seen)
	}
	h.epoch++
	return &Tx{root: h.At(seq - 1), epoch: &h.epoch}, nil
}

// Commit is a transaction that was offered as a commit.
type Commit struct {
	Seq        uint64
	root, base *Bucket
	before     uint64 // what was safe
}

// Offer notes that a transaction is being committed: its state is that of commit seq, if the commit comes about.
func (h *History) Offer(seq uint64, t *Tx) (Commit, error) {
	if seq != h.Last()+1 {
		return Commit{}, fmt.Errorf("commit %d comes behind commit %d", seq, h.Last())
	}
	c := Commit{seq, t.root, h.At(h.Last()), h.safe}
	h.epoch++
	h.states = append(h.states, t.root)
	return c, nil
}

// settled returns the number of the newest commit that holds what c changed. A transaction that leaves all as it was need not
// become a commit: then another one may have got its number.
func (h *History) settled(c Commit) (uint64, error) {
	switch {
	case h.At(c.Seq) == c.root:
		return h.real(c.Seq), nil
	case c.Seq < h.first || Same(c.root, c.base):
		return c.Seq - 1, nil
	}
	return 0, fmt.Errorf("commit %d was successful, and another one got its number", c.Seq)
}

// Visible notes that a commit was successful, so that transactions that begin from now on see it; durable: it is on stable
// storage too, with those before it.
func (h *History) Visible(c Commit, durable bool) error {
	seq, err := h.settled(c)
	if err != nil {
		return err
	}
	h.seen = max(h.seen, seq)
	if durable { // one that changed nothing promises what it is based on
		h.safe = max(h.safe, h.real(seq))
	}
	if durable && !Same(c.root, c.base) {
		h.proven = max(h.proven, c.before)
	}
	return nil
}

// Refused notes that the commit that was offered last is none, whatever happens.
func (h *History) Refused(c Commit) {
	if c.Seq == h.Last() && h.At(c.Seq) == c.root && c.Seq > h.seen && c.Seq > h.safe {
		h.states = h.states[:len(h.states)-1]
	}
}

// real returns the newest commit at or below seq that changed something: a transaction that leaves all as it was need not
// become a commit.
func (h *History) real(seq uint64) uint64 {
	for seq > h.first && Same(h.At(seq), h.At(seq-1)) {
		seq--
	}
	return seq
}

// Promised notes that commit seq is on stable storage.
func (h *History) Promised(seq uint64) {
	h.safe = max(h.safe, h.real(seq))
	h.seen = max(h.seen, h.safe)
}

// Recovered notes what an open has found, and forgets what was lost. It must not be older than least. durable: the open has made
// sure that the next power cut keeps it.
func (h *History) Recovered(seq, least uint64, durable bool) error {
	if seq > h.Last() || seq < h.first {
		return fmt.Errorf("recovered commit %d; commits %d to %d are known", seq, h.first, h.Last())
	}
	if seq < least {
		return fmt.Errorf("recovered commit %d; commit %d was promised", seq, least)
	}
	h.states = h.states[:seq-h.first+1]
	h.alive, h.seen = seq, seq
	if durable {
		h.safe = seq
	}
	h.safe, h.proven = min(h.safe, seq), min(h.proven, seq)
	if drop := len(h.states) - kept; drop > 0 {
		h.states = append([]*Bucket(nil), h.states[drop:]...)
		h.first += uint64(drop)
	}
	return nil
}

// kept is how many states an open leaves. A lying disk can bring an old one back.
const kept = 4096
