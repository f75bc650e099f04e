package pager

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// stream copies what a reader sees, and returns the new file's bytes.
func (w *pagerWorld) stream(r *Reader) ([]byte, error) {
	var c Copy
	c.Start(r)
	return w.drain(&c)
}

// drain drives a copy to its end. Chunks follow each other; the bytes of one are other ones after the next Step.
func (w *pagerWorld) drain(c *Copy) ([]byte, error) {
	var out []byte
	for {
		chunk, err := drivePager[CopyChunk](w, c)
		if err != nil {
			return out, err
		}
		require.Equal(w.t, int64(len(out)), chunk.Offset)
		if chunk.End() {
			return out, nil
		}
		out = append(append(out, chunk.Data...), make([]byte, chunk.Zeroes)...)
	}
}

// checkCopy opens a copy of the snapshot of commit seq, with no log beside it, and compares it with the model; then
// it goes on with it as with any database.
func (w *pagerWorld) checkCopy(file []byte, seq types.Seq) {
	w.t.Helper()
	m := io.NewMemory()
	m.SetBytes("db", file)
	w.checkCopyIn(m, seq)
}

func (w *pagerWorld) checkCopyIn(m *io.Memory, seq types.Seq) {
	w.t.Helper()
	c := newPagerWorld(w.t, m, bigCache)
	c.strict, c.mark = true, w.mark
	require.NoError(w.t, c.open())
	require.True(w.t, c.info.Clean, "a copy is complete without a log")
	require.NotEqual(w.t, w.p.meta.Database, c.p.meta.Database, "a copy is another database")
	require.Equal(w.t, seq, c.p.Snapshot().Seq)
	c.models = slices.Clone(w.models[: seq+1 : seq+1])
	require.NoError(w.t, c.verify(c.models))
	require.NoError(w.t, c.fsck())
	c.quiet()
	require.NoError(w.t, c.update(false, 3, 2, 1))
	require.NoError(w.t, c.checkpoint(CheckpointFull))
	require.NoError(w.t, c.update(false, 1, 2, 1))
	require.NoError(w.t, c.verify(c.models))
	require.NoError(w.t, c.close())
	require.NoError(w.t, c.open())
	require.NoError(w.t, c.verify(c.models))
	require.NoError(w.t, c.fsck())
}

// copyNow copies the newest snapshot and checks the copy.
func (w *pagerWorld) copyNow() {
	w.t.Helper()
	var r Reader
	r.Start(w.p)
	defer r.Close()
	file, err := w.stream(&r)
	require.NoError(w.t, err)
	w.checkCopy(file, r.Seq())
}

// reopenedCold closes the database, as a crash does, and opens it again with nothing in the cache.
func (w *pagerWorld) reopenedCold(cache int64) *pagerWorld {
	w.t.Helper()
	c := newPagerWorld(w.t, w.m.Crash(func(int, io.Change) bool { return true }), cache)
	c.strict, c.mark, c.models = true, w.mark, w.models
	require.NoError(w.t, c.open())
	return c
}

// TestCopyOfEveryScript copies each script's database after each of its steps.
func TestCopyOfEveryScript(t *testing.T) {
	for _, s := range pagerScripts {
		t.Run(s.name, func(t *testing.T) {
			w := newPagerWorld(t, io.NewMemory(), s.cache)
			w.strict = true
			require.NoError(t, w.open())
			w.copyNow()
			for _, step := range s.steps {
				require.NoError(t, step(w))
				w.copyNow()
				w.reopenedCold(tinyCache).copyNow()
			}
			w.quiet()
		})
	}
}

// populate makes a database of some hundred pages and extents, parts of it in the log, with free space everywhere.
func (w *pagerWorld) populate(rounds int) {
	w.t.Helper()
	for i := range rounds {
		require.NoError(w.t, w.update(i%4 == 0, 40, 20, 12))
		require.NoError(w.t, extents(1+i*700, 5000, 100)(w))
		if i%3 == 1 {
			require.NoError(w.t, w.checkpoint(CheckpointMode(i/3%3)))
		}
	}
}

