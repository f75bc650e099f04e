package pawl_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/pawldb/pawl"
)

// The five minutes of the README.
func Example() {
	db, err := pawl.OpenMemory(nil) // pawl.Open("my.pawl", nil) for a file
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	err = db.Update(func(tx *pawl.Tx) error {
		users, err := tx.CreateBucketIfNotExists([]byte("users"))
		if err != nil {
			return err
		}
		return users.Put([]byte("ada"), []byte("Lovelace"))
	})
	if err != nil {
		log.Fatal(err)
	}

	err = db.View(func(tx *pawl.Tx) error {
		for name, surname := range tx.Bucket([]byte("users")).All() {
			fmt.Printf("%s %s\n", name, surname)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: ada Lovelace
}

// Try takes back a part of a transaction.
func ExampleTx() {
	db, err := pawl.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *pawl.Tx) error {
		if err := tx.Root().Put([]byte("kept"), nil); err != nil {
			return err
		}
		err := tx.Try(func() error {
			if err := tx.Root().Put([]byte("taken back"), nil); err != nil {
				return err
			}
			return errors.New("changed my mind")
		})
		fmt.Println(err)
		for key := range tx.Root().All() {
			fmt.Printf("%s\n", key)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// changed my mind
	// kept
}

// A sequence gives numbers that are unique in a bucket.
func ExampleBucket() {
	db, err := pawl.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *pawl.Tx) error {
		orders, err := tx.CreateBucket([]byte("orders"))
		if err != nil {
			return err
		}
		for _, what := range []string{"tea", "milk"} {
			n, err := orders.NextSequence()
			if err != nil {
				return err
			}
			if err := orders.Put(fmt.Appendf(nil, "%06d", n), []byte(what)); err != nil {
				return err
			}
		}
		_, err = orders.Get([]byte("000003"))
		fmt.Println(errors.Is(err, pawl.ErrNotFound))
		for key, what := range orders.Backward() {
			fmt.Printf("%s %s\n", key, what)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// true
	// 000002 milk
	// 000001 tea
}

// A cursor moves both ways.
func ExampleCursor() {
	db, err := pawl.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *pawl.Tx) error {
		for _, key := range []string{"a", "b", "c"} {
			if err := tx.Root().Put([]byte(key), nil); err != nil {
				return err
			}
		}
		c := tx.Root().Cursor()
		key, _ := c.Seek([]byte("bb"))
		fmt.Printf("%s\n", key)
		key, _ = c.Prev()
		fmt.Printf("%s\n", key)
		return c.Err()
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// c
	// b
}

// A copy is a database of its own.
func ExampleTx_WriteTo() {
	db, err := pawl.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	var backup bytes.Buffer
	err = db.View(func(tx *pawl.Tx) error {
		report, err := tx.Check(context.Background())
		if err != nil {
			return err
		}
		fmt.Println("problems:", len(report.Problems))
		n, err := tx.WriteTo(&backup)
		fmt.Println("complete:", n == int64(backup.Len()))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// problems: 0
	// complete: true
}
