package pager

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// The formula of the format comment, for each page size: homes are disjoint, in their groups, and counted.
func TestBitmapGeometry(t *testing.T) {
	for size := 512; size <= 1<<16; size *= 2 {
		g := geometryOf(size)
		if g.levels > bitmapLevelsMax || g.levels < bitmapLevelsMax && g.max != 1<<40 || g.chunk%64 != 0 {
			t.Errorf("page size %d: %+v", size, g)
		}
		if int(g.meta)*size < 8192 || int(g.meta-1)*size >= 8192 {
			t.Errorf("page size %d: %d meta blocks", size, g.meta)
		}
		for _, group := range []uint64{0, 1, 2, g.fan - 1, g.fan, g.fan + 1, 2 * g.fan, g.fan * g.fan, 3 * g.fan * g.fan} {
			start := types.Block(group) * g.chunk
			if start >= g.max {
				continue
			}
			next := start
			if group == 0 {
				next = g.meta
			}
			for level, span := 0, uint64(1); level <= g.levels && group%span == 0; level, span = level+1, span*g.fan {
				for home := range uint64(2) {
					if b := g.home(level, group/span, home); b != next {
						t.Errorf("page size %d: home %d of node (%d, %d) is %d, %d expected", size, home, level, group/span, b, next)
					}
					next++
				}
			}
			fixed := g.fixed(group)
			if next != start+types.Block(fixed) || fixed >= 64 || onesIn([]uint64{g.fixedMask(group)}) != fixed {
				t.Errorf("page size %d: group %d has %d fixed blocks, %d expected", size, group, fixed, next-start)
			}
			if group > 0 && (g.isLength(start+types.Block(fixed)-1) || g.isLength(start+1)) ||
				!g.isLength(start+types.Block(fixed)) {
				t.Errorf("page size %d: a file may end among the homes of group %d, or not behind them", size, group)
			}
		}
		if g.isLength(0) || g.isLength(g.max+1) || !g.isLength(g.max) || g.isLength(g.shortest()-1) {
			t.Errorf("page size %d: limits of the length are wrong", size)
		}
		if g.height(g.chunk) != 0 || g.height(g.chunk+2) != 1 || g.height(g.max) > g.levels ||
			g.nodes(g.height(g.max), g.max) != 1 {
			t.Errorf("page size %d: heights are wrong", size)
		}
		if runs := g.homesIn(0, g.chunk+2); len(runs) != 2 || runs[0] != (types.Run{Count: uint32(g.fixed(0))}) ||
			runs[1] != (types.Run{First: g.chunk, Count: 2}) {
			t.Errorf("page size %d: homes %v", size, runs)
		}
	}
}

// bitmapWorld is a file with bitmaps, written by next and read by bitmapLoad.
type bitmapWorld struct {
	t    *testing.T
	size int
	m    *io.Memory
	file io.File
	set  *blockSet
	tree *bitmapTree
	gen  types.Generation
}

func newBitmapWorld(t *testing.T, size int) *bitmapWorld {
	w := &bitmapWorld{t: t, size: size, m: io.NewMemory(io.MemoryConfig{Volatile: true})}
	var c io.Completion
	o := io.Opening{Path: "data/db", Flag: io.OpenWrite | io.OpenCreate}
	w.m.Open(&c, &o)
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	w.file, w.set, w.tree = o.File, newBlockSet(size), newBitmapTree(size)
	return w
}

// resize returns an edit of the world's set for a file of n blocks with its homes.
func (w *bitmapWorld) resize(n types.Block) *blockSetEdit {
	e, old := w.set.edit(), w.set.blocks()
	for b := n; b < old; b++ {
		if e.made.has(b) {
			e.clear(types.Run{First: b, Count: 1})
		}
	}
	e.resize(n)
	if n > old {
		for _, run := range w.tree.geometry.homesIn(old, n) {
			e.set(run)
		}
	}
	return e
}

// write makes set the next generation and writes its nodes.
func (w *bitmapWorld) write(set *blockSet) []bitmapWrite {
	w.t.Helper()
	w.gen++
	tree, writes := w.tree.next(w.set, set, w.gen)
	for _, node := range writes {
		var c io.Completion
		w.file.Write(&c, [][]byte{node.data}, int64(node.block)*int64(w.size))
		if c.Err() != nil {
			w.t.Fatal(c.Err())
		}
	}
	w.set, w.tree = set, tree
	var c io.Completion
	w.file.Truncate(&c, int64(set.blocks())*int64(w.size))
	return writes
}

func (w *bitmapWorld) source() bitmapSource {
	ref, sum, height := w.tree.root()
	return bitmapSource{
		file: w.file, name: "db", size: int64(w.set.blocks()) * int64(w.size), pageSize: w.size, metaOffset: 4096,
		generation: w.gen, blocks: w.set.blocks(), homeAndFree: ref, sum: sum, height: height,
	}
}

