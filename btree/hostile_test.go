package btree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// forger makes pages that are sound for the pager and may hold anything.
type forger struct {
	*world
	root types.PageID // the root bucket's
}

// page returns a new page's id and bytes.
func (f *forger) page() (types.PageID, []byte) {
	var r pager.ReserveIDs
	r.Start(f.tx, 1)
	must(f.world, &r)
	return f.tx.New()
}

// leaf makes a leaf.
func (f *forger) leaf(low, high string, items ...item) types.PageID {
	id, buf := f.page()
	build(buf, 0, between(low, high), items)
	return id
}

// interior makes an interior node.
func (f *forger) interior(level int, low, high string, items ...item) types.PageID {
	id, buf := f.page()
	build(buf, level, between(low, high), items)
	return id
}

// again makes a page that there is a node.
func (f *forger) again(id types.PageID, level int, low, high string, items ...item) {
	build(f.edit(id), level, between(low, high), items)
}

// edit returns a page's bytes to change.
func (f *forger) edit(id types.PageID) []byte {
	var g pager.Get
	g.StartTx(f.tx, id)
	return f.tx.Edit(must(f.world, &g))
}

// extent writes bytes that are for an extent.
func (f *forger) extent(data []byte) types.PageID {
	var e pager.WriteExtent
	e.Start(f.tx, data)
	return must(f.world, &e)
}

// list writes a list of extents.
func (f *forger) list(count int, ids ...types.PageID) types.PageID {
	var data []byte
	for i := range count {
		data = binary.LittleEndian.AppendUint64(data, uint64(ids[i%len(ids)]))
	}
	return f.extent(data)
}

func between(low, high string) fences {
	return fences{low: []byte(low), high: []byte(high), bounded: high != ""}
}

func toChild(separator string, id types.PageID) item {
	return item{key: []byte(separator), tail: binary.LittleEndian.AppendUint64(nil, uint64(id))}
}

func toValue(key string, size int) item {
	return entryItem(key, Entry{Kind: KindValue, Value: make([]byte, size)})
}

func toLarge(key string, size int64, id types.PageID) item {
	return entryItem(key, Entry{Kind: KindLarge, Large: Large{Size: size, Page: id}})
}

func toBucket(key string, id types.PageID) item {
	return entryItem(key, Entry{Kind: KindBucket, Bucket: Bucket{Root: id}})
}

func entryItem(key string, e Entry) item {
	return item{key: []byte(key), tail: append(e.tailHead(nil), e.Value...)}
}

// values are items of a full leaf.
func values(prefix string) (items []item) {
	for i := range 6 {
		items = append(items, toValue(fmt.Sprintf("%s%d", prefix, i), 50))
	}
	return items
}

// forgery is a tree that no code of ours makes.
type forgery struct {
	name string
	// make makes the root bucket's tree, whose page root is an empty leaf, and returns what else is in use as a tree.
	make func(f *forger) []types.PageID
}

