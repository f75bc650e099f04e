package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// testPage is the page size of the log's tests: frames are small, so short scripts fill segments.
const testPage = 512

// logWorld is a log with what stands in for the rest of a database: a meta file, and a model of what was committed. It
// drives machines on one goroutine; in manual mode it finishes I/O in submission order.
type logWorld struct {
	t   testing.TB
	m   *io.Memory
	log *Log
	gen types.Generation

	metaFile io.File
	database [16]byte // zero: testDatabase
	meta     testMeta

	started  types.Seq   // newest commit that was handed to the log, or tried
	acked    types.Seq   // newest full commit that was acknowledged
	states   [][4]uint64 // states[s][p-1] is the commit that page p was last written by, as of commit s
	pages    map[types.Seq][]types.PageID
	trimming bool
	window   Start     // of the last checkpoint
	covered  types.Seq // by it
}

// testMeta is what the pager keeps in its meta block, as far as the log needs it.
type testMeta struct {
	needsLog bool
	gen      types.Generation
	covered  types.Seq
	start    Start
	write    uint64
}

const testMetaSize = 80

func (m testMeta) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, testMetaSize)
	if m.needsLog {
		b[0] = 1
	}
	le.PutUint64(b[8:], uint64(m.gen))
	le.PutUint64(b[16:], uint64(m.covered))
	le.PutUint64(b[24:], m.start.Epoch)
	le.PutUint64(b[32:], m.start.Serial)
	le.PutUint64(b[40:], uint64(m.start.Offset))
	le.PutUint64(b[48:], m.start.Chain)
	le.PutUint32(b[56:], m.start.Place)
	le.PutUint32(b[60:], m.start.FirstSegment)
	le.PutUint32(b[64:], m.start.Segment)
	le.PutUint32(b[68:], m.start.Places)
	le.PutUint64(b[72:], m.write)
	return b
}

func decodeTestMeta(b []byte) testMeta {
	le := binary.LittleEndian
	return testMeta{
		needsLog: b[0] == 1, write: le.Uint64(b[72:]), gen: types.Generation(le.Uint64(b[8:])), covered: types.Seq(le.Uint64(b[16:])),
		start: Start{
			Epoch: le.Uint64(b[24:]), Serial: le.Uint64(b[32:]), Offset: int64(le.Uint64(b[40:])), Chain: le.Uint64(b[48:]),
			Place: le.Uint32(b[56:]), FirstSegment: le.Uint32(b[60:]), Segment: le.Uint32(b[64:]), Places: le.Uint32(b[68:]),
		},
	}
}

var testDatabase = [16]byte{1, 2, 3}

func (w *logWorld) databaseID() [16]byte {
	if w.database != [16]byte{} {
		return w.database
	}
	return testDatabase
}

func (w *logWorld) config() Config {
	return Config{
		IO: w.m, Path: "db-wal", Database: w.databaseID(), PageSize: testPage,
		FirstSegment: 8192, Segment: 12288, MaxGroup: 64 << 10, MaxUnsynced: 16 << 10,
	}
}

// newLogWorld makes a clean database on an empty disk.
func newLogWorld(t testing.TB, cfg io.MemoryConfig) *logWorld {
	w := &logWorld{t: t, m: io.NewMemory(cfg), gen: 1, states: make([][4]uint64, 1)}
	w.meta = testMeta{gen: 1}
	w.m.SetBytes("db", w.meta.encode())
	w.openMeta()
	w.log = New(w.config(), 1, 0)
	return w
}

func (w *logWorld) openMeta() {
	o := io.Opening{Path: "db", Flag: io.OpenWrite}
	var c io.Completion
	w.m.Open(&c, &o)
	w.finish(&c)
	require.NoError(w.t, c.Err())
	w.metaFile = o.File
}

// finish completes queued I/O until c has resolved.
func (w *logWorld) finish(c *io.Completion) {
	for i := 0; !c.Done(); i++ {
		q := w.m.Queue()
		if len(q) == 0 || i > 10000 {
			w.t.Fatalf("deadlock: nothing under way resolves %v %q", c.Kind(), c.Reason())
		}
		q[0].Complete()
	}
}

// drive runs a machine to its end.
func drive[T any](w *logWorld, s types.Stepper[T]) (T, error) {
	w.t.Helper()
	m := types.NewStateMachine(s)
	for range 100000 {
		res, err := m.Step()
		if err != nil || res.Pending == nil {
			return res.Value, err
		}
		w.finish(res.Pending)
	}
	w.t.Fatal("machine does not end")
	panic("unreachable")
}

