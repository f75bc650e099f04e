package pager

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/pawldb/pawl/types"
)

// spaceFile returns the space of a new file of n blocks, and its first generation.
func spaceFile(pageSize int, n types.Block) (*space, *blockSet) {
	g := geometryOf(pageSize)
	e := newBlockSet(pageSize).edit()
	e.resize(n)
	for _, run := range g.homesIn(0, n) {
		e.set(run)
	}
	used := e.freeze()
	return newSpace(pageSize, 1, used), used
}

// spaceModel does what a space does, block by block.
type spaceModel struct {
	t        *testing.T
	s        *space
	g        bitmapGeometry
	length   types.Block
	taken    [1 << 14]bool
	gens     []types.Generation
	sets     []*blockSet
	reserved uint64
	homes    [1 << 14]bool
	told     map[types.Block]bool // by onFree in this step
	held     uint64               // by the generation that this step dropped
}

func (m *spaceModel) home(b types.Block) bool { return m.homes[b] }

func (m *spaceModel) live(b types.Block) bool {
	for _, set := range m.sets {
		if set.has(b) {
			return true
		}
	}
	return false
}

func (m *spaceModel) free(b types.Block) bool {
	return b < m.length && !m.home(b) && !m.taken[b] && !m.live(b)
}

// snapshot says of each block whether it is free, and how many are.
func (m *spaceModel) snapshot() (free []bool, n int) {
	free = make([]bool, m.length)
	for b := range free {
		free[b] = m.free(types.Block(b))
		if free[b] {
			n++
		}
	}
	return free, n
}

func (m *spaceModel) take(run types.Run, free []bool) {
	m.t.Helper()
	for b := run.First; b < run.End(); b++ {
		if !free[b] {
			m.t.Fatalf("took block %d of %d+%d, which is not free", b, run.First, run.Count)
		}
		m.taken[b] = true
	}
}

// hasRun reports whether want free blocks lie one behind the other below limit, and where the first such run is.
func hasRun(free []bool, want uint32, limit types.Block) (types.Block, bool) {
	n := uint32(0)
	for b := range limit {
		if !free[b] {
			n = 0
			continue
		}
		if n++; n == want {
			return b + 1 - types.Block(want), true
		}
	}
	return 0, false
}

// nextGeneration adopts a generation made of some of the newest's blocks and some of the taken ones.
func (m *spaceModel) nextGeneration(r *rand.Rand) {
	newest := m.gens[len(m.gens)-1]
	old := m.sets[len(m.sets)-1]
	e := old.edit()
	for b := range old.blocks() {
		if !m.home(b) && old.has(b) && (b >= m.length || r.IntN(3) == 0) {
			e.clear(types.Run{First: b, Count: 1})
		}
	}
	if m.length < old.blocks() {
		for _, run := range m.s.homesIn(m.length, old.blocks()) {
			e.clear(run)
		}
	}
	e.resize(m.length)
	if m.length > old.blocks() {
		for _, run := range m.s.homesIn(old.blocks(), m.length) {
			e.set(run)
		}
	}
	for b := range m.length {
		if m.taken[b] && !e.made.has(b) && r.IntN(2) == 0 {
			e.set(types.Run{First: b, Count: 1})
		}
	}
	gen := newest + 1 + types.Generation(r.IntN(3))
	m.gens, m.sets = append(m.gens, gen), append(m.sets, e.freeze())
	m.s.adopt(gen, m.sets[len(m.sets)-1])
}

