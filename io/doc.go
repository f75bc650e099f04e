// Package io is how pawl sees files, clocks and chance: everything is submitted, nothing blocks, and a Completion says
// when it is over.
//
// A program that embeds pawl needs this package only to plug in a backend of its own. The standard package of the
// same name is always imported as stdio.
//
// # Who owns a buffer, and when
//
//	caller                      backend                         caller again
//	------ Read(c, buf, off) -> [ buf and range are the kernel's ] -- c retired --> buf may be reused
//	                                 |
//	                                 +-- c resolved: outcome known (Finish: retired as well;
//	                                     Cancel: at once, but the kernel may still be writing)
//
// Resolved and retired differ only for what was cancelled. Until retirement nobody reuses the buffer, writes,
// truncates or counts a sync on an overlapping range, or gives up a lock that protects it.
//
// # The system backend
//
// A submission goes into a queue and costs no system call. Whoever waits lends its goroutine to the queue:
//
//	Wait(nil, c)    c is queued       run c here; what is older goes to the workers
//	                c is not          c is a group or a yield: run one after the other here, the rest goes to the workers
//	                queue is empty    sleep until c resolves
//	Wait(ctx, c)    ctx can end       everything goes to the workers; sleep until c resolves or ctx ends
//	Poll            never waits       everything goes to the workers
//	nobody waits                      after a millisecond or two everything goes to the workers
//
// So a lone read is one pread on the goroutine that wants it, the reads of a group run side by side, and no request is
// forgotten. Workers, at most four a processor and sixteen in all, end when there is nothing for them: an idle backend
// has no goroutine.
//
//	          linux                darwin              freebsd            windows
//	write     pwritev              pwritev             pwrite             WriteFile
//	sync      fdatasync            F_FULLFSYNC         fsync              FlushFileBuffers
//	grow      fallocate            F_PREALLOCATE       posix_fallocate    end of file
//	lock      flock                flock               flock              LockFileEx, one byte far behind the end
//	holder    /proc/locks          this process only   this process only  this process only
//	names     link, fsync of the directory                                CreateHardLink; names are journaled
//
// Where a file system can't reserve space, growing writes zeroes.
//
// # The io_uring backend
//
// NewUring is the system backend with another way for reads, writes and syncs: what comes together goes to the kernel with one
// system call, which starts it all and waits for the first of it. Opens, names, locks, sizes and timers, and whatever is wrong or
// empty, go the system backend's way.
//
//	Wait(nil, c)    c alone is pending     run c here, as the system backend does: one pread, pwritev or fdatasync
//	                else                   all that is pending goes to the kernel; lead, or follow
//	Wait(ctx, c)    ctx can end            a read that is pending alone: preadv2 with RWF_NOWAIT, which answers from the page
//	                                       cache or not at all; else as above
//	Poll            never waits            all that is pending goes to the kernel; what has a result ends
//	nobody waits                           after a millisecond or two a follower, else a goroutine of its own, does as Wait
//
// Who leads sleeps in io_uring_enter, ends all that has a result, and passes the lead on when its own is over; who follows sleeps
// on a condition. See uring_wait_linux.go. Nothing runs while nothing is in flight.
//
//	read        IORING_OP_READ
//	write       IORING_OP_WRITE, IORING_OP_WRITEV
//	sync        IORING_OP_FSYNC with IORING_FSYNC_DATASYNC
//	cancel      IORING_OP_ASYNC_CANCEL; the request retires with its own result, whatever becomes of the cancel
//	wake        IORING_OP_NOP, for a leader whose completion was resolved elsewhere or whose context has ended
//
// What is short, interrupted, or cancelled by the kernel (which does so when the thread that submitted it ends) is submitted
// again for what is missing. NewUring tries each operation out, on a file in memory. It needs Linux 5.12: there the kernel's
// workers are threads of the process, so that no write outlives a process that was killed and waited for. If a filter of system
// calls that comes later forbids entering the ring, what the kernel has is awaited and the rest goes the system backend's way.
//
// What it does not use, and why:
//
//   - Links of a write to its sync. A File has no call for the two, and who submits a sync waits for the write first.
//   - Registered files and buffers. Reads of cached pages take as long with them, within the noise of the measurement; and a
//     registered file is closed, its lock with it, whenever the kernel gets to it.
//   - A polling thread of the kernel (SQPOLL), which costs a processor.
//   - SINGLE_ISSUER and DEFER_TASKRUN: every goroutine submits, and goroutines change threads. COOP_TASKRUN: results would wait
//     for the thread that submitted to enter the kernel by itself.
//   - runtime.Pinner; see ringSlot.
//
// A known limit: the end of a read that finds its page missing is handled on the thread that submitted it. A leader submits and
// sleeps in one call; what a follower or Poll submitted can be late by one system call that its thread makes meanwhile, as a sync.
//
// It is worth its while where many pages come from the drive at once: 64 reads in flight took 0.9 ms on the machine that it was
// written on, with the system backend 1.5 to 1.9 (BenchmarkColdRead64); from the page cache 73 against 97 µs (BenchmarkRead64). Writes
// are no faster: the kernel hands those to a page cache that can't take them at once to a worker, one at a time for a file. A
// request alone is the same call. NewSystem is the default until it was measured on more machines, and idle ones.
//
// # Parts
//
//   - completion.go: Completion, its states, cancelling and retirement
//   - group.go: CompletionGroup, many completions as one
//   - io.go: File, Submitter (what the layers below the driver get) and IO (with the event loop)
//   - system*.go: NewSystem, files of the operating system; platform*.go, posix*.go, windows.go: its system calls
//   - uring*.go: NewUring, its ring, the slots of requests in it, who waits for results, what forbids it
//   - memory*.go: files in memory, with manual completion and crash images for tests
//   - iotest: the conformance suite that every backend passes
//   - flight: a flight recorder, which wraps a backend
package io
