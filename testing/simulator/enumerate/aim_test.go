package enumerate

import (
	"fmt"
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

// Segments are used again, and the log is cut while it is in use, where a workload's name says so.
func TestSegmentWorkloads(t *testing.T) {
	type use struct{ starts, cuts int } // groups at the first segment's start, and cuts that a group comes behind
	uses := func(name string, era int) (u use) {
		w, now := byName(t, name), -1
		length, cut := int64(0), 0
		res := world.Run(&w.Plan, world.Options{Log: func(format string, args ...any) {
			line := fmt.Sprintf(format, args...)
			if strings.HasPrefix(line, "era ") {
				now++
			}
			var number, at, n int64
			if _, err := fmt.Sscanf(line, "  submitted #%d write db-wal at %d, %d bytes", &number, &at, &n); err == nil {
				if u.cuts, cut = u.cuts+cut, 0; at == 0 && now == era {
					u.starts++
				}
			}
			if _, err := fmt.Sscanf(line, "  submitted #%d truncate db-wal at 0, %d bytes", &number, &n); err == nil {
				if n < length && now == era {
					cut++
				}
				length = n
			}
		}})
		require.NoError(t, res.Err)
		return u
	}
	const made = 1 // the write that makes the first segment
	require.Greater(t, uses("segments are used again", 0).starts, made)
	require.Positive(t, uses("the log is cut back", 1).cuts)
	behind := uses("the segment of the log's start behind a reopen", 1)
	require.Positive(t, behind.starts, "the first segment was free")
}
