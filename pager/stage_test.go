package pager

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/golden"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// stage is where a machine is played: a world that commands have prepared. It can be set up again for each way to go on.
type stage struct {
	t     *testing.T
	setup []golden.Command
	w     *pagerWorld
	tx    *Tx
	r     *Reader
	kept  map[string][]byte // files put aside
	other types.TurnTicket  // a turn that somebody else holds
	turn  *types.Turn
	log   []string // submissions
}

// actor is a machine of any result: what it ends with is words.
type actor struct {
	step  func() (pending *io.Completion, result string, err error)
	abort func(cause error) error
}

// actorOf makes an actor of a machine.
func actorOf[T any](s types.Stepper[T], show func(T) string) actor {
	return actor{
		step: func() (*io.Completion, string, error) {
			res, err := s.Step()
			if err != nil || res.Pending != nil {
				return res.Pending, "", err
			}
			return nil, show(res.Value), nil
		},
		abort: s.Abort,
	}
}

// rebuild sets a new stage up like s.
func (s *stage) rebuild() *stage {
	n := &stage{t: s.t, setup: s.setup, kept: map[string][]byte{}}
	for _, cmd := range s.setup {
		n.prepare(cmd)
	}
	n.w.m.SetManual(true)
	n.w.m.SetTrace(func(e io.MemoryEvent) {
		if !e.Completed {
			n.log = append(n.log, opWords(e.Op))
		}
	})
	return n
}

// Temporary names are random, and process ids are not the same each time.
var (
	tempName = regexp.MustCompile(`\.new-[0-9a-f]+`)
	process  = regexp.MustCompile(`by process \d+`)
)

// opWords returns what an op does, without its number.
func opWords(op *io.Op) string {
	_, words, _ := strings.Cut(op.String(), " ")
	return tempName.ReplaceAllString(words, ".new-*")
}

// prepare carries out a command that sets the stage, in automatic mode.
func (s *stage) prepare(cmd golden.Command) {
	t, w := s.t, s.w
	switch cmd.Name {
	case "new":
		s.w = newPagerWorld(t, io.NewMemory(), int64(cmd.IntOr(t, "cache", bigCache)))
	case "open":
		require.NoError(t, w.open())
	case "commit":
		_, relaxed := cmd.Lookup("relaxed")
		require.NoError(t, w.update(relaxed, cmd.IntOr(t, "adds", 0), cmd.IntOr(t, "edits", 0), cmd.IntOr(t, "frees", 0)))
	case "extent":
		require.NoError(t, extents(cmd.Int(t, "bytes"))(w))
	case "checkpoint":
		require.NoError(t, w.checkpoint(CheckpointFull))
	case "close":
		require.NoError(t, w.close())
	case "cut": // the power: what is not synced is lost
		w.m = w.m.Crash(func(int, io.Change) bool { return false })
		w.p = nil
	case "remove":
		var c io.Completion
		w.m.Remove(&c, cmd.String(t, "file"))
		require.NoError(t, c.Err())
	case "keep":
		b, err := w.m.Bytes(cmd.String(t, "file"))
		require.NoError(t, err)
		s.kept[cmd.String(t, "file")] = b
	case "restore":
		w.m.SetBytes(cmd.String(t, "file"), s.kept[cmd.String(t, "file")])
	case "reader":
		s.r = new(Reader)
		s.r.Start(w.p)
	case "tx":
		s.begin(cmd)
	case "cold":
		w.cold()
	case "taken":
		s.turn = map[string]*types.Turn{"writer": &w.p.turn, "checkpoint": &w.p.ckpt, "length": &w.p.resize}[cmd.String(t, "turn")]
		require.Nil(t, s.turn.Acquire(&s.other, "a test"))
	default:
		t.Fatalf("%s: unknown command %s", cmd.Pos, cmd.Name)
	}
}

