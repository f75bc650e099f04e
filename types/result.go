package types

import "github.com/pawldb/pawl/io"

// IOResult is what a step of a machine returns beside its error: a value, or the completion to wait for before the
// next step.
type IOResult[T any] struct {
	Value   T
	Pending *io.Completion // nil: done, Value is the result
}

// Done is the result of a machine's last step.
func Done[T any](value T) (IOResult[T], error) {
	return IOResult[T]{Value: value}, nil
}

// Wait says that the machine can't go on before c has resolved.
func Wait[T any](c *io.Completion) (IOResult[T], error) {
	if c == nil {
		panic("types: Wait without a completion")
	}
	return IOResult[T]{Pending: c}, nil
}

// Fail ends a machine with err.
func Fail[T any](err error) (IOResult[T], error) {
	if err == nil {
		panic("types: Fail without an error")
	}
	return IOResult[T]{}, err
}
