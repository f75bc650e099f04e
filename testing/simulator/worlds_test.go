package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/world"
)

var update = flag.Bool("update", false, "write the hashes of traces anew")

// The same seed is the same trace, whatever the platform and however it was built: the hashes of traces are as they are on
// file, those of the first seed of each profile, and those of many.
func TestTraces(t *testing.T) {
	const name = "testdata/traces.txt"
	seeds := effort.Of(1, 20, 200)
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	var all strings.Builder
	for i, profile := range plan.Profiles {
		var sums xxhash.Digest
		sums.Reset()
		first := ""
		for seed := range uint64(seeds) {
			p, err := plan.Draw(seed, profile)
			require.NoError(t, err)
			res := world.Run(p, world.Options{})
			require.NoError(t, res.Err, "seed %d, profile %s\n%s", seed, profile, res.Stack)
			fmt.Fprintf(&sums, "%016x", res.Sum)
			if first == "" {
				first = fmt.Sprintf("%s: first %016x", profile, res.Sum)
			}
		}
		if !*update {
			require.Contains(t, strings.Split(string(text), "\n")[i], first, "if engine or worlds were changed on purpose: -update")
		}
		fmt.Fprintf(&all, "%s, of twenty %016x\n", first, sums.Sum64())
	}
	switch {
	case seeds != 20:
	case *update:
		require.NoError(t, os.WriteFile(name, []byte(all.String()), 0o644))
	default:
		require.Equal(t, string(text), all.String(), "if engine or worlds were changed on purpose: -update")
	}
}

// A plan runs the same way each time, with a log or without.
func TestRunsAreTheSame(t *testing.T) {
	p, err := plan.Draw(3, plan.Crowd)
	require.NoError(t, err)
	lines := 0
	first := world.Run(p, world.Options{Log: func(string, ...any) { lines++ }})
	second := world.Run(p, world.Options{})
	require.NoError(t, first.Err)
	require.Equal(t, first.Sum, second.Sum)
	require.Equal(t, first.Counts, second.Counts)
	require.Greater(t, lines, first.Counts.Steps/10)
}
