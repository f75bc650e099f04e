package wal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// However many commits are queued, and wherever their groups cross the boundaries of segments, what is kept for a transaction that
// gives space back is still there when all are laid out.
func TestReservedSpaceCoversCrossings(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			w := newLogWorld(t, io.MemoryConfig{})
			cfg := w.config()
			cfg.Segment, cfg.MaxGroup = uint32(12288+4096*rng.IntN(3)), 1
			w.log = New(cfg, 1, 0)
			require.NoError(t, w.begin())
			l := w.log
			var queued []*Commit
			seq := types.Seq(0)
			for range 60 {
				c := NewCommit(seq + 1)
				for range 1 + rng.IntN(25) {
					c.Full(types.PageID(3+rng.IntN(4)), make([]byte, testPage), 0, 8*rng.IntN(40))
				}
				c.Record(make([]byte, 40))
				var space Reservation
				ok, err := l.TryReserve(c.Size(), false, &space)
				require.NoError(t, err)
				if !ok {
					if len(queued) > 8 {
						break
					}
					var r Reserve
					r.Start(l, c.Size(), false, &space)
					_, err := drive(w, &r)
					require.NoError(t, err)
				}
				require.NoError(t, l.Queue(c, &space, true))
				queued, seq = append(queued, c), seq+1
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			for i, c := range queued {
				var g layout
				g.build(l, []*Commit{c})
				l.at, l.chain = g.end.at.block(), g.end.chain
				require.GreaterOrEqual(t, l.capacity()-l.reserved, l.spare, "behind group %d of %d", i, len(queued))
			}
		})
	}
}
