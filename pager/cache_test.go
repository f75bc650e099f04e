package pager

import (
	"container/list"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pawldb/pawl/types"
)

// imageForTest makes a page whose bytes tell id and version.
func imageForTest(id types.PageID, version types.Seq) *Image {
	data := make([]byte, 512)
	initPage(data, PageKindNode, id, version)
	return newImage(id, version, data)
}

// chainForTest shows a page's chain: version-through, * for the newest, ! for pinned.
func chainForTest(c *cache, id types.PageID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var words []string
	for img := c.table.first(id); img != nil; img = img.prev.Load() {
		w := fmt.Sprintf("%d-%d", img.version, img.through.Load())
		if img.newest() {
			w = fmt.Sprintf("%d*", img.version)
		}
		if img.pins > 0 {
			w += "!"
		}
		words = append(words, w)
		if img.queue == nil {
			words = append(words, "not resident")
		}
	}
	return strings.Join(words, " ")
}

// loadForTest brings an image in as a reader at s does.
func loadForTest(c *cache, version types.Seq, newest bool, s types.Seq) *Image {
	l, _ := c.beginLoad(loadKey{id: 7, offset: int64(version)})
	defer c.leaveLoad(l)
	return c.loaded(imageForTest(7, version), newest, s)
}

func TestCacheVersions(t *testing.T) {
	publish := func(v types.Seq, pinned bool, live ...types.Seq) func(c *cache) {
		return func(c *cache) { c.publish(imageForTest(7, v), pinned, live) }
	}
	load := func(v types.Seq, newest bool, s types.Seq) func(c *cache) {
		return func(c *cache) { loadForTest(c, v, newest, s) }
	}
	freed := func(at types.Seq, live ...types.Seq) func(c *cache) {
		return func(c *cache) { c.freed(7, 1, at, live) }
	}
	unpin := func(v types.Seq) func(c *cache) {
		return func(c *cache) {
			img := c.table.first(7)
			for img.version != v {
				img = img.prev.Load()
			}
			c.unpin(img)
		}
	}
	evict := func(c *cache) { c.setBudget(0); c.setBudget(1 << 20) }
	discard := func(s types.Seq) func(c *cache) { return func(c *cache) { c.discardAbove(s) } }
	for name, tc := range map[string]struct {
		steps []func(c *cache)
		want  string
	}{
		"one version":                       {[]func(*cache){publish(5, false, 4)}, "5*"},
		"the one before may be read":        {[]func(*cache){publish(5, false, 4), publish(8, false, 5)}, "8* 5-7"},
		"nobody can read it":                {[]func(*cache){publish(5, false, 4), publish(8, false, 9)}, "8*"},
		"to be published between":           {[]func(*cache){publish(5, false, 4), publish(6, false, 4), publish(7, false, 4)}, "7* 6-6 5-5"},
		"between live ones goes":            {[]func(*cache){publish(2, false, 1), publish(4, false, 2), publish(6, false, 2, 4), publish(9, false, 2, 6)}, "9* 6-8 2-3"},
		"old reader keeps the first":        {[]func(*cache){publish(2, false, 1), publish(4, false, 2), publish(6, false, 2, 4), publish(9, false, 2, 9)}, "9* 2-3"},
		"pinned stays":                      {[]func(*cache){publish(5, true, 4), publish(8, true, 9)}, "8*! 5-7!"},
		"and goes at the next":              {[]func(*cache){publish(5, true, 4), publish(8, true, 9), unpin(5), publish(10, false, 9)}, "10* 8-9!"},
		"newest load":                       {[]func(*cache){load(5, true, 9)}, "5*"},
		"load of an old reader":             {[]func(*cache){load(5, false, 9)}, "5-9"},
		"below the head":                    {[]func(*cache){publish(20, false, 9), load(5, false, 9)}, "20* 5-9"},
		"between two":                       {[]func(*cache){publish(20, false, 1), load(3, false, 4), load(10, false, 12)}, "20* 10-12 3-4"},
		"two readers widen":                 {[]func(*cache){load(5, false, 9), load(5, false, 12), load(5, false, 7)}, "5-12"},
		"newest widens":                     {[]func(*cache){load(5, false, 9), load(5, true, 12)}, "5*"},
		"newest above an old one":           {[]func(*cache){load(5, false, 9), load(11, true, 12)}, "11* 5-9"},
		"newest again":                      {[]func(*cache){load(5, true, 9), load(5, true, 9), load(5, false, 9)}, "5*"},
		"wrong newest below the head":       {[]func(*cache){publish(20, false, 9), load(5, true, 9)}, "20* 5-9"},
		"published on an unknown successor": {[]func(*cache){load(5, false, 9), publish(20, false, 1, 9)}, "20* 5-9"},
		"contradiction stays out":           {[]func(*cache){load(5, true, 9), load(7, false, 9)}, "5*"},
		"freed":                             {[]func(*cache){publish(5, false, 4), freed(8, 5)}, "5-7"},
		"freed, unread":                     {[]func(*cache){publish(5, false, 4), freed(8, 9)}, ""},
		"freed, pinned":                     {[]func(*cache){publish(5, true, 4), freed(8, 9)}, "5-7!"},
		"freed, used again":                 {[]func(*cache){publish(5, false, 4), freed(8, 5), publish(11, false, 5)}, "11* 5-7"},
		"freed when absent":                 {[]func(*cache){freed(8, 5)}, ""},
		"evicted head":                      {[]func(*cache){publish(5, false, 4), evict}, ""},
		"pinned is not evicted":             {[]func(*cache){publish(5, true, 4), evict}, "5*!"},
		"evicted above pinned":              {[]func(*cache){publish(5, true, 4), publish(8, false, 5), evict}, "5-7!"},
		"discard the new one":               {[]func(*cache){publish(5, false, 4), publish(8, true, 5), discard(7)}, "5-7"},
		"discard several":                   {[]func(*cache){publish(5, false, 4), publish(8, true, 5), publish(9, true, 5), discard(5)}, "5-7"},
		"discard nothing":                   {[]func(*cache){publish(5, false, 4), publish(8, false, 5), discard(8)}, "8* 5-7"},
		"discard, predecessor unknown":      {[]func(*cache){load(2, false, 3), publish(8, true, 3), discard(5)}, "2-3"},
		"discard a freeing":                 {[]func(*cache){publish(5, false, 4), freed(8, 5), discard(7)}, "5-7"},
		"not of a freeing that stays":       {[]func(*cache){publish(5, false, 4), freed(8, 5), discard(8)}, "5-7"},
	} {
		c := newCache(1 << 20)
		for _, step := range tc.steps {
			step(c)
		}
		if got := chainForTest(c, 7); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
		head := c.table.head(7)
		if isHead := strings.Contains(strings.SplitN(tc.want+" ", " ", 2)[0], "*"); isHead != (head != nil) {
			t.Errorf("%s: head %v with chain %q", name, head, tc.want)
		}
	}
}

