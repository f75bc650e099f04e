package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Profile says what runs are like. Within it, each run has some features and lacks others, since a feature that is always on
// hides what others do: Groce, Zhang, Eide, Chen, Regehr, "Swarm Testing", 2012.
type Profile string

// The profiles.
const (
	Mixed   Profile = "mixed"   // one of the others, by the seed
	Healthy Profile = "healthy" // nothing but power cuts
	Faulty  Profile = "faulty"  // I/Os fail, are short, late or stuck, and clocks jump
	Full    Profile = "full"    // the disk is full at times
	Lying   Profile = "lying"   // writes are lost or go elsewhere, and bits flip
	Crowd   Profile = "crowd"   // many clients, and schedules by priority
	Bulk    Profile = "bulk"    // large transactions and values
)

// Profiles are all of them.
var Profiles = []Profile{Mixed, Healthy, Faulty, Full, Lying, Crowd, Bulk}

// drawer draws one plan.
type drawer struct {
	*rand.Rand
	p       *Plan
	profile Profile
	kinds   []OpKind    // of write transactions, as often as they come
	faults  []FaultKind // on in this run
	rare    int         // one value of so many is large
	ids     int
}

// Draw returns the plan of a seed.
func Draw(seed uint64, profile Profile) (*Plan, error) {
	if !slices.Contains(Profiles, profile) {
		return nil, fmt.Errorf("no profile %q; there are %q", profile, Profiles)
	}
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, 1)), p: &Plan{Seed: seed}, profile: profile}
	if profile == Mixed {
		d.profile = Profiles[1+d.IntN(len(Profiles)-1)]
	}
	d.features()
	for range 3 + d.IntN(6) {
		d.p.Eras = append(d.p.Eras, d.era())
	}
	return d.p, nil
}

// features decides what the run is like.
func (d *drawer) features() {
	d.p.PageSize = []int{512, 512, 512, 1024, 4096}[d.IntN(5)]
	d.p.Keys = []KeyShape{ShortKeys, PrefixKeys, LimitKeys}[d.IntN(3)]
	d.p.KeyCount = 4 << d.IntN(8)
	if d.profile == Crowd || d.IntN(4) == 0 {
		for range 1 + d.IntN(6) {
			d.p.Change = append(d.p.Change, d.IntN(3000))
		}
		slices.Sort(d.p.Change)
	}
	weights := []struct {
		kind   OpKind
		weight int
	}{
		{Put, 12}, {PutIfAbsent, 2}, {Modify, 3}, {Delete, 4}, {DeleteRange, 2}, {CreateBucket, 3}, {DropBucket, 1},
		{MoveBucket, 1}, {SetSequence, 1}, {Savepoint, 2}, {Undo, 1}, {Release, 1}, {CursorDelete, 1},
		{Get, 2}, {GetMany, 1}, {Scan, 1}, {ScanBack, 1}, {ReadAt, 1}, {Pause, 1},
		{PutReader, 1}, {CreateAll, 1}, {NextSequence, 1}, {OnCommit, 1}, {Walk, 2}, {WalkBack, 1}, {Range, 1}, {RangeBack, 1},
		{GetNow, 1}, {GetAppend, 1}, {Has, 1}, {First, 1}, {Last, 1}, {Sequence, 1},
	}
	for _, w := range weights {
		if w.kind != Put && w.kind != CreateBucket && d.IntN(4) == 0 {
			continue
		}
		for range w.weight {
			d.kinds = append(d.kinds, w.kind)
		}
	}
	of := map[Profile][]FaultKind{
		Faulty: {Fail, Fail, Refuse, FailSync, Short, Stuck, Jump, NoSpace},
		Full:   {NoSpace, Short, Stuck},
		Lying:  {Lose, Divert, FlipIO, FlipIO, Rot},
		Crowd:  {Short, Stuck, Fail},
		Bulk:   {Short, Stuck, FailSync, FailSync},
	}
	for _, kind := range of[d.profile] {
		if d.IntN(2) == 0 {
			d.faults = append(d.faults, kind)
		}
	}
}

