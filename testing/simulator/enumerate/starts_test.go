package enumerate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// A case that goes on from the start of its era is the case that begins at the beginning, to the last I/O.
func TestCasesFromStarts(t *testing.T) {
	step := effort.Of(5000, 700, 50)
	n, went := 0, 0
	for _, w := range Catalogue() {
		res := world.Run(&w.Plan, world.Options{Survey: true, Cover: cover.Table{}, Keep: true})
		require.NoError(t, res.Err, w.Name)
		for _, c := range cases(&w, &res) {
			if n++; n%step != 0 || c.What[0] == 't' { // the only one to be waited for: up to its era all are
				continue
			}
			whole := world.Run(c.Plan(), world.Options{})
			rest := world.Run(c.Plan(), world.Options{From: c.start})
			require.Equal(t, whole.Err, rest.Err, "%s: %s", w.Name, c.What)
			require.Equal(t, whole.Sum, rest.Sum, "%s: %s", w.Name, c.What)
			require.Equal(t, whole.Counts, rest.Counts, "%s: %s", w.Name, c.What)
			if c.Era > 0 {
				went++
			}
		}
	}
	require.Positive(t, went)
}