func TestCacheFind(t *testing.T) {
	c := newCache(1 << 20)
	c.publish(imageForTest(7, 5), false, []types.Seq{4})
	c.publish(imageForTest(7, 8), false, []types.Seq{5})
	loadForTest(c, 2, false, 3)
	for s, want := range map[types.Seq]types.Seq{1: 0, 2: 2, 3: 2, 4: 0, 5: 5, 7: 5, 8: 8, 1 << 60: 8} {
		img := c.table.find(7, s)
		if want == 0 && img != nil || want != 0 && (img == nil || img.Version() != want || img.ID() != 7) {
			t.Errorf("at %d: %+v, want version %d", s, img, want)
		}
	}
	if c.table.find(8, 5) != nil || c.table.find(1<<29, 5) != nil || c.table.find(1<<47, 5) != nil {
		t.Error("found a page that is not there")
	}
	data := c.table.find(7, 8).Bytes()
	if cap(data) != len(data) || pageVersion(data) != 8 {
		t.Errorf("bytes of version %d with room for %d more", pageVersion(data), cap(data)-len(data))
	}
	if n := testing.AllocsPerRun(100, func() { c.table.find(7, 5) }); n != 0 {
		t.Errorf("find allocates %v times", n)
	}
}

func TestTableTakesAnyID(t *testing.T) {
	c := newCache(1 << 20)
	ids := []types.PageID{1, 511, 512, 100000, tableNear - 1, tableNear, pageIDLimit - 1}
	for _, id := range ids {
		c.publish(imageForTest(id, 3), false, []types.Seq{3})
	}
	for _, id := range ids {
		if img := c.table.head(id); img == nil || img.ID() != id {
			t.Errorf("page %d: %+v", id, img)
		}
	}
	c.setBudget(0)
	for _, id := range ids {
		if c.table.head(id) != nil {
			t.Errorf("page %d was not evicted", id)
		}
	}
	if len(c.table.far) != 0 {
		t.Errorf("%d ids left in the map", len(c.table.far))
	}
}

