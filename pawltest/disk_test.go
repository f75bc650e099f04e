package pawltest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/iotest"
)

// small is how the tests open databases: no more I/O than it takes, and nothing that depends on the clock.
func small(disk *Disk) *pawl.Options {
	return &pawl.Options{IO: disk.IO(), PageSize: 512, CacheSize: 1 << 16, SyncInterval: time.Hour, LockTimeout: -1}
}

func open(t testing.TB, disk *Disk) *pawl.DB {
	t.Helper()
	db, err := pawl.Open("app.pawl", small(disk))
	require.NoError(t, err)
	return db
}

func put(db *pawl.DB, key string, d pawl.Durability) error {
	return db.Update(func(tx *pawl.Tx) error {
		tx.SetDurability(d)
		return tx.Root().Put([]byte(key), []byte("value of "+key))
	})
}

func look(db *pawl.DB, key string) (found bool, err error) {
	err = db.View(func(tx *pawl.Tx) (err error) {
		found, err = tx.Root().Has([]byte(key))
		return err
	})
	return found, err
}

func has(t testing.TB, db *pawl.DB, key string) bool {
	t.Helper()
	found, err := look(db, key)
	require.NoError(t, err)
	return found
}

// The IO of a disk is a backend like any other.
func TestBackend(t *testing.T) {
	iotest.Run(t, func(t *testing.T) iotest.Backend { return iotest.Backend{IO: New(t).IO(), Dir: "dir"} })
}

// What was acknowledged is there after a cut, whatever else survives, and what was relaxed is there or not.
func TestPowerCut(t *testing.T) {
	for _, survivors := range []Survivors{Drawn, Nothing, Everything} {
		disk := New(t, Options{Survivors: survivors})
		db := open(t, disk)
		require.NoError(t, put(db, "full", pawl.Full))
		require.NoError(t, put(db, "relaxed", pawl.Relaxed))
		require.False(t, disk.Off())
		disk.PowerCut()
		require.True(t, disk.Off())
		// If the sync of the relaxed commit has failed by now, its pages are gone from memory, and those before them were before.
		if found, err := look(db, "full"); err != nil {
			require.ErrorIs(t, err, ErrPowerCut)
		} else {
			require.True(t, found)
		}
		_ = db.Close() // fails, unless that sync has failed before

		disk.Reopen()
		require.False(t, disk.Off())
		db = open(t, disk)
		require.True(t, has(t, db, "full"))
		switch survivors {
		case Nothing:
			require.False(t, has(t, db, "relaxed"))
		case Everything:
			require.True(t, has(t, db, "relaxed"))
		}
		require.NoError(t, put(db, "later", pawl.Full))
		require.NoError(t, db.Close())
	}
}

// A second cut, after a recovery, is a cut like the first.
func TestPowerCutTwice(t *testing.T) {
	disk := New(t)
	for i := range 5 {
		db := open(t, disk)
		for j := range i {
			require.True(t, has(t, db, fmt.Sprint(j)), "%d in life %d", j, i)
		}
		require.NoError(t, put(db, fmt.Sprint(i), pawl.Full))
		disk.PowerCut()
		disk.PowerCut()
		require.True(t, has(t, db, fmt.Sprint(i)), "what is in memory can be read")
		require.Error(t, db.Close())
		disk.Reopen()
	}
}

