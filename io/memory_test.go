package io

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// memOpen opens a file of an automatic Memory.
func memOpen(t testing.TB, m *Memory, name string, flag OpenFlag) File {
	t.Helper()
	var c Completion
	o := Opening{Path: name, Flag: flag}
	m.Open(&c, &o)
	if c.State() != Succeeded {
		t.Fatalf("open %s: %v, %v", name, c.State(), c.Err())
	}
	return o.File
}

// memDo submits one I/O of an automatic Memory and returns how it ended.
func memDo(t testing.TB, submit func(c *Completion)) error {
	t.Helper()
	var c Completion
	submit(&c)
	if !c.Retired() {
		t.Fatalf("%v is %v and not retired after its submission", c.Kind(), c.State())
	}
	return c.Err()
}

func memWrite(t testing.TB, f File, offset int64, b []byte) {
	t.Helper()
	if err := memDo(t, func(c *Completion) { f.Write(c, [][]byte{b}, offset) }); err != nil {
		t.Fatal(err)
	}
}

func memSync(t testing.TB, f File) {
	t.Helper()
	if err := memDo(t, f.Sync); err != nil {
		t.Fatal(err)
	}
}

func memSyncDir(t testing.TB, m *Memory, name string) {
	t.Helper()
	if err := memDo(t, func(c *Completion) { m.SyncDir(c, name) }); err != nil {
		t.Fatal(err)
	}
}