func TestCacheLateLoads(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(c *cache)
		want      string
	}{
		"nothing happens": {func(c *cache) {}, "5*"},
		"published":       {func(c *cache) { c.publish(imageForTest(7, 8), false, []types.Seq{6}) }, "8* 5-6"},
		"published, and evicted": {func(c *cache) {
			c.publish(imageForTest(7, 8), false, []types.Seq{6})
			c.setBudget(0)
			c.setBudget(1 << 20)
		}, "5-6"},
		"freed":        {func(c *cache) { c.freed(7, 1, 8, []types.Seq{6}) }, "5-6"},
		"discarded":    {func(c *cache) { c.discardAbove(4) }, "5-6"},
		"another page": {func(c *cache) { c.publish(imageForTest(9, 8), false, []types.Seq{6}) }, "5*"},
		"other loads come and go": {func(c *cache) {
			a, _ := c.beginLoad(loadKey{id: 7, offset: 1})
			b, _ := c.beginLoad(loadKey{id: 7, offset: 2})
			c.leaveLoad(a)
			c.leaveLoad(b)
		}, "5*"},
	} {
		c := newCache(1 << 20)
		l, first := c.beginLoad(loadKey{id: 7, offset: 4096})
		tc.meanwhile(c)
		c.loaded(imageForTest(7, 5), true, 6)
		c.leaveLoad(l)
		if got := chainForTest(c, 7); got != tc.want || !first {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	c := newCache(1 << 20)
	c.loaded(imageForTest(7, 5), true, 6)
	if got := chainForTest(c, 7); got != "5-6" {
		t.Errorf("without a marker: %q", got)
	}
}

func TestCacheMisuse(t *testing.T) {
	for name, act := range map[string]func(c *cache){
		"older version published": func(c *cache) { c.publish(imageForTest(7, 4), false, []types.Seq{4}) },
		"no live snapshot":        func(c *cache) { c.publish(imageForTest(7, 9), false, nil) },
		"unpinned twice":          func(c *cache) { c.unpin(c.table.head(7)) },
		"freed before its time":   func(c *cache) { c.freed(7, 1, 5, []types.Seq{4}) },
		"loaded from the future":  func(c *cache) { c.loaded(imageForTest(7, 9), false, 8) },
		"more given than held":    func(c *cache) { c.hold(-1) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(1 << 20)
			c.publish(imageForTest(7, 5), false, []types.Seq{4})
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			act(c)
		})
	}
	c := newCache(1 << 20)
	img := imageForTest(7, 5)
	c.publish(img, true, []types.Seq{4})
	c.discardAbove(4)
	c.unpin(img) // the log may still report it
	if s := c.figures(); s.Resident != 0 || s.Pinned != 0 {
		t.Errorf("%+v after discarding all", s)
	}
}

