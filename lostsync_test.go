package pawl

import (
	"sync/atomic"
	"testing"
	"time"

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

// A Full transaction that changed nothing promises what it has read: a Relaxed commit that it is based on is on stable storage
// when it returns. (It once waited only until that commit was visible, so that a power cut took back what an Update had found to
// be there already.) A Relaxed one that changed nothing syncs nothing.
func TestEmptyCommitOfRelaxedState(t *testing.T) {
	db, err := Open("db", &Options{IO: io.NewMemory(), Durability: Relaxed, SyncInterval: time.Hour})
	require.NoError(t, err)
	durable := func() uint64 { return uint64(db.p.Log().Durable()) }
	require.NoError(t, db.Update(func(tx *Tx) error { return tx.Root().Put(b("k"), b("v")) }))
	require.Less(t, durable(), db.seq(), "the commit is not relaxed")
	ensure := func(d Durability) error {
		return db.Update(func(tx *Tx) error {
			tx.SetDurability(d)
			put, err := tx.Root().PutIfAbsent(b("k"), b("w"))
			require.False(t, put)
			return err
		})
	}
	require.NoError(t, ensure(Relaxed))
	require.Less(t, durable(), db.seq(), "a relaxed transaction made a sync")
	require.NoError(t, ensure(Full))
	require.Equal(t, db.seq(), durable())
	require.NoError(t, db.Close())
}