// begin begins a transaction that has done some work.
func (s *stage) begin(cmd golden.Command) {
	t, w := s.t, s.w
	var err error
	s.tx, err = w.begin()
	require.NoError(t, err)
	for range cmd.IntOr(t, "adds", 0) {
		require.NoError(t, w.add(s.tx))
	}
	for range cmd.IntOr(t, "more", 0) { // without making room
		var r ReserveIDs
		r.Start(s.tx, 1)
		_, err := drivePager(w, &r)
		require.NoError(t, err)
		id, data := s.tx.New()
		w.mark++
		fillPage(data, w.mark)
		w.now[id] = testContent{mark: w.mark}
	}
	for _, id := range slices.Sorted(maps.Keys(w.now))[:cmd.IntOr(t, "edits", 0)] {
		require.NoError(t, w.edit(s.tx, id))
	}
	if n := cmd.IntOr(t, "extent", 0); n > 0 {
		require.NoError(t, w.addExtent(s.tx, n))
	}
}

// machine makes the actor that a command names.
func (s *stage) machine(cmd golden.Command) actor {
	t, w := s.t, s.w
	switch cmd.Args[0].Value {
	case "begin":
		m := new(Begin)
		m.Start(w.p)
		return actorOf(m, func(tx *Tx) string { s.tx = tx; return fmt.Sprintf("transaction of commit %d", tx.Seq()) })
	case "get":
		m := new(Get)
		if id := types.PageID(cmd.Int(t, "page")); s.r != nil {
			m.Start(s.r, id)
		} else {
			m.StartTx(s.tx, id)
		}
		return actorOf(m, func(pg Page) string {
			return fmt.Sprintf("page %d, %d bytes, version %d", pg.ID, len(pg.Data), pageVersion(pg.Data))
		})
	case "commit":
		m := new(Commit)
		_, relaxed := cmd.Lookup("relaxed")
		m.Start(s.tx, relaxed)
		s.tx = nil
		return actorOf(m, func(struct{}) string {
			return fmt.Sprintf("commit %d; visible %d, durable %d", m.Seq(), w.p.log.Visible(), w.p.log.Durable())
		})
	case "makeroom":
		m := new(MakeRoom)
		m.Start(s.tx)
		return actorOf(m, func(struct{}) string {
			return fmt.Sprintf("%d bytes in memory, %d pages spilled", s.tx.bytes, w.p.Stats().SpilledPages)
		})
	case "extent":
		m := new(WriteExtent)
		m.Start(s.tx, extentBytes(1, cmd.Int(t, "bytes")))
		return actorOf(m, func(id types.PageID) string { return fmt.Sprintf("page %d", id) })
	case "checkpoint":
		mode := map[string]CheckpointMode{
			"passive": CheckpointPassive, "full": CheckpointFull, "truncate": CheckpointTruncate,
		}[cmd.String(t, "mode")]
		return actorOf(newAttempt(w.p, mode), func(r CheckpointResult) string {
			return fmt.Sprintf("commit %d in generation %d, %d pages, %d bytes", r.Covered, r.Generation, r.Pages, r.Bytes)
		})
	case "open":
		m := new(Open)
		cfg := w.config()
		_, cfg.ReadOnly = cmd.Lookup("readonly")
		m.Start(cfg)
		return actorOf(m, func(o Opened) string {
			w.p, w.info, w.dead = o.Pager, o.Info, false
			return fmt.Sprintf("created %v, clean %v, %d commits recovered; commit %d",
				o.Info.Created, o.Info.Clean, o.Info.Recovery.Commits, o.Pager.Snapshot().Seq)
		})
	case "create":
		m := newCreateFile(&Pager{cfg: w.config(), io: w.m})
		return actorOf(m, func(struct{}) string { return fmt.Sprintf("made by us: %v", m.made) })
	case "close":
		m := new(Close)
		m.Start(w.p)
		w.dead = true
		return actorOf(m, func(struct{}) string { return "closed" })
	}
	t.Fatalf("%s: no such machine", cmd.Pos)
	panic("unreachable")
}

