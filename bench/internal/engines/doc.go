// Package engines has the stores under test behind one interface.
//
// An engine is one file, engine_NAME.go, with an Engine whose Store wraps the store's own transactions. Those that are
// written in C are only there in a build with cgo.
//
// The interface asks for no copies and makes no allocations of its own: a Store, Reader or Writer is one pointer, and a
// reader's slices are the engine's own wherever it hands out such.
package engines
