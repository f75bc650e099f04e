package pager

import (
	"flag"
	"testing"
)

// long asks for the whole enumeration and more seeds: go test ./pager -long
var long = flag.Bool("long", false, "cut more recoveries, and try more schedules")

// effort returns a test's size: small under the race detector and with -short, usual, or long.
func effort(race, usual, all int) int {
	switch {
	case *long:
		return all
	case underRace, testing.Short():
		return race
	}
	return usual
}