func memBytes(t testing.TB, m *Memory, name string) []byte {
	t.Helper()
	b, err := m.Bytes(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fill returns n bytes of value v.
func fill(v byte, n int) []byte { return bytes.Repeat([]byte{v}, n) }

// durableFile returns an automatic Memory with one synced file of the content.
func durableFile(t testing.TB, name string, content []byte) (*Memory, File) {
	t.Helper()
	m := NewMemory()
	m.SetBytes(name, content)
	return m, memOpen(t, m, name, OpenWrite)
}

func keepAll(int, Change) bool { return true }

func TestMemoryManualOrder(t *testing.T) {
	m, f := durableFile(t, "f", fill('.', 10))
	m.SetManual(true)
	var write, read Completion
	buf := make([]byte, 4)
	f.Write(&write, [][]byte{[]byte("ab"), []byte("cd")}, 2)
	f.Read(&read, buf, 2)
	queue := m.Queue()
	if len(queue) != 2 || m.InFlight() != 2 {
		t.Fatalf("queue %v, %d in flight", queue, m.InFlight())
	}
	if got, want := queue[0].String(), "#1 write f at 2, 4 bytes"; got != want {
		t.Errorf("op is %q, want %q", got, want)
	}
	if !bytes.Equal(buf, fill(0xdb, 4)) {
		t.Errorf("read buffer holds %x before the completion", buf)
	}
	queue[1].Complete()
	if string(buf) != "...." || !read.Retired() || read.N() != 4 {
		t.Errorf("read before the write has finished: %q, %v, n %d", buf, read.State(), read.N())
	}
	if got := string(memBytes(t, m, "f")); got != ".........." {
		t.Errorf("data moved before the completion: %q", got)
	}
	queue[0].CompleteShort(1)
	if got := string(memBytes(t, m, "f")); got != "..a......." || write.Done() {
		t.Errorf("after a short transfer: %q, %v", got, write.State())
	}
	queue[0].CompleteShort(2)
	queue[0].Complete()
	if got := string(memBytes(t, m, "f")); got != "..abcd...." || write.N() != 4 || !write.Retired() {
		t.Errorf("after the rest: %q, n %d", got, write.N())
	}
	if m.InFlight() != 0 {
		t.Errorf("%d in flight", m.InFlight())
	}
}

func TestMemoryManualCancel(t *testing.T) {
	m, f := durableFile(t, "f", fill('.', 4))
	m.SetManual(true)
	var queued, started, closing Completion
	f.Write(&queued, [][]byte{[]byte("xx")}, 0)
	f.Write(&started, [][]byte{[]byte("abcd")}, 0)
	m.Queue()[1].Start()
	if !queued.Cancel() || !queued.Retired() {
		t.Errorf("cancel of a queued write: %v, retired %v", queued.State(), queued.Retired())
	}
	if !started.Cancel() || started.Retired() || started.State() != Cancelled {
		t.Errorf("cancel of a started write: %v, retired %v", started.State(), started.Retired())
	}
	f.Close(&closing)
	queue := m.Queue()
	if len(queue) != 2 {
		t.Fatalf("queue %v", queue)
	}
	queue[1].Complete()
	if closing.Done() || m.InFlight() != 2 {
		t.Errorf("close is %v with a write under way, %d in flight", closing.State(), m.InFlight())
	}
	queue[0].CompleteShort(3)
	queue[0].Fail(errors.New("unplugged"))
	if !started.Retired() || started.State() != Cancelled || !closing.Retired() || closing.Err() != nil {
		t.Errorf("write %v, close %v %v", started.State(), closing.State(), closing.Err())
	}
	if got := string(memBytes(t, m, "f")); got != "abc." {
		t.Errorf("file holds %q after a cancelled write that landed partly", got)
	}
	if m.InFlight() != 0 {
		t.Errorf("%d in flight", m.InFlight())
	}
}

func TestMemoryManualWait(t *testing.T) {
	m, f := durableFile(t, "f", fill('.', 4))
	m.SetManual(true)
	var c Completion
	f.Sync(&c)
	if err := m.Wait(context.Background(), &c); err != ErrDeadlock {
		t.Errorf("Wait with nobody to finish: %v", err)
	}
	m.SetOnStall(func() bool {
		queue := m.Queue()
		if len(queue) == 0 {
			return false
		}
		queue[0].Complete()
		return true
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Wait(ctx, &c); err != context.Canceled {
		t.Errorf("Wait under a context that is done: %v", err)
	}
	if err := m.Wait(context.Background(), &c); err != nil || !c.Retired() {
		t.Errorf("Wait with a stall hook: %v, %v", err, c.State())
	}
	var yield Completion
	yield.ArmYield("nobody")
	if err := m.Wait(context.Background(), &yield); err != ErrDeadlock {
		t.Errorf("Wait for a yield that nobody resolves: %v", err)
	}
	c.Reset()
	f.Sync(&c)
	if err := m.Shutdown(); err != nil || !c.Retired() {
		t.Errorf("Shutdown: %v, sync %v", err, c.State())
	}
}

func TestMemoryFault(t *testing.T) {
	m, f := durableFile(t, "f", fill('.', 4))
	cause := errors.New("bad cable")
	var seen []string
	m.SetFault(func(op *Op) error {
		seen = append(seen, op.String())
		if op.Kind == KindWrite && op.Offset == 1 {
			return cause
		}
		return nil
	})
	err := memDo(t, func(c *Completion) { f.Write(c, [][]byte{[]byte("ab")}, 1) })
	var opErr *OpError
	if !errors.Is(err, cause) || !errors.As(err, &opErr) || *opErr != (OpError{KindWrite, "f", 1, 2, cause}) {
		t.Errorf("failed write: %v", err)
	}
	memWrite(t, f, 2, []byte("cd"))
	if got := string(memBytes(t, m, "f")); got != "..cd" {
		t.Errorf("file holds %q", got)
	}
	if want := []string{"#1 write f at 1, 2 bytes", "#2 write f at 2, 2 bytes"}; !slices.Equal(seen, want) {
		t.Errorf("hook saw %q, want %q", seen, want)
	}
}

func TestMemoryTrace(t *testing.T) {
	m, f := durableFile(t, "f", fill('.', 4))
	var events []string
	m.SetTrace(func(ev MemoryEvent) {
		events = append(events, fmt.Sprintf("%s %v %v", ev.Op.Name(), ev.Completed, ev.Op.Completion.Done()))
	})
	memWrite(t, f, 0, []byte("ab"))
	memSync(t, f)
	want := []string{"write false false", "write true false", "sync false false", "sync true false"}
	if !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
}

func TestMemoryCapacity(t *testing.T) {
	m := NewMemory()
	m.SetCapacity(10)
	a, b := memOpen(t, m, "a", OpenWrite|OpenCreate), memOpen(t, m, "b", OpenWrite|OpenCreate)
	memWrite(t, a, 0, fill('a', 6))
	if err := memDo(t, func(c *Completion) { b.Write(c, [][]byte{fill('b', 5)}, 0) }); !errors.Is(err, ErrNoSpace) {
		t.Errorf("write over the capacity: %v", err)
	}
	if err := memDo(t, func(c *Completion) { b.Truncate(c, 5) }); !errors.Is(err, ErrNoSpace) {
		t.Errorf("growth over the capacity: %v", err)
	}
	memWrite(t, b, 0, fill('b', 4))
	memWrite(t, a, 0, fill('A', 6)) // overwriting needs no room
	if err := memDo(t, func(c *Completion) { m.Remove(c, "a") }); err != nil {
		t.Fatal(err)
	}
	if err := memDo(t, func(c *Completion) { b.Truncate(c, 10) }); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a removed file that is open gave its space back: %v", err)
	}
	if err := memDo(t, a.Close); err != nil {
		t.Fatal(err)
	}
	if err := memDo(t, func(c *Completion) { b.Truncate(c, 10) }); err != nil {
		t.Errorf("growth after a remove: %v", err)
	}
}

func TestMemoryReadOnly(t *testing.T) {
	m, f := durableFile(t, "f", fill('.', 4))
	m.SetReadOnly(true)
	var open Completion
	m.Open(&open, &Opening{Path: "f", Flag: OpenWrite})
	errs := []error{
		open.Err(),
		memDo(t, func(c *Completion) { f.Write(c, [][]byte{{1}}, 0) }),
		memDo(t, func(c *Completion) { f.Truncate(c, 1) }),
		memDo(t, func(c *Completion) { m.Remove(c, "f") }),
	}
	for i, err := range errs {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("change %d of a read-only medium: %v", i, err)
		}
	}
	memOpen(t, m, "f", 0)
}

func TestMemoryCrashSectors(t *testing.T) {
	m, f := durableFile(t, "f", fill('0', 2048))
	memWrite(t, f, 500, fill('1', 600)) // sectors 0, 1, 2
	changes := m.Unsynced()
	if len(changes) != 3 || changes[1].Offset != 512 || changes[1].Length != 512 || changes[1].Kind != ChangeSector {
		t.Fatalf("unsynced: %v", changes)
	}
	after := m.Crash(func(i int, _ Change) bool { return i == 1 })
	want := slices.Concat(fill('0', 512), fill('1', 512), fill('0', 1024))
	if got := memBytes(t, after, "f"); !bytes.Equal(got, want) {
		t.Errorf("one sector of three: %q", got)
	}
	if len(after.Unsynced()) != 0 {
		t.Errorf("a disk after a crash has unsynced changes: %v", after.Unsynced())
	}
	memSync(t, f)
	if len(m.Unsynced()) != 0 {
		t.Errorf("unsynced after a sync: %v", m.Unsynced())
	}
	if got := memBytes(t, m.Crash(nil), "f"); !bytes.Equal(got, memBytes(t, m, "f")) {
		t.Errorf("synced bytes lost: %q", got)
	}
	// The images are separate now.
	memWrite(t, f, 0, fill('2', 512))
	memWrite(t, memOpen(t, after, "f", OpenWrite), 0, fill('3', 512))
	if got := memBytes(t, m, "f"); got[0] != '2' {
		t.Errorf("writing a crash image changed the original to %q", got[0])
	}
	if got := memBytes(t, m.Crash(nil), "f"); got[0] != '0' {
		t.Errorf("durable side changed to %q without a sync", got[0])
	}
}

func TestMemoryCrashSize(t *testing.T) {
	m, f := durableFile(t, "f", fill('0', 1000))
	memWrite(t, f, 1000, fill('1', 1000))
	changes := m.Unsynced() // size 2000, sectors at 512, 1024, 1536
	if len(changes) != 4 || changes[0].Kind != ChangeSize || changes[0].Size != 2000 {
		t.Fatalf("unsynced: %v", changes)
	}
	got := memBytes(t, m.Crash(func(i int, _ Change) bool { return i > 0 }), "f")
	if !bytes.Equal(got, fill('0', 1000)) {
		t.Errorf("sectors without the size: %d bytes", len(got))
	}
	got = memBytes(t, m.Crash(func(i int, _ Change) bool { return i == 0 || i == 2 }), "f")
	want := slices.Concat(fill('0', 1000), make([]byte, 24), fill('1', 512), make([]byte, 464))
	if !bytes.Equal(got, want) {
		t.Errorf("size and one sector: %q", got)
	}
	memSync(t, f)
	if err := memDo(t, func(c *Completion) { f.Truncate(c, 100) }); err != nil {
		t.Fatal(err)
	}
	if err := memDo(t, func(c *Completion) { f.Truncate(c, 600) }); err != nil {
		t.Fatal(err)
	}
	want = slices.Concat(fill('0', 100), make([]byte, 500))
	if got := memBytes(t, m, "f"); !bytes.Equal(got, want) {
		t.Errorf("cut and grown: %q", got)
	}
	if got := memBytes(t, m.Crash(nil), "f"); len(got) != 2000 || got[1500] != '1' {
		t.Errorf("unsynced cut survived: %d bytes", len(got))
	}
	if got := memBytes(t, m.Crash(keepAll), "f"); !bytes.Equal(got, want) {
		t.Errorf("cut and growth survive: %q", got)
	}
	memSync(t, f)
	if got := memBytes(t, m.Crash(nil), "f"); !bytes.Equal(got, want) {
		t.Errorf("cut and growth synced: %q", got)
	}
}

func TestMemoryCrashNames(t *testing.T) {
	m := NewMemory()
	f := memOpen(t, m, "d/tmp", OpenWrite|OpenCreate)
	memWrite(t, f, 0, []byte("data"))
	memSync(t, f)
	if got := m.Crash(nil).Names(); len(got) != 0 {
		t.Errorf("names without SyncDir survive: %v", got)
	}
	if err := memDo(t, func(c *Completion) { m.Rename(c, "d/tmp", "d/db") }); err != nil {
		t.Fatal(err)
	}
	memSyncDir(t, m, "e/x")
	if got := m.Crash(nil).Names(); len(got) != 0 {
		t.Errorf("SyncDir of another directory made %v durable", got)
	}
	var images []string
	for s, after := range m.CrashImages(0) {
		names := after.Names()
		images = append(images, fmt.Sprint(s.Kept, names))
		for _, name := range names {
			if got := string(memBytes(t, after, name)); got != "data" {
				t.Errorf("%v: %s holds %q", s, name, got)
			}
		}
	}
	want := []string{"[false false] []", "[true false] [d/tmp]", "[false true] [d/db]", "[true true] [d/db]"}
	if !slices.Equal(images, want) {
		t.Errorf("images %q, want %q", images, want)
	}
	memSyncDir(t, m, "d/anything")
	if got := m.Crash(nil).Names(); !slices.Equal(got, []string{"d/db"}) {
		t.Errorf("after SyncDir: %v", got)
	}
}

func TestMemoryCrashInFlight(t *testing.T) {
	m, f := durableFile(t, "f", fill('0', 1024))
	m.SetManual(true)
	var early, sync, late, flight Completion
	f.Write(&early, [][]byte{fill('1', 512)}, 0)
	m.Queue()[0].Complete()
	f.Sync(&sync)
	f.Write(&late, [][]byte{fill('2', 512)}, 512)
	m.Queue()[1].Complete()
	m.Queue()[0].Complete() // the sync: it covers the early write only
	f.Write(&flight, [][]byte{fill('3', 100), fill('4', 100)}, 400)
	changes := m.Unsynced()
	if len(changes) != 3 || changes[0].InFlight || changes[0].Offset != 512 || !changes[1].InFlight ||
		!changes[2].InFlight {
		t.Fatalf("unsynced: %v", changes)
	}
	if got := memBytes(t, m.Crash(nil), "f"); !bytes.Equal(got, slices.Concat(fill('1', 512), fill('0', 512))) {
		t.Errorf("durable: %q", got)
	}
	got := memBytes(t, m.Crash(func(i int, _ Change) bool { return i == 2 }), "f")
	want := slices.Concat(fill('1', 512), fill('4', 88), fill('0', 424))
	if !bytes.Equal(got, want) {
		t.Errorf("second sector of the write in flight: %q", got)
	}
	got = memBytes(t, m.Crash(keepAll), "f")
	want = slices.Concat(fill('1', 400), fill('3', 100), fill('4', 100), fill('2', 424))
	if !bytes.Equal(got, want) {
		t.Errorf("all: %q", got)
	}
}

func TestMemoryRewriteDuringSync(t *testing.T) {
	m, f := durableFile(t, "f", fill('0', 512))
	m.SetManual(true)
	write := func(v byte) {
		var c Completion
		f.Write(&c, [][]byte{fill(v, 512)}, 0)
		queue := m.Queue()
		queue[len(queue)-1].Complete()
	}
	var first, second Completion
	write('1')
	f.Sync(&first)
	write('2')
	f.Sync(&second)
	write('3')
	queue := m.Queue()
	queue[1].Complete() // the second sync, before the first
	if got := memBytes(t, m.Crash(nil), "f"); got[0] != '2' {
		t.Errorf("durable after the second sync: %q", got[0])
	}
	queue[0].Complete()
	if got := memBytes(t, m.Crash(nil), "f"); got[0] != '2' {
		t.Errorf("the first sync, finishing late, took the durable side back to %q", got[0])
	}
	if changes := m.Unsynced(); len(changes) != 1 {
		t.Errorf("unsynced: %v", changes)
	}
	if got := memBytes(t, m.Crash(keepAll), "f"); got[0] != '3' {
		t.Errorf("newest content: %q", got[0])
	}
}

func TestMemoryDropOnSyncFailure(t *testing.T) {
	for _, drop := range []bool{false, true} {
		m, f := durableFile(t, "f", fill('0', 1024))
		m.SetDropOnSyncFailure(drop)
		memWrite(t, f, 0, fill('1', 1024))
		m.SetFault(func(op *Op) error { return errors.New("bad disk") })
		if err := memDo(t, f.Sync); err == nil {
			t.Fatal("sync succeeded")
		}
		m.SetFault(nil)
		memWrite(t, f, 512, fill('2', 512))
		memSync(t, f)
		if got := memBytes(t, m, "f"); got[0] != '1' || got[512] != '2' {
			t.Errorf("drop %v: reads show %q and %q", drop, got[0], got[512])
		}
		want := byte('1')
		if drop {
			want = '0'
		}
		for _, after := range []*Memory{m.Crash(nil), m.Crash(keepAll)} {
			if got := memBytes(t, after, "f"); got[0] != want || got[512] != '2' {
				t.Errorf("drop %v: disk shows %q and %q", drop, got[0], got[512])
			}
		}
	}
}

// A long random run against plain byte slices: what reads see, what is durable, and what all changes make of it.
func TestMemoryAgainstModel(t *testing.T) {
	for seed := range uint64(80) {
		m, f := durableFile(t, "f", nil)
		var now, durable []byte
		resize := func(b []byte, size int) []byte {
			return append(b[:min(size, len(b)):min(size, len(b))], make([]byte, max(0, size-len(b)))...)
		}
		state := seed
		for step := range 60 {
			at, n := int(splitMix(&state)%9000), int(splitMix(&state)%3000)
			switch splitMix(&state) % 6 {
			case 0, 1, 2:
				b := fill(byte(step+1), n)
				memWrite(t, f, int64(at), b)
				if n > 0 {
					now = resize(now, max(len(now), at+n))
					copy(now[at:], b)
				}
			case 3:
				if err := memDo(t, func(c *Completion) { f.Truncate(c, int64(at)) }); err != nil {
					t.Fatal(err)
				}
				now = resize(now, at)
			case 4:
				memSync(t, f)
				durable = slices.Clone(now)
			case 5:
				if step%7 == 0 {
					m = m.Crash(keepAll) // everything goes on where it was
					f = memOpen(t, m, "f", OpenWrite)
					durable = slices.Clone(now)
				}
			}
			if got := memBytes(t, m, "f"); !bytes.Equal(got, now) {
				t.Fatalf("seed %d, step %d: reads differ", seed, step)
			}
			if got := memBytes(t, m.Crash(nil), "f"); !bytes.Equal(got, durable) {
				t.Fatalf("seed %d, step %d: durable side differs", seed, step)
			}
			if got := memBytes(t, m.Crash(keepAll), "f"); !bytes.Equal(got, now) {
				t.Fatalf("seed %d, step %d: survivors differ", seed, step)
			}
		}
	}
}

func TestMemoryCrashImages(t *testing.T) {
	for _, sectors := range []int{0, 1, 6, 7, 20} {
		m, f := durableFile(t, "f", fill('0', sectors*512))
		memWrite(t, f, 0, fill('1', sectors*512))
		seen := map[string]bool{}
		images := 0
		for s, after := range m.CrashImages(9) {
			images++
			seen[fmt.Sprint(s.Kept)] = true
			got := memBytes(t, after, "f")
			for i, kept := range s.Kept {
				want := byte('0')
				if kept {
					want = '1'
				}
				if !bytes.Equal(got[i*512:(i+1)*512], fill(want, 512)) {
					t.Fatalf("%d sectors, %v: sector %d starts with %q", sectors, s, i, got[i*512])
				}
			}
		}
		want := 1 << sectors
		if sectors > 6 {
			want = 2*sectors + crashSamples
		}
		if images != want || sectors <= 6 && len(seen) != want {
			t.Errorf("%d sectors: %d images, %d distinct, want %d", sectors, images, len(seen), want)
		}
	}
}

func TestMemoryTimersVirtual(t *testing.T) {
	m := NewMemory()
	var a, b, c, gone Completion
	var order []string
	note := func(name string) func(*Completion) {
		return func(*Completion) { order = append(order, fmt.Sprint(name, m.Now())) }
	}
	m.Timer(&a, 30)
	m.Timer(&b, 10)
	m.Timer(&gone, 20)
	a.OnDone(note("a"))
	b.OnDone(func(*Completion) {
		note("b")(nil)
		m.Timer(&c, 5)
		c.OnDone(note("c"))
	})
	if !gone.Cancel() || !gone.Retired() {
		t.Error("cancelled timer is not retired")
	}
	if at, ok := m.NextTimer(); !ok || at != 10 {
		t.Errorf("next timer at %d, %v", at, ok)
	}
	m.Advance(9)
	if len(order) != 0 || m.Now() != 9 {
		t.Errorf("at 9: %v, clock %d", order, m.Now())
	}
	m.Advance(91)
	if want := []string{"b10", "c15", "a30"}; !slices.Equal(order, want) || m.Now() != 100 || m.InFlight() != 0 {
		t.Errorf("order %v, want %v; clock %d", order, want, m.Now())
	}
}

func TestMemoryRandomFollowsSeed(t *testing.T) {
	draw := func(seed uint64) string {
		buf := make([]byte, 20)
		NewMemory(MemoryConfig{Seed: seed}).Random(buf)
		return string(buf)
	}
	if first, again := draw(1), draw(1); first != again || first == draw(2) {
		t.Error("random bytes do not follow the seed")
	}
}

func TestMemoryVolatile(t *testing.T) {
	m := NewMemory(MemoryConfig{Volatile: true})
	f := memOpen(t, m, "f", OpenWrite|OpenCreate)
	memWrite(t, f, 100, fill('1', 5000))
	memSync(t, f)
	if err := memDo(t, func(c *Completion) { f.Truncate(c, 200) }); err != nil {
		t.Fatal(err)
	}
	memWrite(t, f, 300, fill('2', 10))
	want := slices.Concat(make([]byte, 100), fill('1', 100), make([]byte, 100), fill('2', 10))
	if got := memBytes(t, m, "f"); !bytes.Equal(got, want) {
		t.Errorf("file holds %q", got)
	}
	if len(m.Unsynced()) != 0 {
		t.Error("unsynced changes without a durable side")
	}
}

func TestMemoryHostileRanges(t *testing.T) {
	m, f := durableFile(t, "f", fill('0', 10))
	for _, offset := range []int64{-1, 1 << 62, 1<<63 - 1} {
		if err := memDo(t, func(c *Completion) { f.Read(c, make([]byte, 1), offset) }); err == nil {
			t.Errorf("read at %d succeeded", offset)
		}
		if err := memDo(t, func(c *Completion) { f.Write(c, [][]byte{{1}}, offset) }); err == nil {
			t.Errorf("write at %d succeeded", offset)
		}
		if err := memDo(t, func(c *Completion) { f.Truncate(c, offset) }); err == nil {
			t.Errorf("truncate to %d succeeded", offset)
		}
	}
	if got := memBytes(t, m, "f"); !bytes.Equal(got, fill('0', 10)) {
		t.Errorf("file holds %q", got)
	}
}

func TestMemoryAllocs(t *testing.T) {
	m := NewMemory(MemoryConfig{Volatile: true})
	f := memOpen(t, m, "f", OpenWrite|OpenCreate)
	memWrite(t, f, 0, fill('0', 8192))
	var c Completion
	buf := make([]byte, 4096)
	bufs := [][]byte{buf}
	run := func(name string, submit func()) {
		if n := testing.AllocsPerRun(100, func() { submit(); c.Reset() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	run("read", func() { f.Read(&c, buf, 100) })
	run("write", func() { f.Write(&c, bufs, 100) })
	run("sync", func() { f.Sync(&c) })
}

// Crash images while others write: what was synced before must be in each.
func TestMemoryCrashConcurrent(t *testing.T) {
	m := NewMemory()
	var files []File
	for i := range 4 {
		name := fmt.Sprint(i)
		m.SetBytes(name, fill('0', 4096))
		files = append(files, memOpen(t, m, name, OpenWrite))
	}
	var wg sync.WaitGroup
	for _, f := range files {
		wg.Go(func() {
			for v := byte(1); v < 50; v++ {
				memWrite(t, f, 0, fill(v, 4096))
				memSync(t, f)
				got := memBytes(t, m.Crash(nil), f.Name())
				if !bytes.Equal(got, fill(v, 4096)) {
					t.Errorf("%s: synced %d, disk shows %d", f.Name(), v, got[0])
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkMemoryCrash(b *testing.B) {
	m, f := durableFile(b, "f", fill('0', 200<<10))
	memWrite(b, f, 4096, fill('1', 16<<10))
	for b.Loop() {
		m.Crash(keepAll)
	}
}
