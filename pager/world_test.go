package pager

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// testModel is the pages of one state: what each holds, and how many bytes of it.
type testModel map[types.PageID]testContent

type testContent struct {
	mark   uint64 // tells versions of a page's content apart
	extent int    // bytes of an extent; 0: a page
}

// pagerWorld is a pager with raw pages and a model of every commit. It drives machines on one goroutine.
type pagerWorld struct {
	t  testing.TB
	m  *io.Memory
	p  *Pager
	cs int64 // cache size

	models    []testModel // by commit
	now       testModel   // of the transaction under way
	mark      uint64
	acked     types.Seq
	started   types.Seq
	info      OpenInfo
	dead      bool  // closed, or failed for good
	strict    bool  // no I/O fails: reads must succeed
	held      int64 // MaxHeldBytes
	pageSize  int   // 0: testPageSize
	clock     bool  // Config.Clock
	exactAges bool  // Config.ExactAges

	next    func([]*io.Op) *io.Op // picks what completes next; nil: the oldest
	between func() bool           // called before each of those; false abandons what waits
	patient bool                  // a wait that no I/O ends is abandoned: somebody outside would end it

	yield  func(*io.Completion) bool // of the client that runs; nil outside of a schedule
	yields map[*routine]func(*io.Completion) bool
}

const testPageSize = 512

func (w *pagerWorld) config() Config {
	size := testPageSize
	if w.pageSize > 0 {
		size = w.pageSize
	}
	return Config{
		IO: w.m, Path: "db", PageSize: size, CacheSize: w.cs, FileMode: 0o600, FirstSegment: 8192, Segment: 12288,
		MaxHeldBytes: w.held, Clock: w.clock, ExactAges: w.exactAges,
	}
}

// newPagerWorld opens a new database on an empty disk.
func newPagerWorld(t testing.TB, m *io.Memory, cache int64) *pagerWorld {
	return &pagerWorld{t: t, m: m, cs: cache, models: []testModel{{}}}
}

// finish waits for c: it completes queued I/O, in order, until c has resolved; or, in a client of a random schedule, it lets
// the others run. It returns false if the client is to abandon what it does.
func (w *pagerWorld) finish(c *io.Completion) bool {
	if w.yield != nil {
		return w.yield(c)
	}
	for i := 0; !c.Done(); i++ {
		if w.between != nil {
			if !w.between() {
				return false
			}
			if c.Done() {
				break
			}
		}
		q := w.m.Queue()
		if len(q) == 0 && w.patient {
			return false
		}
		if len(q) == 0 || i > 10000 {
			w.t.Fatalf("deadlock: nothing under way resolves %v %q", c.Kind(), c.Reason())
		}
		if w.next != nil {
			w.next(q).Complete()
		} else {
			q[0].Complete()
		}
	}
	return true
}

// drivePager runs a machine to its end.
func drivePager[T any](w *pagerWorld, s types.Stepper[T]) (T, error) {
	w.t.Helper()
	m := types.NewStateMachine(s)
	for range 1000000 {
		res, err := m.Step()
		if err != nil || res.Pending == nil {
			return res.Value, err
		}
		if !w.finish(res.Pending) {
			return res.Value, m.Abort(io.ErrCancelled)
		}
		if c := res.Pending; c.Done() && c.Err() != nil {
			continue // the wrapper aborts
		}
	}
	w.t.Fatal("machine does not end")
	panic("unreachable")
}

// open opens the database.
func (w *pagerWorld) open() error {
	var o Open
	o.Start(w.config())
	got, err := drivePager(w, &o)
	if err != nil {
		return err
	}
	w.p, w.info, w.dead = got.Pager, got.Info, false
	return nil
}

// close closes it.
func (w *pagerWorld) close() error {
	w.dead = true
	var c Close
	c.Start(w.p)
	_, err := drivePager(w, &c)
	return err
}

