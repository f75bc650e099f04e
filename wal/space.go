package wal

import (
	"errors"
	"fmt"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// Space is promised before a commit is queued: bytes are reserved against what the free segments and the rest of the
// current one can hold at the least. A segment holds its length less the header block and less the largest frame, which
// may not fit before its end.

// perSegment returns the bytes of groups that the segment at place holds at the least.
func (l *Log) perSegment(place int) int64 {
	return l.geo.length(place) - LogBlockSize - int64(maxFrame(l.cfg.PageSize))
}

// capacity returns the bytes that can be laid out without growing. The caller holds the lock.
func (l *Log) capacity() int64 {
	n := int64(0)
	for i := range l.segments {
		switch s := &l.segments[i]; {
		case s.free():
			n += l.perSegment(i)
		case s.serial == l.at.Serial:
			n += l.currentCapacity()
		}
	}
	return n
}

// currentCapacity returns what of that is in the segment where the log ends. The caller holds the lock.
func (l *Log) currentCapacity() int64 {
	if l.fresh || len(l.segments) == 0 {
		return 0
	}
	return max(0, l.geo.end(l.current().place)-l.at.block().Offset-int64(maxFrame(l.cfg.PageSize)))
}

// crossings returns what groups may take beyond what is reserved for their commits, another one of so many bytes included: a group that
// goes on in another segment may end there a log block later than its commits' sizes say, since what it leaves in front of the boundary
// is no whole number of log blocks. The first such block is the spare's. The caller holds the lock.
func (l *Log) crossings(bytes int64) int64 {
	return min(l.reservers, (l.reserved+bytes)/l.perSegment(1)) * LogBlockSize
}

// current returns the segment where the log ends. The caller holds the lock.
func (l *Log) current() *segment {
	if l.atPlace >= len(l.segments) || l.segments[l.atPlace].serial != l.at.Serial {
		l.atPlace = l.segmentOf(l.at.Serial).place
	}
	return &l.segments[l.atPlace]
}

// segmentOf returns the segment in use as serial. The caller holds the lock.
func (l *Log) segmentOf(serial uint64) *segment {
	for i := range l.segments {
		if l.segments[i].serial == serial {
			return &l.segments[i]
		}
	}
	panic(invariant.Failf("wal: no segment has serial %d", serial))
}

// freeSegment returns the free segment with the lowest place. The caller holds the lock.
func (l *Log) freeSegment() *segment {
	for i := range l.segments {
		if l.segments[i].free() {
			l.segments[i].idle = 0
			return &l.segments[i]
		}
	}
	panic(invariant.Failf("wal: a group needs a segment beyond what was reserved"))
}

// Reservation is space for one commit. Queue uses it up; Release gives it back.
type Reservation struct {
	log   *Log
	bytes int64
}

// Release gives the space back. It does nothing after Queue, and nothing the second time.
func (r *Reservation) Release() {
	l := r.log
	if l == nil {
		return
	}
	l.mu.Lock()
	l.reserved -= r.bytes
	l.reservers--
	l.mu.Unlock()
	r.log, r.bytes = nil, 0
}

type reserveState uint8

const (
	reserveTry   reserveState = iota // work: is there room?
	reserveTurn                      // await: the file's length is somebody else's
	reserveGrow                      // await: the file is being made longer
	reserveZero                      // await: the new segments are being filled with zeroes
	reserveSync                      // await: they are being synced
	reserveEnded                     // end
)

// Reserve is a machine that makes sure that the log has room for a commit, growing the file if need be. It ends with the
// reservation. The caller holds the writer's turn.
//
//	try --room--> done
//	 |
//	 +--> turn --> grow --> zero --> sync --> try
//
//	step      file                      segments       after a cut
//	grow      longer, space reserved    as before      trailing bytes that nothing names
//	zero      zeroes, unsynced          as before      same
//	sync      zeroes                    + free ones    same
//
// A file that can't grow fails the reservation with types.ErrFull and leaves everything as it was. Growing is
// finished before it counts, because overwriting written blocks makes the sync of a group a pure flush of data.
type Reserve struct {
	log    *Log
	bytes  int64
	urgent bool // may use the spare
	result *Reservation

	state  reserveState
	turn   types.TurnTicket
	from   int   // first new place
	least  int   // places that are needed
	places int   // when it has grown
	offset int64 // next byte to be zeroed
	longer io.Attempt
	io     io.Completion
	bufs   [1][]byte
	sync   *growthSync
}

// zeroes is what new segments are filled with, in writes of this size. It is never written to.
var zeroes = make([]byte, 256<<10)

// Start makes r reserve bytes into result. urgent says that the commit gives space back, so that it may use the last
// reserve when the disk is full.
func (r *Reserve) Start(l *Log, bytes int64, urgent bool, result *Reservation) {
	if r.sync != nil && !r.sync.over.Done() {
		panic(invariant.Failf("wal: Reserve is used again while the sync of what it has grown by holds its turn"))
	}
	r.io.Reset() // whoever finished the last run's I/O may still be on the last instructions
	*r = Reserve{log: l, bytes: bytes, urgent: urgent, result: result}
}

// Step reserves, or goes on growing.
func (r *Reserve) Step() (types.IOResult[struct{}], error) {
	l := r.log
	for {
		switch r.state {
		case reserveTry:
			ok, err := l.TryReserve(r.bytes, r.urgent, r.result)
			if err != nil {
				return r.end(err)
			}
			if ok {
				r.state = reserveEnded
				l.resize.Release(&r.turn)
				return types.Done(struct{}{})
			}
			r.state = reserveTurn

		case reserveTurn:
			if c := l.resize.Acquire(&r.turn, "the log's length"); c != nil {
				return types.Wait[struct{}](c)
			}
			done, err := r.plan()
			if err != nil {
				return r.end(r.full(err))
			}
			if done {
				r.state = reserveTry
				continue
			}
			if end := l.geo.end(r.places - 1); end > l.fileSize() {
				r.state = reserveGrow
				l.file.Truncate(r.longer.Begin("the log to grow"), end)
				continue
			}
			// Trim has not cut yet what PlanTrim gave up, and a durable group may still promise it.
			r.state, r.offset = reserveZero, l.geo.start(r.from)
			r.zero()

		case reserveGrow:
			if c := r.longer.Over(); !c.Done() {
				return types.Wait[struct{}](c)
			}
			err := r.longer.Err()
			r.longer.Reset()
			if errors.Is(err, io.ErrNoSpace) && r.places > r.least {
				r.places = r.least
				l.file.Truncate(r.longer.Begin("the log to grow by less"), l.geo.end(r.places-1))
				continue
			}
			if err != nil {
				return r.end(r.full(err))
			}
			r.state, r.offset = reserveZero, l.geo.start(r.from)
			r.zero()

		case reserveZero:
			if !r.io.Done() {
				return types.Wait[struct{}](&r.io)
			}
			if err := r.io.Err(); err != nil {
				return r.end(r.full(err))
			}
			if r.offset < l.geo.end(r.places-1) {
				r.zero()
				continue
			}
			r.state = reserveSync
			r.io.Reset()
			r.sync = l.syncGrowth()

		case reserveSync:
			if !r.sync.over.Done() {
				return types.Wait[struct{}](&r.sync.over)
			}
			if r.sync.err != nil {
				return r.end(l.Failed())
			}
			r.grown(r.sync.sync.Proof())
			l.resize.Release(&r.turn)
			r.state = reserveTry

		default:
			panic(invariant.Failf("wal: Reserve stepped in state %d", r.state))
		}
	}
}

// fileSize returns the length of the file.
func (l *Log) fileSize() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fileEnd
}

