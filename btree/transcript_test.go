package btree

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/golden"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// dump returns a tree as text, a line a node, parents before their children.
func (x *world) dump(src Source, root types.PageID) (lines []string) {
	var k walk
	k.start(src, src.rootOr(root))
	for {
		pg, ok, pending, err := k.step()
		require.NoError(x, err)
		if pending != nil {
			for !pending.Done() {
				x.m.Queue()[0].Complete()
			}
			continue
		}
		if !ok {
			return lines
		}
		n := node(pg.Data)
		low, high := string(n.low()), "end"
		if key, bounded := n.high(); bounded {
			high = string(key)
		}
		line := fmt.Sprintf("level %d, page %d: [%q, %q), %d entries, %d%% full",
			n.level(), pg.ID, short(low), short(high), n.count(), 100*(nodeHeader+n.used())/len(n))
		lines = append(lines, line)
	}
}

func short(key string) string {
	if len(key) > 12 {
		return key[:9] + "..."
	}
	return key
}

// changes returns the lines that differ.
func changes(before, after []string) (diff []string) {
	for _, line := range before {
		if !slices.Contains(after, line) {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			diff = append(diff, "+ "+line)
		}
	}
	return diff
}

// show puts what a machine ended with into words.
func show(v any) string {
	switch v := v.(type) {
	case PutResult:
		return fmt.Sprintf("stored %v, over %s", v.Stored, v.Old.words())
	case DeleteResult:
		return fmt.Sprintf("deleted %v, was %s", v.Deleted, v.Old.words())
	case Entry:
		return v.words()
	case []byte:
		return fmt.Sprintf("%d bytes", len(v))
	case CheckReport:
		return fmt.Sprintf("%d pages, %d trees, %d keys, problems %v", v.Pages, v.Trees, v.Keys, v.Problems)
	case struct{}:
		return "done"
	}
	return fmt.Sprintf("%+v", v)
}

// words describes an entry.
func (e Entry) words() string {
	switch e.Kind {
	case KindNone:
		return "nothing"
	case KindBucket:
		return fmt.Sprintf("a bucket with root %d", e.Bucket.Root)
	case KindLarge:
		return fmt.Sprintf("a value of %d bytes from page %d", e.Large.Size, e.Large.Page)
	}
	return fmt.Sprintf("a value of %d bytes", len(e.Value))
}

// cursorTrip moves a cursor and tells where it has come.
type cursorTrip struct {
	c     Cursor
	moves []func(*Cursor)
	at    int
	armed bool
	seen  []string
}

func (t *cursorTrip) Step() (types.IOResult[string], error) {
	for t.at < len(t.moves) {
		if !t.armed {
			t.moves[t.at](&t.c)
			t.armed = true
		}
		res, err := t.c.Step()
		if err != nil || res.Pending != nil {
			return types.IOResult[string]{Pending: res.Pending}, err
		}
		where := "nowhere"
		if res.Value {
			where = string(t.c.Key())
		}
		t.seen, t.armed = append(t.seen, where), false
		t.at++
	}
	return types.Done(strings.Join(t.seen, ", "))
}

func (t *cursorTrip) Abort(cause error) error { return t.c.Abort(cause) }

// largeTrip writes a value in pieces and gives it up again.
type largeTrip struct {
	l      LargeWriter
	pieces [][]byte
	armed  bool
}

func (t *largeTrip) Step() (types.IOResult[string], error) {
	for {
		if !t.armed && len(t.pieces) > 0 {
			t.l.Add(t.pieces[0])
		} else if !t.armed {
			t.l.Finish()
		}
		t.armed = true
		res, err := t.l.Step()
		if err != nil || res.Pending != nil {
			return types.IOResult[string]{Pending: res.Pending}, err
		}
		t.armed = false
		if len(t.pieces) == 0 {
			large := t.l.Large()
			t.l.Discard()
			return types.Done(fmt.Sprintf("%d bytes from page %d, discarded", large.Size, large.Page))
		}
		t.pieces = t.pieces[1:]
	}
}

func (t *largeTrip) Abort(cause error) error { return t.l.Abort(cause) }

