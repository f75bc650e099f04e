//go:build !cgo

package engines

// cEngines are written in C, and this build is without it.
var cEngines []Engine

// Absent says which engines this build lacks, and why; empty: none.
const Absent = "lmdb, mdbx and sqlite (in C) are absent: built without cgo"
