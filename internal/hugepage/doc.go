// Package hugepage has the operating system back memory of the Go heap by huge pages, so that the processor has to translate fewer
// addresses: a lookup in a large cache spends a good part of its time on that. It moves nothing as far as the program can see, and is a
// hint: where it can't be done, nothing happens.
//
// Go's collector does not move objects, so that memory which is full of small ones that stay, as a cache has them, can be found by their
// addresses. Only regions that are mostly such objects are asked for: little memory is taken that was not in use.
package hugepage