// TestCopyOfALargerDatabase copies a file of several bitmap groups, from a warm and a cold cache, in small windows.
func TestCopyOfALargerDatabase(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), 1<<20)
	w.strict = true
	require.NoError(t, w.open())
	w.populate(effort.Of(8, 30, 120))
	for range effort.Of(4, 12, 40) {
		require.NoError(t, extents(400000, 900, 250000)(w))
	}
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.NoError(t, w.update(false, 30, 30, 15))
	require.Greater(t, w.p.gen.blocks, w.p.space.geometry.chunk)
	w.copyNow()
	cold := w.reopenedCold(tinyCache)
	cold.copyNow()
	before := cold.p.cache.figures().Held
	require.Zero(t, before, "the cache pays for a copy that is over")
	require.NoError(t, cold.checkpoint(CheckpointTruncate))
	cold.copyNow()
	cold.quiet()
}

// TestCopyOfHugeValues copies extents that are longer than any window.
func TestCopyOfHugeValues(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.strict = true
	require.NoError(t, w.open())
	for range 3 {
		require.NoError(t, extents(30000, 20, 60000, 4000)(w))
		w.copyNow()
		require.NoError(t, w.checkpoint(CheckpointFull))
		w.copyNow()
	}
}

// TestCopyHasNoFreeTail shows that a copy ends with its last block in use.
func TestCopyHasNoFreeTail(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 100, 0, 0))
	tx, err := w.begin()
	require.NoError(t, err)
	require.NoError(t, w.addExtent(tx, 15000))
	tx.Rollback()
	require.NoError(t, w.checkpoint(CheckpointFull))
	tail := w.p.space.tail()
	require.Less(t, tail, w.p.gen.blocks-20)
	var r Reader
	r.Start(w.p)
	defer r.Close()
	file, err := w.stream(&r)
	require.NoError(t, err)
	require.Len(t, file, int(tail)*testPageSize)
	w.checkCopy(file, r.Seq())
}

// TestCopyPlanCut takes the free tail off files of several groups, and the homes of groups that go.
func TestCopyPlanCut(t *testing.T) {
	g := geometryOf(testPageSize)
	chunk := g.chunk
	for last, want := range map[types.Block]types.Block{
		g.shortest():     g.shortest() + 1,
		100:              101,
		chunk - 1:        chunk,
		chunk + 2:        chunk + 3,
		chunk + 77:       chunk + 78,
		3*chunk + 50:     3*chunk + 51,
		g.shortest() - 1: g.shortest(), // a home: nothing is in use
	} {
		l := &copyPlan{geometry: g, edit: newBlockSet(testPageSize).edit()}
		l.resize(3*chunk + 60)
		if !l.fixed(last) {
			l.edit.set(types.Run{First: last, Count: 1})
		}
		l.cut()
		used := l.edit.freeze()
		used.check()
		require.Equal(t, want, used.blocks())
		require.True(t, g.isLength(want))
		require.True(t, used.has(want-1))
		block, err := (&copyPlan{geometry: g, edit: used.edit()}).take()
		require.NoError(t, err)
		require.False(t, used.has(block))
	}
}

// TestCopyPlanTakes hands out every block of a file and then those behind its end, each once.
func TestCopyPlanTakes(t *testing.T) {
	g := geometryOf(testPageSize)
	l := &copyPlan{geometry: g, edit: newBlockSet(testPageSize).edit()}
	l.resize(g.chunk - 3)
	l.edit.set(types.Run{First: 50, Count: 20})
	seen := map[types.Block]bool{}
	before := types.Block(0)
	for range int(g.chunk) + 100 {
		b, err := l.take()
		require.NoError(t, err)
		require.False(t, seen[b] || l.fixed(b) || b >= 50 && b < 70, "block %d", b)
		require.Greater(t, b, before)
		seen[b], before = true, b
	}
	l.edit.freeze().check()
}

