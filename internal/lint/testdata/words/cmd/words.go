package cmd

// TODO: all of it.

/*
Two in one: FIXME, and
HACK.
*/
var xxx = "XXX" // TODOS and hack are no such words