func TestCacheBudget(t *testing.T) {
	c := newCache(100 * (512 + imageOverhead))
	charge := imageForTest(1, 1).charge()
	for id := types.PageID(1); id <= 300; id++ {
		c.publish(imageForTest(id, 3), id <= 20, []types.Seq{3})
		if s := c.figures(); s.Resident+s.Table > s.Budget {
			t.Fatalf("%d bytes resident of %d, and %d for the table", s.Resident, s.Budget, s.Table)
		}
	}
	full := func(s cacheStats, budget int64) bool { // no image more has room
		return s.Resident+s.Table <= budget && s.Resident+s.Table > budget-charge
	}
	if s := c.figures(); !full(s, 100*charge) || s.Pinned != 20*charge || s.Images+int(s.Evicted) != 300 {
		t.Errorf("%+v", s)
	}
	c.hold(50 * charge)
	if s := c.figures(); !full(s, 50*charge) {
		t.Errorf("%+v with half of it held", s)
	}
	c.hold(90 * charge)
	if s := c.figures(); s.Resident != 20*charge || s.Pinned != 20*charge {
		t.Errorf("%+v with more than all held", s)
	}
	for id := types.PageID(1); id <= 20; id++ {
		c.unpin(c.table.head(id))
	}
	if s := c.figures(); s.Resident != 0 || s.Images != 0 || s.Table != 0 {
		t.Errorf("%+v with nothing pinned", s)
	}
	c.hold(-140 * charge)
	c.setBudget(3*charge + tableChunkBytes)
	for id := types.PageID(1); id <= 9; id++ {
		c.publish(imageForTest(id, 4), false, []types.Seq{4})
	}
	if s := c.figures(); s.Resident != 3*charge {
		t.Errorf("%+v in a small budget", s)
	}
}

func TestCacheNodes(t *testing.T) {
	c := newCache(1 << 20)
	for b := types.Block(1); b < 10; b++ {
		data := make([]byte, 512)
		data[0] = byte(b)
		c.addNode(b, 1, data)
	}
	if got := c.addNode(3, 1, make([]byte, 512)); got[0] != 3 {
		t.Error("a node was replaced")
	}
	// Another node was in the block before, or is in it now: a checksum tells which one is meant.
	if c.node(3, 2) != nil {
		t.Error("a node was taken for another one")
	}
	if got := c.addNode(3, 2, []byte{33}); got[0] != 33 || c.node(3, 1) != nil || c.node(3, 2)[0] != 33 {
		t.Error("the node of a block was not replaced by another one")
	}
	if got := c.addNode(3, 1, []byte{3}); got[0] != 3 || c.figures().Images != 9 {
		t.Error("not the one node for each block")
	}
	c.dropNode(types.Run{First: 3, Count: 2})
	for b := types.Block(1); b < 10; b++ {
		data := c.node(b, 1)
		if gone := b == 3 || b == 4; gone != (data == nil) || data != nil && data[0] != byte(b) {
			t.Errorf("node %d: %v", b, data != nil)
		}
	}
	c.dropNode(types.Run{First: 5, Count: types.RunCountMax})
	if s := c.figures(); s.Images != 2 || c.node(1, 1) == nil || c.node(2, 1) == nil {
		t.Errorf("%+v after dropping a long run", s)
	}
	c.setBudget(0)
	if c.node(1, 1) != nil || len(c.nodes) != 0 {
		t.Error("nodes are not evicted")
	}
}

