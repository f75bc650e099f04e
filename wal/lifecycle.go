package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

type createState uint8

const (
	createOpen  createState = iota // work: submit the open
	createOpens                    // await: the file is being opened or created
	createEmpty                    // await: an old log's bytes are being cut off
	createGrow                     // await: the first segment is being added
	createWrite                    // await: zeroes and header are being written
	createSync                     // await
	createDir                      // await: the directory is being synced
	createEnded                    // end
)

// Create is a machine that gives the log of a clean database a file with one segment, ready for the first group. It takes an
// old log file over; the caller has made sure that nothing in it is needed. It ends with the start for the meta block.
// No group may be written before Begin. After an error, or Abort, it may be tried again from the start.
//
// The progress table is in the package's documentation.
type Create struct {
	log   *Log
	state createState
	open  io.Opening
	io    io.Completion
	bufs  [2][]byte
	begun end

	givenUp func() // once nothing is under way any more
}

// Start readies the machine.
func (m *Create) Start(l *Log) { *m = Create{log: l} }

// Step goes on with the creation.
func (m *Create) Step() (types.IOResult[Start], error) {
	l := m.log
	for {
		if m.state != createOpen {
			if !m.io.Done() {
				return types.Wait[Start](&m.io)
			}
			if err := m.io.Err(); err != nil {
				return types.Fail[Start](m.Abort(err))
			}
			m.io.Reset()
		}
		switch m.state {
		case createOpen:
			m.state = createOpens
			if f := l.openFile(); f != nil {
				l.cfg.IO.Stat(&m.io, &io.Lookup{Path: l.cfg.Path})
				continue
			}
			m.open = io.Opening{Path: l.cfg.Path, Flag: io.OpenWrite | io.OpenCreate, Mode: 0o600}
			l.cfg.IO.Open(&m.io, &m.open)

		case createOpens:
			if m.open.File != nil {
				l.setFile(m.open.File, m.open.ID)
				m.open.File = nil
			}
			m.state = createEmpty
			l.openFile().Truncate(&m.io, 0)

		case createEmpty:
			m.state = createGrow
			l.openFile().Truncate(&m.io, l.geo.end(0))

		case createGrow:
			m.state = createWrite
			m.write()

		case createWrite:
			m.state = createSync
			l.openFile().Sync(&m.io)

		case createSync:
			m.state = createDir
			l.cfg.IO.SyncDir(&m.io, l.cfg.Path)

		case createDir:
			m.state = createEnded
			l.mu.Lock()
			defer l.mu.Unlock()
			l.segments = []segment{{place: 0, epoch: m.begun.at.Epoch, serial: m.begun.at.Serial}}
			l.epoch, l.serial = m.begun.at.Epoch, m.begun.at.Serial
			l.at, l.chain, l.synced, l.fresh = m.begun.at, m.begun.chain, m.begun, false
			l.flush.written, l.flush.places = m.begun, 1
			l.promised, l.proven, l.fileEnd = 1, 1, l.geo.end(0)
			return types.Done(l.startAt(m.begun))

		default:
			panic(invariant.Failf("wal: Create stepped in state %d", m.state))
		}
	}
}

// write submits the first segment: its header block, and zeroes.
func (m *Create) write() {
	l := m.log
	epoch := l.newEpoch()
	h := segmentHeader{
		firstSize: uint32(l.geo.first), size: uint32(l.geo.size), database: l.cfg.Database,
		epoch: epoch, serial: 1, metaWrite: l.metaWrite, previous: link{chain: firstChain(l.cfg.Database)},
	}
	block := make([]byte, l.geo.first)
	h.encode(block)
	m.begun = end{at: Position{epoch, 1, LogBlockSize}, chain: h.previous.chain}
	m.bufs[0] = block
	l.openFile().Write(&m.io, m.bufs[:1], 0)
}

// firstChain is the chain value at the start of a log.
func firstChain(database [16]byte) uint64 { return xxhash.Sum64(database[:]) }

// newEpoch returns a fresh epoch, never 0.
func (l *Log) newEpoch() uint64 {
	var b [8]byte
	for {
		l.cfg.IO.Random(b[:])
		if e := binary.LittleEndian.Uint64(b[:]); e != 0 {
			return e
		}
	}
}

// openFile returns the log's file, nil before it is open.
func (l *Log) openFile() io.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file
}

// setFile gives the log its file.
func (l *Log) setFile(f io.File, id io.FileID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file, l.fileID = f, id
}

// OnGivenUp sets what is called once a creation that failed or was given up can't touch the file any more: whoever made the log
// anew before that would find it overwritten.
func (m *Create) OnGivenUp(fn func()) { m.givenUp = fn }

// Abort gives up. The file keeps what was done to it; the meta block does not name it, so it is ignored.
func (m *Create) Abort(cause error) error {
	m.state = createEnded
	over := func(*io.Completion) {
		closeOpened(&m.open)
		if m.givenUp != nil {
			m.givenUp()
		}
	}
	if m.io.Idle() {
		over(nil)
		return cause
	}
	m.io.Cancel()
	m.io.OnRetire(over)
	return cause
}

