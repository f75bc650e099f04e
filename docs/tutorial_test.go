package docs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	stdio "io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pawldb/pawl"
)

// Names of the buckets of the tutorial's program.
var (
	notes  = []byte("notes")
	byDate = []byte("by date")
	files  = []byte("files")
)

// setUp makes the buckets, unless they are there.
func setUp(db *pawl.DB) error {
	return db.Update(func(tx *pawl.Tx) error {
		for _, name := range [][]byte{notes, byDate, files} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
}

// number returns a key that sorts as its number does.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// add stores a note and its entry in the index, both or neither, and returns its number.
func add(db *pawl.DB, at time.Time, text string) (id uint64, err error) {
	err = db.Update(func(tx *pawl.Tx) error {
		all := tx.Bucket(notes)
		if id, err = all.NextSequence(); err != nil {
			return err
		}
		if err := all.Put(number(id), []byte(text)); err != nil {
			return err
		}
		entry := append(number(uint64(at.Unix())), number(id)...)
		return tx.Bucket(byDate).Put(entry, nil)
	})
	return id, err
}

// text returns a note.
func text(db *pawl.DB, id uint64) (string, error) {
	var text string
	err := db.View(func(tx *pawl.Tx) error {
		value, err := tx.Bucket(notes).Get(number(id))
		if errors.Is(err, pawl.ErrNotFound) {
			return fmt.Errorf("there is no note %d", id)
		}
		text = string(value)
		return err
	})
	return text, err
}

// between prints the notes written from one time up to another, oldest first.
func between(db *pawl.DB, from, to time.Time) error {
	return db.View(func(tx *pawl.Tx) error {
		first, end := number(uint64(from.Unix())), number(uint64(to.Unix()))
		for entry := range tx.Bucket(byDate).Range(first, end) {
			text, err := tx.Bucket(notes).Get(entry[8:])
			if err != nil {
				return err
			}
			fmt.Printf("%s\n", text)
		}
		return nil // an error that ended the loop is returned by View
	})
}

// importAll stores what can be stored, and returns how many notes that was.
func importAll(db *pawl.DB, texts []string) (stored int, err error) {
	err = db.Update(func(tx *pawl.Tx) error {
		all := tx.Bucket(notes)
		for _, text := range texts {
			err := tx.Try(func() error {
				id, err := all.NextSequence()
				if err != nil {
					return err
				}
				if err := all.Put(number(id), []byte(text)); err != nil {
					return err
				}
				if strings.TrimSpace(text) == "" {
					return errors.New("an empty note")
				}
				return nil
			})
			if err != nil {
				continue // this one was taken back, its number too
			}
			stored++
		}
		return nil
	})
	return stored, err
}

// attach stores a file of any size without holding it in memory, and returns its length.
func attach(db *pawl.DB, name, path string) (n int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	err = db.Update(func(tx *pawl.Tx) error {
		n, err = tx.Bucket(files).PutReader([]byte(name), f)
		return err
	})
	return n, err
}

// detach writes the stored file to w.
func detach(db *pawl.DB, name string, w stdio.Writer) error {
	return db.View(func(tx *pawl.Tx) error {
		r, err := tx.Bucket(files).Reader([]byte(name))
		if err != nil {
			return err
		}
		_, err = stdio.Copy(w, r)
		return err
	})
}

// backUp checks the database, then copies it to a new file, while others go on reading and writing.
func backUp(ctx context.Context, db *pawl.DB, path string) error {
	return db.ViewContext(ctx, func(tx *pawl.Tx) error {
		report, err := tx.Check(ctx)
		if err != nil {
			return err
		}
		if err := report.Err(); err != nil {
			return err
		}
		_, err = tx.CopyFile(ctx, path)
		return err
	})
}

// The tutorial of the manual, as one program.
func Example_tutorial() {
	dir, err := os.MkdirTemp("", "pawl-tutorial-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	db, err := pawl.Open(filepath.Join(dir, "notes.pawl"), nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := setUp(db); err != nil {
		log.Fatal(err)
	}

	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for i, text := range []string{"water the ferns", "call Ada", "buy tea"} {
		id, err := add(db, noon.Add(time.Duration(i)*time.Hour), text)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("note", id)
	}
	fmt.Println(text(db, 2))
	_, err = text(db, 9)
	fmt.Println(err)
	if err := between(db, noon.Add(time.Hour), noon.Add(24*time.Hour)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(importAll(db, []string{"one", " ", "two"}))
	fmt.Println(text(db, 5))

	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte("pawl"), 1<<20), 0o600); err != nil {
		log.Fatal(err)
	}
	fmt.Println(attach(db, "big", big))
	var back bytes.Buffer
	fmt.Println(detach(db, "big", &back), back.Len())

	copied := filepath.Join(dir, "copy.pawl")
	if err := backUp(context.Background(), db, copied); err != nil {
		log.Fatal(err)
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	db, err = pawl.Open(copied, &pawl.Options{ReadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(text(db, 1))
	fmt.Println(db.Close())
	// Output:
	// note 1
	// note 2
	// note 3
	// call Ada <nil>
	// there is no note 9
	// call Ada
	// buy tea
	// 2 <nil>
	// two <nil>
	// 4194304 <nil>
	// <nil> 4194304
	// water the ferns <nil>
	// <nil>
}

// count adds one to the counter of a word. Many goroutines may call it at once.
func count(db *pawl.DB, word string) error {
	return db.Batch(func(tx *pawl.Tx) error {
		words, err := tx.CreateBucketIfNotExists([]byte("words"))
		if err != nil {
			return err
		}
		n := uint64(0)
		switch value, err := words.Get([]byte(word)); {
		case err == nil:
			n = binary.BigEndian.Uint64(value)
		case !errors.Is(err, pawl.ErrNotFound):
			return err
		}
		return words.Put([]byte(word), number(n+1))
	})
}

// Batch shares commits among callers.
func Example_batch() {
	db, err := pawl.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := count(db, "tea"); err != nil {
				log.Fatal(err)
			}
		})
	}
	wg.Wait()
	err = db.View(func(tx *pawl.Tx) error {
		value, err := tx.Bucket([]byte("words")).Get([]byte("tea"))
		fmt.Println(binary.BigEndian.Uint64(value), err)
		return nil
	})
	fmt.Println(err, db.Stats().Commits <= 100)
	// Output:
	// 100 <nil>
	// <nil> true
}
