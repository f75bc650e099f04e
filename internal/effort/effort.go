package effort

import (
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

var long = flag.Bool("long", false, "run the long forms of tests: whole enumerations, more seeds, gigabytes of disk")

// Long reports whether the long forms are asked for.
func Long() bool { return *long }

// Short reports whether a sample is enough: with -short, and under the race detector.
func Short() bool { return !*long && (UnderRace || testing.Short()) }

// Of returns a test's size for the run.
func Of(short, usual, all int) int {
	switch {
	case *long:
		return all
	case Short():
		return short
	}
	return usual
}

// garbage is how far the heap grows over what is live before it is collected, in percent.
const garbage = 1600

// Main runs the tests of a package that makes and drops small worlds by the ten thousand. Little is live in it, so that by
// default the collector would run all the time.
func Main(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(garbage)
	if flag.Lookup("test.memprofile").Value.String() == "" {
		runtime.MemProfileRate = 0
	}
	os.Exit(m.Run())
}