// era draws what happens between two opens.
func (d *drawer) era() Era {
	e := Era{
		CacheSize:       []int64{1, 1, 64 << 10, 256 << 10, 4 << 20}[d.IntN(5)],
		CheckpointBytes: []int64{32 << 10, 64 << 10, 128 << 10, 512 << 10, 4 << 20}[d.IntN(5)],
		Relaxed:         d.IntN(3) == 0,
		ReadOnly:        d.IntN(20) == 0,
		NoBackground:    d.IntN(6) == 0,
	}
	if d.IntN(8) == 0 {
		e.MaxHeldBytes = 16 << 10 << d.IntN(4)
	}
	if d.profile == Full {
		switch d.IntN(3) {
		case 0:
			e.Capacity = 256<<10 + d.Int64N(1<<20)
		case 1:
			e.MaxSize = 192<<10<<d.IntN(3) + d.Int64N(1<<20>>d.IntN(4))
		}
	}
	if len(d.p.Eras) > 0 && d.IntN(10) == 0 {
		e.Tamper = d.tamper()
	}
	clients := 1 + d.IntN(6)
	if d.profile == Crowd {
		clients = 4 + d.IntN(29)
	}
	d.end(&e)
	truncates := e.Near == "shorten"
	left := 100 + d.IntN(700) // operations of the era
	if e.InClose {
		left /= 4
	}
	for range clients {
		share := left / clients
		c := Client{}
		for share > 0 && len(c.Tasks) < 60 {
			t := d.task(e.ReadOnly)
			share -= 1 + len(t.Ops)
			c.Tasks = append(c.Tasks, t)
		}
		if truncates && d.IntN(2) == 0 {
			c.Tasks = slices.Insert(c.Tasks, d.IntN(len(c.Tasks)+1), Task{Kind: Checkpoint, Mode: 2})
		}
		e.Clients = append(e.Clients, c)
	}
	if d.IntN(24) == 0 { // the database is closed while others use it
		c := &e.Clients[d.IntN(clients)]
		c.Tasks = slices.Insert(c.Tasks, d.IntN(len(c.Tasks)+1), Task{Kind: Close, GiveUp: d.IntN(3)})
	}
	if d.IntN(4) > 0 {
		d.addFaults(&e)
	}
	return e
}

// end draws how the era ends.
func (d *drawer) end(e *Era) {
	switch n := d.IntN(20); {
	case n < 3:
		e.End = EndClose
		return
	case n < 5, n < 9 && slices.Contains(d.faults, FailSync): // what a failed sync has dropped shows until the power fails
		e.End = EndKill
	default:
		e.End = EndCut
	}
	switch d.IntN(10) {
	case 0:
		e.InClose, e.Steps = true, 1+d.IntN(80)
		for _, kind := range d.faults {
			if !kind.Lies() {
				e.AtClose = append(e.AtClose, Fault{IO: d.IntN(30), Kind: kind, Arg: d.Int64N(400)})
			}
		}
		return
	case 1, 2: // where what is rare happens
		e.Near = []string{"truncate", "shorten", "shorten log", "meta", "syncdir"}[d.IntN(5)]
		e.Nth, e.Steps = 1+d.IntN(5), 1+d.IntN(1+d.IntN(80))
		if e.Near == "shorten" || e.Near == "shorten log" {
			e.Nth = 1 + d.IntN(2)
		}
		return
	}
	switch d.IntN(6) {
	case 0: // within the open, or soon after
		e.Steps = 1 + d.IntN(120)
	case 1:
		e.Steps = 1 + d.IntN(600)
	default:
		e.Steps = 200 + d.IntN(4000)
	}
}

// tamper draws what is done to the files.
func (d *drawer) tamper() *Tamper {
	t := &Tamper{
		Kind: []TamperKind{TamperMissing, TamperOlder, TamperOlder, TamperForeign, TamperGarbage}[d.IntN(5)],
		File: []TamperFile{TamperDB, TamperLog, TamperBoth}[d.IntN(3)],
	}
	switch t.Kind {
	case TamperOlder:
		t.Back = d.IntN(len(d.p.Eras))
	case TamperForeign:
		t.Back, t.File = d.IntN(4), TamperDB
	case TamperGarbage:
		t.Back, t.Size = d.IntN(1000), d.IntN(3*d.p.PageSize)
		if d.IntN(2) == 0 {
			t.Size = d.IntN(1 << 18)
		}
	}
	return t
}

// task draws a task.
func (d *drawer) task(readOnly bool) Task {
	t := Task{Kind: Write}
	switch n := d.IntN(100); {
	case readOnly || n < 18:
		t.Kind = Read
	case n < 21:
		t.Kind = Sync
	case n < 25:
		t.Kind, t.Mode = Checkpoint, d.IntN(3)
	case n < 26:
		t.Kind = Copy
	case n < 27:
		t.Kind = Check
	case n < 28:
		t.Kind = []TaskKind{WriteTo, Compact, OpenAgain}[d.IntN(3)]
	}
	d.rare = 40
	if d.profile == Bulk {
		d.rare = 8
	}
	often, waits := 12, 6
	if t.Kind == Checkpoint {
		often, waits = 4, 12
	}
	if d.IntN(16) == 0 { // values with extents of their own one after the other, often given up: the blocks of one are the next one's
		d.rare, often = 2, 2
	}
	if d.IntN(often) == 0 {
		t.GiveUp = 1 + d.IntN(waits)
	}
	if t.Kind == Write || t.Kind == Read {
		t.Blocking = d.IntN(8) == 0
	}
	switch t.Kind {
	case Write:
		t.Relaxed = d.IntN(4) == 0
		t.Leave = d.IntN(12) == 0
		n := 1 + d.IntN(12)
		if d.profile == Bulk && d.IntN(4) == 0 || d.IntN(60) == 0 {
			n = 50 + d.IntN(250)
		}
		for range n {
			t.Ops = append(t.Ops, d.op(d.kinds[d.IntN(len(d.kinds))]))
		}
	case Read:
		for range 1 + d.IntN(8) {
			t.Ops = append(t.Ops, d.op(readKinds[d.IntN(len(readKinds))]))
		}
		if d.IntN(10) == 0 { // a reader that stays for long
			for range 5 {
				pause := d.op(Pause)
				pause.To = 200 + d.IntN(800)
				t.Ops = append(t.Ops, pause, d.op(Scan))
			}
		}
	}
	return t
}

