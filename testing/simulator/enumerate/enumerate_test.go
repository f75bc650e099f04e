package enumerate

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
)

var (
	only   = flag.String("only", "", "workloads whose names contain this")
	update = flag.Bool("update", false, "write the list of gaps anew")
)

// gaps lists what no workload has led to yet. It may only get shorter.
const gaps = "testdata/gaps.txt"

// Each state of each machine meets each event, but for those in the list.
func TestStates(t *testing.T) {
	if effort.Short() {
		t.Skip("the same plans everywhere")
	}
	r := Run(Options{States: true, Workers: 2, Stop: 20, Only: *only})
	for _, f := range r.Failures {
		t.Errorf("%s: %s: %v", f.Workload, f.What, f.Err)
	}
	t.Logf("%d workloads, %d points, %d cases, %d left to the whole enumeration", r.Workloads, r.Points, r.Cases, r.Skipped.Load())
	if *only != "" {
		t.Logf("\n%s", r.Cover)
		return
	}
	require.GreaterOrEqual(t, r.Workloads, 40)
	have := ""
	for _, g := range r.Cover.Gaps() {
		have += g.String() + "\n"
	}
	if *update {
		require.NoError(t, os.WriteFile(gaps, []byte(have), 0o644))
	}
	known, err := os.ReadFile(gaps)
	require.NoError(t, err)
	require.Equal(t, string(known), have)
}