// step does one random operation on both sides and compares what it did.
func (m *spaceModel) step(r *rand.Rand, free []bool) string {
	t, s := m.t, m.s
	unreserved := uint64(freeBlocks(free)) - m.reserved
	want := uint32(1 + r.IntN(4))
	if r.IntN(8) == 0 {
		want = uint32(1 + r.IntN(3000))
	}
	switch op := r.IntN(16); op {
	case 0, 1, 2:
		near := types.Block(0)
		if r.IntN(2) == 0 {
			near = types.Block(r.Int64N(int64(m.length) + 50))
		}
		run, ok := s.take(want, near)
		_, could := hasRun(free, want, m.length)
		if could = could && unreserved >= uint64(want); ok != could || ok && run.Count != want {
			t.Fatalf("take(%d, %d) = %v, %v; %v expected", want, near, run, ok, could)
		}
		m.take(run, free)
		return "take"
	case 3:
		limit := types.Block(r.Int64N(int64(m.length) + 50))
		run, ok := s.takeBelow(limit, want)
		first, could := hasRun(free, want, min(limit, m.length))
		if could = could && unreserved >= uint64(want); ok != could || ok && run != (types.Run{First: first, Count: want}) {
			t.Fatalf("takeBelow(%d, %d) = %v, %v; %d, %v expected", limit, want, run, ok, first, could)
		}
		m.take(run, free)
		return "takeBelow"
	case 4, 5:
		run, ok := s.takeReserved(want)
		if ok != (m.reserved > 0) || ok && (run.Count < 1 || run.Count > want || uint64(run.Count) > m.reserved) {
			t.Fatalf("takeReserved(%d) = %v, %v with %d reserved", want, run, ok, m.reserved)
		}
		m.take(run, free)
		m.reserved -= uint64(run.Count)
		return "takeReserved"
	case 6:
		run := types.Run{First: types.Block(r.Int64N(int64(m.length) + 9)), Count: uint32(r.IntN(9))}
		could := run.Count > 0 && unreserved >= uint64(run.Count)
		for b := run.First; b < run.End(); b++ {
			could = could && b < m.length && free[b]
		}
		if s.takeExact(run) != could {
			t.Fatalf("takeExact(%v): %v expected", run, could)
		}
		if could {
			m.take(run, free)
		}
		return "takeExact"
	case 7, 8, 9:
		m.releaseSome(r)
		return "release"
	case 10:
		n := uint64(r.IntN(600))
		if ok := s.reserve(n); ok != (unreserved >= n) {
			t.Fatalf("reserve(%d) = %v with %d unreserved", n, ok, unreserved)
		} else if ok {
			m.reserved += n
		}
		return "reserve"
	case 11:
		n := uint64(r.Int64N(int64(m.reserved) + 1))
		s.unreserve(n)
		m.reserved -= n
		return "unreserve"
	case 12:
		if m.length < 10000 {
			length, _ := s.lengthFor(uint64(r.IntN(2000)), 0)
			s.grow(length)
			m.length = length
		}
		return "grow"
	case 13:
		m.cut(r, free)
		return "cut"
	case 14:
		if len(m.gens) < 4 {
			m.nextGeneration(r)
		}
		return "adopt"
	default:
		if len(m.gens) > 1 {
			k := r.IntN(len(m.gens) - 1)
			m.held = s.heldBy(m.gens[k])
			s.drop(m.gens[k])
			m.gens, m.sets = slices.Delete(m.gens, k, k+1), slices.Delete(m.sets, k, k+1)
		}
		return "drop"
	}
}

// releaseSome releases a piece of what is taken.
func (m *spaceModel) releaseSome(r *rand.Rand) {
	for b := range m.length {
		if !m.taken[b] || r.IntN(20) != 0 {
			continue
		}
		run := types.Run{First: b}
		for run.Count < 300 && m.taken[run.End()] {
			m.taken[run.End()] = false
			run.Count++
		}
		m.s.release(run)
		return
	}
}

// freeBlocks counts what a snapshot says is free.
func freeBlocks(free []bool) (n uint64) {
	for _, is := range free {
		if is {
			n++
		}
	}
	return n
}