// readKinds are the operations of read transactions, as often as they come.
var readKinds = []OpKind{
	Get, Get, Get, GetNow, GetAppend, GetMany, GetMany, Has, Scan, Scan, ScanBack, Walk, Range, RangeBack, First, Last, ReadAt, ReadAt,
	Sequence, Stats, Pause, Pause,
}

// op draws an operation.
func (d *drawer) op(kind OpKind) Op {
	d.ids++
	op := Op{ID: d.ids, Kind: kind, Key: d.IntN(d.p.KeyCount)}
	if d.IntN(3) > 0 {
		op.Bucket = d.IntN(Paths)
	}
	switch kind {
	case Put, PutReader, PutIfAbsent, Modify, ReadAt:
		op.Size = d.size()
		op.To = 1 + d.IntN(20)
	case DeleteRange:
		op.To = d.IntN(d.p.KeyCount)
		if d.IntN(3) > 0 {
			op.To = 1 + d.IntN(5)
		}
	case MoveBucket:
		op.Bucket, op.To = 1+d.IntN(Paths-1), 1+d.IntN(Paths-1)
	case CreateBucket, CreateAll, DropBucket:
		op.Bucket = 1 + d.IntN(Paths-1)
	case GetMany, Scan, ScanBack, Walk, WalkBack:
		op.To = 1 + d.IntN(16)
	case CursorDelete:
		op.To = 1 + d.IntN(4)
	case Range, RangeBack:
		op.To = 1 + d.IntN(d.p.KeyCount)
		op.Size = 1 + d.IntN(30)
	case Pause:
		op.To = 1 + d.IntN(30)
	}
	return op
}

// size draws the length of a value: mostly short, sometimes on extents of its own, rarely on many.
func (d *drawer) size() int {
	switch {
	case d.IntN(d.rare) == 0:
		return d.IntN(24 * d.p.PageSize)
	case d.IntN(6) == 0:
		return d.IntN(d.p.PageSize)
	case d.IntN(10) == 0:
		return 0
	}
	return d.IntN(80)
}

// class draws which class of I/O a fault is for: whatever comes, which is mostly what comes often, or one of which few may come.
func (d *drawer) class(kind FaultKind) string {
	aimed := 2
	if kind.Lies() || kind == FailSync {
		aimed = 8
	}
	if d.IntN(aimed) == 0 {
		return ""
	}
	what := map[FaultKind][]string{
		Fail: {"read", "write", "sync", "truncate"}, FailSync: {"sync"}, NoSpace: {"write", "truncate"}, Short: {"read", "write"},
		Lose: {"write", "sync"}, Divert: {"read", "write"}, FlipIO: {"read", "write"},
	}[kind]
	if len(what) == 0 {
		return ""
	}
	return []string{"log ", "file "}[d.IntN(2)] + what[d.IntN(len(what))]
}

// addFaults draws which I/Os of the era go wrong.
func (d *drawer) addFaults(e *Era) {
	d.Shuffle(len(d.faults), func(i, j int) { d.faults[i], d.faults[j] = d.faults[j], d.faults[i] })
	if d.profile == Lying && d.IntN(3) == 0 {
		e.Decay = 1 + d.Int64N(1<<40)
		return
	}
	lies := 1 // of one the log can tell, or lose no more than the newest commit
	if d.IntN(3) == 0 {
		lies = len(d.faults)
	}
	for _, kind := range d.faults {
		if kind.Lies() {
			if lies == 0 {
				continue
			}
			lies--
		}
		every := 30 << d.IntN(6)
		for at := d.IntN(every * 2); at < 2500 && len(e.Faults) < 60; at += 1 + d.IntN(every*2) {
			f := Fault{IO: at, Kind: kind, Of: d.class(kind)}
			switch kind {
			case Fail, Refuse, NoSpace:
				if d.IntN(5) == 0 {
					f.Times = 2 + d.IntN(20)
				}
			case Stuck:
				f.Arg = 1 + d.Int64N(400)
			case Jump:
				f.Arg = d.Int64N(3e9)
			case Divert:
				f.Arg = d.Int64N(1 << 18)
			case FlipIO, Rot:
				f.Arg = d.Int64N(1 << 40)
			}
			e.Faults = append(e.Faults, f)
			if kind.Lies() {
				break // one is enough to look for
			}
		}
	}
	slices.SortStableFunc(e.Faults, func(a, b Fault) int { return a.IO - b.IO })
}
