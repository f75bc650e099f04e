package enumerate

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// What workloads are there for happens in them. None has a fault or an act at a number that was written down, and those that count
// on the number of something say what has to come of it.
func TestAims(t *testing.T) {
	aimed := 0
	for _, w := range Catalogue() {
		numbers, counts := 0, 0
		for _, e := range w.Plan.Eras {
			numbers += len(e.Faults) + len(e.Acts)
			for _, c := range e.Clients {
				for _, task := range c.Tasks {
					counts += min(task.GiveUp, 1)
				}
			}
			if e.Capacity > 0 || e.MaxHeldBytes > 0 {
				counts++
			}
		}
		if !strings.HasPrefix(w.Name, "found: ") {
			require.Equal(t, w.placed, numbers, w.Name)
		}
		if numbers+counts > 0 {
			require.NotEmpty(t, w.aims, w.Name)
			aimed++
		}
		table := cover.Table{}
		res := world.Run(&w.Plan, world.Options{Cover: table})
		require.NoError(t, res.Err, w.Name)
		require.Empty(t, w.missed(&res, table), w.Name)
	}
	require.Greater(t, aimed, 8)
}

// What does not happen is told of, and so is what can't be put where it belongs.
func TestMissedAims(t *testing.T) {
	missed := func(w Workload) []string {
		table := cover.Table{}
		res := world.Run(&w.Plan, world.Options{Cover: table})
		require.NoError(t, res.Err)
		return w.missed(&res, table)
	}
	w := workload("two commits", era(writes(0, 2)...))
	require.Empty(t, missed(w.meets(cover.Waited, "wal.flushState flushSync")))
	require.Equal(t, []string{"wal.flushState flushSync: never abandoned"}, missed(w.meets(cover.Abandoned, "wal.flushState flushSync")))
	require.Equal(t, []string{"no operation failed"}, missed(w.fails()))
	fresh := func() Workload { return workload("two commits", era(writes(0, 2)...)) }
	failing := plan.Fault{Kind: plan.Fail}
	require.Empty(t, missed(fresh().struck(0, "wal.flushState flushSync", "sync", 1, failing).fails()))
	require.Equal(t, []string{"wal.flushState flushSync: no sync of number 2 for a fault"},
		missed(fresh().struck(0, "wal.flushState flushSync", "sync", 2, failing)))
	require.Empty(t, missed(fresh().acted(0, "wal.flushState flushWrite", 1, plan.StepEarly)))
	require.Equal(t, []string{"wal.flushState flushWrite: no wait of number 2 for an act"},
		missed(fresh().acted(0, "wal.flushState flushWrite", 2, plan.StepEarly)))
	require.Panics(t, func() { w.meets(cover.Waited, "wal.flushState flushNothing") })
}

// byName returns the workload of a name.
func byName(t *testing.T, name string) Workload {
	list := Catalogue()
	i := slices.IndexFunc(list, func(w Workload) bool { return w.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return list[i]
}

// The sync that fails between two writes ahead is a checkpoint's, of the database file, and the writes are those of one transaction.
func TestFailedSyncIsBetweenWritesAhead(t *testing.T) {
	w := byName(t, "a sync fails between two writes ahead of a commit")
	res := world.Run(&w.Plan, world.Options{Survey: true, Cover: cover.Table{}})
	require.NoError(t, res.Err)
	var order []string
	for _, at := range res.Eras[1].IOs {
		switch {
		case at.Number == w.Plan.Eras[1].Faults[0].IO:
			require.Equal(t, "sync", at.Name)
			require.Contains(t, at.States, stateOf("pager.attemptState attemptSync"))
			order = append(order, "fails")
		case at.Name == "write" && slices.Contains(at.States, stateOf("pager.extentState extentWrite")):
			order = append(order, "ahead")
		}
	}
	require.Equal(t, []string{"ahead", "fails", "ahead"}, order)
	require.Equal(t, 1, res.Counts.Faults[plan.FailSync])
}