// begin begins a transaction.
func (w *pagerWorld) begin() (*Tx, error) {
	var b Begin
	b.Start(w.p)
	tx, err := drivePager(w, &b)
	if err == nil {
		w.now = maps.Clone(w.models[tx.seq-1])
	}
	return tx, err
}

// fillPage writes content into a page's body, with a gap. Most changes are small, so that commits log them as deltas.
func fillPage(data []byte, mark uint64) {
	le := binary.LittleEndian
	le.PutUint64(data[PageHeaderSize:], mark)
	seed := mark
	if mark%4 > 0 {
		seed = 0
	}
	for i := PageHeaderSize + 8; i < 200; i++ {
		data[i] = byte((seed<<20 + uint64(i)) * 0x9e3779b97f4a7c15 >> 56) // of other seeds no part is found in it
	}
	clear(data[200:300])
	for i := 300; i < len(data); i++ {
		data[i] = byte((seed<<20 + uint64(i)) * 0x9e3779b97f4a7c15 >> 56)
	}
	for i := range 20 {
		data[80+i], data[400+i] = byte(mark*7+uint64(i)), byte(mark*3+uint64(i))
	}
	SetGap(data, 200, 300)
}

// extentBytes is what an extent holds.
func extentBytes(mark uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(mark*13 + uint64(i)*7 + uint64(i>>8))
	}
	return b
}

// room and ids are what a gather does.
func (w *pagerWorld) gather(tx *Tx, ids int) error {
	var room MakeRoom
	room.Start(tx)
	if _, err := drivePager(w, &room); err != nil {
		return err
	}
	var r ReserveIDs
	r.Start(tx, ids)
	_, err := drivePager(w, &r)
	return err
}

// add makes a page.
func (w *pagerWorld) add(tx *Tx) error {
	if err := w.gather(tx, 1); err != nil {
		return err
	}
	id, data := tx.New()
	w.mark++
	fillPage(data, w.mark)
	w.now[id] = testContent{mark: w.mark}
	return nil
}

// edit changes a page.
func (w *pagerWorld) edit(tx *Tx, id types.PageID) error {
	if err := w.gather(tx, 0); err != nil {
		return err
	}
	tx.adopt()
	var g Get
	g.StartTx(tx, id)
	pg, err := drivePager(w, &g)
	if err != nil {
		return err
	}
	w.mark++
	fillPage(tx.Edit(pg), w.mark)
	w.now[id] = testContent{mark: w.mark}
	return nil
}

// addExtent makes an extent.
func (w *pagerWorld) addExtent(tx *Tx, n int) error {
	w.mark++
	var e WriteExtent
	e.Start(tx, extentBytes(w.mark, n))
	id, err := drivePager(w, &e)
	if err != nil {
		return err
	}
	w.now[id] = testContent{mark: w.mark, extent: n}
	return nil
}

// free gives a page up.
func (w *pagerWorld) free(tx *Tx, id types.PageID) {
	tx.Free(id)
	delete(w.now, id)
}

// commit commits; the outcome is noted.
func (w *pagerWorld) commit(tx *Tx, relaxed bool) error {
	seq := tx.seq
	dirty := tx.Dirty()
	if dirty {
		w.models = append(w.models[:seq], maps.Clone(w.now))
		w.started = seq
	}
	var c Commit
	c.Start(tx, relaxed)
	_, err := drivePager(w, &c)
	if err == nil && dirty && !relaxed {
		w.acked = max(w.acked, seq)
	}
	if err != nil && dirty && !c.Queued() && !errors.Is(err, types.ErrCommitUnknown) {
		w.started = seq - 1 // it is out for sure
	}
	return err
}

