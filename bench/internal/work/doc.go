// Package work has the workloads, their data, and what is measured of them.
//
// A workload is one file, workload_NAME.go or a few in one. It runs in a World, which knows what every key was last set
// to: each value that is read is verified to its last byte, and once the store was closed and opened again all of it is.
package work