// Whatever the old run does after the cut, it fails with the named error, and the disk that is reopened knows nothing of it.
func TestOldRunIsCutOff(t *testing.T) {
	disk := New(t, Options{Survivors: Everything})
	old := disk.IO()
	db := open(t, disk)
	require.NoError(t, put(db, "a", pawl.Full))
	file := openFile(t, func(c *io.Completion, o *io.Opening) {
		*o = io.Opening{Path: "app.pawl", Flag: io.OpenWrite}
		old.Open(c, o)
	})
	var timer io.Completion
	old.Timer(&timer, int64(time.Hour))
	require.Equal(t, 1, old.InFlight())
	disk.PowerCut()
	require.ErrorIs(t, timer.Err(), ErrPowerCut, "who waits for a timer does not wait on")
	require.Zero(t, old.InFlight())

	_, err := pawl.Open("app.pawl", small(disk))
	require.ErrorIs(t, err, ErrPowerCut, "the power is off")
	for range 2 { // before and after it is on again
		names, content := disk.mem.Names(), disk.Bytes("app.pawl")
		for what, submit := range map[string]func(c *io.Completion){
			"open":     func(c *io.Completion) { old.Open(c, &io.Opening{Path: "new", Flag: io.OpenWrite | io.OpenCreate}) },
			"stat":     func(c *io.Completion) { old.Stat(c, &io.Lookup{Path: "app.pawl"}) },
			"link":     func(c *io.Completion) { old.Link(c, "app.pawl", "other") },
			"rename":   func(c *io.Completion) { old.Rename(c, "app.pawl", "other") },
			"remove":   func(c *io.Completion) { old.Remove(c, "app.pawl") },
			"syncdir":  func(c *io.Completion) { old.SyncDir(c, "app.pawl") },
			"timer":    func(c *io.Completion) { old.Timer(c, 1) },
			"read":     func(c *io.Completion) { file.Read(c, make([]byte, 1), 0) },
			"write":    func(c *io.Completion) { file.Write(c, [][]byte{{1, 2, 3}}, 0) },
			"sync":     func(c *io.Completion) { file.Sync(c) },
			"truncate": func(c *io.Completion) { file.Truncate(c, 0) },
			"lock":     func(c *io.Completion) { file.Lock(c, true) },
		} {
			var c io.Completion
			submit(&c)
			require.True(t, c.Retired(), what)
			require.ErrorIs(t, c.Err(), ErrPowerCut, what)
		}
		require.Equal(t, names, disk.mem.Names())
		require.True(t, bytes.Equal(content, disk.Bytes("app.pawl")))
		if disk.Off() {
			disk.Reopen()
		}
	}
	require.Error(t, put(db, "b", pawl.Full))
	next := open(t, disk) // the old one is not closed yet: it has no lock here
	require.NoError(t, db.Close(), "it has failed before, and leaves the files as they are")
	require.True(t, has(t, next, "a"))
	require.False(t, has(t, next, "b"))
	require.NoError(t, put(next, "c", pawl.Full))
	require.NoError(t, next.Close())
	_, err = pawl.Open("app.pawl", &pawl.Options{IO: old})
	require.ErrorIs(t, err, ErrPowerCut)
	var c io.Completion
	file.Close(&c)
	require.NoError(t, c.Err())
}

// openFile opens a file.
func openFile(t *testing.T, submit func(c *io.Completion, o *io.Opening)) io.File {
	var c io.Completion
	var o io.Opening
	submit(&c, &o)
	require.NoError(t, c.Err())
	return o.File
}

// Goroutines in the middle of commits when the power goes: each call returns, none that was acknowledged is lost on any disk,
// and when the old database is closed none of its goroutines is left.
func TestPowerCutUnderLoad(t *testing.T) {
	before := runtime.NumGoroutine()
	for round := range effort.Of(8, 30, 300) {
		disk := New(t, Options{Seed: uint64(round + 1)})
		opts := small(disk)
		opts.CheckpointBytes = 4 << 10 // the background goroutine is at work too
		opts.SyncInterval = 100 * time.Microsecond
		db, err := pawl.Open("app.pawl", opts)
		require.NoError(t, err)
		var acked [4][]string
		var count atomic.Int64
		var wg sync.WaitGroup
		for g := range acked {
			wg.Go(func() {
				for i := 0; ; i++ {
					key, d := fmt.Sprintf("%d-%d", g, i), pawl.Full
					if g == 3 {
						d = pawl.Relaxed
					}
					if err := put(db, key, d); err != nil {
						if !errors.Is(err, ErrPowerCut) {
							t.Errorf("%s: %v", key, err)
						}
						return
					}
					acked[g] = append(acked[g], key)
					count.Add(1)
				}
			})
		}
		for count.Load() < int64(10+round) {
			runtime.Gosched()
		}
		disk.PowerCut()
		wg.Wait()
		require.ErrorIs(t, errors.Join(db.Close(), ErrPowerCut), ErrPowerCut)
		images := 0
		for disk := range disk.Crashes() {
			db := open(t, disk)
			for g := range 3 {
				for _, key := range acked[g] {
					require.True(t, has(t, db, key), "%s was acknowledged", key)
				}
			}
			require.NoError(t, db.Close())
			if images++; images == 6 {
				break
			}
		}
		require.Positive(t, images)
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// Waiting for a lock ends with the power.
func TestPowerCutEndsAWaitForTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := New(t)
		db := open(t, disk)
		opts := small(disk)
		opts.LockTimeout = time.Hour
		ended := make(chan error)
		go func() {
			_, err := pawl.Open("app.pawl", opts)
			ended <- err
		}()
		synctest.Wait()
		disk.PowerCut()
		require.ErrorIs(t, <-ended, ErrPowerCut)
		require.NoError(t, db.Close(), "there was nothing to write")
	})
}