// forgeries are such trees. Keys that lead to the damage are "c", "m", "x" and what begins so.
func forgeries() []forgery {
	oneMore := func(f *forger, it ...item) { f.again(f.root, 0, "", "", it...) }
	list := []forgery{
		{"a node below itself", func(f *forger) []types.PageID {
			f.again(f.root, 1, "", "", toChild("", f.root), toChild("m", f.root))
			return nil
		}},
		{"two nodes below each other", func(f *forger) []types.PageID {
			a := f.interior(1, "", "m", toChild("", f.root))
			f.again(f.root, 2, "", "", toChild("", a), toChild("m", a))
			return nil
		}},
		{"leaves two levels down", func(f *forger) []types.PageID {
			f.again(f.root, 2, "", "", toChild("", f.leaf("", "m", values("c")...)), toChild("m", f.leaf("m", "", values("x")...)))
			return nil
		}},
		{"leaves with fences of others", func(f *forger) []types.PageID {
			a, b := f.leaf("", "n", values("c")...), f.leaf("k", "", values("x")...)
			f.again(f.root, 1, "", "", toChild("", a), toChild("m", b))
			return nil
		}},
		{"leaves with a longer prefix than their keys", func(f *forger) []types.PageID {
			in := f.interior(1, "longprefix1", "longprefix3", toChild("", f.root), toChild("longprefix2", f.root))
			f.again(f.root, 2, "", "", toChild("", in), toChild("m", in))
			return nil
		}},
		{"a root with fences", func(f *forger) []types.PageID {
			f.again(f.root, 0, "c", "d", values("c")...)
			return nil
		}},
		{"a child twice", func(f *forger) []types.PageID {
			a := f.leaf("", "m", values("c")...)
			f.again(f.root, 1, "", "", toChild("", a), toChild("m", a), toChild("t", a))
			return nil
		}},
		{"an extent as a child", func(f *forger) []types.PageID {
			e := f.extent(make([]byte, 3000))
			f.again(f.root, 1, "", "", toChild("", e), toChild("m", f.leaf("m", "", values("x")...)))
			return nil
		}},
		{"an extent as a bucket", func(f *forger) []types.PageID {
			e := f.extent(bytes.Repeat([]byte{1}, 400))
			oneMore(f, toBucket("c", e), toLarge("m", 400, e))
			return []types.PageID{e}
		}},
		{"the leaf itself as a large value", func(f *forger) []types.PageID {
			oneMore(f, toLarge("c", 400, f.root), toLarge("m", 400, f.root))
			return nil
		}},
		{"nodes of the path as large values", func(f *forger) []types.PageID {
			b := f.leaf("m", "", toLarge("m", 400, f.root), toLarge("x", 400, f.root))
			a, _ := f.page()
			f.again(a, 0, "", "m", toLarge("c", 400, b), toLarge("c2", 400, a), toValue("c3", 40))
			f.again(f.root, 1, "", "", toChild("", a), toChild("m", b))
			return nil
		}},
		{"nodes of the path as parts of a large value", func(f *forger) []types.PageID {
			a, _ := f.page()
			b := f.leaf("m", "", toValue("m", 10))
			l := f.list(2, a, b)
			f.again(a, 0, "", "m", toLarge("c", extentMax+5, l), toLarge("c2", extentMax+5, f.list(2, f.root, b)))
			f.again(f.root, 1, "", "", toChild("", a), toChild("m", b))
			return nil
		}},
		{"the same extent twice in a value, and its list", func(f *forger) []types.PageID {
			e := f.extent(make([]byte, extentMax))
			l := f.list(3, e)
			oneMore(f, toLarge("c", 3*extentMax, l), toLarge("m", 100<<30, f.list(102500, e)), toLarge("x", 100<<30, l))
			return nil
		}},
		{"two values with one extent, and two with one list", func(f *forger) []types.PageID {
			e, g := f.extent(make([]byte, extentMax)), f.extent(make([]byte, 10))
			l := f.list(2, e, g)
			oneMore(f, toLarge("c", 100, e), toLarge("c2", 100, e), toLarge("m", extentMax+10, l), toLarge("x", extentMax+10, l))
			return nil
		}},
		{"a value longer than its extent", func(f *forger) []types.PageID {
			e := f.extent(make([]byte, 100))
			oneMore(f, toLarge("c", extentMax, e), toLarge("m", 100<<30, e), toLarge("x", 5*extentMax, f.list(5, e)))
			return nil
		}},
		{"a bucket that is the root bucket", func(f *forger) []types.PageID {
			oneMore(f, toBucket("c", f.root), toBucket("m", f.root))
			return []types.PageID{f.root}
		}},
		{"a bucket that is the root bucket, two levels down", func(f *forger) []types.PageID {
			b := f.leaf("", "", toBucket("c", f.root), toValue("m", 30))
			oneMore(f, toBucket("c", b), toValue("m", 30))
			return []types.PageID{b}
		}},
		{"a bucket that is a part of its tree", func(f *forger) []types.PageID {
			a, b := f.leaf("", "m", values("c")...), f.leaf("m", "", values("x")...)
			f.again(b, 0, "m", "", toBucket("m", a), toBucket("x", b))
			f.again(f.root, 1, "", "", toChild("", a), toChild("m", b))
			return []types.PageID{a, b}
		}},
		{"two buckets that are one", func(f *forger) []types.PageID {
			a := f.leaf("", "", values("c")...)
			oneMore(f, toBucket("c", a), toBucket("m", a), toBucket("x", a))
			return []types.PageID{a}
		}},
		{"two trees with common leaves", func(f *forger) []types.PageID {
			a, b := f.leaf("", "m", values("c")...), f.leaf("m", "", values("x")...)
			one := f.interior(1, "", "", toChild("", a), toChild("m", b))
			two := f.interior(1, "", "", toChild("", a), toChild("m", b))
			oneMore(f, toBucket("c", one), toBucket("m", two))
			return []types.PageID{one, two}
		}},
		{"fewer pages in use than there are", func(f *forger) []types.PageID {
			a := f.leaf("", "", append(values("c"), toLarge("x", 600, f.extent(make([]byte, 600))))...)
			oneMore(f, toBucket("c", a), toLarge("m", 600, f.extent(make([]byte, 600))))
			f.tx.Globals().Pages = 1
			return []types.PageID{a}
		}},
		{"nodes of the most levels, all full", func(f *forger) []types.PageID {
			id := f.leaf("", "", values("c")...)
			for level := 1; level <= maxLevel; level++ {
				items := []item{toChild("", id)}
				for i := range 9 { // they lead nowhere that is looked at
					items = append(items, toChild(string(bytes.Repeat([]byte{'n' + byte(i)}, 40-i)), id))
				}
				n := f.again2(level, items)
				id = n
			}
			oneMore(f, toBucket("c", id))
			return []types.PageID{id}
		}},
	}
	for _, bad := range []types.PageID{1 << 47, 1<<48 - 1, 1 << 48, 1 << 61, 90, 5000, 11, 12, 13, 14} {
		list = append(list, forgery{fmt.Sprintf("page %d as everything", bad), func(f *forger) []types.PageID {
			if bad == 5000 {
				f.tx.Globals().NextPage = 100_000
			}
			oneMore(f, toBucket("c", bad), toBucket("c2", bad), toLarge("m", 100, bad), toLarge("x", extentMax+1, bad))
			return []types.PageID{bad}
		}}, forgery{fmt.Sprintf("page %d as a child", bad), func(f *forger) []types.PageID {
			f.again(f.root, 1, "", "", toChild("", bad), toChild("m", f.leaf("m", "", values("x")...)))
			return nil
		}})
	}
	return list
}

