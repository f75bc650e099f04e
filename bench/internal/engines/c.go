//go:build cgo

package engines

// cEngines are written in C.
var cEngines = []Engine{lmdbEngine, mdbxEngine, sqliteEngine}

// Absent says which engines this build lacks, and why; empty: none.
const Absent = ""
