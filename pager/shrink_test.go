package pager

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// freeScattered frees a part of all pages and extents, chosen by a seed.
func freeScattered(seed uint64, part float64) step {
	return func(w *pagerWorld) error {
		rng := rand.New(rand.NewPCG(seed, 3))
		tx, err := w.begin()
		if err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(w.now)) {
			if rng.Float64() < part {
				w.free(tx, id)
			}
		}
		return w.commit(tx, false)
	}
}

// liveBlocks returns how many blocks the newest state needs: pages, extents, and the map nodes above.
func (w *pagerWorld) liveBlocks() uint64 {
	n := uint64(0)
	nodes := map[[2]uint64]bool{}
	for id, c := range w.now {
		n += uint64(c.blocks())
		for level, index := range mapPath(w.p, id) {
			nodes[[2]uint64{uint64(level), index}] = true
		}
	}
	return n + uint64(len(nodes))
}

// mapPath returns the map nodes above a page, from level 0 up.
func mapPath(p *Pager, id types.PageID) []uint64 {
	var path []uint64
	for level := range p.gen.height {
		index, _ := mapStep(p.fanout(), id, level)
		path = append(path, index)
	}
	return path
}

// blocks returns how many blocks a page has.
func (c testContent) blocks() int {
	if c.extent == 0 {
		return 1
	}
	return (PageHeaderSize + c.extent + testPageSize - 1) / testPageSize
}

// bound is how long a file may be behind a shrink: what is live, homes, and the slack that is planned with.
func (w *pagerWorld) bound() types.Block {
	live := w.liveBlocks()
	g := geometryOf(testPageSize)
	n, _ := g.longer(g.shortest(), live+live/shrinkSlackPart+shrinkSlackMin)
	return n + max(shrinkGainMin, n/shrinkGainPart) // less is not worth another generation
}

func (w *pagerWorld) fileBlocks(t testing.TB) types.Block {
	content, err := w.m.Bytes("db")
	require.NoError(t, err)
	require.Equal(t, w.p.offset(w.p.space.blocks()), int64(len(content)))
	return types.Block(len(content) / testPageSize)
}

func TestTruncateShrinks(t *testing.T) {
	for seed := range uint64(effort.Of(2, 6, 30)) {
		for _, cache := range []int64{bigCache, tinyCache} {
			for _, withExtents := range []bool{false, true} {
				label := fmt.Sprintf("seed %d, cache %d, extents %v", seed, cache, withExtents)
				w := newPagerWorld(t, io.NewMemory(), cache)
				w.strict = true
				require.NoError(t, w.open())
				for i := range 20 {
					require.NoError(t, w.update(false, 100, 5, 3))
					if withExtents {
						require.NoError(t, extents(100, 700, 3000, 1200, 5000)(w))
					}
					if i%6 == 5 {
						require.NoError(t, w.checkpoint(CheckpointFull))
					}
				}
				require.NoError(t, w.checkpoint(CheckpointFull))
				before := w.fileBlocks(t)
				require.NoError(t, freeScattered(seed, 0.5)(w))
				require.NoError(t, w.checkpoint(CheckpointTruncate))
				after := w.fileBlocks(t)
				t.Logf("%s: %d blocks, then %d, live %d, bound %d", label, before, after, w.liveBlocks(), w.bound())
				require.LessOrEqual(t, after, w.bound(), label)
				require.NoError(t, w.verify(w.models), label)
				require.NoError(t, w.fsck(), label)
				w.quiet()
				require.NoError(t, reopenCleanly(w))
				require.LessOrEqual(t, w.fileBlocks(t), w.bound(), label)
				require.NoError(t, w.verify(w.models), label)
				require.NoError(t, w.fsck(), label)
				require.NoError(t, w.update(false, 50, 20, 10), label)
				require.NoError(t, w.checkpoint(CheckpointTruncate), label)
				require.NoError(t, w.verify(w.models), label)
				require.NoError(t, w.fsck(), label)
				w.quiet()
			}
		}
	}
}