// compare checks the space after a step: counts, and that onFree was told of what release and drop made free.
func (m *spaceModel) compare(op string, before, after []bool, n int) {
	m.t.Helper()
	m.s.check()
	free, reserved := m.s.available()
	if free != uint64(n) || reserved != m.reserved || m.s.blocks() != m.length {
		m.t.Fatalf("%s: %d free, %d reserved of %d; %d, %d, %d expected",
			op, free, reserved, m.s.blocks(), n, m.reserved, m.length)
	}
	if grown := uint64(n) - freeBlocks(before); op == "drop" && grown != m.held {
		m.t.Fatalf("%d blocks were held by the generation alone, %d became free", m.held, grown)
	}
	if m.held = 0; m.s.onFree == nil || op == "grow" {
		return
	}
	for b := range after {
		if became := after[b] && !before[b]; became != m.told[types.Block(b)] {
			m.t.Fatalf("%s: block %d became free: %v, onFree was told otherwise", op, b, became)
		}
	}
	clear(m.told)
}

// cut cuts at the tail, or tries elsewhere.
func (m *spaceModel) cut(r *rand.Rand, free []bool) {
	lost := func(n types.Block) (gone uint64, ok bool) {
		if !m.g.isLength(n) {
			return 0, false
		}
		ok = true
		for b := n; b < m.length; b++ {
			ok = ok && (free[b] || m.home(b))
			if free[b] {
				gone++
			}
		}
		return gone, ok && freeBlocks(free)-gone >= m.reserved
	}
	tail := m.s.tail()
	if _, ok := lost(tail); !ok || tail > m.length {
		m.t.Fatalf("tail %d of %d blocks can't be cut", tail, m.length)
	}
	for n := max(tail, 10) - 10; n < tail; n++ {
		if _, ok := lost(n); ok {
			m.t.Fatalf("tail is %d, %d would do", tail, n)
		}
	}
	n := tail
	if r.IntN(2) == 0 {
		n = types.Block(r.Int64N(int64(m.length)))
	}
	_, could := lost(n)
	if could = could && n < m.length; m.s.cut(n) != could {
		m.t.Fatalf("cut(%d): %v expected", n, could)
	}
	if could {
		m.length = n
	}
}

func TestSpaceModel(t *testing.T) {
	for _, told := range []bool{false, true} {
		t.Run(fmt.Sprintf("onFree=%v", told), func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			s, used := spaceFile(512, 8000)
			m := &spaceModel{
				t: t, s: s, g: geometryOf(512), length: 8000,
				gens: []types.Generation{1}, sets: []*blockSet{used}, told: map[types.Block]bool{},
			}
			if told {
				s.onFree = func(run types.Run) {
					if s.takeExact(run) {
						t.Errorf("blocks %v could be taken while onFree was told", run)
					}
					for b := run.First; b < run.End(); b++ {
						m.told[b] = true
					}
				}
			}
			for _, run := range m.g.homesIn(0, types.Block(len(m.homes))) {
				for b := run.First; b < min(run.End(), types.Block(len(m.homes))); b++ {
					m.homes[b] = true
				}
			}
			did := map[string]int{}
			before, _ := m.snapshot()
			for range 1000 {
				op := m.step(r, before)
				did[op]++
				after, n := m.snapshot()
				m.compare(op, before, after, n)
				before = after
			}
			if len(did) != 11 {
				t.Errorf("only these were tried: %v", did)
			}
		})
	}
}

