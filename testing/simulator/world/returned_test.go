package world

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/testing/simulator/plan"
)

// A read that shows a flipped bit makes an open miss the newest commit. Others take its number, and a power cut takes them: then it is
// back, in front of what the history knows of. That is right, also where files are said to be tampered with that are as they were.
func TestMissedCommitReturns(t *testing.T) {
	write := func(relaxed bool, key int) plan.Task {
		return plan.Task{Kind: plan.Write, Relaxed: relaxed, Ops: []plan.Op{{ID: key + 1, Kind: plan.Put, Key: key, Size: 60}}}
	}
	era := func(end plan.End, tasks ...plan.Task) plan.Era {
		return plan.Era{CacheSize: 1, CheckpointBytes: 4 << 20, NoBackground: true, End: end, Clients: []plan.Client{{Tasks: tasks}}}
	}
	returned, behind := 0, 0
	for seed := range uint64(60) {
		eras := []plan.Era{
			era(plan.EndKill, write(false, 0), write(false, 1)),
			era(plan.EndCut, write(true, 2), write(true, 3)),
			era(plan.EndClose),
		}
		eras[1].Faults = []plan.Fault{{IO: int(seed) % 12, Kind: plan.FlipIO, Of: "log read", Arg: int64(8 * (4096 + 50*seed))}}
		eras[2].Tamper = &plan.Tamper{Kind: plan.TamperForeign, File: plan.TamperDB} // without a copy
		p := &plan.Plan{Seed: seed, PageSize: 512, Keys: plan.ShortKeys, KeyCount: 16, Eras: eras}
		res := Run(p, Options{Log: func(format string, args ...any) {
			var seq, least uint64
			if n, _ := fmt.Sscanf(fmt.Sprintf(format, args...), "  returned  commit %d, which an open had missed; else %d", &seq, &least); n == 2 {
				returned++
				if seq < least {
					behind++
				}
			}
		}})
		require.NoError(t, res.Err, "seed %d\n%s", seed, res.Stack)
	}
	require.Positive(t, returned)
	require.Positive(t, behind, "of %d", returned)
}