// TryReserve is what Reserve does first: it reserves the bytes, and reports whether there was room for them. It waits for nothing.
func (l *Log) TryReserve(bytes int64, urgent bool, result *Reservation) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return false, l.failed
	}
	spare := l.spare
	if urgent {
		spare = 0
	}
	if l.currentCapacity()-l.reserved-spare < bytes && l.capacity()-l.reserved-spare < bytes+l.crossings(bytes) {
		return false, nil
	}
	l.reserved += bytes
	l.reservers++
	*result = Reservation{log: l, bytes: bytes}
	return true, nil
}

// plan decides how many segments to add: what is missing, and while the log is small as many as it has. It reports whether
// there is room by now.
func (r *Reserve) plan() (bool, error) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	// An urgent reservation that finds no room grows like any other: the spare is refilled too.
	missing := r.bytes + l.crossings(r.bytes) + l.spare - (l.capacity() - l.reserved)
	if missing <= 0 || r.urgent && missing <= l.spare {
		return true, nil
	}
	r.from = len(l.segments)
	r.places = r.from
	for missing > 0 {
		missing -= l.perSegment(r.places)
		r.places++
	}
	r.least = r.places
	if r.from > 1 {
		r.places = max(r.places, r.from+min(r.from, 8))
	}
	if l.cfg.Limit != nil && l.cfg.Limit(l.geo.end(r.places-1)) != nil {
		r.places = r.least
		if err := l.cfg.Limit(l.geo.end(r.places - 1)); err != nil {
			return false, err
		}
	}
	l.growing = true
	return false, nil
}