// A working set with a skew is read while scans go over everything. The hit ratio of the working set must be better than
// what LRU gets, and close to what it is without scans.
func TestCacheResistsScans(t *testing.T) {
	const pages, room, scanned = 2000, 600, 20000
	run := func(scans bool, get func(id types.PageID) bool) float64 {
		rng := rand.New(rand.NewSource(1))
		zipf := rand.NewZipf(rng, 1.1, 4, pages-1)
		hits, reads, next := 0, 0, 0
		for i := range 120000 {
			if scans && i%2 == 1 {
				get(types.PageID(pages + 1 + next%scanned))
				next++
				continue
			}
			hit := get(types.PageID(zipf.Uint64() + 1))
			if i > 40000 {
				reads++
				if hit {
					hits++
				}
			}
		}
		return float64(hits) / float64(reads)
	}
	ours := func() func(id types.PageID) bool {
		c := newCache(room * imageForTest(1, 1).charge())
		return func(id types.PageID) bool {
			if c.table.find(id, 1) != nil {
				return true
			}
			l, _ := c.beginLoad(loadKey{id: id})
			c.loaded(imageForTest(id, 1), true, 1)
			c.leaveLoad(l)
			return false
		}
	}
	lru := func() func(id types.PageID) bool {
		order, where := list.New(), make(map[types.PageID]*list.Element)
		return func(id types.PageID) bool {
			if e := where[id]; e != nil {
				order.MoveToFront(e)
				return true
			}
			where[id] = order.PushFront(id)
			if order.Len() > room {
				delete(where, order.Remove(order.Back()).(types.PageID))
			}
			return false
		}
	}
	quiet, scanning, other := run(false, ours()), run(true, ours()), run(true, lru())
	t.Logf("hit ratio %.3f, with scans %.3f, LRU with scans %.3f", quiet, scanning, other)
	if scanning < other+0.05 || scanning < quiet-0.03 {
		t.Errorf("hit ratio %.3f, with scans %.3f, LRU with scans %.3f", quiet, scanning, other)
	}
}

// The same trace gives the same residents, whatever the runtime does.
func TestCacheIsDeterministic(t *testing.T) {
	trace := func() string {
		c := newCache(50 * (512 + imageOverhead))
		rng := rand.New(rand.NewSource(7))
		for i := range 5000 {
			id := types.PageID(rng.Intn(200) + 1)
			switch {
			case i%50 == 0:
				c.publish(imageForTest(id, types.Seq(i+1)), false, []types.Seq{types.Seq(i)})
			case i%31 == 0:
				c.addNode(types.Block(id), 1, make([]byte, 512))
			case c.table.find(id, types.Seq(i+1)) == nil:
				c.loaded(imageForTest(id, 1), false, types.Seq(1))
			}
		}
		var out strings.Builder
		for _, q := range []*imageQueue{&c.small, &c.main} {
			for img := q.oldest; img != nil; img = img.newer {
				fmt.Fprintf(&out, "%d.%d.%d ", img.id, img.block, img.version)
			}
		}
		return out.String()
	}
	if a, b := trace(), trace(); a != b || a == "" {
		t.Errorf("two runs of a trace end differently:\n%s\n%s", a, b)
	}
}

