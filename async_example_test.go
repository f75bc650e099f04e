package pawl_test

import (
	"context"
	"fmt"
	"log"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
)

// Two transactions on one goroutine: a reader looks keys up while a commit is on its way to the disk.
func ExampleAsync() {
	ctx := context.Background()
	disk := io.NewMemory() // io.NewSystem() for files
	db, err := pawl.OpenAsync("my.pawl", &pawl.Options{IO: disk}).Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte("ada"), []byte("Byron")) })
	if err != nil {
		log.Fatal(err)
	}

	a := db.Async()
	reader, err := a.Begin(false).Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	writer, err := a.Begin(true).Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := a.Put(writer.Root(), []byte("ada"), []byte("Lovelace")).Run(ctx); err != nil {
		log.Fatal(err)
	}
	disk.SetManual(true) // this disk now does what it is told to

	commit, get := a.Commit(writer), a.Get(reader.Root(), []byte("ada"))
	for !commit.Ended() || !get.Ended() {
		if !commit.Ended() {
			switch res, err := commit.Step(); {
			case err != nil:
				log.Fatal(err)
			case res.Pending != nil:
				fmt.Println("the commit waits for a", res.Pending.Kind())
			default:
				fmt.Println("committed")
			}
		}
		if !get.Ended() {
			switch res, err := get.Step(); {
			case err != nil:
				log.Fatal(err)
			case res.Pending == nil:
				fmt.Printf("the reader sees %s\n", res.Value)
			}
		}
		for _, op := range disk.Queue() {
			op.Complete()
		}
	}

	disk.SetManual(false)
	if err := reader.Rollback(); err != nil {
		log.Fatal(err)
	}
	if _, err := a.Close().Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// the commit waits for a group
	// the reader sees Byron
	// the commit waits for a sync
	// committed
}

// A program that steps operations itself does the background work too.
func ExampleAsync_Background() {
	ctx := context.Background()
	db, err := pawl.OpenAsync("my.pawl", &pawl.Options{IO: io.NewMemory(), CheckpointBytes: 1}).Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	work := db.Async().Background()
	err = db.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte("k"), nil) })
	if err != nil {
		log.Fatal(err)
	}
	res, err := work.Step() // makes a checkpoint: the log is longer than wanted
	fmt.Println(err, res.Pending.Reason(), db.Stats().Covered)
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	_, err = work.Step()
	fmt.Println(err, work.Ended())
	// Output:
	// <nil> work to do 1
	// <nil> true
}

// An operation that waits can be given up at any time; its transaction goes on.
func ExampleOp() {
	ctx := context.Background()
	db, err := pawl.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	first, err := db.Async().Begin(true).Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	second := db.Async().Begin(true)
	res, err := second.Step()
	fmt.Println(res.Pending.Reason(), err)
	fmt.Println(db.Waiting()[0].Operation, second.Abort(nil), len(db.Waiting()))
	fmt.Println(first.Rollback())
	// Output:
	// the writer's turn <nil>
	// begin context canceled 0
	// <nil>
}

// A savepoint takes back a part of a transaction.
func ExampleSavepoint() {
	db, err := pawl.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin(true)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback()
	save, err := db.Async().Savepoint(tx)
	if err != nil {
		log.Fatal(err)
	}
	if err := tx.Root().Put([]byte("k"), nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(save.Rollback())
	fmt.Println(tx.Root().Has([]byte("k")))
	// Output:
	// <nil>
	// false <nil>
}
