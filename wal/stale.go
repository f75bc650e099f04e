package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// StaleLog says what lies beside a clean database.
type StaleLog struct {
	Found bool
	Bytes int64
}

// CheckStale is a machine that looks at the log file beside a clean database, which does not need one. It fails with
// types.ErrLogMismatch if that log holds a group that the database does not know: written when a later meta write was
// durable, or of another database. Then the file was restored from an older copy, or the log is not its own,
// and taking the log over would destroy commits.
type CheckStale struct {
	log   *Log
	write uint64 // number of the clean meta write

	state    staleState
	look     io.Attempt // the open: a missing log is an answer
	open     io.Opening
	io       io.Completion
	buf      []byte
	offset   int64
	valid    bool // there is a first header
	own      bool // of this database
	database [16]byte
	result   StaleLog
	err      error
}

type staleState uint8

const (
	staleOpen  staleState = iota // work
	staleOpens                   // await
	staleRead                    // await: a part of the file is being read
	staleClose                   // await
	staleEnded                   // end
)

// staleBytes is how much of an old log is read at once.
const staleBytes = 256 << 10

// Start readies the machine. write is the number of the clean meta write.
func (m *CheckStale) Start(l *Log, write uint64) { *m = CheckStale{log: l, write: write} }

// Step goes on with the search.
func (m *CheckStale) Step() (types.IOResult[StaleLog], error) {
	l := m.log
	for {
		if m.state == staleRead || m.state == staleClose {
			if !m.io.Done() {
				return types.Wait[StaleLog](&m.io)
			}
			if err := m.io.Err(); err != nil {
				return types.Fail[StaleLog](m.Abort(err))
			}
			m.io.Reset()
		}
		switch m.state {
		case staleOpen:
			m.open = io.Opening{Path: l.cfg.Path}
			m.state = staleOpens
			l.cfg.IO.Open(m.look.Begin("the old log to be opened"), &m.open)

		case staleOpens:
			if !m.look.Over().Done() {
				return types.Wait[StaleLog](m.look.Over())
			}
			if err := m.look.Err(); errors.Is(err, fs.ErrNotExist) {
				m.state = staleEnded
				return types.Done(StaleLog{})
			} else if err != nil {
				return types.Fail[StaleLog](m.Abort(err))
			}
			m.result = StaleLog{Found: true, Bytes: m.open.Size}
			m.buf = make([]byte, staleBytes)
			m.next()

		case staleRead:
			if m.err = m.search(); m.err != nil {
				m.close()
				continue
			}
			if m.offset += int64(len(m.buf)); m.offset < m.open.Size/LogBlockSize*LogBlockSize {
				m.offset -= LogBlockSize // a header may lie across the end
			}
			m.next()

		case staleClose:
			m.state = staleEnded
			if m.err != nil {
				return types.Fail[StaleLog](m.err)
			}
			return types.Done(m.result)

		default:
			panic(invariant.Failf("wal: CheckStale stepped in state %d", m.state))
		}
	}
}

// next submits the next read of whole log blocks, or closes the file at its end.
func (m *CheckStale) next() {
	n := min(int64(len(m.buf)), (m.open.Size-m.offset)/LogBlockSize*LogBlockSize)
	if n <= 0 {
		m.close()
		return
	}
	m.buf = m.buf[:n]
	m.state = staleRead
	m.open.File.Read(&m.io, m.buf, m.offset)
}

// close closes the file again.
func (m *CheckStale) close() {
	f := m.open.File
	m.open.File = nil
	m.state = staleClose
	f.Close(&m.io)
}

// search looks for groups in buf.
func (m *CheckStale) search() error {
	l := m.log
	if m.offset == 0 {
		if database, ok := segmentDatabase(m.buf); ok {
			m.valid, m.database, m.own = true, database, database == l.cfg.Database
		}
	}
	database := l.cfg.Database
	if m.valid {
		database = m.database
	}
	for at := range headersIn(m.buf, 0) {
		h, ok, err := decodeGroupHeader(m.buf[at:], database)
		if err != nil {
			return fmt.Errorf("%s beside a database that does not need it: %w", l.name, err)
		}
		if !ok || h.offset != m.offset+at {
			continue
		}
		switch {
		case m.valid && !m.own:
			return fmt.Errorf("%w: %s holds commits of another database; move it away to go on",
				types.ErrLogMismatch, l.name)
		case h.metaWrite > m.write:
			return fmt.Errorf("%w: %s holds commits from %d on, written behind meta write %d; the database is clean as of meta write %d: "+
				"it was restored from an older copy; move the log away to go on without its commits",
				types.ErrLogMismatch, l.name, h.first, h.metaWrite, m.write)
		}
	}
	return nil
}

// segmentDatabase returns the database id of a valid segment header, whatever its place and geometry.
func segmentDatabase(b []byte) (id [16]byte, ok bool) {
	g := geometry{first: int64(binary.LittleEndian.Uint32(b[segFirstSizeOff:])), size: int64(binary.LittleEndian.Uint32(b[segSizeOff:]))}
	h, ok, err := decodeSegmentHeader(b, binary.LittleEndian.Uint32(b[segPlaceOff:]), g)
	return h.database, ok && err == nil
}

// Abort gives up.
func (m *CheckStale) Abort(cause error) error {
	if m.state == staleOpens && !m.look.Over().Done() {
		m.look.Cancel()
		m.look.OnRetire(func(*io.Completion) { closeOpened(&m.open) })
	} else {
		abandonOpen(&m.io, &m.open)
		closeOpened(&m.open)
	}
	m.state = staleEnded
	return cause
}

// closeOpened closes the file that an abandoned open brought all the same.
func closeOpened(o *io.Opening) {
	if o.File != nil {
		o.File.Close(new(io.Completion))
		o.File = nil
	}
}
