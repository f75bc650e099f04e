package btree

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the tree records of a change is what has changed: each commit's pages are rebuilt from the log, where their checksums tell.
// Values come in few lengths, so that some are replaced in place, some move, and leaves get full, share, split, merge and are
// compacted.
func TestRecordedChangesAreRebuilt(t *testing.T) {
	for _, pageSize := range []int{512, 4096} {
		for seed := range uint64(4) {
			recordedChanges(newWorld(t, pageSize, 1), rand.New(rand.NewPCG(seed, 7))) // nothing stays in memory
		}
	}
}

func recordedChanges(x *world, rng *rand.Rand) {
	m, lengths := newModel(), []int{0, 3, 20, 21, x.pageSize / 12}
	for op := range 3000 {
		if x.tx == nil {
			x.begin()
		}
		key := fmt.Sprintf("%0*d", 2+rng.IntN(2)*9, rng.IntN(400))
		switch {
		case op%100 == 99:
			from, to := fmt.Sprintf("%02d", rng.IntN(100)), fmt.Sprintf("%02d", rng.IntN(100))
			if to < from {
				from, to = to, from
			}
			var d DeleteRange
			d.Start(x.w, 0, []byte(from), []byte(to))
			must(x, &d)
			maps.DeleteFunc(m.values, func(key string, _ []byte) bool { return from <= key && key < to })
		case rng.IntN(1+op/400) > 2:
			x.del(0, []byte(key))
			delete(m.values, key)
		default:
			value := make([]byte, lengths[rng.IntN(len(lengths))])
			for i := range value {
				value[i] = byte(rng.Uint32())
			}
			x.put(0, []byte(key), value)
			m.values[key] = value
		}
		if rng.IntN(3) == 0 {
			continue // the next change goes into the same transaction
		}
		x.commit()
		if op%30 == 0 {
			x.view(func(src Source) { x.same(src, src.Root(), m) })
		}
	}
	require.Greater(x, x.p.Stats().Cache.Misses, uint64(1000), "pages come from the log")
	if x.tx != nil {
		x.rollback()
	}
	x.close()
}