// writeMeta makes meta durable and returns the proof of the sync.
func (w *logWorld) writeMeta(meta testMeta) (io.Proof, error) {
	var c io.Completion
	w.metaFile.Write(&c, [][]byte{meta.encode()}, 0)
	w.finish(&c)
	if c.Err() != nil {
		return io.Proof{}, c.Err()
	}
	c.Reset()
	w.metaFile.Sync(&c)
	w.finish(&c)
	if c.Err() != nil {
		return io.Proof{}, c.Err()
	}
	w.meta = meta
	w.log.SetMeta(meta.write)
	return c.Proof(), nil
}

// begin is the first write after a clean state.
func (w *logWorld) begin() error {
	var create Create
	create.Start(w.log)
	start, err := drive(w, &create)
	if err != nil {
		return err
	}
	meta := w.meta
	meta.write++
	meta.needsLog, meta.start = true, start
	p, err := w.writeMeta(meta)
	if err != nil {
		return err
	}
	w.log.Begin(p)
	return nil
}

// testImage is what page p holds when commit s wrote it.
func testImage(p types.PageID, s uint64) []byte {
	b := make([]byte, testPage)
	binary.LittleEndian.PutUint64(b, uint64(p))
	binary.LittleEndian.PutUint64(b[8:], s)
	for i := 16; i < 200; i++ {
		b[i] = byte(uint64(p)*13 + uint64(i))
	}
	for i := 300; i < testPage; i++ {
		b[i] = byte(uint64(p)*5 + uint64(i))
	}
	for i := range 20 { // what a small change leaves: in the header, somewhere before the gap, and behind it
		b[50+i], b[400+i] = byte(s*7+uint64(i)), byte(s*3+uint64(i))
	}
	return b
}

// delta stages the change of a page as a delta, if it is one that is logged so and there is something to base it on.
func (w *logWorld) delta(c *Commit, p types.PageID, before uint64, image []byte) bool {
	if count, _ := w.log.Deltas(p); p < 3 || before == 0 || count == DeltasMax {
		return false
	}
	base := testImage(p, before)
	parts, ok := new(Differ).Diff(base, image, testPage)
	if ok {
		c.Delta(p, types.Seq(before), parts, xxhash.Sum64(base), xxhash.Sum64(image))
	}
	return ok
}

// commit queues a commit of the given pages and waits for it unless it is only to be queued.
func (w *logWorld) commit(full, wait bool, pages ...types.PageID) error {
	w.t.Helper()
	seq := w.log.Queued() + 1
	c := NewCommit(seq)
	state := w.states[seq-1]
	for _, p := range pages {
		if image, before := testImage(p, uint64(seq)), state[p-1]; !w.delta(c, p, before, image) {
			c.Full(p, image, 200, 300)
		}
		state[p-1] = uint64(seq)
	}
	c.Reference(100, types.Run{First: types.Block(seq) * 10, Count: 3}, uint64(seq))
	c.Freed(types.PageID(200+seq), 2)
	var record [8]byte
	binary.LittleEndian.PutUint64(record[:], uint64(seq))
	c.Record(record[:])
	var reserve Reserve
	var r Reservation
	reserve.Start(w.log, c.Size(), false, &r)
	if _, err := drive(w, &reserve); err != nil {
		return err
	}
	w.states = append(w.states[:seq], state)
	w.started = seq
	if w.pages == nil {
		w.pages = map[types.Seq][]types.PageID{}
	}
	w.pages[seq] = pages
	if err := w.log.Queue(c, &r, full); err != nil {
		r.Release()
		return err
	}
	if !wait {
		return nil
	}
	return w.wait(seq, full)
}

// wait waits for a commit and notes its acknowledgement.
func (w *logWorld) wait(seq types.Seq, full bool) error {
	var wait Wait
	wait.StartVisible(w.log, seq)
	_, err := drive(w, &wait)
	if err == nil && full {
		w.acked = max(w.acked, seq)
	}
	return err
}

// sync waits until everything queued is durable.
func (w *logWorld) sync() error {
	var wait Wait
	seq := w.log.Queued()
	wait.StartDurable(w.log, seq)
	_, err := drive(w, &wait)
	if err == nil {
		w.acked = max(w.acked, seq)
	}
	return err
}

