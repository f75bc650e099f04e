package io

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
)

// What disks do that they should not. A test chooses one of these for an op in the queue, instead of Complete or Fail.

// Lose ends a write, a truncate or a sync as a success, and nothing of it happens. What a lost sync was to make durable stays
// as it is.
func (op *Op) Lose() {
	op.end(func() (int, error) {
		switch op.code {
		case opWrite:
			return int(op.Length), nil
		case opTruncate, opSync, opSyncDir:
			return 0, nil
		}
		panic(fmt.Sprintf("io: %v can't be lost", op))
	})
}

// Divert carries a read or write out at another offset of its file. What lay there was not asked for, or is overwritten; where
// it should have gone nothing happens.
func (op *Op) Divert(offset int64) {
	op.end(func() (int, error) {
		op.mustTransfer()
		meant := op.Offset
		op.Offset = offset
		n, err := op.carryOut()
		op.Offset = meant
		return n, err
	})
}

// CompleteFlipped carries a read or write out with one bit of its data changed on the way. bit counts from the first byte's
// lowest and is taken modulo what there is.
func (op *Op) CompleteFlipped(bit int64) {
	op.end(func() (int, error) {
		op.mustTransfer()
		if op.Length == 0 {
			return op.carryOut()
		}
		bit %= op.Length * 8
		if op.code == opRead {
			n, err := op.carryOut()
			if err == nil {
				op.buf[bit/8] ^= 1 << (bit % 8)
			}
			return n, err
		}
		meant := op.bufs
		data := bytes.Join(meant, nil)
		data[bit/8] ^= 1 << (bit % 8)
		op.bufs = [][]byte{data}
		n, err := op.carryOut()
		op.bufs = meant
		return n, err
	})
}

func (op *Op) mustTransfer() {
	if op.code > opWrite {
		panic(fmt.Sprintf("io: %v moves no data", op))
	}
}

// Buffers returns the memory that a read fills or a write takes its bytes from, for looking at. It is the submitter's.
func (op *Op) Buffers() [][]byte {
	if op.code == opRead {
		return [][]byte{op.buf}
	}
	return op.bufs
}

// FailLosing ends a sync as Fail does. With SetDropOnSyncFailure it loses what was written to its file while it was under way, too: a
// system may have had that in hand already.
func (op *Op) FailLosing(err error) {
	op.losing = true
	op.Fail(err)
}

// HoldsLock reports whether the lock of op's file is held through the handle that op was submitted on. It goes with the close of that.
func (op *Op) HoldsLock() bool {
	if op.file == nil {
		return false
	}
	op.m.mu.Lock()
	defer op.m.mu.Unlock()
	_, shares := op.file.node.sharers[op.file]
	return shares || op.file.node.owner == op.file
}

// Peek returns what reads would see of a range of a file, as far as the file has it; nothing if there is no such file. It costs less than
// Bytes.
func (m *Memory) Peek(name string, offset, length int64) []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	node := m.names[path.Clean(name)]
	if node == nil || offset < 0 || offset >= node.size {
		return nil
	}
	buf := make([]byte, min(length, node.size-offset))
	node.read(buf, offset)
	return buf
}

// Kill does to m what the death of its process does: every I/O under way is forgotten, and neither carried out nor finished;
// files and locks are given up. What was written stays, and what of it was not synced stays so.
func (m *Memory) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range m.queue {
		op.ended = true
	}
	for _, t := range m.timers {
		t.stop()
	}
	m.queue, m.timers, m.draining = nil, nil, 0
	for f := range m.files {
		m.release(f)
	}
}

// Flip changes one bit of a file where it lies, volatile and durable alike, as a medium does that rots. A missing file is
// fs.ErrNotExist, a place outside of it fs.ErrInvalid.
func (m *Memory) Flip(name string, offset int64, bit int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.names[name]
	if node == nil {
		return fs.ErrNotExist
	}
	if offset < 0 || offset >= node.size || bit < 0 || bit > 7 {
		return fs.ErrInvalid
	}
	node.flip(offset, byte(1)<<bit)
	return nil
}

// flip changes bits of one byte on both sides.
func (node *memNode) flip(offset int64, mask byte) {
	size := node.chunkSize()
	i, at := offset/size, offset%size
	for i >= int64(len(node.slots)) {
		node.slots = append(node.slots, memSlot{})
	}
	slot := &node.slots[i]
	same := slot.now == slot.durable
	now := node.own(&slot.now)
	now.data[at] ^= mask
	switch {
	case node.flat:
		return
	case same:
		slot.durable = now
	default:
		node.own(&slot.durable).data[at] ^= mask
	}
	node.renew() // the sides may share a chunk: the next write copies it
}
