package btree

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/types"
)

// grown returns a world with a tree of three levels in the root bucket.
func grown(t *testing.T) *world {
	x := newWorld(t, 512, 1<<20)
	x.begin()
	for i := range 2000 {
		x.put(0, fmt.Appendf(nil, "k%04d", i), make([]byte, 40))
	}
	x.commit()
	return x
}

// told returns what the nodes above the leaf of a key say of it, from the root down.
func told(x *world, root types.PageID, key string) (below []Kinds) {
	x.Helper()
	src := x.w.Source()
	var p path
	_, err := p.descend(src, src.rootOr(root), []byte(key))
	require.NoError(x, err)
	for i := range p.steps[:len(p.steps)-1] {
		below = append(below, p.steps[i].node().below(p.steps[i].index))
	}
	return below
}

// Every node above a leaf tells of large values and buckets from the moment that the leaf has them.
func TestBelow(t *testing.T) {
	x := grown(t)
	large, bucket := KindsOf(KindLarge), KindsOf(KindBucket)
	x.begin()
	require.Equal(t, []Kinds{0, 0}, told(x, 0, "k0700"))
	x.put(0, []byte("k0700"), make([]byte, 2000))
	require.Equal(t, []Kinds{large, large}, told(x, 0, "k0700"))
	require.Equal(t, []Kinds{0, 0}, told(x, 0, "k1700"))
	var c CreateBucket
	c.Start(x.w, 0, []byte("k1700b"))
	must(x, &c)
	require.Equal(t, []Kinds{bucket, bucket}, told(x, 0, "k1700b"))
	x.commit()
	x.check()

	x.begin()
	for i := range 300 { // the leaf is split over and over
		x.put(0, fmt.Appendf(nil, "k0700%04d", i), make([]byte, 40))
	}
	require.Equal(t, []Kinds{large, large}, told(x, 0, "k0700"))
	require.Zero(t, told(x, 0, "k07000299")[1])
	for i := range 300 { // and merged again
		x.del(0, fmt.Appendf(nil, "k0700%04d", i))
	}
	x.commit()
	x.check()
}

// Check finds a large value that the node above does not tell of: dropping the tree would leak it.
func TestCheckBelow(t *testing.T) {
	x := grown(t)
	x.begin()
	x.put(0, []byte("k0700"), make([]byte, 2000))
	src := x.w.Source()
	var p path
	_, err := p.descend(src, src.Root(), []byte("k0700"))
	require.NoError(t, err)
	up := &p.steps[len(p.steps)-2]
	x.w.setBelow(up, up.index, 0)
	x.commit()
	x.view(func(src Source) {
		var c Check
		c.Start(src)
		problems := must(x, &c).Problems
		require.Len(t, problems, 1)
		require.ErrorContains(t, problems[0], "does not tell of")
	})
}

// What goes as a whole is not read, but for leaves that lead to more pages: as many nodes are read as there are above leaves.
func TestUnread(t *testing.T) {
	reads := func(x *world, run func()) uint64 {
		before := x.p.Stats().Cache.Misses
		run()
		return x.p.Stats().Cache.Misses - before
	}
	cold := func(bucket bool) *world {
		x := grown(t)
		x.begin()
		if bucket {
			var c CreateBucket
			c.Start(x.w, 0, []byte("k1700b"))
			must(x, &c)
		}
		x.put(0, []byte("k0700"), make([]byte, 2000))
		x.commit()
		x.close()
		x.open()
		return x
	}
	var m Measure
	x := cold(false)
	x.view(func(src Source) {
		m.Start(src, 0)
		s := must(x, &m)
		require.Greater(t, s.Leaves, int64(200))
		require.Greater(t, s.Interiors, int64(5))
		require.Less(t, s.Interiors, int64(30))
	})
	const few = 60 // interior nodes, nodes of the map, leaves at the ends
	for name, run := range map[string]func(x *world){
		"drop": func(x *world) {
			var d Drop
			d.Start(x.w, x.tx.Globals().Root)
			must(x, &d)
			x.tx.Globals().Root = 0
		},
		"delete all": func(x *world) {
			var d DeleteRange
			d.Start(x.w, 0, nil, nil)
			must(x, &d)
		},
		"delete most": func(x *world) {
			var d DeleteRange
			d.Start(x.w, 0, []byte("k0003"), []byte("k1991"))
			must(x, &d)
		},
	} {
		for _, bucket := range []bool{false, true} {
			if bucket && name == "drop" {
				continue
			}
			x := cold(bucket)
			x.begin()
			require.Less(t, reads(x, func() { run(x) }), uint64(few), name)
			x.commit()
			report := x.check()
			if name == "delete most" {
				require.EqualValues(t, 12, report.Keys)
			} else {
				require.Zero(t, report.Keys)
			}
			if name != "drop" && !bucket {
				x.view(func(src Source) {
					m.Start(src, 0)
					require.LessOrEqual(t, must(x, &m).Leaves, int64(3), name)
				})
			}
			x.close()
		}
	}
}