// again2 makes a node of what fits into one.
func (f *forger) again2(level int, items []item) types.PageID {
	for itemsSize(level, fences{}, items) > f.pageSize-nodeHeader {
		items = items[:len(items)-1]
	}
	return f.interior(level, "", "", items...)
}

// forge makes a database with a forged tree and returns its disk.
func forge(t *testing.T, forgery forgery) (disk *io.Memory, roots []types.PageID) {
	x := &world{TB: t, m: io.NewMemory(), pageSize: 512, cache: 64 * 512}
	x.open()
	x.begin()
	x.put(0, []byte("a"), nil)
	for i := range 8 { // pages that are free again
		x.put(0, fmt.Appendf(nil, "b%d", i), make([]byte, 600))
	}
	x.commit()
	x.begin()
	for i := range 8 {
		x.del(0, fmt.Appendf(nil, "b%d", i))
	}
	x.del(0, []byte("a"))
	x.commit()
	x.begin()
	f := &forger{world: x, root: x.tx.Globals().Root}
	roots = forgery.make(f)
	x.commit()
	x.close()
	return x.m, append(roots, 0)
}

// attack is something done to a forged tree.
type attack struct {
	name string
	run  func(x *world, root types.PageID, key []byte) error
	once bool // not for each key
}

func attacks() []attack {
	all := KindsOf(KindNone, KindValue, KindLarge)
	puts := func(size int) func(x *world, root types.PageID, key []byte) error {
		return func(x *world, root types.PageID, key []byte) error {
			var p Put
			p.Start(x.w, root, key, Entry{Kind: KindValue, Value: make([]byte, size)}, all)
			_, err := drive(x, &p)
			return err
		}
	}
	walkAll := func(first, move func(*Cursor)) func(x *world, root types.PageID, key []byte) error {
		return func(x *world, root types.PageID, _ []byte) error {
			var c Cursor
			c.Start(x.w.Source(), root)
			first(&c)
			for range 100_000 {
				if on, err := drive(x, &c); !on || err != nil {
					return err
				}
				move(&c)
			}
			return errors.New("a cursor goes on and on")
		}
	}
	return []attack{
		{"look up", func(x *world, root types.PageID, key []byte) error {
			x.w.Source().Lookup(root, key)
			var f Find
			f.Start(x.w.Source(), root, key)
			e, err := drive(x, &f)
			if err != nil || e.Kind != KindLarge {
				return err
			}
			var at ReadLargeAt
			at.Start(x.w.Source(), e.Large, make([]byte, 100), max(e.Large.Size-200, 0))
			_, err = drive(x, &at)
			var r ReadLarge
			r.Start(x.w.Source(), e.Large)
			_, err2 := drive(x, &r)
			return errors.Join(err, err2)
		}, false},
		{"put", puts(60), false},
		{"put much", puts(130), false},
		{"put a large value", puts(700), false},
		{"delete", func(x *world, root types.PageID, key []byte) error {
			var d Delete
			d.Start(x.w, root, key, all)
			_, err := drive(x, &d)
			return err
		}, false},
		{"create a bucket", func(x *world, root types.PageID, key []byte) error {
			var c CreateBucket
			c.Start(x.w, root, append(bytes.Clone(key), "new"...))
			_, err := drive(x, &c)
			return err
		}, false},
		{"drop a bucket", func(x *world, root types.PageID, key []byte) error {
			var d DropBucket
			d.Start(x.w, root, key)
			_, err := drive(x, &d)
			return err
		}, false},
		{"delete all", func(x *world, root types.PageID, _ []byte) error {
			var d DeleteRange
			d.Start(x.w, root, nil, nil)
			_, err := drive(x, &d)
			return err
		}, true},
		{"drop", func(x *world, root types.PageID, _ []byte) error {
			var d Drop
			d.Start(x.w, root)
			_, err := drive(x, &d)
			return err
		}, true},
		{"scan", walkAll((*Cursor).First, (*Cursor).Next), true},
		{"scan backward", walkAll((*Cursor).Last, (*Cursor).Prev), true},
		{"measure", func(x *world, root types.PageID, _ []byte) error {
			var m Measure
			m.Start(x.w.Source(), root)
			_, err := drive(x, &m)
			return err
		}, true},
		{"check", func(x *world, _ types.PageID, _ []byte) error {
			var c Check
			c.Start(x.w.Source())
			_, err := drive(x, &c)
			return err
		}, true},
	}
}