// TestCopyOfAGrowingMap copies a map that has a level more than the generation's, whose root has not changed
// otherwise.
func TestCopyOfAGrowingMap(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.strict = true
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, int(w.p.fanout())-1, 0, 0))
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.Equal(t, 1, w.p.gen.height)
	require.NoError(t, w.update(false, 5, 0, 0))
	w.copyNow()
	require.NoError(t, w.update(false, int(w.p.fanout()*w.p.fanout()), 0, 0))
	w.copyNow()
}

// TestCopyOfAHeldReader copies an old snapshot, whose pages have been changed and checkpointed since, more than once.
func TestCopyOfAHeldReader(t *testing.T) {
	for _, cache := range []int64{bigCache, tinyCache} {
		w := newPagerWorld(t, io.NewMemory(), cache)
		w.strict = true
		require.NoError(t, w.open())
		w.populate(4)
		var readers [6]Reader
		for i := range readers {
			readers[i].Start(w.p)
			require.NoError(t, w.update(i%2 == 0, 10, 10, 5))
			if i%2 == 1 {
				require.NoError(t, w.checkpoint(CheckpointMode(i%3)))
			}
		}
		w.populate(4)
		w.p.cache.setBudget(0)
		w.p.cache.setBudget(cache)
		for i := range readers {
			file, err := w.stream(&readers[i])
			require.NoError(t, err)
			w.checkCopy(file, readers[i].Seq())
			require.NoError(t, w.update(false, 3, 3, 3))
			readers[i].Close()
		}
		w.quiet()
	}
}

// TestCopyBesideOthers steps a copy while transactions and checkpoints go on between its chunks, and at each wait.
func TestCopyBesideOthers(t *testing.T) {
	m := io.NewMemory()
	w := newPagerWorld(t, m, tinyCache)
	w.strict = true
	require.NoError(t, w.open())
	w.populate(5)
	m.SetManual(true)
	var r Reader
	r.Start(w.p)
	var c Copy
	c.Start(&r)
	var out []byte
	for i := 0; ; i++ {
		machine := types.NewStateMachine[CopyChunk](&c)
		res, err := machine.Step()
		for ; err == nil && res.Pending != nil; res, err = machine.Step() {
			if i%5 == 0 {
				require.NoError(t, w.update(false, 2, 2, 1))
			}
			if i%9 == 0 {
				require.NoError(t, w.checkpoint(CheckpointMode(i/9%3)))
			}
			w.finish(res.Pending)
		}
		require.NoError(t, err)
		if res.Value.End() {
			break
		}
		out = append(append(out, res.Value.Data...), make([]byte, res.Value.Zeroes)...)
	}
	require.Greater(t, w.p.Snapshot().Seq, r.Seq()+10)
	m.SetManual(false)
	w.checkCopy(out, r.Seq())
	r.Close()
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.NoError(t, w.fsck())
	w.quiet()
}

// TestCopyOfAReadOnlyDatabase copies from an open that has read no bitmaps and replays the log in memory.
func TestCopyOfAReadOnlyDatabase(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.strict = true
	require.NoError(t, w.open())
	w.populate(6)
	require.NoError(t, w.update(false, 9, 9, 3))
	disk := w.m.Crash(func(int, io.Change) bool { return true })
	before, err := disk.Bytes("db")
	require.NoError(t, err)
	var o Open
	cfg := w.config()
	cfg.IO, cfg.ReadOnly = disk, true
	o.Start(cfg)
	opened, err := drivePager(w, &o)
	require.NoError(t, err)
	var r Reader
	r.Start(opened.Pager)
	require.Equal(t, w.p.Snapshot().Seq, r.Seq())
	file, err := w.stream(&r)
	require.NoError(t, err)
	w.checkCopy(file, r.Seq())
	r.Close()
	after, err := disk.Bytes("db")
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after), "a read-only open writes nothing")
}

