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
// # Parts
//
//   - completion.go: Completion, its states, cancelling and retirement
//   - group.go: CompletionGroup, many completions as one
//   - io.go: File, Submitter (what the layers below the driver get) and IO (with the event loop)
//   - posix*.go, windows*.go: files of the operating system
//   - memory*.go: files in memory, with manual completion and crash images for tests
//   - iotest: the conformance suite that every backend passes
package io