// checkpoint moves the meta's start behind the newest durable commit and recycles.
func (w *logWorld) checkpoint(windows ...Window) error {
	if w.log.Queued() > w.log.Durable() {
		if err := w.sync(); err != nil {
			return err
		}
	}
	w.log.PlanTrim(w.trimming)
	x, start := w.log.Fix()
	next := w.gen + 1
	w.log.Split(x, next)
	meta := testMeta{needsLog: true, gen: next, covered: x, start: start, write: w.meta.write + 1}
	p, err := w.writeMeta(meta)
	if err != nil {
		w.log.Unsplit(next)
		return err
	}
	w.log.Recycle(p, x, start, windows)
	w.window, w.covered = start, x
	w.gen = next
	return nil
}

// trim makes a checkpoint that cuts the log's file.
func (w *logWorld) trim(all bool) error {
	w.trimming = all
	err := w.checkpoint()
	w.trimming = false
	if err != nil {
		return err
	}
	var trim Trim
	trim.Start(w.log)
	_, err = drive(w, &trim)
	return err
}

// reopen opens what a disk holds as a new process would, and checks nothing yet.
func reopen(t testing.TB, m *io.Memory) (*logWorld, Recovery, error) {
	w := &logWorld{t: t, m: m}
	b, err := m.Bytes("db")
	require.NoError(t, err)
	w.meta = decodeTestMeta(b)
	w.gen = w.meta.gen
	w.log = New(w.config(), w.meta.gen, w.meta.covered)
	w.openMeta()
	if !w.meta.needsLog {
		var stale CheckStale
		stale.Start(w.log, w.meta.write)
		_, err := drive(w, &stale)
		return w, Recovery{Last: w.meta.covered}, err
	}
	var rec Recover
	rec.Start(w.log, w.meta.start, w.meta.write, w.meta.covered, 1000, false)
	got, err := drive(w, &rec)
	if err == nil {
		_, err = w.writeMeta(w.meta) // the meta block is written again too: rule 4
	}
	return w, got, err
}

// verify compares what a reopened log holds with the model: an exact prefix, with every acknowledged commit.
func (w *logWorld) verify(got Recovery, states [][4]uint64, acked, started types.Seq) error {
	if got.Last < acked || got.Last > started {
		return fmt.Errorf("recovered commit %d, acknowledged %d, started %d", got.Last, acked, started)
	}
	if got.Record != nil {
		if s := binary.LittleEndian.Uint64(got.Record); types.Seq(s) != got.Last {
			return fmt.Errorf("record of commit %d, recovered %d", s, got.Last)
		}
	}
	for p := types.PageID(1); p <= 4; p++ {
		want := states[got.Last][p-1]
		e, ok := w.log.Lookup(p, got.Last, w.gen)
		if !ok {
			if want > uint64(w.meta.covered) {
				return fmt.Errorf("page %d of commit %d is lost", p, want)
			}
			continue
		}
		if uint64(e.Version) != want {
			return fmt.Errorf("page %d has version %d, want %d", p, e.Version, want)
		}
		image, err := w.readFrame(e, states)
		if err != nil {
			return err
		}
		if string(image) != string(testImage(p, want)) {
			return fmt.Errorf("page %d of commit %d has other bytes", p, want)
		}
	}
	return nil
}

// readFrame reads a full frame back, or rebuilds an image of a delta on top of the one before, which the model has if the log does not.
func (w *logWorld) readFrame(e Entry, states [][4]uint64) ([]byte, error) {
	f, offset, n, ok := w.log.Locate(e)
	if !ok {
		return nil, ErrMoved
	}
	raw, image := make([]byte, n), make([]byte, testPage)
	var c io.Completion
	f.Read(&c, raw, offset)
	w.finish(&c)
	if c.Err() != nil {
		return nil, c.Err()
	}
	if e.Kind == KindFull {
		return image, w.log.Decode(e, raw, image)
	}
	before := states[e.Version-1][e.Page-1]
	if older, ok := w.log.Lookup(e.Page, e.Version-1, w.gen); !ok {
		image = testImage(e.Page, before)
	} else {
		var err error
		if image, err = w.readFrame(older, states); err != nil {
			return nil, err
		}
	}
	made := make([]byte, len(image))
	_, err := w.log.Apply(e, raw, image, made, types.Seq(before), xxhash.Sum64(image))
	return made, err
}

