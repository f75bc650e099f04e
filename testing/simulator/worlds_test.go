package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/world"
)

var update = flag.Bool("update", false, "write the hashes of traces anew")

// goldenSeeds is for how many seeds the hashes of traces are on file, in rows of seedsARow.
const goldenSeeds, seedsARow = 1000, 100

// trace returns the hash of the trace of a seed's world: of its first two eras, so that many seeds can be run, and for one seed in
// fifty of all its eras.
func trace(seed uint64) (uint64, error) {
	p, err := plan.Draw(seed, plan.Mixed)
	if err != nil {
		return 0, err
	}
	if seed%50 != 0 {
		p.Eras = p.Eras[:2]
	}
	res := world.Run(p, world.Options{})
	if res.Err != nil {
		return 0, fmt.Errorf("seed %d: %w\n%s", seed, res.Err, res.Stack)
	}
	return res.Sum, nil
}

// The same seed is the same trace, whatever the platform and however it was built: the hashes of the traces of a thousand seeds are
// as they are on file.
func TestTraces(t *testing.T) {
	const name = "testdata/traces.txt"
	sums := make([]uint64, goldenSeeds)
	errs := make([]error, goldenSeeds)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < goldenSeeds; i = next.Add(1) - 1 {
				sums[i], errs[i] = trace(uint64(i))
			}
		})
	}
	wg.Wait()
	var have strings.Builder
	for row := range slices.Chunk(sums, seedsARow) {
		var h xxhash.Digest
		h.Reset()
		for _, sum := range row {
			fmt.Fprintf(&h, "%016x", sum)
		}
		fmt.Fprintf(&have, "%016x\n", h.Sum64())
	}
	fmt.Fprintf(&have, "all %016x\n", xxhash.Sum64String(have.String()))
	require.NoError(t, errors.Join(errs...))
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(have.String()), 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), have.String(), "if engine or worlds were changed on purpose: -update")
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
