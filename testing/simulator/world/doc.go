// Package world runs a plan: clients that step operations of the shipped engine on one goroutine, over a simulated disk, beside
// an oracle that every read is compared with.
//
//	plan --> era: open --> verify --> clients, background, I/O in some order --> close, power cut or death --> era ...
//
// Everything that happens follows from the plan. Nothing of the engine is replaced but its IO.
package world
