package pawl

import (
	"sync/atomic"
	"testing"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/stretchr/testify/require"
)

// A relaxed commit that is made while a sync begins is either of that sync or leaves the mark by which the background work
// finds it. (It once took the mark that an earlier commit had left for its own, and the sync that was beginning wiped it off.)
func TestSyncLosesNoRelaxedCommit(t *testing.T) {
	db, err := OpenAsync("db", &Options{IO: io.NewMemory(), Durability: Relaxed}).Run(t.Context())
	require.NoError(t, err)
	a := db.Async() // without background work
	key, value := b("k"), b("v")
	rounds := make(chan *atomic.Bool)
	ended := make(chan error)
	go func() {
		for over := range rounds {
			var err error
			for !over.Load() && err == nil {
				_, err = a.Sync().Run(t.Context())
			}
			ended <- err
		}
	}()
	for range effort.Of(1_000, 20_000, 1_000_000) {
		over := new(atomic.Bool)
		rounds <- over
		require.NoError(t, db.Update(func(tx *Tx) error { return tx.Root().Put(key, value) }))
		over.Store(true)
		require.NoError(t, <-ended)
		if durable, newest := db.p.Log().Durable(), db.p.Snapshot().Seq; durable != newest {
			require.True(t, db.relaxed.Load(), "commit %d is not durable (%d is) and nobody will see to it", newest, durable)
		}
	}
	close(rounds)
	require.NoError(t, db.Close())
}