func (w *bitmapWorld) load(src bitmapSource) (bitmapLoaded, error) {
	m := types.NewStateMachine[bitmapLoaded](newBitmapLoad(src))
	for {
		res, err := m.Step()
		if err != nil || res.Pending == nil {
			return res.Value, err
		}
		if err := w.m.Wait(context.Background(), res.Pending); err != nil {
			w.t.Fatal(err)
		}
	}
}

// mustLoad loads what was written and compares it.
func (w *bitmapWorld) mustLoad() {
	w.t.Helper()
	got, err := w.load(w.source())
	if err != nil {
		w.t.Fatal(err)
	}
	got.used.check()
	if got.used.count() != w.set.count() || got.used.blocks() != w.set.blocks() {
		w.t.Fatalf("loaded %d used of %d blocks, %d of %d expected",
			got.used.count(), got.used.blocks(), w.set.count(), w.set.blocks())
	}
	for i, c := range w.set.chunks {
		if !slices.Equal(c.words, got.used.chunks[i].words) {
			w.t.Fatalf("chunk %d differs", i)
		}
	}
	for level := range w.tree.levels {
		if !slices.Equal(w.tree.levels[level], got.tree.levels[level]) {
			w.t.Fatalf("level %d of the tree differs", level)
		}
	}
	if len(got.tree.levels) != len(w.tree.levels) || got.tree.blocks != w.tree.blocks {
		w.t.Fatal("the trees differ in height or length")
	}
}

// Generations that grow over two heights, shrink and change at random are read back as written; no write touches a node
// that the generation before uses.
func TestBitmapGenerations(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	w := newBitmapWorld(t, 512)
	g := w.tree.geometry
	fan := types.Block(g.fan)
	lengths := []types.Block{
		g.shortest(), 100, g.chunk, g.chunk + 2, g.chunk + 3, 5 * g.chunk, fan * g.chunk, fan*g.chunk + 4, (fan*fan + 2) * g.chunk,
		(fan*fan + 2) * g.chunk, fan * fan * g.chunk, (fan + 3) * g.chunk, (fan+1)*g.chunk - 7, (fan + 1) * g.chunk,
		fan * g.chunk, 3 * g.chunk, fan * g.chunk * 2, 2 * g.chunk, g.chunk, 50, 50,
	}
	for step, n := range lengths {
		e := w.resize(n)
		for range r.IntN(6) {
			b := types.Block(r.Int64N(int64(n)))
			if b%g.chunk < 64 {
				continue
			}
			if run := (types.Run{First: b, Count: 1}); e.made.has(b) {
				e.clear(run)
			} else {
				e.set(run)
			}
		}
		set, old := e.freeze(), w.tree
		before := fmt.Sprint(old.levels)
		touched := map[types.Block]bool{}
		for _, node := range w.write(set) {
			if touched[node.block] || len(node.data) != 512 {
				t.Fatalf("step %d: block %d written twice, or in part", step, node.block)
			}
			touched[node.block] = true
		}
		if fmt.Sprint(old.levels) != before {
			t.Fatalf("step %d: the tree of the generation before has changed", step)
		}
		for level, entries := range old.levels {
			for i, entry := range entries {
				if b := g.home(level, uint64(i), entry.home()); touched[b] {
					t.Fatalf("step %d: wrote block %d, the home of node (%d, %d) that is in use", step, b, level, i)
				}
			}
		}
		w.mustLoad()
	}
}

// What did not change is not written, and a failed attempt is repeated as it was.
func TestBitmapWritesLittle(t *testing.T) {
	w := newBitmapWorld(t, 512)
	g := w.tree.geometry
	w.write(w.resize(100 * g.chunk).freeze())
	e := w.set.edit()
	e.set(types.Run{First: 70*g.chunk + 100, Count: 3})
	set := e.freeze()
	_, first := w.tree.next(w.set, set, 2)
	again := w.write(set)
	if len(again) != 3 || fmt.Sprint(first) != fmt.Sprint(again) {
		t.Errorf("%d nodes written at first, %d then; 3 expected", len(first), len(again))
	}
	w.mustLoad()
	if _, none := w.tree.next(w.set, w.set, 3); len(none) != 0 {
		t.Errorf("%d nodes written for no change", len(none))
	}
	e = w.set.edit()
	e.clear(types.Run{First: g.chunk, Count: 1})
	if !blocksetPanics(func() { w.tree.next(w.set, e.freeze(), 3) }) {
		t.Error("a home became free and nothing was said")
	}
}

