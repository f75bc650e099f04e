// Package prefetch asks the processor to bring memory near that is about to be read, so that reading it does not wait for memory
// then. It is a hint: it changes nothing, can't fail, and does nothing on processors for which there is no code here.
//
// It is worth its while where a program knows some hundred nanoseconds ahead what it will read, and the processor can't guess it:
// a scan of pages that lie anywhere, whose cells lie in any order.
package prefetch