// TestCopyWithLargePages copies with pages that are larger than both meta blocks.
func TestCopyWithLargePages(t *testing.T) {
	for _, size := range []int{4096, 8192, 16384, 65536} {
		m := io.NewMemory()
		cfg := Config{IO: m, Path: "db", PageSize: size, CacheSize: 4 << 20}
		w := &pagerWorld{t: t, m: m}
		var o Open
		o.Start(cfg)
		opened, err := drivePager(w, &o)
		require.NoError(t, err)
		w.p = opened.Pager
		w.models = []testModel{{}}
		for i := range 4 {
			require.NoError(t, w.update(false, 20, 5, 3))
			require.NoError(t, extents(100, 100000)(w))
			if i%2 == 0 {
				require.NoError(t, w.checkpoint(CheckpointFull))
			}
		}
		var r Reader
		r.Start(w.p)
		file, err := w.stream(&r)
		require.NoError(t, err)
		r.Close()
		other := io.NewMemory()
		other.SetBytes("db", file)
		cfg.IO = other
		o.Start(cfg)
		opened, err = drivePager(w, &o)
		require.NoError(t, err)
		require.True(t, opened.Info.Clean)
		c := &pagerWorld{t: t, m: other, p: opened.Pager}
		require.NoError(t, c.verify(w.models))
		require.NoError(t, c.fsck())
	}
}

// copyDamageWorld is a cold database with a log, and a reader, for copies that meet damage.
func copyDamageWorld(t *testing.T) *pagerWorld {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.strict = true
	require.NoError(t, w.open())
	w.populate(5)
	require.NoError(t, w.update(false, 300, 0, 0))
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.NoError(t, w.update(false, 2, 3, 1))
	return w.reopenedCold(tinyCache)
}

// TestCopyMeetsDamage damages each block that a copy takes over, in some ways, and wants an error that names the
// place.
func TestCopyMeetsDamage(t *testing.T) {
	w := copyDamageWorld(t)
	var r Reader
	r.Start(w.p)
	_, err := w.stream(&r)
	require.NoError(t, err)
	var c Copy
	c.Start(&r)
	_, err = w.drain(&c)
	require.NoError(t, err)
	plan := c.plan
	whole, err := w.m.Bytes("db")
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	kinds := map[string]func(block []byte){
		"a bit":   func(b []byte) { b[rng.IntN(len(b))] ^= 1 << rng.IntN(8) },
		"the id":  func(b []byte) { b[pageIDOff+rng.IntN(3)] ^= 1 << rng.IntN(8) },
		"a stale": func(b []byte) { copy(b, whole[40*testPageSize:]) },
		"zeroes":  func(b []byte) { clear(b) },
	}
	tried, named := 0, 0
	for b := range plan.used.blocks() {
		if !plan.used.has(b) || plan.fixed(b) || len(plan.overlaysIn(b, b+1)) > 0 {
			continue
		}
		node := string(whole[int(b)*testPageSize:][:mapLevelOff]) == mapMagic
		if b%types.Block(effort.Of(31, 4, 1)) != 0 && !node {
			continue
		}
		for _, name := range []string{"a bit", "the id", "a stale", "zeroes"} {
			broken := slices.Clone(whole)
			kinds[name](broken[int(b)*testPageSize:][:testPageSize])
			if bytes.Equal(broken, whole) {
				continue
			}
			tried++
			w.m.SetBytes("db", broken)
			w.p.cache.setBudget(0)
			w.p.cache.setBudget(tinyCache)
			_, err := w.stream(&r)
			var corrupt *types.CorruptError
			require.ErrorAs(t, err, &corrupt, "%s in block %d", name, b)
			require.Equal(t, "db", corrupt.File)
			owner, run := plan.ownerOf(w, b)
			at := w.p.offset(b)
			if run.Count > 1 && corrupt.Offset != at {
				at = w.p.offset(run.First)
			}
			require.Equal(t, at, corrupt.Offset, "%s in block %d: %v", name, b, err)
			require.Equal(t, owner, corrupt.Page, "%s in block %d: %v", name, b, err)
			if owner != 0 {
				named++
			}
		}
	}
	t.Logf("%d kinds of damage, %d of them in pages", tried, named)
	require.Greater(t, named, 50)
	require.Greater(t, tried, named+8, "map nodes are copied too")
	w.m.SetBytes("db", whole)
	_, err = w.stream(&r)
	require.NoError(t, err, "the copies left the source unharmed")
	r.Close()
	w.quiet()
	require.Zero(t, w.p.cache.figures().Held)
}

