package pager

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// coldCache holds one page or two: whoever reads, reads the disk. A transaction still has the 16 pages that it may
// always have. warmCache holds some, and is no larger than lets a transaction of more than 16 pages spill.
const coldCache, warmCache = 1 << 10, 16 << 10

// nested is two operations of which one runs inside the other: whenever the outer one waits for an I/O, that is a
// place where the inner one can run from beginning to end.
type nested struct {
	name   string
	before []step
	outer  step
	inner  step
	after  []step // must succeed where nothing was made to fail
	stride int    // of the places where the inner one runs
	cache  int64
	sector int // bytes that a cut takes or leaves together; less than a meta block: that may be torn
}

// The orders in which I/O completes while an operation waits. Each returns the index in the queue.
var completionOrders = []struct {
	name string
	next func(q []*io.Op) int
}{
	{"oldest first", func([]*io.Op) int { return 0 }},
	{"newest first", func(q []*io.Op) int { return len(q) - 1 }}, // the outer operation's I/O stays in flight
	{"log first", func(q []*io.Op) int { return max(0, slices.IndexFunc(q, ofLog)) }},
	{"database file last to first", func(q []*io.Op) int {
		return max(0, len(q)-1-slices.IndexFunc(backwards(q), ofDatabase)) % len(q)
	}},
}

func ofLog(op *io.Op) bool      { return strings.HasSuffix(op.File, "-wal") }
func ofDatabase(op *io.Op) bool { return !ofLog(op) }

func backwards(q []*io.Op) []*io.Op {
	q = slices.Clone(q)
	slices.Reverse(q)
	return q
}

// nestedRun is one way to run a nested.
type nestedRun struct {
	at      int  // how many I/Os complete in the outer operation before the inner one runs
	order   int  // of completion
	abandon bool // the outer operation is given up there, with its I/O under way, which lands behind the inner one
	onIO    func(w *pagerWorld, op *io.Op, n int) error
}

// run returns the world behind it, and false if the outer operation ends before the inner one would run.
func (n nested) run(t testing.TB, r nestedRun) (*pagerWorld, bool) {
	m := io.NewMemory(io.MemoryConfig{SectorSize: n.sector})
	w := newPagerWorld(t, m, n.cache)
	require.NoError(t, w.open())
	for i, s := range n.before {
		require.NoError(t, s(w), "%s: step %d", n.name, i)
	}
	m.SetManual(true)
	defer m.SetManual(false)
	var late []*io.Op
	waits, ran, count, busy := 0, false, 0, false
	w.next = func(q []*io.Op) *io.Op {
		isLate := func(op *io.Op) bool { return slices.Contains(late, op) }
		if fresh := slices.DeleteFunc(slices.Clone(q), isLate); len(fresh) > 0 {
			q = fresh
		}
		return q[completionOrders[r.order].next(q)]
	}
	m.SetFault(func(op *io.Op) error {
		w.writesOwnTheirBlocks()
		if r.onIO == nil || !ran || busy {
			return nil
		}
		busy = true
		defer func() { busy = false }()
		count++
		return r.onIO(w, op, count-1)
	})
	defer m.SetFault(nil)
	w.between = func() bool {
		if waits++; waits-1 != r.at {
			return true
		}
		ran = true
		w.between = nil
		if r.abandon {
			late = m.Queue()
			for _, op := range late {
				op.Start()
			}
			return false
		}
		w.patient = true
		_ = n.inner(w) // may be given up: it needs what the outer one has
		w.patient = false
		return true
	}
	_ = n.outer(w) // ends with an error where it is abandoned, or an I/O was made to fail
	w.between = nil
	w.writesOwnTheirBlocks()
	if ran && r.abandon {
		w.patient = true
		_ = n.inner(w)
		w.patient = false
	}
	for q := m.Queue(); len(q) > 0; q = m.Queue() {
		q[0].Complete()
	}
	w.next = nil
	return w, ran
}