// zero submits the next write of zeroes.
func (r *Reserve) zero() {
	n := min(int64(len(zeroes)), r.log.geo.end(r.places-1)-r.offset)
	r.bufs[0] = zeroes[:n]
	r.io.Reset()
	r.log.file.Write(&r.io, r.bufs[:], r.offset)
	r.offset += n
}

// grown adds the new segments.
func (r *Reserve) grown(p io.Proof) {
	p.Must(io.KindSync)
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for place := r.from; place < r.places; place++ {
		l.segments = append(l.segments, segment{place: place})
	}
	l.growing = false
	l.promised, l.fileEnd = r.places, max(l.fileEnd, l.geo.end(r.places-1))
	l.stats.Growths++
}

// full says that the log can't grow.
func (r *Reserve) full(cause error) error {
	if errors.Is(cause, io.ErrNoSpace) && !errors.Is(cause, types.ErrFull) {
		return fmt.Errorf("%w: log %s: %w", types.ErrFull, r.log.name, cause)
	}
	return cause
}

// end ends the machine with err.
func (r *Reserve) end(err error) (types.IOResult[struct{}], error) {
	r.giveUp()
	r.log.resize.Release(&r.turn)
	return types.Fail[struct{}](err)
}

// giveUp ends the machine's claim to the places behind the last.
func (r *Reserve) giveUp() {
	if r.state >= reserveGrow && r.state <= reserveSync {
		r.log.mu.Lock()
		r.log.growing = false
		r.log.mu.Unlock()
	}
	r.state = reserveEnded
}

// Abort gives up. What was grown and not finished stays as trailing bytes of the file. The turn is given back once the I/O
// under way can't touch the file any more.
func (r *Reserve) Abort(cause error) error {
	growing, syncing := r.state == reserveGrow && !r.longer.Idle(), r.state == reserveSync
	r.giveUp()
	if syncing {
		if r.sync.over.Done() && r.sync.err != nil {
			cause = r.log.Failed()
		}
		r.sync.over.OnDone(func(*io.Completion) { r.log.resize.Release(&r.turn) })
		return r.full(cause)
	}
	if growing {
		r.longer.Cancel()
		r.longer.OnRetire(func(*io.Completion) { r.log.resize.Release(&r.turn) })
		return r.full(cause)
	}
	releaseWhenRetired(&r.log.resize, &r.turn, &r.io)
	return r.full(cause)
}

// releaseWhenRetired cancels c and releases the ticket as soon as c is retired.
func releaseWhenRetired(t *types.Turn, k *types.TurnTicket, c *io.Completion) {
	if c.Idle() {
		t.Release(k)
		return
	}
	c.Cancel()
	c.OnRetire(func(*io.Completion) { t.Release(k) })
}

// Window is what a live reader may need of the log: frames with After < version <= Through.
type Window struct{ After, Through types.Seq }