func TestSpaceMisuse(t *testing.T) {
	for name, fn := range map[string]func(s *space, used *blockSet){
		"release of free": func(s *space, _ *blockSet) { s.release(types.Run{First: 100, Count: 1}) },
		"release of half": func(s *space, _ *blockSet) {
			s.takeExact(types.Run{First: 100, Count: 1})
			s.release(types.Run{First: 100, Count: 2})
		},
		"release of home":     func(s *space, _ *blockSet) { s.release(types.Run{First: 0, Count: 1}) },
		"release behind file": func(s *space, _ *blockSet) { s.release(types.Run{First: 5000, Count: 1}) },
		"unreserve":           func(s *space, _ *blockSet) { s.unreserve(1) },
		"drop of the newest":  func(s *space, _ *blockSet) { s.drop(1) },
		"drop of unknown":     func(s *space, used *blockSet) { s.adopt(2, used); s.drop(3) },
		"adopt of an old one": func(s *space, used *blockSet) { s.adopt(1, used) },
		"grow between homes":  func(s *space, _ *blockSet) { s.grow(3840*2 + 1) },
		"adopt of a stray": func(s *space, used *blockSet) {
			e := used.edit()
			e.set(types.Run{First: 100, Count: 1})
			s.adopt(2, e.freeze())
		},
	} {
		s, used := spaceFile(512, 4000)
		if !blocksetPanics(func() { fn(s, used) }) {
			t.Errorf("%s: no panic", name)
		}
		if !s.mu.TryLock() {
			t.Errorf("%s: the panic left it locked", name)
		}
	}
}

// Runs of any content are refused, not believed.
func TestSpaceHostileRuns(t *testing.T) {
	s, _ := spaceFile(512, 8000)
	for _, run := range []types.Run{
		{}, {First: 100}, {First: 0, Count: 1}, {First: 3839, Count: 2}, {First: 3840, Count: 1}, {First: 7999, Count: 2},
		{First: 8000, Count: 1}, {First: 100, Count: 1<<32 - 1}, {First: 1<<64 - 1, Count: 1}, {First: 1<<64 - 1, Count: 2},
		{First: 100, Count: 4000},
	} {
		if s.takeExact(run) {
			t.Errorf("took %v", run)
		}
	}
	if !s.takeExact(types.Run{First: 7999, Count: 1}) || s.takeExact(types.Run{First: 7999, Count: 1}) {
		t.Error("the last block can't be taken, or twice")
	}
	s.check()
}

// lengthFor grows just far enough for a run.
func TestSpaceLengthFor(t *testing.T) {
	s, _ := spaceFile(512, 3800)
	s.check()
	most := s.geometry.maxRun()
	for _, test := range []struct {
		more uint64
		run  uint32
		want types.Block
		ok   bool
	}{
		{0, 0, 3800, true},
		{40, 0, 3840, true},
		{41, 0, 3843, true},
		{10, 3774, 3810, true},       // all of group 0 behind its homes is free
		{0, 3815, 2*3840 - 23, true}, // group 0 has room for 3814, group 1 has two homes
		{0, most, 2 * 3840, true},
		{0, most + 1, 0, false},
		{1 << 40, 0, 0, false},
		{1<<64 - 1, 0, 0, false},
	} {
		got, ok := s.lengthFor(test.more, test.run)
		if got != test.want || ok != test.ok {
			t.Errorf("lengthFor(%d, %d) = %d, %v; %d, %v expected", test.more, test.run, got, ok, test.want, test.ok)
		}
		if ok && got > s.blocks() && test.run > 0 {
			grown, _ := spaceFile(512, s.blocks())
			grown.grow(got)
			if _, ok := grown.take(test.run, 0); !ok {
				t.Errorf("no run of %d blocks in a file of %d", test.run, got)
			}
		}
	}
}

// A large file that is full but for one block in a thousand: single blocks come in order, longer runs are not there.
func TestSpaceNextFit(t *testing.T) {
	s, _ := spaceFile(4096, 1<<20)
	for {
		if _, ok := s.take(1000, 0); !ok {
			break
		}
	}
	for {
		if _, ok := s.take(1, 0); !ok {
			break
		}
	}
	var holes []types.Block
	for b := types.Block(500); b < s.blocks(); b += 1000 {
		if b%s.geometry.chunk >= 10 {
			s.release(types.Run{First: b, Count: 1})
			holes = append(holes, b)
		}
	}
	if _, ok := s.take(2, 0); ok {
		t.Error("two blocks in a row where there are none")
	}
	start, _ := s.take(1, 600)
	if start.First != 1500 {
		t.Errorf("first free block behind 600 is %d", start.First)
	}
	s.cursor = 0
	for _, want := range holes {
		if want == 1500 {
			continue
		}
		if run, ok := s.take(1, 0); !ok || run.First != want {
			t.Fatalf("took %v, %v; %d expected", run, ok, want)
		}
	}
	if _, ok := s.take(1, 0); ok {
		t.Error("a block of a full file")
	}
	s.check()
}

