// Package lint holds the house rules that a machine can keep, and a test that applies them to the module. Only tests
// import it.
//
// A rule reads syntax alone, for every platform and build tag at once; locks and deps also ask the go command. Folders
// named testdata, hidden ones, and those with a go.mod of their own are left out.
//
//	layers  imports go down: io, types, wal, pager, btree, pawl, then cmd and testing. Helpers of tests stay in tests.
//	engine  types, wal, pager and btree import nothing that blocks, reads a clock or rolls dice; they start no
//	        goroutine and use no channel
//	loop    the same four see no event loop: no io.IO, no Wait, Poll or Park
//	locks   the same four hold no mutex across a yield (locks.go says what that catches)
//	stdio   the standard io is imported as stdio, so that io is always ours
//	size    a file has at most 600 lines; tests may have more
//	doc     every package has its comment in doc.go
//	words   nothing is left for later in a comment
//	deps    users of the module get the standard library, xxhash and x/sys, nothing else
package lint