// TestShrinkInRounds has more to move than one round takes.
func TestShrinkInRounds(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.strict = true
	require.NoError(t, w.open())
	for range 30 {
		require.NoError(t, w.update(false, 1000, 0, 0))
	}
	require.NoError(t, freeScattered(1, 0.6)(w))
	generation := w.p.gen.number
	require.NoError(t, w.checkpoint(CheckpointTruncate))
	rounds := int(w.p.gen.number - generation)
	t.Logf("%d generations, %d blocks, bound %d", rounds, w.fileBlocks(t), w.bound())
	require.Greater(t, rounds, 3, "the checkpoint, at least two rounds, and the cut")
	require.LessOrEqual(t, w.fileBlocks(t), w.bound())
	require.NoError(t, w.verify(w.models))
	require.NoError(t, w.fsck())
	w.quiet()

	generation = w.p.gen.number
	require.NoError(t, w.checkpoint(CheckpointTruncate))
	require.Equal(t, generation+1, w.p.gen.number, "what is short enough is left alone, but for the log")
}

// TestShrinkBesideReader shows that a reader keeps what it reads, and that the file is cut once it has left.
func TestShrinkBesideReader(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), tinyCache)
	w.strict = true
	require.NoError(t, w.open())
	for range 6 {
		require.NoError(t, w.update(false, 100, 0, 0))
	}
	require.NoError(t, extents(700, 3000, 5000)(w))
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.NoError(t, heldReader(freeScattered(2, 0.7), truncate, commits(2, 5, 5, 5), truncate)(w))
	require.Greater(t, w.fileBlocks(t), w.bound(), "what the reader has lies all over the file")
	require.NoError(t, w.verify(w.models))
	w.quiet()
	require.NoError(t, w.checkpoint(CheckpointTruncate))
	require.LessOrEqual(t, w.fileBlocks(t), w.bound())
	require.NoError(t, w.verify(w.models))
	require.NoError(t, w.fsck())
}

// TestShrinkFindsDamage has damage in a page that would be moved: the checkpoint says so, and loses nothing else.
func TestShrinkFindsDamage(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	for range 6 {
		require.NoError(t, w.update(false, 1000, 0, 0))
	}
	require.NoError(t, reopenCleanly(w))
	last, run := w.lastPage(t)
	tx, err := w.begin()
	require.NoError(t, err)
	for _, id := range slices.Sorted(maps.Keys(w.now)) {
		if id != last && id%2 == 0 {
			w.free(tx, id)
		}
	}
	require.NoError(t, w.commit(tx, false))
	content, err := w.m.Bytes("db")
	require.NoError(t, err)
	content[w.p.offset(run.First)+100] ^= 1
	w.m.SetBytes("db", content)

	err = w.checkpoint(CheckpointTruncate)
	var damage *types.CorruptError
	require.ErrorAs(t, err, &damage)
	require.Equal(t, last, damage.Page)
	require.Equal(t, w.p.offset(run.First), damage.Offset)
	require.NoError(t, w.p.Failed())
	require.Equal(t, w.p.Snapshot().Seq, w.p.gen.covered, "the checkpoint itself is done")
	w.quiet()
	require.NoError(t, w.update(false, 1, 1, 0))
	delete(w.now, last)
	require.ErrorAs(t, w.close(), &damage, "Close finds it too")
}

// lastPage returns the page that lies last in the file.
func (w *pagerWorld) lastPage(t testing.TB) (last types.PageID, at types.Run) {
	var scan mapScan
	scan.start(w.p, w.p.gen, 0)
	for {
		n, err := drivePager(w, &scan)
		require.NoError(t, err)
		if n.node == nil {
			require.NotZero(t, last)
			return last, at
		}
		for entry := range int(w.p.fanout()) {
			if run, _ := mapRun(n.node, entry); n.level == 0 && run.First > at.First {
				last, at = types.PageID(n.index*w.p.fanout()+uint64(entry)), run
			}
		}
	}
}

func TestShrinkOfCleanDatabase(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.strict = true
	require.NoError(t, w.open())
	for range 6 {
		require.NoError(t, w.update(false, 100, 0, 0))
	}
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.NoError(t, freeScattered(3, 0.7)(w))
	require.NoError(t, reopenCleanly(w)) // it is too little for Close to move anything
	long := w.fileBlocks(t)
	require.Greater(t, long, w.bound())
	require.NoError(t, w.checkpoint(CheckpointTruncate))
	require.LessOrEqual(t, w.fileBlocks(t), w.bound())
	require.NoError(t, w.verify(w.models))
	require.NoError(t, reopenCleanly(w))
	require.NoError(t, w.verify(w.models))
	require.NoError(t, w.fsck())
}