// In a bubble the interval of relaxed commits passes when the test says so.
func TestBubble(t *testing.T) {
	for _, wait := range []time.Duration{99 * time.Millisecond, 101 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			disk := New(t, Options{Survivors: Nothing})
			opts := small(disk)
			opts.SyncInterval = 100 * time.Millisecond
			db, err := pawl.Open("app.pawl", opts)
			require.NoError(t, err)
			require.NoError(t, put(db, "a", pawl.Relaxed))
			time.Sleep(wait)
			synctest.Wait()
			disk.PowerCut()
			require.ErrorIs(t, errors.Join(db.Close(), ErrPowerCut), ErrPowerCut)
			disk.Reopen()
			db = open(t, disk)
			require.Equal(t, wait > opts.SyncInterval, has(t, db, "a"))
			require.NoError(t, db.Close())
		})
	}
}

// A program that shuts its IO down and begins anew without a cut has what it wrote.
func TestShutdownWithoutACut(t *testing.T) {
	disk := New(t)
	db := open(t, disk)
	require.NoError(t, put(db, "a", pawl.Full))
	old := disk.IO()
	require.NoError(t, old.Shutdown())
	require.Error(t, put(db, "b", pawl.Full))
	require.Error(t, db.Close())
	db = open(t, disk)
	require.True(t, has(t, db, "a"))
	require.NoError(t, db.Close())
}

// The k-th change is under way when the power goes: a write may be there in part, a sync has synced nothing for sure.
func TestCutAt(t *testing.T) {
	disk := New(t)
	create := func(disk *Disk) io.File {
		return openFile(t, func(c *io.Completion, o *io.Opening) {
			*o = io.Opening{Path: "f", Flag: io.OpenWrite | io.OpenCreate}
			disk.IO().Open(c, o)
		})
	}
	end := func(submit func(c *io.Completion)) error {
		var c io.Completion
		submit(&c)
		require.True(t, c.Retired())
		return c.Err()
	}
	f := create(disk)
	require.NoError(t, end(func(c *io.Completion) { f.Truncate(c, 1024) }))
	require.NoError(t, end(func(c *io.Completion) { f.Sync(c) }))
	require.NoError(t, end(func(c *io.Completion) { disk.IO().SyncDir(c, "f") }))
	require.Equal(t, 4, disk.Changes())

	disk.CutAt(1)
	require.NoError(t, end(func(c *io.Completion) { f.Read(c, make([]byte, 1), 0) }), "a read is no change")
	require.ErrorIs(t, end(func(c *io.Completion) { f.Write(c, [][]byte{bytes.Repeat([]byte{'x'}, 1024)}, 0) }), ErrPowerCut)
	require.True(t, disk.Off())
	found := map[string]bool{}
	for disk := range disk.Crashes() {
		b := disk.Bytes("f")
		found[string([]byte{b[0], b[511], b[512], b[1023]})] = true
		require.Zero(t, disk.Changes())
	}
	require.Equal(t, map[string]bool{"\x00\x00\x00\x00": true, "xx\x00\x00": true, "\x00\x00xx": true, "xxxx": true}, found)

	disk.Reopen()
	f = create(disk)
	require.NoError(t, end(func(c *io.Completion) { f.Write(c, [][]byte{[]byte("yy")}, 0) }))
	disk.CutAt(1)
	require.ErrorIs(t, end(func(c *io.Completion) { f.Sync(c) }), ErrPowerCut)
	found = map[string]bool{}
	for disk := range disk.Crashes() {
		found[string(disk.Bytes("f")[:1])] = true
	}
	require.Len(t, found, 2)
	require.True(t, found["y"])

	disk.Reopen() // a cut that did not come is forgotten
	disk.CutAt(2)
	disk.PowerCut()
	disk.Reopen()
	f = create(disk)
	require.NoError(t, end(func(c *io.Completion) { f.Sync(c) }))
	require.NoError(t, end(func(c *io.Completion) { f.Sync(c) }))
}

