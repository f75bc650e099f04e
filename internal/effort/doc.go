// Package effort sizes tests: how much of an enumeration, or how many random rounds, a run goes through.
//
//	go test ./...          what every change must pass
//	go test -short ./...   a sample, for slow ways to run: the race detector, other builds
//	go test ./pager -long  everything, minutes to hours
package effort
