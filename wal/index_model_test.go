package wal

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/types"
)

// modelLayer is what the index keeps of one generation, as a plain list in commit order.
type modelLayer struct {
	generation types.Generation
	entries    []Entry
}

// newest returns the last entry of page at or below s.
func (y *modelLayer) newest(page types.PageID, s types.Seq) (e Entry, ok bool) {
	for i := range y.entries {
		if y.entries[i].Page == page && y.entries[i].Version <= s {
			e, ok = y.entries[i], true
		}
	}
	return e, ok
}

// all returns the newest entry of every page above low and at or below s, by page.
func (y *modelLayer) all(low, s types.Seq) []Entry {
	last := map[types.PageID]Entry{}
	for _, e := range y.entries {
		if e.Version <= s {
			last[e.Page] = e
		}
	}
	return byPage(last, low)
}

// images returns the pages with an image above low and at or below s, ascending.
func (y *modelLayer) images(low, s types.Seq) (pages []types.PageID) {
	for _, e := range y.entries {
		if e.Kind.Image() && e.Version > low && e.Version <= s {
			pages = append(pages, e.Page)
		}
	}
	slices.Sort(pages)
	return slices.Compact(pages)
}

func byPage(last map[types.PageID]Entry, low types.Seq) (list []Entry) {
	for _, e := range last {
		if e.Version > low {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return int(a.Page) - int(b.Page) })
	return list
}

// indexModel is a log's index beside the lists that say what it must hold.
type indexModel struct {
	t      *testing.T
	rng    *rand.Rand
	log    *Log
	layers []modelLayer
	seq    types.Seq
	gen    types.Generation
	long   int         // how many commits with long lists may come
	splits []types.Seq // what each layer but the first was split at
}

// row returns how many deltas the newest version of a page is rebuilt of, as far as the layers know.
func (x *indexModel) row(page types.PageID) (n int) {
	for i := range x.layers {
		for _, e := range x.layers[i].entries {
			switch {
			case e.Page != page:
			case e.Kind == KindDelta:
				n++
			default:
				n = 0
			}
		}
	}
	return n
}

func (x *indexModel) top() *modelLayer { return &x.layers[len(x.layers)-1] }

// commit adds one: frames, references and freed runs of a few pages, or long lists now and then.
func (x *indexModel) commit(pages int) {
	x.seq++
	add := func(e indexEntry) {
		e.older = -1
		x.top().entries = append(x.top().entries, e.public())
	}
	l := &lists{seq: x.seq}
	taken := map[types.PageID]bool{}
	for range x.rng.IntN(4) {
		page := types.PageID(1 + x.rng.IntN(pages))
		if taken[page] {
			continue
		}
		taken[page] = true
		e := indexEntry{page: page, version: x.seq, kind: KindFull, written: true, length: 64, a: 1, b: 2, c: x.rng.Uint64N(1 << 40)}
		if count, _ := x.log.Deltas(page); count < DeltasMax && x.rng.IntN(2) == 0 {
			e.kind = KindDelta
			x.log.follow(&e)
			require.Equal(x.t, x.row(page)+1, int(e.deltas))
		}
		add(e)
		x.log.index.top().add(e)
	}
	first, n := types.PageID(1+x.rng.IntN(pages)), 1+x.rng.IntN(3)
	if x.long > 0 && x.rng.IntN(10) == 0 {
		x.long--
		n = bulkMin + x.rng.IntN(100)
	}
	sort := x.rng.IntN(4) > 0
	for i := range n {
		page := first + types.PageID(i)
		if !sort {
			page = first + types.PageID(n-1-i)
		}
		if taken[page] {
			continue
		}
		if (int(page)/16)%2 == 0 {
			l.free(page, 1)
		} else {
			l.reference(page, types.Run{First: types.Block(100 + page), Count: 1}.Pack(), uint64(page))
		}
	}
	l.each(add)
	x.log.index.top().addLists(l)
}