// Creations, links, renames and removes survive a cut in the middle of them or not.
func TestCutAtName(t *testing.T) {
	for what, submit := range map[string]func(disk *Disk, c *io.Completion){
		"create": func(d *Disk, c *io.Completion) {
			d.IO().Open(c, &io.Opening{Path: "new", Flag: io.OpenWrite | io.OpenCreate})
		},
		"link":   func(d *Disk, c *io.Completion) { d.IO().Link(c, "old", "new") },
		"rename": func(d *Disk, c *io.Completion) { d.IO().Rename(c, "old", "new") },
		"remove": func(d *Disk, c *io.Completion) { d.IO().Remove(c, "old") },
	} {
		disk := New(t)
		disk.mem.SetBytes("old", []byte("x"))
		disk.CutAt(1)
		var c io.Completion
		submit(disk, &c)
		require.ErrorIs(t, c.Err(), ErrPowerCut, what)
		var found []string
		for disk := range disk.Crashes() {
			found = append(found, strings.Join(disk.mem.Names(), " "))
		}
		want := map[string]string{"create": "new old", "link": "new old", "rename": "new", "remove": ""}[what]
		require.Equal(t, []string{"old", want}, found, what)
	}
}

// A sync that fails drops what it was to make durable, once: the outcome of the commit is unknown, and pawl does not go on.
func TestFailSync(t *testing.T) {
	disk := New(t)
	db := open(t, disk)
	require.NoError(t, put(db, "the log's first", pawl.Full)) // makes its file
	disk.FailSync(2)
	require.NoError(t, put(db, "a", pawl.Full))
	require.Zero(t, disk.Faults())
	err := put(db, "b", pawl.Full)
	require.ErrorIs(t, err, pawl.ErrCommitUnknown)
	require.ErrorIs(t, err, ErrInjected)
	require.Equal(t, 1, disk.Faults())
	require.ErrorIs(t, put(db, "c", pawl.Full), pawl.ErrFailed)
	disk.PowerCut()
	_ = db.Close()
	images := 0
	for disk := range disk.Crashes() {
		images++
		db := open(t, disk)
		require.True(t, has(t, db, "a"))
		require.False(t, has(t, db, "b"), "dropped for good")
		require.NoError(t, db.Close())
	}
	require.Positive(t, images)
}

// After the reopen without a cut what the failed sync dropped can still be read, and pawl writes it again.
func TestFailSyncAndReopen(t *testing.T) {
	disk := New(t, Options{Survivors: Nothing})
	db := open(t, disk)
	require.NoError(t, put(db, "the log's first", pawl.Full))
	disk.FailSync(1)
	require.ErrorIs(t, put(db, "a", pawl.Full), pawl.ErrCommitUnknown)
	require.NoError(t, db.Close())
	db = open(t, disk)
	require.True(t, has(t, db, "a"))
	disk.PowerCut()
	_ = db.Close()
	disk.Reopen()
	db = open(t, disk)
	require.True(t, has(t, db, "a"), "it was read, so it is kept")
	require.NoError(t, db.Close())
}