// scriptedReads are operations that leave the tree as it is.
func scriptedReads() []scriptedOp {
	wide := fill("k", 300, 30)
	huge := bytes.Repeat([]byte("huge"), extentMax/2)
	withHuge := both(wide, func(x *world, m *model) {
		x.put(0, []byte("k01005"), huge)
		m.values["k01005"] = huge
	})
	large := func(x *world) Large {
		var f Find
		f.Start(x.w.Source(), 0, []byte("k01005"))
		return must(x, &f).Large
	}
	find := func(key string) func(x *world) stepping {
		return func(x *world) stepping {
			f := new(Find)
			f.Start(x.w.Source(), 0, []byte(key))
			return machine(f)
		}
	}
	trip := func(moves ...func(*Cursor)) func(x *world) stepping {
		return func(x *world) stepping {
			t := &cursorTrip{moves: moves}
			t.c.Start(x.w.Source(), 0)
			return machine(t)
		}
	}
	seek := func(key string) func(*Cursor) { return func(c *Cursor) { c.Seek([]byte(key)) } }
	times := func(n int, move func(*Cursor)) []func(*Cursor) { return slices.Repeat([]func(*Cursor){move}, n) }
	reads := []scriptedOp{
		{name: "find", setup: wide, op: find("k01000")},
		{name: "find of an absent key", setup: wide, op: find("k01001")},
		{name: "find of a large value", setup: withHuge, op: find("k01005")},
		{name: "cursor over both ends", setup: wide, op: trip((*Cursor).First, (*Cursor).Prev, (*Cursor).Last, (*Cursor).Next, (*Cursor).Prev)},
		{name: "cursor forward over leaves", setup: wide, op: trip(append([]func(*Cursor){seek("k01001")}, times(12, (*Cursor).Next)...)...)},
		{name: "cursor backward over leaves", setup: wide, op: trip(append([]func(*Cursor){seek("k01001")}, times(12, (*Cursor).Prev)...)...)},
		{
			name: "read of a large value", setup: withHuge,
			op: func(x *world) stepping {
				r := new(ReadLarge)
				r.Start(x.w.Source(), large(x))
				return machine(r)
			},
		},
		{
			name: "read over two extents", setup: withHuge,
			op: func(x *world) stepping {
				r := new(ReadLargeAt)
				r.Start(x.w.Source(), large(x), make([]byte, 100), int64(pager.MaxExtent)-50)
				return machine(r)
			},
		},
		{
			name: "large value in pieces", setup: wide,
			op: func(x *world) stepping {
				t := &largeTrip{pieces: [][]byte{huge[:10], huge[:extentMax+5], huge[:extentMax]}}
				t.l.Start(x.w)
				return machine(t)
			},
		},
		{
			name: "measure", setup: both(fill("k", 60, 30), bucketWith("b", 5)),
			op: func(x *world) stepping {
				m := new(Measure)
				m.Start(x.w.Source(), 0)
				return machine(m)
			},
		},
		{
			name: "check", setup: both(fill("k", 60, 30), bucketWith("b", 5)),
			op: func(x *world) stepping {
				c := new(Check)
				c.Start(x.w.Source())
				return machine(c)
			},
		},
	}
	for i := range reads {
		reads[i].model = func(*model) {}
	}
	return reads
}

// play runs an operation with a cold cache, with two steps at each wait, and says what changes in the root bucket's tree.
func play(t *testing.T, s scriptedOp) string {
	var out strings.Builder
	disk, base := prepare(t, s)
	before := newTrial(t, disk, s, base)
	old := before.dump(before.w.Source(), 0)

	tr := newTrial(t, disk, s, base)
	tr.world.m.SetManual(true)
	var submitted []string
	tr.world.m.SetTrace(func(e io.MemoryEvent) {
		if !e.Completed {
			_, words, _ := strings.Cut(e.Op.String(), " ")
			submitted = append(submitted, words)
		}
	})
	op := s.op(tr.world)
	for waits := 1; ; waits++ {
		submitted = nil
		pending, err := op.step()
		require.NoError(t, err)
		for _, words := range submitted {
			fmt.Fprintf(&out, "submits %s\n", words)
		}
		if pending == nil {
			fmt.Fprintf(&out, "ends: %s\n", op.result())
			break
		}
		what := pending.Reason()
		if pending.Kind() != io.KindYield {
			what = fmt.Sprintf("%v, %s", pending.Kind(), what)
		}
		fmt.Fprintf(&out, "%d. waits for %s", waits, what)
		submitted = nil
		again, err := op.step()
		if again != pending || err != nil || len(submitted) > 0 {
			fmt.Fprintf(&out, "; STEPPED AGAIN it waits for %v, error %v, submits %v", again, err, submitted)
		}
		out.WriteString("\n")
		tr.settle(pending)
	}
	tr.world.m.SetTrace(nil)
	for _, line := range changes(old, tr.dump(tr.w.Source(), 0)) {
		fmt.Fprintln(&out, line)
	}
	return out.String()
}

// TestTranscripts plays every machine of the package through each of its waits.
func TestTranscripts(t *testing.T) {
	all := append(scriptedOps(), scriptedReads()...)
	played := map[string]bool{}
	golden.Run(t, "testdata/machines.txt", func(t *testing.T, cmd golden.Command) string {
		for _, s := range all {
			if s.name == cmd.String(t, "op") {
				played[s.name] = true
				return play(t, s)
			}
		}
		t.Fatalf("%s: no such operation", cmd.Pos)
		return ""
	})
	require.Len(t, played, len(all))
}
