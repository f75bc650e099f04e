// Package plan says what a simulated run does: who does what on which disk, and what goes wrong. A plan is drawn from a seed,
// written and read as JSON, and made smaller when it fails.
//
// A plan is all there is: the same plan runs the same way everywhere, to the byte. Its parts don't depend on each other, so
// that any of them can be left out.
package plan