// script is a sequence of steps; each returns the error of its operation, which may have been injected.
type script struct {
	name  string
	steps []func(w *logWorld) error
}

// run runs the steps, going on behind errors as a program would: until the log has failed for good.
func (s script) run(w *logWorld) {
	for _, step := range s.steps {
		err := step(w)
		if err != nil && errors.Is(err, types.ErrFailed) {
			return
		}
		if err != nil && !w.log.Began() {
			continue
		}
	}
}

func full(pages ...types.PageID) func(*logWorld) error {
	return func(w *logWorld) error { return w.must(func() error { return w.commit(true, true, pages...) }) }
}

func relaxed(pages ...types.PageID) func(*logWorld) error {
	return func(w *logWorld) error { return w.must(func() error { return w.commit(false, true, pages...) }) }
}

// must begins the log first if that has not happened.
func (w *logWorld) must(op func() error) error {
	if !w.log.Began() {
		if err := w.begin(); err != nil {
			return err
		}
	}
	return op()
}

// batch queues commits and waits for the last: they share groups.
func batch(n int, pages ...types.PageID) func(*logWorld) error {
	return func(w *logWorld) error {
		return w.must(func() error {
			for i := range n - 1 {
				if err := w.commit(i%2 == 0, false, pages...); err != nil {
					return err
				}
			}
			return w.commit(true, true, pages...)
		})
	}
}

func syncLog(w *logWorld) error { return w.must(w.sync) }

func checkpoint(w *logWorld) error { return w.must(func() error { return w.checkpoint() }) }

// release frees segments between checkpoints, as the pager does when readers leave.
func release(w *logWorld) error {
	w.log.Release(w.covered, w.window, nil)
	return nil
}

// planTrim gives segments up and does not cut them off yet.
func planTrim(w *logWorld) error {
	return w.must(func() error {
		w.trimming = true
		defer func() { w.trimming = false }()
		return w.checkpoint()
	})
}

func trimAll(w *logWorld) error { return w.must(func() error { return w.trim(true) }) }

func many(n int, step func(*logWorld) error) func(*logWorld) error {
	return func(w *logWorld) error {
		for range n {
			if err := step(w); err != nil {
				return err
			}
		}
		return nil
	}
}

// scripts enter every state of every machine of the log: creation, groups alone and shared, groups over segments, growth,
// relaxed commits with and without a sync, checkpoints with recycling and reuse of segments, cutting back.
var scripts = []script{
	{"first commits", []func(*logWorld) error{full(1), full(2, 3), full(1)}},
	{"shared groups", []func(*logWorld) error{full(1), batch(3, 1, 2), batch(2, 3)}},
	{"over segments", []func(*logWorld) error{full(1, 2, 3, 4), full(1, 2, 3, 4), batch(4, 1, 2, 3, 4), full(2)}},
	{"growth", []func(*logWorld) error{many(5, full(1, 2, 3, 4))}},
	{"relaxed", []func(*logWorld) error{relaxed(1), relaxed(2), relaxed(3), syncLog, relaxed(1), full(4), relaxed(2)}},
	{"relaxed over the bound", []func(*logWorld) error{many(6, relaxed(1, 2, 3, 4))}},
	{"recycling", []func(*logWorld) error{
		many(3, full(1, 2, 3, 4)), checkpoint, many(3, full(4, 3)), checkpoint, many(4, full(1, 2)), checkpoint, full(1),
	}},
	{"cut back", []func(*logWorld) error{many(6, full(1, 2, 3, 4)), checkpoint, full(1), checkpoint, trimAll, full(2)}},
	{"growth before the cut", []func(*logWorld) error{
		many(9, full(1, 2, 3, 4)), checkpoint, full(1), planTrim, many(4, full(1, 2, 3, 4)), trimAll,
	}},
	{"the same again", []func(*logWorld) error{full(1), relaxed(1), relaxed(1), relaxed(1)}},
	{"release", []func(*logWorld) error{
		full(1), checkpoint, many(3, full(1, 2, 3, 4)), release, full(4), release, many(2, full(1, 2)), checkpoint, full(2),
	}},
	{"relaxed and recycling", []func(*logWorld) error{
		many(4, relaxed(1, 2)), checkpoint, many(3, relaxed(3, 4)), full(1), checkpoint, relaxed(2),
	}},
}
