package enumerate

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
)

var only = flag.String("only", "", "workloads whose names contain this")

// Each state in which a machine of the engine waits meets each event that it can meet.
func TestStates(t *testing.T) {
	if effort.Short() {
		t.Skip("the same plans everywhere")
	}
	r := Run(Options{States: true, Workers: 2, Stop: 20, Only: *only})
	for _, f := range r.Failures {
		t.Errorf("%s: %s: %v", f.Workload, f.What, f.Err)
	}
	t.Logf("%d workloads, %d points, %d cases, %d left to the whole enumeration", r.Workloads, r.Points, r.Cases, r.Skipped.Load())
	require.Empty(t, r.Missed)
	if *only != "" {
		t.Logf("\n%s", r.Cover)
		return
	}
	require.GreaterOrEqual(t, r.Workloads, 40)
	require.Empty(t, r.Cover.Gaps())
}