// Reads are submitted in batches, stepping early changes nothing, and every order of completion gives the same.
func TestBitmapLoadSteps(t *testing.T) {
	w := newBitmapWorld(t, 512)
	w.write(w.resize(40 * w.tree.geometry.chunk).freeze())
	want := []int{1, 2, 16, 16, 8} // root; two nodes of level 1; forty bitmaps
	r := rand.New(rand.NewPCG(10, 11))
	for range 5 {
		w.m.SetManual(true)
		l := newBitmapLoad(w.source())
		for _, n := range want {
			res, err := l.Step()
			again, err2 := l.Step()
			if err != nil || err2 != nil || res.Pending == nil || again.Pending != res.Pending {
				t.Fatalf("steps at one await: %v, %v, %v, %v", res, err, again, err2)
			}
			queue := w.m.Queue()
			if len(queue) != n {
				t.Fatalf("%d reads in flight, %d expected", len(queue), n)
			}
			for k, i := range r.Perm(n) {
				if k == n/2 {
					queue[i].Start()
				}
				if res, err := l.Step(); err != nil || res.Pending != again.Pending || len(w.m.Queue()) != n-k {
					t.Fatalf("a step before the batch is read: %v, %v", res, err)
				}
				queue[i].Complete()
			}
		}
		res, err := l.Step()
		if err != nil || res.Pending != nil || res.Value.used.count() != w.set.count() {
			t.Fatalf("last step: %v, %v", res, err)
		}
		w.m.SetManual(false)
	}
}

// An abort at each await, and a failure of each read, leave nothing in flight but what can't be stopped.
func TestBitmapLoadAbortAndFail(t *testing.T) {
	w := newBitmapWorld(t, 512)
	w.write(w.resize(40 * w.tree.geometry.chunk).freeze())
	cause := errors.New("enough")
	for rounds := range 5 {
		w.m.SetManual(true)
		l := newBitmapLoad(w.source())
		for range rounds {
			l.Step()
			for _, op := range w.m.Queue() {
				op.Complete()
			}
		}
		l.Step()
		queue := w.m.Queue()
		queue[0].Start()
		if err := l.Abort(cause); err != cause {
			t.Errorf("abort at await %d returned %v", rounds, err)
		}
		if left := w.m.Queue(); len(left) != 1 {
			t.Errorf("abort at await %d left %d reads that had not started", rounds, len(left)-1)
		}
		queue[0].Complete()
		if n := w.m.InFlight(); n != 0 {
			t.Errorf("abort at await %d: %d in flight", rounds, n)
		}
		w.m.SetManual(false)
	}
	if err := newBitmapLoad(w.source()).Abort(cause); err != cause {
		t.Errorf("abort before the first step returned %v", err)
	}
	for fail := range 43 {
		n := 0
		w.m.SetFault(func(op *io.Op) error {
			if n++; n-1 == fail {
				return cause
			}
			return nil
		})
		if _, err := w.load(w.source()); !errors.Is(err, cause) {
			t.Errorf("read %d failed, load returned %v", fail, err)
		}
		if w.m.InFlight() != 0 {
			t.Errorf("read %d failed, %d are in flight", fail, w.m.InFlight())
		}
	}
	w.m.SetFault(nil)
	w.mustLoad()
}

// What the meta block claims is checked before anything is allocated or read for it.
func TestBitmapLoadClaims(t *testing.T) {
	w := newBitmapWorld(t, 512)
	w.write(w.resize(5000).freeze())
	for name, change := range map[string]func(s *bitmapSource){
		"no blocks":    func(s *bitmapSource) { s.blocks = 0 },
		"huge":         func(s *bitmapSource) { s.blocks, s.height = 1<<31, 4 },
		"too huge":     func(s *bitmapSource) { s.blocks = 1 << 40 },
		"overflow":     func(s *bitmapSource) { s.blocks = 1<<64 - 1 },
		"among homes":  func(s *bitmapSource) { s.blocks = 3841 },
		"one too many": func(s *bitmapSource) { s.blocks++ },
		"height":       func(s *bitmapSource) { s.height = 2 },
		"no height":    func(s *bitmapSource) { s.height = -1 },
		"empty file":   func(s *bitmapSource) { s.size = 0 },
		"size":         func(s *bitmapSource) { s.size = -1 },
	} {
		src := w.source()
		change(&src)
		w.m.SetFault(func(*io.Op) error { t.Errorf("%s: something was read", name); return nil })
		_, err := w.load(src)
		var corrupt *types.CorruptError
		if !errors.As(err, &corrupt) || corrupt.File != "db" || corrupt.Offset != 4096 {
			t.Errorf("%s: %v", name, err)
		}
		w.m.SetFault(nil)
	}
}