// TestCopyMeetsDamageBehindTheCache damages map nodes whose right bytes are in the cache: the copy would have the
// wrong ones.
func TestCopyMeetsDamageBehindTheCache(t *testing.T) {
	w := copyDamageWorld(t)
	w.p.cache.setBudget(1 << 20)
	var r Reader
	r.Start(w.p)
	var c Copy
	c.Start(&r)
	_, err := w.drain(&c)
	require.NoError(t, err)
	whole, err := w.m.Bytes("db")
	require.NoError(t, err)
	nodes := 0
	for b := range c.plan.used.blocks() {
		at := int(b) * testPageSize
		if string(whole[at:][:mapLevelOff]) != mapMagic || !c.plan.used.has(b) || len(c.plan.overlaysIn(b, b+1)) > 0 {
			continue
		}
		nodes++
		require.NotNil(t, w.p.cache.node(b, xxhash.Sum64(whole[at:at+testPageSize])))
		for _, bit := range []int{0, mapLevelOff, mapIndexOff, mapHeaderSize + 2, testPageSize - 1} {
			broken := slices.Clone(whole)
			broken[at+bit] ^= 2
			w.m.SetBytes("db", broken)
			_, err := w.stream(&r)
			var corrupt *types.CorruptError
			require.ErrorAs(t, err, &corrupt, "byte %d of the node in block %d", bit, b)
			require.EqualValues(t, at, corrupt.Offset)
		}
	}
	require.Greater(t, nodes, 5)
	w.m.SetBytes("db", whole)
	_, err = w.stream(&r)
	require.NoError(t, err)
	r.Close()
}

// TestCopyReadsNoFreeBlock shows that a copy leaves free blocks of the file alone: others write there, and cut them
// off.
func TestCopyReadsNoFreeBlock(t *testing.T) {
	w := copyDamageWorld(t)
	var r Reader
	r.Start(w.p)
	var ranges [][2]int64
	w.m.SetTrace(func(e io.MemoryEvent) {
		if !e.Completed && e.Op.Name() == "read" && e.Op.File == "db" {
			ranges = append(ranges, [2]int64{e.Op.Offset, e.Op.Length})
		}
	})
	var c Copy
	c.Start(&r)
	_, err := w.drain(&c)
	w.m.SetTrace(nil)
	require.NoError(t, err)
	blocks := 0
	for _, at := range ranges {
		for b := types.Block(at[0] / testPageSize); b < types.Block((at[0]+at[1])/testPageSize); b++ {
			require.True(t, w.p.gen.used.has(b) || c.plan.used.has(b), "block %d is read and free", b)
			blocks++
		}
	}
	require.Greater(t, blocks, 500)
	require.Less(t, w.p.gen.used.count(), uint64(w.p.gen.blocks)-50, "the file has free blocks")
	r.Close()
}

// ownerOf returns the page whose run has a block in the plan's copy, from scratch; 0: a map node.
func (l *copyPlan) ownerOf(w *pagerWorld, b types.Block) (types.PageID, types.Run) {
	var r Reader
	r.Start(w.p)
	defer r.Close()
	for _, c := range l.changes[0] {
		if run := types.UnpackRun(c.place); run.First <= b && b < run.End() {
			return types.PageID(c.index), run
		}
	}
	for id := types.PageID(1); id < l.globals.NextPage; id++ {
		var g mapNodeGet
		g.start(w.p, l.gen, 0, uint64(id)/l.p.fanout())
		got, err := drivePager(w, &g)
		if err != nil || got.node == nil {
			continue // the damaged one
		}
		if run, _ := mapRun(got.node, int(uint64(id)%l.p.fanout())); run.First <= b && b < run.End() {
			return id, run
		}
	}
	return 0, types.Run{First: b, Count: 1}
}

