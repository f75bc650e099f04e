package pawl_test

import (
	"context"
	"errors"
	"fmt"
	stdio "io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
)

// memory opens a database in memory with a few keys, for the examples.
func memory(o *pawl.Options) *pawl.DB {
	db, err := pawl.OpenMemory(o)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(func(tx *pawl.Tx) error {
		b, err := tx.CreateBucket([]byte("planets"))
		if err != nil {
			return err
		}
		for _, name := range []string{"mercury", "venus", "earth"} {
			if err := b.Put([]byte(name), []byte(strings.ToUpper(name))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	return db
}

// A database is open to any number of goroutines.
func ExampleDB() {
	dir, err := os.MkdirTemp("", "pawl")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := pawl.Open(filepath.Join(dir, "data.pawl"), nil)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte("k"), []byte("v")) })
	fmt.Println(filepath.Base(db.Path()), err, db.Close())
	// Output: data.pawl <nil> <nil>
}

func ExampleOptions() {
	db := memory(&pawl.Options{CacheSize: 8 << 20, PageSize: 8192, Durability: pawl.Relaxed})
	defer db.Close()
	s := db.Stats()
	fmt.Println(s.PageSize, s.CacheLimit)
	_, err := pawl.OpenMemory(&pawl.Options{PageSize: 1000})
	fmt.Println(errors.Is(err, pawl.ErrOptions))
	// Output:
	// 8192 8388608
	// true
}

// A relaxed commit is with the operating system when it returns; Sync makes it durable.
func ExampleDurability() {
	db := memory(nil)
	defer db.Close()
	err := db.Update(func(tx *pawl.Tx) error {
		tx.SetDurability(pawl.Relaxed)
		return tx.Root().Put([]byte("k"), nil)
	})
	fmt.Println(err, db.Sync())
	s := db.Stats()
	fmt.Println(s.Seq == s.Durable)
	// Output:
	// <nil> <nil>
	// true
}

func ExampleStats() {
	db := memory(nil)
	defer db.Close()
	s := db.Stats()
	fmt.Println(s.Seq, s.Durable, s.Commits, s.Created, s.Failed)
	// Output: 1 1 1 true <nil>
}

// Stats names the readers that are open, and what each keeps from being used again.
func ExampleReaderStats() {
	db := memory(nil)
	defer db.Close()
	tx, err := db.Begin(false)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range db.Stats().Readers {
		fmt.Println(r.Seq, r.Expired)
	}
	fmt.Println(tx.Rollback(), len(db.Stats().Readers))
	// Output:
	// 1 false
	// <nil> 0
}

func ExampleTxStats() {
	db := memory(nil)
	defer db.Close()
	err := db.Update(func(tx *pawl.Tx) error {
		if err := tx.Root().Put([]byte("k"), nil); err != nil {
			return err
		}
		s, err := tx.Stats()
		fmt.Println(s.Seq, s.ChangedPages, s.ChangedBytes)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 2 1 4096
}

func ExampleBucketStats() {
	db := memory(nil)
	defer db.Close()
	err := db.View(func(tx *pawl.Tx) error {
		s, err := tx.Bucket([]byte("planets")).Stats()
		fmt.Println(s.Keys, s.KeyBytes, s.ValBytes, s.Leaves)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 3 17 17 1
}

func ExampleCheckReport() {
	db := memory(nil)
	defer db.Close()
	err := db.View(func(tx *pawl.Tx) error {
		report, err := tx.Check(tx.Context())
		fmt.Println(report.Trees, report.Keys, len(report.Problems), report.Err())
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 2 3 0 <nil>
}

// Truncate also makes file and log as short as they can be.
func ExampleCheckpointMode() {
	db := memory(nil)
	defer db.Close()
	for _, mode := range []pawl.CheckpointMode{pawl.Passive, pawl.Complete, pawl.Truncate} {
		if _, err := db.Checkpoint(context.Background(), mode); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(db.Stats().Covered)
	// Output: 1
}

func ExampleCheckpointResult() {
	db := memory(nil)
	defer db.Close()
	res, err := db.Checkpoint(context.Background(), pawl.Complete)
	fmt.Println(res.Covered, res.Pages, err)
	// Output: 1 2 <nil>
}

func ExampleEvent() {
	db := memory(&pawl.Options{OnEvent: func(e pawl.Event) {
		if e.Kind == pawl.EventCommit {
			fmt.Println(e.Kind, e.Seq, e.Err)
		}
	}})
	defer db.Close()
	// Output: commit 1 <nil>
}

func ExampleEventKind() {
	fmt.Println(pawl.EventOpen, pawl.EventRecovery, pawl.EventStall)
	// Output: open recovery stall
}

// An error for damage says where it is.
func ExampleCorruptError() {
	disk := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := pawl.Open("data.pawl", &pawl.Options{IO: disk})
	if err != nil {
		log.Fatal(err)
	}
	err = errors.Join(db.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte("k"), []byte("v")) }), db.Close())
	if err != nil {
		log.Fatal(err)
	}
	file, err := disk.Bytes("data.pawl")
	if err != nil {
		log.Fatal(err)
	}
	at := strings.LastIndex(string(file), "kv") // a leaf has key and value
	if at < 0 {
		at = strings.LastIndex(string(file), "k")
	}
	file[at] ^= 1
	disk.SetBytes("data.pawl", file)
	db, err = pawl.Open("data.pawl", &pawl.Options{IO: disk})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *pawl.Tx) error {
		_, err := tx.Root().Get([]byte("k"))
		return err
	})
	var damage *pawl.CorruptError
	fmt.Println(errors.As(err, &damage), errors.Is(err, pawl.ErrCorrupt))
	fmt.Println(damage.File, damage.Page > 0, damage.Offset > 0)
	// Output:
	// true true
	// data.pawl true true
}

// A second open for writing is refused, and told by whom.
func ExampleLockedError() {
	disk := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := pawl.Open("data.pawl", &pawl.Options{IO: disk})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	_, err = pawl.Open("data.pawl", &pawl.Options{IO: disk, LockTimeout: -1})
	var locked *pawl.LockedError
	fmt.Println(errors.As(err, &locked), errors.Is(err, pawl.ErrLocked))
	// Output: true true
}

// CloseContext gives up, and names what is still open.
func ExampleOpenTxError() {
	db := memory(nil)
	tx, err := db.Begin(false)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var open *pawl.OpenTxError
	fmt.Println(errors.As(db.CloseContext(ctx), &open), open.Writer, len(open.Readers))
	fmt.Println(tx.Rollback(), db.Close())
	// Output:
	// true false 1
	// <nil> <nil>
}

// With Debug an open transaction tells where it was begun.
func ExampleOpenTx() {
	db := memory(&pawl.Options{Debug: true})
	tx, err := db.Begin(false)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var open *pawl.OpenTxError
	if errors.As(db.CloseContext(ctx), &open) {
		fmt.Println(open.Readers[0].Seq, strings.Contains(open.Readers[0].Stack, "ExampleOpenTx"))
	}
	fmt.Println(tx.Rollback(), db.Close())
	// Output:
	// 1 true
	// <nil> <nil>
}

func ExamplePendingCommit() {
	db := memory(nil)
	defer db.Close()
	tx, err := db.Begin(true)
	if err != nil {
		log.Fatal(err)
	}
	if err := tx.Root().Put([]byte("k"), nil); err != nil {
		log.Fatal(err)
	}
	pending := tx.CommitAsync() // the next transaction can begin
	fmt.Println(pending.Wait(context.Background()))
	// Output: <nil>
}

func ExampleValueReader() {
	db := memory(nil)
	defer db.Close()
	err := db.View(func(tx *pawl.Tx) error {
		r, err := tx.Bucket([]byte("planets")).Reader([]byte("earth"))
		if err != nil {
			return err
		}
		if _, err := r.Seek(2, stdio.SeekStart); err != nil {
			return err
		}
		rest, err := stdio.ReadAll(r)
		fmt.Println(r.Size(), string(rest))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 5 RTH
}

// Waiting lists what is under way, and what it waits for.
func ExampleWaiting() {
	db := memory(nil)
	defer db.Close()
	first, err := db.Begin(true)
	if err != nil {
		log.Fatal(err)
	}
	second := db.Async().Begin(true)
	if _, err := second.Step(); err != nil {
		log.Fatal(err)
	}
	for _, w := range db.Waiting() {
		if w.Operation == "begin" {
			fmt.Println(w.Operation, "waits for", w.On)
		}
	}
	fmt.Println(second.Abort(nil), first.Rollback())
	// Output:
	// begin waits for the writer's turn
	// context canceled <nil>
}

// A cursor that is stepped ends with the entry that it has come to.
func ExampleEntry() {
	db := memory(nil)
	defer db.Close()
	err := db.View(func(tx *pawl.Tx) error {
		first := db.Async().First(tx.Bucket([]byte("planets")).Cursor())
		e, err := first.Run(tx.Context())
		fmt.Printf("%s %s\n", e.Key, e.Value)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: earth EARTH
}
