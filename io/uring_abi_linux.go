package io

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// What follows is the kernel's interface, from linux/io_uring.h, io_uring_setup(2) and io_uring_enter(2). Integers are the
// machine's own; the layout is the same for 32 and 64 bits.

// ringOp is what a ringEntry asks for.
type ringOp uint8

const (
	ringNop    ringOp = 0
	ringWritev ringOp = 2
	ringFsync  ringOp = 3
	ringCancel ringOp = 14
	ringRead   ringOp = 22
	ringWrite  ringOp = 23
)

const (
	ringAsync    = 1 << 4 // flag of an entry: do not try without waiting, have a worker of the kernel do it
	ringDatasync = 1 << 0 // of ringFsync: as fdatasync
)

// Flags of io_uring_setup.
const (
	setupCQSize    = 1 << 3 // the caller says how long the completion queue is
	setupClamp     = 1 << 4 // too many entries are the most that there can be
	setupSubmitAll = 1 << 7 // go on behind an entry that is refused; Linux 5.18
)

// Features that io_uring_setup tells.
const (
	featureSingleMmap    = 1 << 0 // both rings are in one mapping
	featureNoDrop        = 1 << 1 // completions that find the queue full are kept
	featureSubmitStable  = 1 << 2 // what entries point to, but for the data, is read when they are submitted
	featureNativeWorkers = 1 << 9 // the kernel's workers are threads of the process; Linux 5.12

	featuresNeeded = featureSingleMmap | featureNoDrop | featureSubmitStable | featureNativeWorkers
)

const (
	enterGetEvents = 1 << 0 // flag of io_uring_enter: wait for completions, and make room for kept ones
	ringOverflow   = 1 << 1 // flag in the submission ring: completions are kept that found the queue full

	ringsOffset       = 0 // of mmap, for both queues
	ringEntriesOffset = 0x10000000
)

// ringEntry is an entry of the submission queue (struct io_uring_sqe).
//
//	offset  size  field
//	     0     1  op
//	     1     1  flags
//	     2     2  priority
//	     4     4  fd
//	     8     8  offset    of the file
//	    16     8  addr      of the buffer, or of an array of iovec; of ringCancel: the tag of the entry meant
//	    24     4  length    bytes, or iovecs
//	    28     4  opFlags
//	    32     8  tag       comes back in the ringResult
//	    40    24            nothing of ours
type ringEntry struct {
	op       ringOp
	flags    uint8
	priority uint16
	fd       int32
	offset   uint64
	addr     uint64
	length   uint32
	opFlags  uint32
	tag      uint64
	rest     [3]uint64
}

// ringResult is an entry of the completion queue (struct io_uring_cqe).
type ringResult struct {
	tag   uint64
	value int32 // bytes, or minus an error number
	flags uint32
}

// ringParams is what io_uring_setup takes and fills in (struct io_uring_params).
type ringParams struct {
	submissions uint32 // entries of the submission queue
	completions uint32 // of the completion queue
	flags       uint32
	threadCPU   uint32
	threadIdle  uint32
	features    uint32
	workersOf   uint32
	reserved    [3]uint32
	submit      submitOffsets
	complete    completeOffsets
}

// submitOffsets say where in the mapping the parts of the submission queue are (struct io_sqring_offsets).
type submitOffsets struct {
	head, tail, mask, entries, flags, dropped, array, reserved uint32
	address                                                    uint64
}

// completeOffsets are the same for the completion queue (struct io_cqring_offsets).
type completeOffsets struct {
	head, tail, mask, entries, overflow, results, flags, reserved uint32
	address                                                       uint64
}

// Fail to compile unless the sizes are the kernel's.
var (
	_ [0]struct{} = [unsafe.Sizeof(ringEntry{}) - 64]struct{}{}
	_ [0]struct{} = [unsafe.Sizeof(ringResult{}) - 16]struct{}{}
	_ [0]struct{} = [unsafe.Sizeof(ringParams{}) - 120]struct{}{}
)

// ringCalls are the system calls that a ring makes. Each returns what one call did. Tests put their own in between.
type ringCalls struct {
	setup   func(entries uint32, p *ringParams) (fd int, err error)
	enter   func(fd int, submit, wait, flags uint32) (submitted int, err error)
	mmap    func(fd int, offset int64, length int) ([]byte, error)
	munmap  func(memory []byte) error
	close   func(fd int) error
	tryFile func() (fd int, err error) // a file to try reads, writes and syncs on

	// readNow reads what can be had without waiting for the drive.
	readNow func(fd handle, buf []byte, offset int64) (int, error)
}

func platformRingCalls() ringCalls {
	return ringCalls{
		setup:  ringSetup,
		enter:  ringEnter,
		munmap: unix.Munmap,
		close:  posixClose,
		mmap: func(fd int, offset int64, length int) ([]byte, error) {
			return unix.Mmap(fd, offset, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		},
		readNow: ringReadNow,
		tryFile: func() (int, error) { return unix.MemfdCreate("pawl io_uring probe", unix.MFD_CLOEXEC) },
	}
}

func ringSetup(entries uint32, p *ringParams) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(p)), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// ringEnter tells the scheduler that it may block, even if it only submits: the kernel copies what is in the page cache within
// the call.
func ringEnter(fd int, submit, wait, flags uint32) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(fd), uintptr(submit), uintptr(wait), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func ringReadNow(fd handle, buf []byte, offset int64) (int, error) {
	return unix.Preadv2(fd, [][]byte{buf}, offset, unix.RWF_NOWAIT)
}