// writesOwnTheirBlocks checks that no block is free, and that no two writes go to the same bytes, while a write
// that is not retired may touch it: cancelled ones too. Of syncs and truncates of the file there is one at a time,
// and no sync is cancelled.
func (w *pagerWorld) writesOwnTheirBlocks() {
	s := w.p.space
	alone := map[io.Kind]*io.Op{}
	for _, op := range w.m.Queue() {
		if ofLog(op) || op.Kind != io.KindSync && op.Kind != io.KindTruncate {
			continue
		}
		if other := alone[op.Kind]; other != nil {
			w.t.Fatalf("%v beside %v", op, other)
		}
		alone[op.Kind] = op
		if op.Kind == io.KindSync && op.Completion.Done() {
			w.t.Fatalf("%v was cancelled: nobody will hear how it ends", op)
		}
	}
	ends := map[string]int64{}
	queue := slices.DeleteFunc(w.m.Queue(), func(op *io.Op) bool { return op.Kind != io.KindWrite })
	slices.SortFunc(queue, func(a, b *io.Op) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, op := range queue {
		if op.Offset < ends[op.File] {
			w.t.Fatalf("%v overlaps a write that is under way", op)
		}
		ends[op.File] = op.Offset + op.Length
		if ofLog(op) {
			continue
		}
		s.mu.Lock()
		for at := op.Offset; at < op.Offset+op.Length; at += testPageSize {
			b := types.Block(at / testPageSize)
			g, bit := &s.groups[b/s.geometry.chunk], int(b%s.geometry.chunk)
			if nextSet(g.busy, bit, len(g.busy)*64) != bit {
				w.t.Fatalf("block %d is free under %v", b, op)
			}
		}
		s.mu.Unlock()
	}
}

// diskImages returns what to look at of the images that a cut may leave: nothing survives, everything, all but the
// meta blocks, only them, every other change.
func diskImages(m *io.Memory, pick int) (*io.Memory, string) {
	meta := func(ch io.Change) bool {
		return ch.Kind == io.ChangeSector && ch.File != "db-wal" && ch.Offset < 2*metaSlotSize
	}
	switch pick % 5 {
	case 0:
		return m.Crash(nil), "nothing survives"
	case 1:
		return m.Crash(func(_ int, ch io.Change) bool { return !meta(ch) }), "all but the meta blocks survives"
	case 2:
		return m.Crash(func(_ int, ch io.Change) bool { return meta(ch) }), "only meta blocks survive"
	case 3:
		return m.Crash(func(i int, _ io.Change) bool { return (i+pick/5)%2 == 0 }), "every other change survives"
	}
	return m.Crash(func(int, io.Change) bool { return true }), "everything survives"
}

// checkPrefix opens what a disk holds and compares it with what was promised.
func checkPrefix(t testing.TB, m *io.Memory, before *pagerWorld, label func() string) {
	w := newPagerWorld(t, m, coldCache)
	if err := w.open(); err != nil {
		t.Fatalf("%s: open: %v", label(), err)
	}
	seq := w.p.Snapshot().Seq
	if seq < before.acked || seq > before.started {
		t.Fatalf("%s: recovered commit %d, acknowledged %d, started %d", label(), seq, before.acked, before.started)
	}
	if err := w.verify(before.models); err != nil {
		t.Fatalf("%s: %v", label(), err)
	}
	if err := w.fsck(); err != nil {
		t.Fatalf("%s: %v", label(), err)
	}
	w.quiet()
}

// spilling is a transaction that is larger than its share of memory, so that its first pages go to the file, with
// an extent.
func spilling(adds, edits, frees int) step {
	return func(w *pagerWorld) error {
		tx, err := w.begin()
		if err != nil {
			return err
		}
		work := func() error {
			if err := w.addExtent(tx, 700); err != nil {
				return err
			}
			for i := range edits {
				if ids := w.pages(); len(ids) > 0 {
					if err := w.edit(tx, ids[i*7%len(ids)]); err != nil {
						return err
					}
				}
			}
			for range frees {
				if ids := w.pages(); len(ids) > 0 {
					w.free(tx, ids[len(ids)/2])
				}
			}
			for range adds {
				if err := w.add(tx); err != nil {
					return err
				}
			}
			var spilled []types.PageID
			for id, d := range tx.pages.all() {
				if d.run.Count > 0 && w.now[id].extent == 0 {
					spilled = append(spilled, id)
				}
			}
			if len(spilled) < 2 {
				return nil
			}
			w.free(tx, spilled[0])
			return w.edit(tx, spilled[1])
		}
		if err := work(); err != nil {
			tx.Rollback()
			return err
		}
		return w.commit(tx, false)
	}
}

// steps runs one after the other.
func steps(list ...step) step {
	return func(w *pagerWorld) error {
		for _, s := range list {
			if err := s(w); err != nil {
				return err
			}
		}
		return nil
	}
}

// readAll is a reader that looks at every page, and must see its snapshot whatever happens meanwhile.
func readAll(times int) step {
	return func(w *pagerWorld) error {
		var r Reader
		r.Start(w.p)
		defer r.Close()
		for range times {
			err := w.verifyAt(&r, w.models)
			if err != nil && (errors.Is(err, errInjected) || errors.Is(err, io.ErrCancelled)) {
				return err
			}
			if err != nil {
				w.t.Fatalf("reader beside others: %v", err)
			}
		}
		return nil
	}
}

var (
	someState   = []step{commits(2, 8, 0, 0), fullCp, spilling(20, 4, 2), commits(1, 1, 5, 1)}
	turnover    = steps(commits(1, 2, 8, 2), fullCp, spilling(18, 6, 2), fullCp, spilling(18, 6, 9))
	nestedCases = []nested{
		{"a spill inside a checkpoint", someState, fullCp, spilling(18, 5, 2), []step{fullCp}, 1, coldCache, 64},
		{"extents inside a checkpoint", someState, fullCp, extents(900, 1400), []step{fullCp}, 1, warmCache, 512},
		{"a checkpoint inside a spill", someState, spilling(18, 5, 2), fullCp, []step{fullCp}, 1, coldCache, 512},
		{"commits inside a truncating checkpoint", slices.Concat(someState, []step{commits(3, 0, 0, 9)}), truncate,
			steps(commits(1, 1, 2, 1), spilling(17, 2, 0)), []step{truncate, truncate}, 1, warmCache, 512},
		{"a passive checkpoint inside commits", someState, commits(2, 3, 2, 1), passive,
			[]step{fullCp}, 1, warmCache, 512},
		{"a savepoint inside a checkpoint", someState, fullCp, spilledSavepoints, []step{fullCp}, 2, coldCache, 512},
		{"a spill inside a spill", someState, spilling(18, 5, 2), steps(spilling(18, 5, 2), fullCp),
			[]step{fullCp}, 2, coldCache, 512},
		{"generations inside a reader", someState, readAll(1), turnover, []step{fullCp}, 5, coldCache, 512},
		{"generations inside a warm reader", someState, readAll(2), turnover, []step{fullCp}, 5, warmCache, 512},
		{"a reader inside generations", someState, turnover, readAll(2), []step{fullCp}, 5, warmCache, 512},
	}
)

// spilledSavepoints spills inside of savepoints that are kept, taken back, and nested.
func spilledSavepoints(w *pagerWorld) error {
	tx, err := w.begin()
	if err != nil {
		return err
	}
	fail := func(err error) error { tx.Rollback(); return err }
	fill := func(n int) error {
		for range n {
			if err := w.add(tx); err != nil {
				return err
			}
		}
		for i, id := range w.pages() {
			if i%5 == 0 {
				if err := w.edit(tx, id); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := fill(12); err != nil {
		return fail(err)
	}
	for round := range 2 {
		kept := cloneModel(w.now)
		outer := tx.Savepoint()
		if err := fill(9); err != nil {
			return fail(err)
		}
		inner := tx.Savepoint()
		if err := fill(2); err != nil {
			return fail(err)
		}
		w.free(tx, w.pages()[3])
		w.free(tx, w.pages()[len(w.pages())-1])
		if round == 0 {
			tx.Release(inner)
			if err := fill(1); err != nil {
				return fail(err)
			}
			tx.RollbackTo(outer)
			w.now = kept
		} else {
			tx.Release(outer)
		}
	}
	return w.commit(tx, false)
}

// rollbackInSavepoint gives up a transaction inside of a savepoint that holds pages which were spilled before it.
func rollbackInSavepoint(w *pagerWorld) error {
	tx, err := w.begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for range 30 {
		if err := w.add(tx); err != nil {
			return err
		}
	}
	tx.Savepoint()
	for _, id := range w.pages() {
		if err := w.edit(tx, id); err != nil {
			return err
		}
	}
	return nil
}

// enumerate calls visit for every place at which the inner operation can run, in every order of completion.
func (n nested) enumerate(t *testing.T, abandon bool, visit func(r nestedRun, label func() string) bool) {
	for order := range effort.Of(2, len(completionOrders), len(completionOrders)) {
		for at := 0; ; at += effort.Of(6, n.stride, 1) {
			r := nestedRun{at: at, order: order, abandon: abandon}
			label := func() string {
				return fmt.Sprintf("%s, behind I/O %d, %s, abandoned %v",
					n.name, at, completionOrders[order].name, abandon)
			}
			if !visit(r, label) {
				require.Greater(t, at, 0)
				break
			}
		}
	}
}

// settle shows that the database works as before behind a run in which nothing has failed.
func (n nested) settle(w *pagerWorld, label func() string) {
	w.t.Helper()
	w.quiet()
	if err := w.verify(w.models); err != nil {
		w.t.Fatalf("%s: %v", label(), err)
	}
	for i, s := range n.after {
		if err := s(w); err != nil {
			w.t.Fatalf("%s: step %d behind it: %v", label(), i, err)
		}
	}
	if err := w.verify(w.models); err != nil {
		w.t.Fatalf("%s: behind it: %v", label(), err)
	}
	if err := w.fsck(); err != nil {
		w.t.Fatalf("%s: %v", label(), err)
	}
	w.quiet()
}

// TestPowerCutInsideTheOther cuts the power at each I/O from where one operation begins inside the other.
func TestPowerCutInsideTheOther(t *testing.T) {
	for _, n := range nestedCases {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			places, images := 0, 0
			for _, abandon := range []bool{false, true} {
				n.enumerate(t, abandon, func(r nestedRun, label func() string) bool {
					cut := func(w *pagerWorld, k int, where string) {
						for j := range effort.Of(1, 1, 5) {
							image, which := diskImages(w.m, k+r.at+j*3)
							images++
							checkPrefix(t, image, w, func() string { return label() + ", cut " + where + ": " + which })
						}
					}
					r.onIO = func(w *pagerWorld, op *io.Op, k int) error {
						if op.Kind != io.KindRead {
							cut(w, k, fmt.Sprintf("before %v", op))
						}
						return nil
					}
					w, ran := n.run(t, r)
					if ran {
						places++
						for pick := range 5 {
							cut(w, pick, "at the end")
						}
						n.settle(w, label)
					}
					return ran
				})
			}
			t.Logf("%d places, %d images", places, images)
			require.Greater(t, places, effort.Of(2, 10, 10))
		})
	}
}

// TestFailedSyncInsideTheOther fails each sync of the database file while one operation runs inside the other. The
// system drops what such a sync did not write, so whoever goes on as if it were there is found out by the power
// cut.
func TestFailedSyncInsideTheOther(t *testing.T) {
	for _, n := range nestedCases {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			cases := 0
			n.enumerate(t, false, func(r nestedRun, label func() string) bool {
				for fail := 0; ; fail++ {
					syncs := 0
					r.onIO = func(w *pagerWorld, op *io.Op, _ int) error {
						w.m.SetDropOnSyncFailure(true)
						if op.Kind != io.KindSync || ofLog(op) {
							return nil
						}
						if syncs++; syncs-1 == fail {
							return errInjected
						}
						return nil
					}
					w, ran := n.run(t, r)
					if !ran {
						return false
					}
					if syncs <= fail {
						break
					}
					cases++
					labelled := func() string { return fmt.Sprintf("%s, sync %d fails", label(), fail) }
					for pick := range 5 {
						image, which := diskImages(w.m, pick)
						checkPrefix(t, image, w, func() string { return labelled() + ": " + which })
					}
					if w.p.Failed() == nil {
						n.settle(w, labelled)
						checkPrefix(t, w.m.Crash(nil), w, labelled)
					}
				}
				return true
			})
			t.Logf("%d cases", cases)
			require.Greater(t, cases, effort.Of(0, 10, 10))
		})
	}
}
