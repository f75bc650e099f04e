// Package replay carries a recording of io/flight out again on a simulated disk, in the recorded order, and looks for what went
// wrong: an order rule that was broken, bytes that a disk gave back and that were not what it was given, a power cut that the
// database would not have survived.
//
//   - survey.go: a first pass, which learns names, databases, and what files held when the part began
//   - player.go: the second pass; io.go, files.go: its I/Os and files
//   - cuts.go: power cuts
package replay