// update runs a transaction of random work: adds, edits, frees.
func (w *pagerWorld) update(relaxed bool, adds, edits, frees int) error {
	tx, err := w.begin()
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(uint64(tx.seq), 9))
	work := func() error {
		for range edits {
			if ids := w.pages(); len(ids) > 0 {
				if err := w.edit(tx, ids[rng.IntN(len(ids))]); err != nil {
					return err
				}
			}
		}
		for range frees {
			if ids := slices.Sorted(maps.Keys(w.now)); len(ids) > 0 {
				w.free(tx, ids[rng.IntN(len(ids))])
			}
		}
		for range adds {
			if err := w.add(tx); err != nil {
				return err
			}
		}
		return nil
	}
	if err := work(); err != nil {
		tx.Rollback()
		return err
	}
	return w.commit(tx, relaxed)
}

// pages returns the model's pages that are not extents, ascending.
func (w *pagerWorld) pages() []types.PageID {
	var ids []types.PageID
	for id, c := range w.now {
		if c.extent == 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// checkpoint makes one.
func (w *pagerWorld) checkpoint(mode CheckpointMode) error {
	var c Checkpoint
	c.Start(w.p, mode)
	_, err := drivePager(w, &c)
	return err
}

// read compares a page as a reader sees it with the model.
func (w *pagerWorld) read(r *Reader, id types.PageID, want testContent) error {
	var g Get
	g.Start(r, id)
	pg, err := drivePager(w, &g)
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return want.matches(id, pg.Data)
}

// matches compares bytes with the model.
func (c testContent) matches(id types.PageID, data []byte) error {
	if c.extent > 0 {
		if len(data) < PageHeaderSize+c.extent || !bytes.Equal(data[PageHeaderSize:][:c.extent], extentBytes(c.mark, c.extent)) {
			return fmt.Errorf("extent %d has other bytes", id)
		}
		return nil
	}
	want := slices.Clone(data)
	fillPage(want, c.mark)
	if !bytes.Equal(want, data) {
		return fmt.Errorf("page %d has other bytes: mark %d, want %d", id, binary.LittleEndian.Uint64(data[PageHeaderSize:]), c.mark)
	}
	return nil
}

// verifyAt compares everything that a reader sees with the model.
func (w *pagerWorld) verifyAt(r *Reader, models []testModel) error {
	model := models[r.Seq()]
	for _, id := range slices.Sorted(maps.Keys(model)) {
		if err := w.read(r, id, model[id]); err != nil {
			return fmt.Errorf("at commit %d: %w", r.Seq(), err)
		}
	}
	if got := r.Globals().Pages; got != uint64(len(model)) {
		return fmt.Errorf("at commit %d: %d pages in use, %d expected", r.Seq(), got, len(model))
	}
	return nil
}

// verify compares the newest state with the model.
func (w *pagerWorld) verify(models []testModel) error {
	var r Reader
	r.Start(w.p)
	defer r.Close()
	return w.verifyAt(&r, models)
}

// fsck checks the newest generation's map and bitmaps: nothing leaks, nothing is used twice.
func (w *pagerWorld) fsck() error {
	var r Reader
	r.Start(w.p)
	defer r.Close()
	var c CheckMap
	c.Start(&r)
	report, err := drivePager(w, &c)
	return errors.Join(append(report.Problems, err)...)
}

// quiet checks that nothing is left behind when nothing is open: no reader, turn, taken block or reservation beyond
// what the log's references and the next checkpoint need.
func (w *pagerWorld) quiet() {
	p := w.p
	p.readers.each(0, func(s *Snapshot, _ int64) { w.t.Fatalf("a reader of commit %d is left behind", s.Seq) })
	for name, turn := range map[string]*types.Turn{"writer": &p.turn, "checkpoint": &p.ckpt, "length": &p.resize, "sync": &p.syncing} {
		var k types.TurnTicket
		if turn.Acquire(&k, "test") != nil {
			w.t.Fatalf("the %s's turn is left taken", name)
		}
		turn.Release(&k)
	}
	p.space.check()
	_, reserved := p.space.available()
	require.Equal(w.t, p.interval.blocks, reserved, "blocks reserved for the next checkpoint")
	w.noLeaks()
}