func TestFailWriteAndRead(t *testing.T) {
	disk := New(t)
	db := open(t, disk)
	require.NoError(t, put(db, "a", pawl.Full))
	disk.FailWrite(1)
	err := put(db, "b", pawl.Full)
	require.ErrorIs(t, err, pawl.ErrCommitUnknown)
	require.ErrorIs(t, err, ErrInjected)
	require.NoError(t, db.Close())
	disk.FailRead(1)
	_, err = pawl.Open("app.pawl", small(disk))
	require.ErrorIs(t, err, ErrInjected)
	require.Equal(t, 2, disk.Faults())
	db = open(t, disk)
	require.True(t, has(t, db, "a"))
	require.False(t, has(t, db, "b"))
	disk.FailRead(1000) // does not come, and is forgotten
	disk.PowerCut()
	_ = db.Close()
	disk.Reopen()
	require.Empty(t, disk.fail)
}

// A full disk refuses to grow, is full after a cut too, and is not when there is room again.
func TestFull(t *testing.T) {
	disk := New(t)
	db := open(t, disk)
	fill := func(n int) (err error) {
		for i := 0; i < n && err == nil; i++ {
			err = put(db, fmt.Sprint(i, strings.Repeat("x", 80)), pawl.Full)
		}
		return err
	}
	disk.Full(true)
	require.ErrorIs(t, fill(2_000), pawl.ErrFull)
	require.NoError(t, db.View(func(tx *pawl.Tx) error { return tx.Root().Err() }))
	disk.PowerCut()
	_ = db.Close()
	disk.Reopen()
	db = open(t, disk)
	require.ErrorIs(t, fill(2_000), pawl.ErrFull)
	for disk := range crashed(disk).Crashes() {
		require.True(t, disk.full)
		break
	}
	_ = db.Close()
	disk.Reopen()
	disk.Full(false)
	db = open(t, disk)
	require.NoError(t, fill(300))
	require.NoError(t, db.Close())
}

func crashed(disk *Disk) *Disk {
	disk.PowerCut()
	return disk
}

// A flipped bit is damage, which pawl tells.
func TestFlip(t *testing.T) {
	disk := New(t)
	db := open(t, disk)
	require.NoError(t, put(db, "a", pawl.Full))
	require.NoError(t, db.Close())
	require.Nil(t, disk.Bytes("app.pawl-wal"))
	for _, meta := range []int64{0, 4096} {
		disk.Flip("app.pawl", meta+8)
	}
	_, err := pawl.Open("app.pawl", small(disk))
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	for _, meta := range []int64{0, 4096} {
		disk.Flip("app.pawl", meta+8)
	}
	db = open(t, disk)
	require.True(t, has(t, db, "a"))
	require.NoError(t, db.Close())
}

// The same seed is the same run, I/O for I/O and bit for bit; another one is not.
func TestDeterminism(t *testing.T) {
	life := func(seed uint64) (string, []byte) {
		f := new(fake)
		disk := New(f, Options{Seed: seed})
		for range 3 {
			db := open(t, disk)
			for i := range 10 {
				require.NoError(t, put(db, fmt.Sprint(i), pawl.Durability(i%2)))
			}
			disk.PowerCut()
			_ = db.Close()
			disk.Reopen()
		}
		disk.log()
		return f.log(), disk.Bytes("app.pawl-wal")
	}
	log, content := life(7)
	again, same := life(7)
	require.Equal(t, log, again)
	require.Equal(t, content, same)
	require.NotEmpty(t, content)
	other, differs := life(8)
	require.NotEqual(t, log, other)
	require.NotEqual(t, content, differs)
}

// The seed comes from the environment, from the option, or is 1.
func TestSeed(t *testing.T) {
	require.Equal(t, uint64(1), New(t).seed)
	require.Equal(t, uint64(5), New(t, Options{Seed: 5}).seed)
	t.Setenv(seedVariable, "77")
	require.Equal(t, uint64(77), New(t, Options{Seed: 5}).seed)
	t.Setenv(seedVariable, "random")
	require.NotEqual(t, New(t).seed, New(t).seed)
	t.Setenv(seedVariable, "seven")
	require.Contains(t, try(func(f *fake) { New(f) }).fatal, `PAWLTEST_SEED is neither a number nor "random": "seven"`)
}

