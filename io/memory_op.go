package io

import (
	"fmt"
	"slices"
)

// What an Op does; finer than its Kind.
const (
	opRead uint8 = iota
	opWrite
	opSync
	opTruncate
	opLock
	opClose
	opOpen
	opStat
	opLink
	opRename
	opRemove
	opSyncDir
)

var opNames = [...]string{
	"read", "write", "sync", "truncate", "lock", "close", "open", "stat", "link", "rename", "remove", "syncdir",
}

// Op is one I/O submitted to a Memory. In manual mode it stays in the queue until the test ends it, in any order:
//
//	queued --Complete, Fail--> ended           data moves in Complete, not at submission
//	queued --CompleteShort(n)--> queued        n bytes have moved, the rest goes on inside the backend
//	queued --cancelled--> ended                nothing had started: it retires at once
//	queued --Start--> under way --cancelled--> under way: resolved, retires in Complete or Fail, data may land
//
// The exported fields are for reading.
type Op struct {
	Kind       Kind
	File       string // name that the file was opened with, or the name that the operation is about
	NewName    string // of a link or rename
	Offset     int64  // first byte; -1 where there is none
	Length     int64  // bytes of a read or write, the size of a truncate
	Completion *Completion
	Index      uint64 // number of the submission in this Memory, from 0
	Started    bool   // under way: a cancel retires late

	m         *Memory
	file      *memFile // nil for operations on names
	code      uint8
	exclusive bool
	ended     bool
	moved     int64    // bytes that CompleteShort has moved
	buf       []byte   // read
	bufs      [][]byte // write
	opening   *Opening
	lookup    *Lookup
	fault     error // how it will end, by the hook
	since     uint64
	captured  []capture // sync: what it makes durable
	losing    bool      // sync: FailLosing
	size      int64     // sync: the size that it makes durable
}

// Name returns what the op does: read, write, sync, truncate, lock, close, open, stat, link, rename, remove, syncdir.
func (op *Op) Name() string { return opNames[op.code] }

// String names the op, the file and the range.
func (op *Op) String() string {
	switch {
	case op.NewName != "":
		return fmt.Sprintf("#%d %s %s to %s", op.Index, op.Name(), op.File, op.NewName)
	case op.Offset >= 0:
		return fmt.Sprintf("#%d %s %s at %d, %d bytes", op.Index, op.Name(), op.File, op.Offset, op.Length)
	}
	return fmt.Sprintf("#%d %s %s", op.Index, op.Name(), op.File)
}

// fail wraps err with the facts of op.
func (op *Op) fail(err error) error {
	switch err.(type) {
	case *OpError, *LockedError:
		return err
	}
	return &OpError{Op: op.Kind, File: op.File, Offset: op.Offset, Length: op.Length, Err: err}
}

// submit arms op's completion and carries the op out, or queues it in manual mode. request is copied only where it
// must outlive the call, so that plain submissions allocate nothing.
func (m *Memory) submit(request Op) {
	c := request.Completion
	c.ArmSubmitted(request.Kind, request.File)
	c.Request.Canceller = m
	request.m = m
	if request.code == opRead && m.readNow(&request) {
		return
	}
	m.mu.Lock()
	request.Index = m.index
	m.index++
	if err := m.admit(&request); err != nil {
		m.mu.Unlock()
		c.Finish(0, request.fail(err))
		return
	}
	if !m.manual && m.onFault == nil && m.onTrace == nil && request.code != opClose {
		if request.code == opSync {
			request.captured = request.file.node.scratch
		}
		m.capture(&request)
		n, err := m.perform(&request)
		if request.code == opSync {
			clear(request.captured)
			request.file.node.scratch = request.captured[:0]
		}
		m.mu.Unlock()
		m.finish(&request, n, err)
		return
	}
	op := new(Op)
	*op = request
	m.enqueue(op)
}

// readNow carries a read out under the shared lock if nobody watches, and reports whether it did.
func (m *Memory) readNow(op *Op) bool {
	m.mu.RLock()
	if m.manual || m.onFault != nil || m.onTrace != nil || m.admit(op) != nil {
		m.mu.RUnlock()
		return false
	}
	n, err := m.perform(op)
	m.mu.RUnlock()
	m.finish(op, n, err)
	return true
}

// admit refuses what may not be submitted. The caller holds m.mu.
func (m *Memory) admit(op *Op) error {
	if m.closed || op.file != nil && (op.file.closing || op.file.closed) {
		return ErrClosed
	}
	return nil
}

// enqueue puts op into the queue and, in automatic mode, takes it out again at once. The caller holds m.mu, which is
// released.
func (m *Memory) enqueue(op *Op) {
	op.Completion.Request.Arg = op
	m.queue = append(m.queue, op)
	if op.file != nil {
		op.file.inflight++
		op.file.closing = op.file.closing || op.code == opClose
	}
	m.capture(op)
	manual, onFault, onTrace := m.manual, m.onFault, m.onTrace
	op.Started = !manual
	if manual {
		for i := range op.buf {
			op.buf[i] = 0xdb // a reader that looks before the completion finds this
		}
	}
	m.mu.Unlock()
	if onTrace != nil {
		onTrace(MemoryEvent{Op: op})
	}
	if onFault != nil {
		fault := onFault(op)
		m.mu.Lock()
		op.fault = fault
		m.mu.Unlock()
	}
	if !manual {
		op.Complete()
	}
}

