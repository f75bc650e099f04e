package pawl

import (
	"encoding/binary"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Small changes of many pages make little log, and a checkpoint is due all the same before its index, or the blocks that it will
// take, come to more than they may.
func TestBacklogOfDeltas(t *testing.T) {
	var begun atomic.Int32
	db := memory(t, &Options{
		Durability: Relaxed, CacheSize: 1 << 20, CheckpointBytes: 1 << 20,
		OnEvent: func(e Event) {
			if e.Kind == EventCheckpointBegin {
				begun.Add(1)
			}
		},
	})
	const keys, perCommit = 9000, 50
	value := make([]byte, 1000)
	put := func(n int, number func(i int) int) {
		require.NoError(t, db.Update(func(tx *Tx) error {
			for i := range n {
				if err := tx.Root().Put(binary.BigEndian.AppendUint32(nil, uint32(number(i))), value); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for at := 0; at < keys; at += 500 {
		put(500, func(i int) int { return at + i })
	}
	_, err := db.Checkpoint(t.Context(), Complete)
	require.NoError(t, err)
	begun.Store(0)
	for round := 0; begun.Load() == 0; round++ {
		value[7]++
		put(perCommit, func(i int) int { return (round*perCommit + i) * 3 % keys }) // a leaf holds three
		s := db.p.Stats()
		require.Less(t, db.p.Log().NewestIndexBytes(), int64(1<<20))
		require.LessOrEqual(t, int64(s.ReservedBlocks), int64(2*4<<20/4096+2*perCommit), "writers wait at twice what makes one due")
		require.Less(t, round, 1000, "none was ever due")
	}
	require.Less(t, db.Stats().UnsavedLog, int64(1<<19), "not for the length of the log")
}