// TestAbandonedCopyKeepsItsBlocks shows that no block is used again under a read that could not be stopped.
func TestAbandonedCopyKeepsItsBlocks(t *testing.T) {
	m := io.NewMemory()
	w := copyFileWorld(t, m)
	require.NoError(t, w.checkpoint(CheckpointFull))
	gen := w.p.gen
	var r Reader
	r.Start(w.p)
	require.NoError(t, w.update(false, 0, 20, 5))
	require.NoError(t, w.checkpoint(CheckpointFull))
	m.SetManual(true)
	var c Copy
	c.Start(&r)
	res, err := c.Step()
	for ; err == nil && res.Pending == nil; res, err = c.Step() {
		require.False(t, res.Value.End())
	}
	require.NoError(t, err)
	reads := m.Queue()
	require.NotEmpty(t, reads)
	for _, op := range reads {
		op.Start()
	}
	require.ErrorIs(t, c.Abort(io.ErrCancelled), io.ErrCancelled)
	r.Close()
	m.SetManual(false)
	require.NoError(t, w.update(false, 0, 20, 5))
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.Contains(t, w.p.live, gen, "a read of its blocks is under way")
	told := 0
	w.p.cfg.OnLetGo = func() { told = w.p.OpenReaders() + 1 }
	for _, op := range reads {
		op.Complete()
	}
	require.NotContains(t, w.p.live, gen)
	require.Equal(t, 1, told, "who waits for the last reader is told that there is none")
	w.quiet()
	require.Zero(t, w.p.cache.figures().Held)
}

// TestCopyOfWrongBitmaps makes the bitmaps claim a block that nothing leads to, and blocks that something leads to
// free: all of that is damage.
func TestCopyOfWrongBitmaps(t *testing.T) {
	for name, change := range map[string]func(e *blockSetEdit, page, leaf types.Block){
		"neither map nor log leads to it": func(e *blockSetEdit, _, _ types.Block) {
			e.set(types.Run{First: e.made.next(0, false), Count: 1})
		},
		"90 pages are in use, 89 of them are found": func(e *blockSetEdit, page, _ types.Block) {
			e.clear(types.Run{First: page, Count: 1})
		},
		"lies in a block that the bitmaps call free": func(e *blockSetEdit, _, leaf types.Block) {
			e.clear(types.Run{First: leaf, Count: 1})
		},
	} {
		w := newPagerWorld(t, io.NewMemory(), bigCache)
		require.NoError(t, w.open())
		require.NoError(t, w.update(false, 100, 0, 0))
		require.NoError(t, w.update(false, 0, 10, 10))
		require.NoError(t, w.checkpoint(CheckpointFull))
		var g mapNodeGet
		g.start(w.p, w.p.gen, 0, 1)
		leaf, err := drivePager(w, &g)
		require.NoError(t, err)
		page, _ := mapRun(leaf.node, 0)
		require.EqualValues(t, 1, page.Count)
		edit := w.p.gen.used.edit()
		change(edit, page.First, leaf.block)
		gen := *w.p.gen
		gen.used = edit.freeze()
		var r Reader
		r.Start(w.p)
		r.snap = &Snapshot{Seq: r.snap.Seq, Globals: r.snap.Globals, gen: &gen}
		r.slot.snapshot.Store(r.snap)
		_, err = w.stream(&r)
		require.ErrorIs(t, err, types.ErrCorrupt, name)
		require.ErrorContains(t, err, name)
		r.Close()
	}
}

// TestCopyReadsFail makes each read of a stream fail once. What was only read ahead is read again; all else is the
// copy's error.
func TestCopyReadsFail(t *testing.T) {
	w := copyFileWorld(t, io.NewMemory())
	var r Reader
	r.Start(w.p)
	n := 0
	for k := 0; ; k++ {
		at := 0
		w.m.SetFault(func(op *io.Op) error {
			at++
			if at == k+1 {
				return errInjected
			}
			return nil
		})
		_, err := w.stream(&r)
		w.m.SetFault(nil)
		require.Zero(t, w.p.cache.figures().Held)
		if at <= k {
			require.NoError(t, err)
			break
		}
		if err != nil {
			require.True(t, errors.Is(err, errInjected), err)
			n++
		}
	}
	require.Greater(t, n, 10)
	r.Close()
	w.quiet()
}