// play runs the machine to its end, with two steps at each wait, and then again and again, to be abandoned at each.
func (s *stage) play(cmd golden.Command) string {
	var out strings.Builder
	n := s.rebuild()
	waits := n.run(n.machine(cmd), &out)
	fmt.Fprintf(&out, "held: %s\n", n.held())
	type end struct{ abandoned, held string }
	var ends []end
	for at := range waits {
		n := s.rebuild()
		a := n.machine(cmd)
		abandoned := n.abandon(a, at)
		ends = append(ends, end{abandoned, n.held()})
	}
	for i := 0; i < len(ends); {
		k := i
		for k+1 < len(ends) && ends[k+1] == ends[i] {
			k++
		}
		at := fmt.Sprint(i + 1)
		if k > i {
			at = fmt.Sprintf("%d to %d", i+1, k+1)
		}
		fmt.Fprintf(&out, "abandoned at %s: %s\n  held: %s\n", at, ends[i].abandoned, ends[i].held)
		i = k + 1
	}
	return out.String()
}

// run steps a machine to its end and returns how often it had to wait.
func (s *stage) run(a actor, out *strings.Builder) (waits int) {
	for {
		s.log = nil
		pending, result, err := a.step()
		for _, words := range s.log {
			fmt.Fprintf(out, "submits %s\n", words)
		}
		switch {
		case err != nil:
			s.failed(err, out)
			return waits
		case pending == nil:
			fmt.Fprintf(out, "done: %s\n", result)
			return waits
		}
		waits++
		what := pending.Reason()
		if pending.Kind() != io.KindYield {
			what = fmt.Sprintf("%v, %s", pending.Kind(), what)
		}
		fmt.Fprintf(out, "%d. waits for %s", waits, tempName.ReplaceAllString(what, ".new-*"))
		s.log = nil
		again, _, err := a.step()
		if again != pending || err != nil || len(s.log) > 0 {
			fmt.Fprintf(out, "; STEPPED AGAIN it waits for %v, error %v, submits %v", again, err, s.log)
		}
		out.WriteString("\n")
		s.log = nil
		s.resolve(pending)
		for _, words := range s.log {
			fmt.Fprintf(out, "   meanwhile %s\n", words)
		}
		if err := pending.Err(); err != nil { // what a driver does
			s.log = nil
			s.failed(a.abort(err), out)
			return waits
		}
	}
}

// failed says how a machine has failed, and lets what it has left under way come to its end.
func (s *stage) failed(err error, out *strings.Builder) {
	fmt.Fprintf(out, "fails: %s\n", err)
	for q := s.w.m.Queue(); len(q) > 0; q = s.w.m.Queue() {
		fmt.Fprintf(out, "   then %s\n", opWords(q[0]))
		q[0].Complete()
	}
}

// resolve lets what is under way go on until c has resolved.
func (s *stage) resolve(c *io.Completion) {
	for i := 0; !c.Done(); i++ {
		if q := s.w.m.Queue(); len(q) > 0 {
			q[0].Complete()
		} else if s.turn != nil {
			s.turn.Release(&s.other)
			s.turn = nil
		} else {
			s.t.Fatalf("nothing resolves %v %q", c.Kind(), c.Reason())
		}
	}
}

var errAbandoned = errors.New("abandoned")

// abandon aborts a machine at a wait, counted from 0, and then lets all I/O come to its end, started or not.
func (s *stage) abandon(a actor, at int) string {
	for i := 0; ; i++ {
		pending, _, err := a.step()
		require.NoError(s.t, err)
		require.NotNil(s.t, pending)
		if i == at {
			break
		}
		s.resolve(pending)
		require.NoError(s.t, pending.Err())
	}
	queue := s.w.m.Queue()
	for _, op := range queue {
		op.Start() // a cancel resolves at once and retires late
	}
	err := a.abort(errAbandoned)
	require.ErrorIs(s.t, err, errAbandoned)
	words := tempName.ReplaceAllString(err.Error(), ".new-*")
	words += fmt.Sprintf(", %d I/Os to retire", len(queue))
	if s.turn != nil {
		s.turn.Release(&s.other)
		s.turn = nil
	}
	s.log = nil
	for q := s.w.m.Queue(); len(q) > 0; q = s.w.m.Queue() {
		q[0].Complete()
	}
	if len(s.log) > 0 {
		words += "; then " + strings.Join(s.log, ", ")
	}
	return words
}

