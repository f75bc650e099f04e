package docs

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
)

// newMemory returns an empty database in memory.
func newMemory() *pawl.DB {
	db, err := pawl.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	return db
}

// put stores one key in the root bucket.
func put(db *pawl.DB, key, value string) error {
	return db.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte(key), []byte(value)) })
}

// has reports whether the root bucket has a key.
func has(db *pawl.DB, key string) (there bool) {
	err := db.View(func(tx *pawl.Tx) (err error) {
		there, err = tx.Root().Has([]byte(key))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	return there
}

// A reader keeps its snapshot, and a slice outlives its transaction.
func Example_snapshot() {
	db := newMemory()
	defer db.Close()
	if err := put(db, "k", "old"); err != nil {
		log.Fatal(err)
	}

	reader, err := db.Begin(false)
	if err != nil {
		log.Fatal(err)
	}
	if err := put(db, "k", "new"); err != nil { // does not wait for the reader
		log.Fatal(err)
	}
	value, err := reader.Root().Get([]byte("k"))
	fmt.Printf("%s %v\n", value, err)
	if err := reader.Rollback(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", value) // still there, still the same
	// Output:
	// old <nil>
	// old
}

// A transaction's context tells a nested one that it would wait for itself.
func Example_nested() {
	db := newMemory()
	defer db.Close()
	err := db.Update(func(tx *pawl.Tx) error {
		return db.UpdateContext(tx.Context(), func(*pawl.Tx) error { return nil })
	})
	fmt.Println(errors.Is(err, pawl.ErrTxNested))
	// Output: true
}

// The writer's turn can be waited for with a deadline.
func Example_turn() {
	db := newMemory()
	defer db.Close()
	tx, err := db.Begin(true)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err = db.UpdateContext(ctx, func(*pawl.Tx) error { return nil })
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	fmt.Println(tx.Rollback())
	// Output:
	// true
	// <nil>
}

// What a loop could not return is not lost.
func Example_sticky() {
	db := newMemory()
	defer db.Close()
	err := db.View(func(tx *pawl.Tx) error {
		for key := range tx.Bucket([]byte("misspelt")).All() {
			fmt.Printf("%s\n", key)
		}
		return nil
	})
	fmt.Println(errors.Is(err, pawl.ErrBucketNotFound))
	// Output: true
}

// pipeline commits without waiting for the disk in between, then waits for the last outcome.
func pipeline(ctx context.Context, db *pawl.DB, keys []string) error {
	var last *pawl.PendingCommit
	for _, key := range keys {
		tx, err := db.BeginContext(ctx, true)
		if err != nil {
			return err
		}
		if err := tx.Root().Put([]byte(key), nil); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		last = tx.CommitAsync() // the next transaction sees the key, readers don't yet
		select {
		case <-last.Done():
			if err := last.Wait(ctx); err != nil {
				return err // no room, for example
			}
		default:
		}
	}
	if last == nil {
		return nil
	}
	return last.Wait(ctx)
}

// Commits are made in order, and one wait covers those before.
func Example_commitAsync() {
	db := newMemory()
	defer db.Close()
	fmt.Println(pipeline(context.Background(), db, []string{"a", "b", "c"}))
	fmt.Println(has(db, "a"), has(db, "c"))
	// Output:
	// <nil>
	// true true
}

// afterPowerCut opens what a disk holds if its power goes now, with nothing that was not synced.
func afterPowerCut(disk *io.Memory) (*pawl.DB, error) {
	return pawl.Open("test.pawl", &pawl.Options{IO: disk.Crash(nil), MustExist: true})
}

// What each durability keeps over a power cut.
func Example_powerCut() {
	disk := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := pawl.Open("test.pawl", &pawl.Options{IO: disk, SyncInterval: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := put(db, "full", ""); err != nil {
		log.Fatal(err)
	}
	err = db.Update(func(tx *pawl.Tx) error {
		tx.SetDurability(pawl.Relaxed)
		return tx.Root().Put([]byte("relaxed"), nil)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("now:  ", has(db, "full"), has(db, "relaxed"))
	cut, err := afterPowerCut(disk)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("cut:  ", has(cut, "full"), has(cut, "relaxed"))
	if err := errors.Join(cut.Close(), db.Sync()); err != nil {
		log.Fatal(err)
	}
	if cut, err = afterPowerCut(disk); err != nil {
		log.Fatal(err)
	}
	fmt.Println("Sync: ", has(cut, "full"), has(cut, "relaxed"))
	fmt.Println(cut.Close())
	// Output:
	// now:   true true
	// cut:   true false
	// Sync:  true true
	// <nil>
}

// A failed sync of the log is not tried again: the outcome is open, and only a reopen can tell it.
func Example_failedSync() {
	disk := io.NewMemory(io.MemoryConfig{RealTime: true})
	db, err := pawl.Open("test.pawl", &pawl.Options{IO: disk})
	if err != nil {
		log.Fatal(err)
	}
	if err := put(db, "before", ""); err != nil {
		log.Fatal(err)
	}
	broken := errors.New("the disk says no")
	disk.SetFault(func(op *io.Op) error {
		if op.Kind == io.KindSync {
			return broken
		}
		return nil
	})
	err = put(db, "unknown", "")
	fmt.Println("at the failure:", errors.Is(err, pawl.ErrCommitUnknown), errors.Is(err, broken))
	disk.SetFault(nil)
	err = put(db, "refused", "")
	fmt.Println("later:", errors.Is(err, pawl.ErrFailed))
	fmt.Println("reads:", has(db, "before"), has(db, "unknown"))
	_ = db.Close() // the error says that the log stays as it is

	if db, err = pawl.Open("test.pawl", &pawl.Options{IO: disk}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("reopened:", has(db, "before"), has(db, "refused"), db.Close())
	// Output:
	// at the failure: true true
	// later: true
	// reads: true false
	// reopened: true false <nil>
}
