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
// # Parts
//
//   - completion.go: Completion, its states, cancelling and retirement
//   - group.go: CompletionGroup, many completions as one
//   - io.go: File, Submitter (what the layers below the driver get) and IO (with the event loop)
//   - system*.go: NewSystem, files of the operating system; platform*.go, posix*.go, windows.go: its system calls
//   - memory*.go: files in memory, with manual completion and crash images for tests
//   - iotest: the conformance suite that every backend passes
//   - flight: a flight recorder, which wraps a backend
package io