func TestSpaceAllocations(t *testing.T) {
	s, _ := spaceFile(4096, 100000)
	s.onFree = func(types.Run) {}
	s.take(1, 0)
	s.reserve(1000)
	if n := testing.AllocsPerRun(500, func() {
		run, ok := s.take(1, 0)
		if !ok {
			t.Fatal("nothing free")
		}
		s.release(run)
		run, _ = s.takeReserved(1)
		s.release(run)
		s.reserve(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Takers, a checkpoint and its readers at once never get one block twice.
func TestSpaceConcurrent(t *testing.T) {
	s, used := spaceFile(512, 20000)
	var mu sync.Mutex
	owner := map[types.Block]bool{}
	s.onFree = func(types.Run) {}
	claim := func(run types.Run, to bool) {
		mu.Lock()
		defer mu.Unlock()
		for b := run.First; b < run.End(); b++ {
			if owner[b] == to {
				t.Errorf("block %d: owned %v twice", b, to)
			}
			owner[b] = to
		}
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			for range 2000 {
				run, ok := s.take(uint32(1+r.IntN(30)), types.Block(r.IntN(20000)))
				if ok {
					claim(run, true)
					claim(run, false)
					s.release(run)
				}
			}
		})
	}
	wg.Go(func() {
		set := used
		for gen := types.Generation(2); gen < 200; gen++ {
			if !s.reserve(20) {
				continue
			}
			e := set.edit()
			for b := range set.blocks() {
				if set.has(b) && !used.has(b) {
					e.clear(types.Run{First: b, Count: 1})
				}
			}
			var runs []types.Run
			for n := uint32(0); n < 20; {
				run, _ := s.takeReserved(20 - n)
				claim(run, true)
				e.set(run)
				runs, n = append(runs, run), n+run.Count
			}
			next := e.freeze()
			s.adopt(gen, next)
			for _, run := range runs {
				claim(run, false)
				s.release(run)
			}
			for _, run := range runs {
				if s.takeExact(run) {
					t.Errorf("blocks %v of generation %d taken", run, gen)
				}
			}
			if s.heldBy(gen) != 20 {
				t.Errorf("generation %d holds %d blocks", gen, s.heldBy(gen))
			}
			s.drop(gen - 1)
			set = next
		}
	})
	wg.Wait()
	s.check()
	if free, _ := s.available(); free != 20000-20-used.count() {
		t.Errorf("%d blocks free at the end", free)
	}
}

func BenchmarkSpaceTake(b *testing.B) {
	s, _ := spaceFile(4096, 1<<24)
	for b.Loop() {
		run, _ := s.take(1, 0)
		s.release(run)
	}
}

// A generation that is longer than the file by now holds homes behind its end, and no more.
func TestSpaceCutBelowGeneration(t *testing.T) {
	s, used := spaceFile(512, 8000)
	e := used.edit()
	for _, run := range s.homesIn(3000, 8000) {
		e.clear(run)
	}
	e.resize(3000)
	if tail := s.tail(); tail != 26 || !s.cut(3000) || s.cut(3000) || s.cut(4000) {
		t.Fatalf("tail %d, length %d", tail, s.blocks())
	}
	s.adopt(2, e.freeze())
	if n := s.heldBy(1); n != 0 {
		t.Errorf("the longer generation holds %d blocks", n)
	}
	s.drop(1)
	s.check()
	s.grow(8000)
	s.check()
	if free, _ := s.available(); free != 8000-26-4 {
		t.Errorf("%d blocks free", free)
	}
}