// check compares every question that the index answers.
func (x *indexModel) check(pages int) {
	var snapshot types.Seq
	for range 20 {
		page := types.PageID(1 + x.rng.IntN(pages+20))
		snapshot = types.Seq(x.rng.Uint64N(uint64(x.seq) + 2))
		from := x.rng.IntN(len(x.layers))
		var want Entry
		found := false
		for _, y := range x.layers[from:] {
			if e, ok := y.newest(page, snapshot); ok {
				want, found = e, true
			}
		}
		got, ok := x.log.Lookup(page, snapshot, x.layers[from].generation)
		require.Equal(x.t, found, ok)
		require.Equal(x.t, want, got)

		want, found = Entry{}, false
		for _, y := range x.layers {
			if e, ok := y.newest(page, x.seq); ok {
				want, found = e, true
			}
		}
		version, ok := x.log.Newest(page)
		require.Equal(x.t, found, ok)
		require.Equal(x.t, want.Version, version)

		want, found = x.top().newest(page, x.seq)
		kind, ok := x.log.InNewestLayer(page)
		require.Equal(x.t, found, ok)
		require.Equal(x.t, want.Kind, kind)
	}
	last := map[types.PageID]Entry{}
	from := x.rng.IntN(len(x.layers))
	for _, y := range x.layers[from:] {
		for _, e := range y.all(0, snapshot) {
			last[e.Page] = e
		}
	}
	require.True(x.t, slices.Equal(byPage(last, 0), x.log.ChangedSince(x.layers[from].generation, snapshot)))
	above, images := x.log.Above(snapshot)
	require.True(x.t, slices.Equal(x.top().all(snapshot, x.seq), above))
	require.True(x.t, slices.Equal(x.top().images(snapshot, x.seq), images))
	for i, y := range x.layers {
		at := x.seq
		if i+1 < len(x.layers) {
			at = x.splits[i]
		}
		var changed []types.PageID
		whole := 0
		for _, e := range y.all(0, at) {
			changed = append(changed, e.Page)
			if e.Kind.Image() {
				whole++
			}
			if e.Page%64 < 4 {
				require.Equal(x.t, e, x.log.ChangedEntry(y.generation, e.Page, at))
			}
		}
		got, n := x.log.Changed(y.generation, at)
		require.True(x.t, slices.Equal(changed, got))
		require.Equal(x.t, whole, n)
		require.True(x.t, slices.Equal(sortedRuns(y.references()), sortedRuns(x.log.References(y.generation))))
	}
}

func (y *modelLayer) references() (runs []types.Run) {
	for _, e := range y.entries {
		if e.Kind == KindReference {
			runs = append(runs, e.Run)
		}
	}
	return runs
}

// split opens a layer above a commit of the newest one.
func (x *indexModel) split() {
	low := types.Seq(0)
	if n := len(x.splits); n > 0 {
		low = x.splits[n-1]
	}
	at := low + types.Seq(x.rng.Uint64N(uint64(x.seq-low)+1))
	x.gen += types.Generation(1 + x.rng.IntN(3))
	top := x.top()
	cut := slices.IndexFunc(top.entries, func(e Entry) bool { return e.Version > at })
	if cut < 0 {
		cut = len(top.entries)
	}
	next := modelLayer{x.gen, slices.Clone(top.entries[cut:])}
	top.entries = top.entries[:cut:cut]
	x.layers = append(x.layers, next)
	x.splits = append(x.splits, at)
	x.log.Split(at, x.gen)
}

// unsplit takes the newest layer back.
func (x *indexModel) unsplit() {
	if n := len(x.layers); n > 1 {
		y := x.layers[n-1]
		x.layers, x.splits = x.layers[:n-1], x.splits[:n-2]
		x.top().entries = append(x.top().entries, y.entries...)
		x.log.Unsplit(y.generation)
	}
}

// drop forgets any layer but the newest.
func (x *indexModel) drop() {
	if n := len(x.layers); n > 1 {
		i := x.rng.IntN(n - 1)
		dropped := x.log.DropLayer(x.layers[i].generation)
		require.True(x.t, slices.Equal(sortedRuns(x.layers[i].references()), sortedRuns(dropped)))
		x.layers, x.splits = slices.Delete(x.layers, i, i+1), slices.Delete(x.splits, i, i+1)
	}
}

// TestIndexModel goes through commits, splits, joins and drops at random and asks everything after each.
func TestIndexModel(t *testing.T) {
	for seed := range uint64(effort.Of(5, 30, 300)) {
		x := &indexModel{t: t, rng: rand.New(rand.NewPCG(seed, 1)), log: &Log{}, gen: 5, long: max(0, 3-int(seed))}
		x.log.index.layers = []*layer{newLayer(5)}
		x.layers = []modelLayer{{generation: 5}}
		const pages = 60
		for range 60 {
			switch x.rng.IntN(10) {
			case 0:
				x.split()
			case 1:
				x.unsplit()
			case 2:
				x.drop()
			default:
				x.commit(pages)
			}
			x.check(pages)
		}
		var layers []types.Generation
		for _, y := range x.layers {
			layers = append(layers, y.generation)
		}
		require.Equal(t, layers, x.log.Layers())
	}
}
