package io

import (
	"io/fs"
	"math"
	"os"
	"path"
)

// maxMemoryFile bounds the size of a file, so that a wild offset can't eat memory for its table of chunks.
const maxMemoryFile = 1 << 36

// memFile is one open of a file.
type memFile struct {
	m        *Memory
	node     *memNode
	name     string
	writable bool
	closing  bool // Close was submitted
	closed   bool
	inflight int // queued ops of this open
	closer   *Op // the close that waits for them
}

// Name returns the cleaned path that the file was opened with.
func (f *memFile) Name() string { return f.name }

// Read fills buf from the file at offset.
func (f *memFile) Read(c *Completion, buf []byte, offset int64) {
	f.m.submit(Op{Kind: KindRead, File: f.name, Offset: offset, Length: int64(len(buf)), Completion: c,
		code: opRead, file: f, buf: buf})
}

// Write writes the buffers one after the other at offset.
func (f *memFile) Write(c *Completion, bufs [][]byte, offset int64) {
	length := 0
	for _, b := range bufs {
		length += len(b)
	}
	f.m.submit(Op{Kind: KindWrite, File: f.name, Offset: offset, Length: int64(length), Completion: c,
		code: opWrite, file: f, bufs: bufs})
}

// Sync makes what has finished so far durable.
func (f *memFile) Sync(c *Completion) {
	f.m.submit(Op{Kind: KindSync, File: f.name, Offset: -1, Completion: c, code: opSync, file: f})
}

// Truncate sets the size.
func (f *memFile) Truncate(c *Completion, size int64) {
	f.m.submit(Op{Kind: KindTruncate, File: f.name, Offset: 0, Length: size, Completion: c, code: opTruncate, file: f})
}

// Lock takes the file's lock if it is free.
func (f *memFile) Lock(c *Completion, exclusive bool) {
	f.m.submit(Op{Kind: KindOpen, File: f.name, Offset: -1, Completion: c, code: opLock, file: f, exclusive: exclusive})
}

// Close finishes when all I/O of f has.
func (f *memFile) Close(c *Completion) {
	f.m.submit(Op{Kind: KindOpen, File: f.name, Offset: -1, Completion: c, code: opClose, file: f})
}

// perform carries op out and returns the bytes moved. The caller holds m.mu, for reads shared.
func (m *Memory) perform(op *Op) (int, error) {
	switch op.code {
	case opRead, opWrite:
		if err := m.transfer(op, op.Length); err != nil {
			return 0, err
		}
		return int(op.Length), nil
	case opSync:
		op.file.node.sync(op.captured, op.since, op.size)
		return 0, nil
	case opTruncate:
		return 0, m.truncate(op)
	case opLock:
		return 0, op.file.lock(op.exclusive)
	case opClose:
		return 0, nil // dequeue releases the file when nothing else is in flight
	case opOpen:
		return 0, m.open(op.opening, op.File)
	case opStat:
		return 0, m.stat(op.lookup, op.File)
	case opSyncDir:
		m.syncDir(path.Dir(op.File), op.since)
		return 0, nil
	}
	return 0, m.changeName(op)
}

// capture notes, at the submission of a sync, what is finished and will be made durable. The caller holds m.mu.
func (m *Memory) capture(op *Op) {
	op.since = m.stamp
	if op.code == opSync {
		op.captured = op.file.node.capture(op.captured[:0])
		op.size = op.file.node.size
	}
}

// failed is told that op ends with an error. The caller holds m.mu.
func (m *Memory) failed(op *Op) {
	if op.code == opSync && m.dropSync {
		op.file.node.drop(op.captured, op.since)
		if op.losing {
			op.file.node.drop(op.file.node.capture(nil), m.stamp)
		}
	}
}

// transfer moves the bytes of a read or write from op.moved up to upTo. The caller holds m.mu, for reads shared.
func (m *Memory) transfer(op *Op, upTo int64) error {
	node := op.file.node
	if op.Offset < 0 || op.Offset > math.MaxInt64-op.Length {
		return fs.ErrInvalid
	}
	if op.code == opRead {
		if op.Offset > node.size-op.Length {
			return ErrShortRead
		}
		node.read(op.buf[op.moved:upTo], op.Offset+op.moved)
		if upTo < op.Length {
			op.moved = upTo // of a queued op; a plain read ends here and shares the lock
		}
		return nil
	}
	if !op.file.writable || m.readOnly {
		return ErrReadOnly
	}
	end := op.Offset + op.Length
	if upTo < op.Length {
		end = op.Offset + upTo
	}
	if op.Length == 0 || upTo == op.moved {
		return nil
	}
	if err := m.grow(node, end); err != nil {
		return err
	}
	m.stamp++
	node.setSize(max(node.size, end), m.stamp)
	skip, at := op.moved, op.Offset+op.moved
	for _, b := range op.bufs {
		n := int64(len(b))
		if skip >= n {
			skip -= n
			continue
		}
		b = b[skip:]
		skip = 0
		if left := end - at; int64(len(b)) > left {
			b = b[:left]
		}
		node.write(b, at, m.stamp)
		at += int64(len(b))
	}
	op.moved = upTo
	return nil
}

// grow asks whether node may have the given size, and accounts for it.
func (m *Memory) grow(node *memNode, size int64) error {
	more := size - node.size
	if more <= 0 {
		return nil
	}
	if size > maxMemoryFile || m.capacity > 0 && m.used+more > m.capacity {
		return ErrNoSpace
	}
	m.used += more
	return nil
}

func (m *Memory) truncate(op *Op) error {
	node, size := op.file.node, op.Length
	switch {
	case size < 0:
		return fs.ErrInvalid
	case !op.file.writable || m.readOnly:
		return ErrReadOnly
	}
	if err := m.grow(node, size); err != nil {
		return err
	}
	m.used -= max(0, node.size-size)
	m.stamp++
	node.setSize(size, m.stamp)
	return nil
}

// lock takes or changes the lock that f holds. The caller holds m.mu.
func (f *memFile) lock(exclusive bool) error {
	node := f.node
	others := len(node.sharers)
	if _, mine := node.sharers[f]; mine {
		others--
	}
	if node.owner != nil && node.owner != f || exclusive && others > 0 {
		return &LockedError{Path: f.name, PID: os.Getpid()}
	}
	node.owner = nil
	delete(node.sharers, f)
	if exclusive {
		node.owner = f
		return nil
	}
	if node.sharers == nil {
		node.sharers = map[*memFile]struct{}{}
	}
	node.sharers[f] = struct{}{}
	return nil
}

// release closes f: its lock goes, and the file too if it has no name left. The caller holds m.mu.
func (m *Memory) release(f *memFile) {
	if f.closed {
		return
	}
	f.closed = true
	delete(m.files, f)
	delete(f.node.sharers, f)
	if f.node.owner == f {
		f.node.owner = nil
	}
	f.node.opens--
	m.reclaim(f.node)
}

// reclaim gives the space of a file back that neither a name nor an open leads to.
func (m *Memory) reclaim(node *memNode) {
	if node.links == 0 && node.opens == 0 {
		m.used -= node.size
	}
}
