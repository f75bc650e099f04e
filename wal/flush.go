package wal

import (
	"fmt"
	"sync/atomic"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

type flushState uint8

const (
	flushIdle  flushState = iota // work: is there a group to write, or a sync to do?
	flushWrite                   // await: the pieces of the group are being written
	flushSync                    // await: the file is being synced
)

// flush writes groups and syncs them, one at a time. It belongs to the log, not to a commit: whoever waits for a commit may
// step it, one at a time as the leader, and nobody can cancel it.
//
//	        queue not empty             write done, sync not due
//	idle ---------------------> write ---------------------------> idle
//	  |                           | sync due
//	  | sync wanted               v
//	  +------------------------> sync --done: publish--> idle
//
//	step                       log file        what moves
//	lay out, submit            unsynced part   the log's end; positions in the index
//	write done                 unsynced        written; visible over leading relaxed commits; Observer.Written
//	sync done (proof)          durable         durable and visible to written; tickets resolve
//	write or sync failed       unknown         nothing ever again; visible falls back to durable; tickets fail
type flush struct {
	log   *Log
	state flushState
	busy  atomic.Bool // a step is under way: guards against a second stepper

	group      layout
	commits    []*Commit // of the group
	io         io.CompletionGroup
	writes     []*io.Completion
	sync       io.Completion
	through    types.Seq // what the sync under way makes durable
	syncEnd    end
	places     int // promised by the last group written
	syncPlaces int
	covered    int64 // unsynced bytes when the sync was submitted
	written    end   // behind the last group that was written
}

// due reports whether there is something to do when idle. The caller holds the log's lock.
func (f *flush) due() bool {
	l := f.log
	return l.failed == nil && (l.first != nil || f.syncDue())
}

// syncDue reports whether what is written should be synced before more is.
func (f *flush) syncDue() bool {
	l := f.log
	return l.durable < l.written && (l.syncWanted > l.durable || l.unsynced > l.cfg.MaxUnsynced)
}

// active reports whether I/O is under way or due. The caller holds the log's lock.
func (f *flush) active() bool { return f.log.failed == nil && (f.state != flushIdle || f.due()) }

// step moves the flush on as far as it goes without waiting. It returns the completion that it waits for, or nil when
// nothing is left to do. The caller is the leader and does not hold the log's lock.
func (f *flush) step() *io.Completion {
	l := f.log
	if !f.busy.CompareAndSwap(false, true) {
		panic(invariant.Failf("wal: flush stepped by two at once"))
	}
	defer f.busy.Store(false) // without the lock: a panic that holds it shall be seen
	for {
		switch f.state {
		case flushIdle:
			l.mu.Lock()
			file := l.file // a close that is given up takes it away, and lets the log fail
			switch {
			case l.failed != nil:
				l.mu.Unlock()
				return nil
			case f.syncDue():
				f.beginSync()
				l.mu.Unlock()
				file.Sync(&f.sync)
			case l.first != nil:
				f.beginWrite()
				l.mu.Unlock()
				f.submitWrite(file)
			default:
				l.mu.Unlock()
				return nil
			}

		case flushWrite:
			c := f.io.Completion()
			if !c.Retired() {
				if !c.Done() {
					return c
				}
				continue // the resolver is on its last instructions
			}
			if err := c.Err(); err != nil {
				f.fail(err)
				return nil
			}
			f.finishWrite(c.Proof())
			if l.Failed() != nil {
				return nil
			}

		case flushSync:
			if !f.sync.Retired() {
				if !f.sync.Done() {
					return &f.sync
				}
				continue
			}
			if err := f.sync.Err(); err != nil {
				f.fail(err)
				return nil
			}
			if c := l.growthUnderWay(); c != nil {
				return c
			}
			f.finishSync(f.sync.Proof())
			if l.Failed() != nil {
				return nil
			}

		default:
			panic(invariant.Failf("wal: flush in state %d", f.state))
		}
	}
}

// beginWrite takes the next commits off the queue and lays them out. The caller holds the log's lock.
func (f *flush) beginWrite() {
	l := f.log
	f.commits = f.commits[:0]
	bytes := int64(0)
	for c := l.first; c != nil; c = l.first {
		if len(f.commits) > 0 && bytes+c.bytes > l.cfg.MaxGroup {
			break
		}
		bytes += c.bytes
		f.commits = append(f.commits, c)
		l.first, c.next = c.next, nil
	}
	if l.first == nil {
		l.last = nil
	}
	f.group.build(l, f.commits)
	l.stats.Groups++
	l.stats.Commits += uint64(len(f.commits))
	l.stats.BytesWritten += uint64(f.group.bytes)
	l.stats.Writes += uint64(len(f.group.pieces))
	f.state = flushWrite
	l.check()
}

// submitWrite submits every piece of the group.
func (f *flush) submitWrite(file io.File) {
	f.io.Reset()
	f.io.Start("the log's group to be written")
	for len(f.writes) < len(f.group.pieces) {
		f.writes = append(f.writes, new(io.Completion))
	}
	for i := range f.group.pieces {
		c := f.writes[i]
		c.Reset()
		f.io.Add(c)
		file.Write(c, f.group.pieces[i].bufs, f.group.pieces[i].offset)
	}
	f.io.Build()
}

// finishWrite moves what a written group moves, and goes on to its sync if one of its commits, or somebody else, wants it.
func (f *flush) finishWrite(p io.Proof) {
	p.Must(io.KindGroup)
	l := f.log
	l.mu.Lock()
	if l.failed != nil { // another sync of the file failed meanwhile, or it was closed: nothing counts any more
		l.mu.Unlock()
		return
	}
	file := l.file
	l.tell()
	l.written = f.group.last
	l.unsynced += f.group.bytes
	f.written, f.places = f.group.end, f.group.places
	visible := l.visible
	for _, c := range f.commits {
		l.setWritten(c)
		if !c.full && l.visible == c.seq-1 {
			l.visible = c.seq
		}
	}
	durable, now := l.durable, l.visible
	sync := f.group.full || f.syncDue()
	if sync {
		f.beginSync()
	} else {
		f.state = flushIdle
	}
	l.mu.Unlock()
	f.group.forget()
	if o := l.cfg.Observer; o != nil {
		o.Written(f.commits)
		if now != visible {
			o.Advanced(durable, now)
		}
	}
	l.told()
	clear(f.commits)
	if sync {
		file.Sync(&f.sync)
	}
}

// beginSync notes what the sync covers. The caller holds the log's lock, and submits the sync once it has let go of it.
func (f *flush) beginSync() {
	l := f.log
	f.sync.Reset()
	f.through, f.syncEnd, f.covered, f.syncPlaces = l.written, f.written, l.unsynced, f.places
	f.state = flushSync
	l.stats.Syncs++
}

// finishSync publishes what the sync made durable.
func (f *flush) finishSync(p io.Proof) {
	p.Must(io.KindSync)
	l := f.log
	l.mu.Lock()
	if l.failed != nil {
		l.mu.Unlock()
		return
	}
	l.tell()
	if l.at == f.syncEnd.at { // as a rule: no group is laid out while one is synced
		l.at = l.at.block()
	}
	f.syncEnd.at = f.syncEnd.at.block()
	l.durable, l.synced, l.proven = f.through, f.syncEnd, f.syncPlaces
	l.unproven = 0 // no group is laid out while one is synced
	l.visible = max(l.visible, l.durable)
	l.unsynced -= f.covered
	f.state = flushIdle
	durable, visible := l.durable, l.visible
	l.check()
	l.mu.Unlock()
	if o := l.cfg.Observer; o != nil {
		o.Advanced(durable, visible)
	}
	l.told()
}

// tell keeps waits where they are while the watermarks move and the observer is told. The caller holds the lock, and is the
// leader.
func (l *Log) tell() {
	l.telling, l.toldDurable, l.toldVisible, l.toldWritten = true, l.durable, l.visible, l.written
}

// told lets waits go by the watermarks again: the caller wakes them.
func (l *Log) told() {
	l.mu.Lock()
	l.telling = false
	l.mu.Unlock()
}

// fail makes the failure sticky and fails everything above the durable commit.
func (f *flush) fail(cause error) {
	l := f.log
	l.mu.Lock()
	if l.failed != nil {
		l.mu.Unlock()
		return
	}
	l.failed = fmt.Errorf("%w: %w", types.ErrFailed, cause)
	l.visible = min(l.visible, l.durable)
	l.first, l.last = nil, nil
	err := l.failed
	l.mu.Unlock()
	if o := l.cfg.Observer; o != nil {
		o.Failed(err)
	}
	l.wakeSatisfied()
}

// failIfBroken makes a failed I/O of the flush sticky, for a leader whose driver has seen the failure and aborts it.
func (l *Log) failIfBroken() {
	f := &l.flush
	var err error
	switch {
	case f.state == flushWrite && f.io.Completion().Done():
		err = f.io.Completion().Err()
	case f.state == flushSync && f.sync.Done():
		err = f.sync.Err()
	}
	if err != nil {
		f.fail(err)
	}
}

// failFrom makes a failed I/O of another machine on the log's file sticky: a sync that failed voids what others wrote.
func (l *Log) failFrom(cause error) { l.flush.fail(cause) }