// held says what is held on the stage when no machine is at work.
func (s *stage) held() string {
	var held []string
	add := func(format string, args ...any) { held = append(held, fmt.Sprintf(format, args...)) }
	if n := s.w.m.InFlight(); n > 0 {
		add("%d I/Os in flight", n)
	}
	if s.w.p == nil || s.w.dead {
		return s.heldFiles(held)
	}
	p := s.w.p
	for _, turn := range []struct {
		name string
		turn *types.Turn
	}{{"writer's turn", &p.turn}, {"checkpoint's turn", &p.ckpt}, {"file's length", &p.resize}, {"turn to sync", &p.syncing}} {
		var k types.TurnTicket
		if turn.turn.Acquire(&k, "a test") != nil {
			add("%s", turn.name)
		}
		turn.turn.Release(&k)
	}
	readers := 0
	p.readers.each(0, func(*Snapshot, int64) { readers++ })
	if readers > 0 {
		add("%d registered", readers)
	}
	reads := int32(0)
	for i := range p.readers.first.slots {
		reads += p.readers.first.slots[i].reads.Load()
	}
	if reads > 0 {
		add("%d reads counted", reads)
	}
	if q, v := p.log.Queued(), p.log.Visible(); q > v {
		add("commit %d is with the log", q)
	}
	if n := len(p.cache.loads); n > 0 {
		add("%d loads", n)
	}
	if p.space == nil {
		return words(held)
	}
	if _, reserved := p.space.available(); reserved != p.interval.blocks {
		add("%d blocks reserved, %d for the next checkpoint", reserved, p.interval.blocks)
	}
	if n := p.log.Stats().ReservedBytes; n > 0 {
		add("%d bytes of the log reserved", n)
	}
	if n := s.unnamed(); n > 0 {
		add("%d blocks taken", n)
	}
	if n := p.hurry.Load(); n > 0 {
		add("%d in a hurry", n)
	}
	p.space.check()
	return words(held)
}

// heldFiles says what is left of files that nobody has open: it opens the database.
func (s *stage) heldFiles(held []string) string {
	var names []string
	for _, name := range s.w.m.Names() {
		names = append(names, tempName.ReplaceAllString(name, ".new-*"))
	}
	s.w.m.SetTrace(nil)
	s.w.m.SetManual(false)
	var o Open
	o.Start(s.w.config())
	opened := "opens"
	if _, err := drivePager(s.w, &o); err != nil {
		opened = process.ReplaceAllString(err.Error(), "by a process")
	}
	return fmt.Sprintf("%s; files: %s; then: %s", words(held), words(names), opened)
}

func words(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// unnamed returns how many blocks are taken that no reference of the log names.
func (s *stage) unnamed() int {
	p := s.w.p
	n := 0
	for i := range p.space.groups {
		if taken := p.space.groups[i].taken; taken != nil {
			n += onesIn(taken)
		}
	}
	for _, y := range p.log.Layers() {
		for _, run := range p.log.References(y) {
			n -= int(run.Count)
		}
	}
	return n
}

// TestTranscripts plays every machine of the pager through each of its waits, and leaves it at each. See stage.
func TestTranscripts(t *testing.T) {
	for _, name := range []string{"begin", "get", "commit", "write", "checkpoint", "open", "close"} {
		t.Run(name, func(t *testing.T) {
			s := &stage{}
			golden.Run(t, "testdata/"+name+".txt", func(t *testing.T, cmd golden.Command) string {
				s.t = t
				if cmd.Name == "play" {
					return s.play(cmd)
				}
				if cmd.Name == "new" {
					s.setup = nil
				}
				s.setup = append(s.setup, cmd)
				return ""
			})
		})
	}
}