// Queue returns the submissions that have not ended, in the order of submission.
func (m *Memory) Queue() []*Op {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.queue)
}

// Start marks op as under way: when it is cancelled, it stays in the queue until the test ends it.
func (op *Op) Start() {
	op.m.mu.Lock()
	defer op.m.mu.Unlock()
	op.Started = true
}

// Complete carries op out, or what CompleteShort has left of it, and finishes its completion. An error that the
// operation meets (a fault of the hook, a short read, no space) is how it ends. A close whose file has other I/O in
// flight ends with the last of that.
func (op *Op) Complete() { op.end(op.carryOut) }

// Fail ends op with err, wrapped in an OpError, and no data moved beyond CompleteShort's.
func (op *Op) Fail(err error) {
	if err == nil {
		panic("io: Fail without an error")
	}
	op.end(func() (int, error) { return 0, op.spoil(err) })
}

// CompleteShort moves the next n bytes of a read or write and leaves op in the queue, as a backend does that
// continues a short transfer. n is less than what is left. op counts as started.
func (op *Op) CompleteShort(n int) {
	m := op.m
	m.mu.Lock()
	defer m.mu.Unlock()
	op.mustBeQueued()
	if op.code > opWrite || n < 0 || int64(n) >= op.Length-op.moved {
		panic(fmt.Sprintf("io: short completion of %v by %d bytes after %d", op, n, op.moved))
	}
	op.Started = true
	if op.fault != nil {
		return
	}
	if err := m.transfer(op, op.moved+int64(n)); err != nil {
		op.fault = err
	}
}

func (op *Op) mustBeQueued() {
	if op.ended {
		panic(fmt.Sprintf("io: %v has ended already", op))
	}
}

// carryOut does what was asked for, or fails as the hook said. The caller holds m.mu.
func (op *Op) carryOut() (int, error) {
	if op.fault != nil {
		return 0, op.spoil(op.fault)
	}
	return op.m.perform(op)
}

// spoil notes that op fails. The caller holds m.mu.
func (op *Op) spoil(err error) error {
	op.m.failed(op)
	return err
}

// end takes op out of the queue, does what outcome does, under m.mu, and finishes it with that.
func (op *Op) end(outcome func() (int, error)) {
	m := op.m
	m.mu.Lock()
	op.mustBeQueued()
	n, err := outcome()
	drained := m.dequeue(op)
	onTrace := m.onTrace
	waits := op.code == opClose && op.file.inflight > 0
	if waits {
		op.file.closer = op
		op.fault = err
		m.draining++
	}
	m.mu.Unlock()
	if !waits {
		if onTrace != nil {
			onTrace(MemoryEvent{Op: op, Completed: true, Err: err})
		}
		m.finish(op, n, err)
	}
	m.closeDrained(drained, onTrace)
}

// dequeue takes op out of the queue and returns the close that waited for it, if it was the last of its file's. The
// caller holds m.mu.
func (m *Memory) dequeue(op *Op) *Op {
	op.ended = true
	i := slices.Index(m.queue, op)
	m.queue = slices.Delete(m.queue, i, i+1)
	if op.file == nil {
		return nil
	}
	op.file.inflight--
	closer := op.file.closer
	if op.file.inflight > 0 || closer == nil {
		if op.code == opClose && op.file.inflight == 0 {
			m.release(op.file)
		}
		return nil
	}
	op.file.closer = nil
	m.draining--
	m.release(op.file)
	return closer
}

// closeDrained finishes a close that waited for other I/O, after that has finished.
func (m *Memory) closeDrained(op *Op, onTrace func(MemoryEvent)) {
	if op == nil {
		return
	}
	if onTrace != nil {
		onTrace(MemoryEvent{Op: op, Completed: true, Err: op.fault})
	}
	m.finish(op, 0, op.fault)
}

// finish ends the completion of op. An open that was cancelled under way leaves no file behind.
func (m *Memory) finish(op *Op, n int, err error) {
	c := op.Completion
	if err != nil {
		c.Finish(0, op.fail(err))
		return
	}
	if op.code != opOpen {
		c.Finish(n, nil)
		return
	}
	file := op.opening.File.(*memFile)
	if c.Done() {
		op.opening.File = nil
	}
	if !c.Finish(n, nil) {
		m.mu.Lock()
		m.release(file)
		m.mu.Unlock()
	}
}

// CancelRequest implements Canceller: what has not started ends at once.
func (m *Memory) CancelRequest(c *Completion) {
	m.mu.Lock()
	if c.Kind() == KindTimer {
		i := slices.IndexFunc(m.timers, func(t *memTimer) bool { return t.c == c })
		if i < 0 {
			m.mu.Unlock()
			return // it is firing: that finishes it
		}
		m.timers[i].stop()
		m.timers = slices.Delete(m.timers, i, i+1)
		m.mu.Unlock()
		c.Finish(0, ErrCancelled)
		return
	}
	op, _ := c.Request.Arg.(*Op)
	if op == nil || op.ended || op.Started || op.code == opClose {
		m.mu.Unlock()
		return // whoever carries it out finishes it
	}
	drained := m.dequeue(op)
	onTrace := m.onTrace
	m.mu.Unlock()
	if onTrace != nil {
		onTrace(MemoryEvent{Op: op, Completed: true, Err: ErrCancelled})
	}
	c.Finish(0, ErrCancelled)
	m.closeDrained(drained, onTrace)
}