// Readers at published snapshots look without a lock, while commits publish versions and the budget evicts. What they find
// is the version that their snapshot sees.
func TestCacheStress(t *testing.T) {
	const pages, commits = 20, 4000
	c := newCache(30 * (512 + imageOverhead))
	var published atomic.Uint64
	var newest [pages + 1]atomic.Uint64 // version, as the log knows it
	var group sync.WaitGroup
	var stop atomic.Bool
	var found atomic.Int64
	// Commit s writes page s mod pages + 1.
	version := func(id types.PageID, s uint64) uint64 {
		if back := (s + pages - uint64(id-1)) % pages; back < s {
			return s - back
		}
		return 0
	}
	reader := func(seed int64) {
		defer group.Done()
		rng := rand.New(rand.NewSource(seed))
		// The last thousand rounds come after the last commit: a reader that ran only before the first one finds nothing.
		for n, left := 0, 1000; left > 0; n++ {
			if stop.Load() {
				left--
			}
			s := published.Load()
			id := types.PageID(rng.Intn(pages) + 1)
			want := version(id, s)
			img := c.table.find(id, types.Seq(s))
			if img == nil {
				if want > 0 && n%4 == 0 {
					l, _ := c.beginLoad(loadKey{id: id, offset: int64(want)})
					img = c.loaded(imageForTest(id, types.Seq(want)), newest[id].Load() == want, types.Seq(s))
					c.leaveLoad(l)
				} else {
					continue
				}
			}
			if uint64(img.Version()) != want || pageVersion(img.Bytes()) != img.Version() || img.ID() != id {
				t.Errorf("page %d at %d: version %d, want %d", id, s, img.Version(), want)
			}
			found.Add(1)
		}
	}
	group.Add(3)
	for seed := range 3 {
		go reader(int64(seed))
	}
	var pinned []*Image
	for s := uint64(1); s <= commits; s++ {
		img := imageForTest(types.PageID(s%pages+1), types.Seq(s))
		live := published.Load()
		newest[img.ID()].Store(s)
		c.publish(img, true, []types.Seq{types.Seq(live)})
		pinned = append(pinned, img)
		if len(pinned) == 5 {
			for _, p := range pinned {
				c.unpin(p)
			}
			pinned = pinned[:0]
			published.Store(s)
		}
	}
	stop.Store(true)
	group.Wait()
	if s := c.figures(); s.Resident > s.Budget || found.Load() == 0 {
		t.Errorf("%+v, %d found", s, found.Load())
	}
}

// A hint is no use of a page: a scan that gives one for each page leaves all of them as new as they are.
func TestHintIsNoUse(t *testing.T) {
	p := &Pager{cache: newCache(1 << 24), pageSize: 512}
	img := imageForTest(7, 1)
	p.cache.publish(img, false, []types.Seq{1})
	before := img.visited.Load()
	r := Reader{p: p}
	for range 5 {
		r.Hint(7, true)
		r.Hint(7, false)
		r.Hint(8, true)
		r.Hint(1<<50, false)
	}
	if got := img.visited.Load(); got != before {
		t.Errorf("%d uses are counted, %d were before", got, before)
	}
}

// Where the table says that a page's bytes are, the first image of its chain has them: nothing that left is kept in memory.
func TestTableStart(t *testing.T) {
	var tab table
	expect := func(img *Image) {
		t.Helper()
		var start *byte
		if img != nil {
			start = &img.data[0]
		}
		if s := tab.slot(7); s != nil && (s.first.Load() != img || s.start.Load() != start) || s == nil && img != nil {
			t.Errorf("version %v is not the first, or its bytes are elsewhere", img)
		}
		if got := tab.find(7, 9); got != img {
			t.Errorf("found %v", got)
		}
	}
	older, newer := imageForTest(7, 1), imageForTest(7, 5)
	older.through.Store(throughNewest)
	newer.through.Store(throughNewest)
	expect(nil)
	tab.setFirst(6, imageForTest(6, 1)) // the chunk stays
	tab.setFirst(7, older)
	expect(older)
	newer.prev.Store(older)
	tab.setFirst(7, newer)
	expect(newer)
	tab.unlink(newer)
	expect(older)
	tab.unlink(older)
	expect(nil)
	if s := tab.slot(7); s == nil || s.start.Load() != nil {
		t.Error("the bytes of an image that left are kept")
	}
}

func BenchmarkCacheHit(b *testing.B) {
	c := newCache(1 << 24)
	for id := types.PageID(1); id <= 1000; id++ {
		c.publish(imageForTest(id, 1), false, []types.Seq{1})
	}
	b.RunParallel(func(pb *testing.PB) {
		for id := types.PageID(1); pb.Next(); id = id%1000 + 1 {
			if c.table.find(id, 5) == nil {
				b.Fatal("miss")
			}
		}
	})
}