// A long separator does not fit everywhere: fences of nodes that a range delete leaves behind may get longer, and their prefix
// shorter.
func TestRangeOfLongKeys(t *testing.T) {
	for _, step := range []int{1, 7, 31} {
		x := newWorld(t, 512, 1<<20)
		limit := MaxKeySize(512)
		key := func(i int) []byte {
			k := fmt.Appendf(nil, "%c%04d", 'a'+i/100, i)
			for len(k) < limit && i%3 > 0 {
				k = append(k, 'x')
			}
			return k
		}
		x.begin()
		m := newModel()
		for i := range 900 {
			x.put(0, key(i), []byte("v"))
			m.values[string(key(i))] = []byte("v")
		}
		x.commit()
		for from := 0; from < 900; from += 50 {
			x.begin()
			to := key(min(from+50*step/7+3, 899))
			var d DeleteRange
			d.Start(x.w, 0, key(from+1), to)
			must(x, &d)
			for k := range m.values {
				if k >= string(key(from+1)) && k < string(to) {
					delete(m.values, k)
				}
			}
			x.commit()
			x.view(func(src Source) { x.same(src, 0, m) })
			x.check()
		}
		x.close()
	}
}

// A file may say anything of what lies below a child: then pages leak, or are read in vain.
func TestForgedBelow(t *testing.T) {
	for _, below := range []Kinds{0, KindsOf(KindLarge), KindsOf(KindBucket), paged()} {
		lie := func(separator string, id types.PageID) item {
			it := toChild(separator, 0)
			node := packChild(id, below)
			for i := range it.tail {
				it.tail[i] = byte(node >> (8 * i))
			}
			return it
		}
		disk, roots := forge(t, forgery{"", func(f *forger) []types.PageID {
			e := f.extent(make([]byte, 600))
			b := f.leaf("", "", values("c")...)
			one := f.leaf("", "m", append(values("c"), toLarge("c9", 600, e))...)
			two := f.leaf("m", "t", append(values("m"), toBucket("m9", b))...)
			three := f.leaf("t", "", values("x")...)
			f.again(f.root, 1, "", "", lie("", one), lie("m", two), lie("t", three))
			return nil
		}})
		for _, root := range roots {
			for _, a := range attacks() {
				for _, key := range []string{"c", "c9", "m9", "x"} {
					attacked(t, disk, a, root, []byte(key))
				}
			}
		}
	}
}

// A value of 1 MiB, which is common, is one extent: one write, one read, no copy.
func TestRoundValue(t *testing.T) {
	x := newWorld(t, 4096, 8<<20)
	x.begin()
	x.put(0, []byte("k"), make([]byte, 1<<20))
	x.commit()
	var m Measure
	x.view(func(src Source) {
		m.Start(src, 0)
		require.EqualValues(t, 1, must(x, &m).Extents)
		var f Find
		f.Start(src, 0, []byte("k"))
		var r ReadLarge
		r.Start(src, must(x, &f).Large)
		require.Len(t, must(x, &r), 1<<20)
		require.True(t, r.Shared())
	})
}