// harmless fails the test for an error that a forged tree must not cause.
func harmless(t *testing.T, what string, err error) {
	var corrupt *types.CorruptError
	if math.MaxInt == math.MaxInt32 && errors.Is(err, ErrValueTooLarge) {
		return
	}
	if err != nil && !errors.As(err, &corrupt) {
		t.Fatalf("%s: %v", what, err)
	}
}

// attacked does something to a copy of the disk, commits it, makes a checkpoint, does it once more, and closes.
func attacked(t *testing.T, disk *io.Memory, a attack, root types.PageID, key []byte) {
	what := fmt.Sprintf("%s, tree %d, key %q", a.name, root, key)
	x := &world{TB: t, m: disk.Crash(func(int, io.Change) bool { return true }), pageSize: 512, cache: 64 * 512}
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s: panic %v", what, r)
			panic(r)
		}
	}()
	x.open()
	for range 2 {
		x.begin()
		harmless(t, what, a.run(x, root, key))
		require.False(t, x.w.Busy())
		harmless(t, what+", and again", a.run(x, root, key))
		for _, more := range []string{"c", "cc", "m", "x"} { // whatever was freed is used again
			harmless(t, what+", put", attacks()[1].run(x, 0, []byte(more)))
			harmless(t, what+", put a large value", attacks()[3].run(x, 0, []byte("p"+more)))
			harmless(t, what+", look up", attacks()[0].run(x, root, []byte(more)))
		}
		var c pager.Commit
		c.Start(x.tx, false)
		_, err := drive(x, &c)
		harmless(t, what+", commit", err)
		var k pager.Checkpoint
		k.Start(x.p, pager.CheckpointTruncate)
		_, err = drive(x, &k)
		harmless(t, what+", checkpoint", err)
	}
	x.view(func(src Source) {
		var c Check
		c.Start(src)
		_, err := drive(x, &c)
		harmless(t, what+", check", err)
	})
	var c pager.Close
	c.Start(x.p)
	_, err := drive(x, &c)
	harmless(t, what+", close", err)
}

// Whatever a file says, every machine ends with an answer or with *types.CorruptError, and takes little memory.
func TestForgedTrees(t *testing.T) {
	for _, forgery := range forgeries() {
		t.Run(forgery.name, func(t *testing.T) {
			var before, after runtime.MemStats
			disk, roots := forge(t, forgery)
			for _, root := range roots {
				for i, a := range attacks() {
					runtime.ReadMemStats(&before)
					keys := []string{"c", "c2", "m", "x"}
					if a.once {
						keys = keys[:1]
					}
					for j, key := range keys {
						if effort.Short() && (i+j+int(root))%3 > 0 {
							continue
						}
						attacked(t, disk, a, root, []byte(key))
					}
					runtime.ReadMemStats(&after)
					require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<30), a.name)
				}
			}
		})
	}
}
