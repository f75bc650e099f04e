// Package bugs is a set of deliberate bugs of the engine: small patches, each of a mistake that could really be made, by
// which whoever looks for bugs (the simulator, above all) is itself tested. None of them is ever applied to this tree: a
// program applies one to a copy, runs there what it wants to test, and expects it to complain.
//
// A patch is a file NN-name.patch, for git apply, with a header above the diff. A line that begins with two spaces goes on
// with the field above it.
//
//	Layer: wal                       io, wal, pager, btree or pawl; types counts as io
//	Bug: what is wrong
//	Effect: what a user would lose, or which guarantee breaks, and under which circumstances
//	Seen: TestName (package) fails   an existing test that notices it; or: by reasoning
//	Elsewhere: why the simulator can't meet it; few have this, and Seen names the test that does
//
// Every patched tree compiles, and still works in short runs on a healthy disk, but for a few patches. README.md lists the
// patches. One that does not apply any more, because what it changes was changed, is adapted or replaced.
package bugs
