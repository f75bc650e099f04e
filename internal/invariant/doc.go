// Package invariant holds what pawl says when it catches a bug of its own.
package invariant