// Each field of a node is checked, with its checksum made right up to the root, so that nothing else tells.
func TestBitmapLoadDamage(t *testing.T) {
	le := binary.LittleEndian
	const leaf, above = 0, 1 // node (0, 1) or the root (1, 0)
	for _, test := range []struct {
		name  string
		level int
		ruin  func(b []byte)
		keep  bool // leave the checksum
	}{
		{"checksum of a bitmap", leaf, func(b []byte) { b[200] ^= 1 }, true},
		{"checksum of the root", above, func(b []byte) { b[200] ^= 1 }, true},
		{"magic", leaf, func(b []byte) { b[0] = 'X' }, false},
		{"level", leaf, func(b []byte) { b[bitmapLevelOff] = 1 }, false},
		{"level of the root", above, func(b []byte) { b[bitmapLevelOff] = 0 }, false},
		{"padding", leaf, func(b []byte) { b[7] = 1 }, false},
		{"index", leaf, func(b []byte) { le.PutUint64(b[bitmapIndexOff:], 0) }, false},
		{"generation", leaf, func(b []byte) { le.PutUint64(b[bitmapGenerationOff:], 2) }, false},
		{"generation 0", above, func(b []byte) { le.PutUint64(b[bitmapGenerationOff:], 0) }, false},
		{"free", leaf, func(b []byte) { b[bitmapFreeOff]++ }, false},
		{"free of the root", above, func(b []byte) { b[bitmapFreeOff]++ }, false},
		{"a bit", leaf, func(b []byte) { b[bitmapHeaderSize+20] ^= 4 }, false},
		{"home free", leaf, func(b []byte) { b[bitmapHeaderSize] ^= 1 | 4 }, false},
		{"behind the file", leaf, func(b []byte) { b[511] ^= 1; b[bitmapHeaderSize] ^= 4 }, false},
		{"entry behind the last", above, func(b []byte) { b[500] = 1 }, false},
		{"entry's free", above, func(b []byte) { b[bitmapHeaderSize] += 2 }, false},
		{"entries' free", above, func(b []byte) { le.PutUint64(b[bitmapHeaderSize:], 1<<63) }, false},
		{"entry's home", above, func(b []byte) { b[bitmapHeaderSize] ^= 1 }, false},
	} {
		w := newBitmapWorld(t, 512)
		e := w.resize(5000)
		e.set(types.Run{First: 3842, Count: 1})
		w.write(e.freeze())
		src := w.source()
		content, err := w.m.Bytes("data/db")
		if err != nil {
			t.Fatal(err)
		}
		g := w.tree.geometry
		node := func(level, index int) []byte {
			at := int(g.home(level, uint64(index), w.tree.levels[level][index].home())) * 512
			return content[at : at+512]
		}
		victim := node(test.level, 1-test.level)
		test.ruin(victim)
		if !test.keep {
			if test.level == leaf {
				le.PutUint64(node(1, 0)[bitmapHeaderSize+bitmapEntrySize+8:], xxhash.Sum64(victim))
			}
			src.sum = xxhash.Sum64(node(1, 0))
		}
		var c io.Completion
		w.file.Write(&c, [][]byte{content}, 0)
		_, err = w.load(src)
		var corrupt *types.CorruptError
		if !errors.As(err, &corrupt) || corrupt.File != "db" || corrupt.Offset%512 != 0 || corrupt.Offset == 0 {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// FuzzBitmapLoad gives the loader any node as the root of a file of two groups, with a right checksum.
func FuzzBitmapLoad(f *testing.F) {
	w := newBitmapWorld(&testing.T{}, 512)
	for _, node := range w.write(w.resize(5000).freeze()) {
		f.Add(node.data, uint64(1), 1)
		f.Add(node.data, uint64(4000)<<1, 0)
	}
	f.Fuzz(func(t *testing.T, node []byte, homeAndFree uint64, height int) {
		if len(node) != 512 {
			return
		}
		w := newBitmapWorld(t, 512)
		src := bitmapSource{
			file: w.file, name: "db", size: 5000 * 512, pageSize: 512, generation: 3, blocks: 5000,
			homeAndFree: homeAndFree, sum: xxhash.Sum64(node), height: height,
		}
		if height == 0 {
			src.blocks = 3000
		}
		content := make([]byte, src.size)
		for _, at := range []int{16, 17, 18, 19, 3840, 3841} {
			copy(content[at*512:], node)
		}
		var c io.Completion
		w.file.Write(&c, [][]byte{content}, 0)
		got, err := w.load(src)
		if err != nil && !errors.Is(err, types.ErrCorrupt) {
			t.Fatal(err)
		}
		if err == nil {
			got.used.check()
			newSpace(512, 3, got.used).check()
		}
	})
}
