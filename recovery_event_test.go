package pawl_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
)

// The event of a recovery says how much of the log was read.
func TestRecoveryEvent(t *testing.T) {
	disk := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := pawl.Open("test.pawl", &pawl.Options{IO: disk})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte("k"), []byte("v")) }))

	var events []pawl.Event
	after, err := pawl.Open("test.pawl", &pawl.Options{IO: disk.Crash(nil), OnEvent: func(e pawl.Event) { events = append(events, e) }})
	require.NoError(t, err)
	require.Len(t, events, 3)
	require.Equal(t, pawl.EventRecoveryBegin, events[0].Kind)
	events = events[1:]
	require.Equal(t, pawl.EventRecovery, events[0].Kind)
	require.Equal(t, uint64(1), events[0].Seq)
	require.Positive(t, events[0].Bytes)
	require.True(t, strings.HasPrefix(events[0].Detail, "1 commits in 1 groups"), events[0].Detail)
	require.Equal(t, pawl.EventOpen, events[1].Kind)
	require.NoError(t, after.Close())
}