// Recycle makes segments free whose frames a durable meta block covers and that lie in no reader's window. p is the proof of
// the sync of that meta block, which names start. The segment of start stays: recovery begins there.
func (l *Log) Recycle(p io.Proof, covered types.Seq, start Start, windows []Window) {
	p.Must(io.KindSync)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recycle(covered, start, windows)
	if start.Position() == l.at {
		l.proven = int(start.Places) // no group behind the meta block says otherwise
	}
	for i := range l.segments {
		if s := &l.segments[i]; s.free() {
			s.idle++
		}
	}
	l.stats.Recyclings++
}

// recycle frees what can be freed. The caller holds the lock.
func (l *Log) recycle(covered types.Seq, start Start, windows []Window) {
	for i := range l.segments {
		s := &l.segments[i]
		if s.free() || s.serial >= start.Serial || s.serial == l.at.Serial || s.max > covered {
			continue
		}
		held := false
		for _, w := range windows {
			held = held || s.max > w.After && s.min <= w.Through && s.min > 0
		}
		if !held {
			s.serial, s.epoch, s.min, s.max = 0, 0, 0, 0
		}
	}
	l.check()
}

// Release is Recycle between checkpoints: readers have gone.
func (l *Log) Release(covered types.Seq, start Start, windows []Window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recycle(covered, start, windows)
}

// Held returns the bytes of segments that lie in w and would be free but for it, given that covered is durable.
func (l *Log) Held(w Window, covered types.Seq, start Start) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(0)
	for i := range l.segments {
		s := &l.segments[i]
		if s.free() || s.serial >= start.Serial || s.max > covered {
			continue
		}
		if s.max > w.After && s.min <= w.Through && s.min > 0 {
			n += l.geo.length(i)
		}
	}
	return n
}

// PlanTrim gives up free segments at the end of the file: all of them, or those that the last few recyclings found unused,
// so that a steady load neither grows nor cuts. Room for a small transaction stays. Groups and meta blocks promise fewer
// places from here on; Trim cuts the file once the newest of them is durable, so that a file that is too short is
// always damage.
func (l *Log) PlanTrim(all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.segments)
	for n > 1 && l.failed == nil && !l.growing && l.segments[n-1].free() && (all || l.segments[n-1].idle > idleRecyclings) {
		if l.capacity()-l.reserved-l.spare < l.perSegment(n-1) {
			break
		}
		n--
		l.segments = l.segments[:n]
	}
	l.promised = n
}

// idleRecyclings is how many recyclings a segment stays unused before PlanTrim gives it up.
const idleRecyclings = 4

// Trim is a machine that cuts what PlanTrim gave up off the end of the file, if the newest durable group or meta block does
// not promise it any more.
type Trim struct {
	log   *Log
	began bool
	size  int64
	turn  types.TurnTicket
	io    io.Completion
}

// Start readies the machine.
func (t *Trim) Start(l *Log) { *t = Trim{log: l} }

// Step cuts the file. If that fails the file is longer than needed.
func (t *Trim) Step() (types.IOResult[struct{}], error) {
	l := t.log
	if !t.began {
		if c := l.resize.Acquire(&t.turn, "the log's length"); c != nil {
			return types.Wait[struct{}](c)
		}
		l.mu.Lock()
		t.size = l.geo.end(len(l.segments) - 1)
		cut := t.size < l.fileEnd && max(l.proven, l.unproven) <= len(l.segments) && l.failed == nil
		l.mu.Unlock()
		if !cut {
			l.resize.Release(&t.turn)
			return types.Done(struct{}{})
		}
		t.began = true
		l.file.Truncate(&t.io, t.size)
	}
	if !t.io.Done() {
		return types.Wait[struct{}](&t.io)
	}
	if err := t.io.Err(); err != nil {
		return types.Fail[struct{}](t.Abort(err))
	}
	l.mu.Lock()
	l.fileEnd = t.size
	l.stats.Trims++
	l.mu.Unlock()
	l.resize.Release(&t.turn)
	return types.Done(struct{}{})
}

// Abort gives the turn back once the cut is over.
func (t *Trim) Abort(cause error) error {
	releaseWhenRetired(&t.log.resize, &t.turn, &t.io)
	return cause
}