// abandonOpen cancels c, and closes the file that an open under way may still bring.
func abandonOpen(c *io.Completion, o *io.Opening) {
	if c.Idle() {
		return
	}
	c.Cancel()
	c.OnRetire(func(*io.Completion) { closeOpened(o) })
}

// Begin allows groups to be written: the meta block names this log, and p is the proof of its sync.
func (l *Log) Begin(p io.Proof) {
	p.Must(io.KindSync)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began = true
}

// Began reports whether groups may be written.
func (l *Log) Began() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.began
}

// Close is a machine that closes the log's file once its I/O is retired, and removes it if that is asked for: the database
// file alone is complete then. If another file has got the log's name meanwhile, it is somebody else's and stays. A log
// without a file is closed at once. The log is not used afterwards.
type Close struct {
	log    *Log
	remove bool
	state  closeState
	io     io.Completion
	try    io.Attempt // the look at the name: a missing log is an answer
	look   io.Lookup
}

type closeState uint8

const (
	closeFile   closeState = iota // work
	closeCloses                   // await
	closeLook                     // await: is the name still the log's?
	closeRemove                   // await
	closeDir                      // await
	closeEnded                    // end
)

// Start readies the machine.
func (m *Close) Start(l *Log, remove bool) { *m = Close{log: l, remove: remove} }

// Step goes on with closing.
func (m *Close) Step() (types.IOResult[struct{}], error) {
	l := m.log
	for {
		if m.state != closeFile && m.state != closeLook {
			if !m.io.Done() {
				return types.Wait[struct{}](&m.io)
			}
			if err := m.io.Err(); err != nil {
				return types.Fail[struct{}](m.Abort(err))
			}
			m.io.Reset()
		}
		switch m.state {
		case closeFile:
			f := l.release()
			if f == nil {
				m.state = closeEnded
				return types.Done(struct{}{})
			}
			m.state = closeCloses
			f.Close(&m.io)

		case closeCloses:
			if !m.remove {
				m.state = closeEnded
				return types.Done(struct{}{})
			}
			m.state = closeLook
			m.look.Path = l.cfg.Path
			l.cfg.IO.Stat(m.try.Begin("the log's name to be looked up"), &m.look)

		case closeLook:
			if c := m.try.Over(); !c.Done() {
				return types.Wait[struct{}](c)
			}
			err := m.try.Err()
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return types.Fail[struct{}](m.Abort(err))
			}
			if err != nil || m.look.ID != l.fileID {
				m.state = closeEnded
				return types.Done(struct{}{})
			}
			m.state = closeRemove
			l.cfg.IO.Remove(&m.io, l.cfg.Path)

		case closeRemove:
			m.state = closeDir
			l.cfg.IO.SyncDir(&m.io, l.cfg.Path)

		case closeDir:
			m.state = closeEnded
			return types.Done(struct{}{})

		default:
			panic(invariant.Failf("wal: Close stepped in state %d", m.state))
		}
	}
}

// Abort gives up waiting. The file is closed all the same once its I/O is retired.
func (m *Close) Abort(cause error) error { return m.AbortThen(cause, func() {}) }

// AbortThen is Abort, and calls then once the file is left alone: a removal that is under way could hit the next log.
func (m *Close) AbortThen(cause error, then func()) error {
	if m.state == closeLook {
		m.try.Cancel()
	}
	m.state = closeEnded
	if m.io.Idle() {
		then()
		return cause
	}
	m.io.Cancel()
	m.io.OnRetire(func(*io.Completion) { then() })
	return cause
}

// errReleased is why a log fails whose file is closed while commits are on their way.
var errReleased = errors.New("wal: the log was closed while commits were on their way")

// release takes the log's file away, if it has one, for good. A close that gives up, or whose checkpoint fails, does not wait for
// commits that are on their way: nobody learns what becomes of them before the next open.
func (l *Log) release() io.File {
	l.mu.Lock()
	f := l.file
	l.file = nil
	if f != nil && l.failed == nil && (l.durable < l.queued || l.flush.state != flushIdle) {
		l.failed = fmt.Errorf("%w: %w", types.ErrFailed, errReleased)
		l.visible = min(l.visible, l.durable) // a relaxed commit that waits for another one's sync is in doubt as well
		l.first, l.last = nil, nil
	}
	l.mu.Unlock()
	l.wakeSatisfied()
	return f
}

// Discard closes the log's file, if it has one, without waiting, for an open that failed, and calls then when nothing touches that
// file any more.
func (l *Log) Discard(then func()) {
	f := l.release()
	if f == nil {
		then()
		return
	}
	c := new(io.Completion)
	f.Close(c)
	c.OnRetire(func(*io.Completion) { then() })
}