// What is misused fails the test at once, and says how to do it.
func TestMisuse(t *testing.T) {
	for want, test := range map[string]func(f *fake){
		"Reopen while the power is on":                 func(f *fake) { New(f).Reopen() },
		"Reopen of a disk that nothing was":            func(f *fake) { crashed(New(f)).Reopen() },
		"Crashes while the power is on":                func(f *fake) { New(f).Crashes()(nil) },
		"Crashes of a disk that nothing was":           func(f *fake) { crashed(New(f)).Crashes()(nil) },
		"CutAt(0): changes count from 1":               func(f *fake) { New(f).CutAt(0) },
		"FailSync(0): it counts from 1":                func(f *fake) { New(f).FailSync(0) },
		"FailWrite(-1): it counts from 1":              func(f *fake) { New(f).FailWrite(-1) },
		"FailRead(0): it counts from 1":                func(f *fake) { New(f).FailRead(0) },
		"Flip of f at 3":                               func(f *fake) { New(f).Flip("f", 3) },
		"New takes one Options at most":                func(f *fake) { New(f, Options{}, Options{}) },
		"New takes one Options at most, with Survivor": func(f *fake) { New(f, Options{Survivors: 9}) },
	} {
		got := try(test)
		require.True(t, strings.HasPrefix(got.fatal, "pawltest: "+want), "%q: %q", want, got.fatal)
	}
}

// A test that fails says with which seed, where the power was cut, and what survived; one that passes says nothing.
func TestFailureIsTold(t *testing.T) {
	life := func(f *fake) {
		disk := New(f, Options{Seed: 9, Survivors: Nothing})
		db := open(t, disk)
		disk.FailSync(1)
		_ = put(db, "a", pawl.Full)
		disk.PowerCut()
		_ = db.Close()
		disk.Reopen()
	}
	require.Empty(t, try(life).logs)
	got := try(func(f *fake) { life(f); f.Fatalf("wrong") })
	require.Contains(t, got.log(), "drawn from seed 9 (PAWLTEST_SEED=9 repeats it)")
	require.Contains(t, got.log(), "failed: sync app.pawl-wal")
	require.Regexp(t, `the power was cut after \d+ changes of the disk, with no change under way; \d+ parts were not synced`,
		got.log())
	require.Regexp(t, `of \d+ parts that were not synced 0 survived`, got.log())

	got = try(func(f *fake) {
		disk := New(f)
		disk.mem.SetBytes("f", nil)
		disk.CutAt(1)
		var c io.Completion
		disk.IO().Link(&c, "f", "g")
		for disk := range disk.Crashes() {
			if disk.Bytes("g") != nil {
				f.Fatalf("wrong")
			}
		}
	})
	require.Contains(t, got.log(),
		", in the middle of link f; 1 parts were not synced\npawltest: of 1 parts that were not synced 1 survived")
}

// Of many changes each way of surviving comes up, and what is listed fits.
func TestSurvivors(t *testing.T) {
	disk := New(t)
	f := openFile(t, func(c *io.Completion, o *io.Opening) {
		*o = io.Opening{Path: "f", Flag: io.OpenWrite | io.OpenCreate}
		disk.IO().Open(c, o)
	})
	for i := range int64(30) {
		f.Write(new(io.Completion), [][]byte{{1}}, i*512)
	}
	disk.PowerCut()
	n := len(disk.mem.Unsynced())
	images := 0
	for range disk.Crashes() {
		images++
	}
	require.Equal(t, io.CrashImageCount(n), images)
	list := disk.some(40)
	require.Len(t, list, 40)
	require.NotContains(t, list[0], true)
	require.NotContains(t, list[1], false)
	for i := range list {
		require.NotContains(t, list[:i], list[i])
	}
	require.Contains(t, survived(disk.mem.Unsynced(), list[2]), ", oldest first: ")
	require.Len(t, disk.some(1), 1)
}
