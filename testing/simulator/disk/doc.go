// Package disk is the disk of a simulated world: io.Memory in manual mode, with faults from a plan, and with eyes on what the
// engine does to it. It checks the contract of every I/O and the order rules of the store, and keeps a hash of all that
// happened.
package disk
