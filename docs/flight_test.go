package docs

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
)

// A program that records what its database asks of the disk.
func Example_flightRecorder() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path, recording := filepath.Join(dir, "app.pawl"), filepath.Join(dir, "app.flight")

	rec, err := flight.Record(io.NewSystem(), recording, flight.Options{History: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	db, err := pawl.Open(path, &pawl.Options{IO: rec, OnEvent: func(e pawl.Event) {
		durable := e.Kind == pawl.EventOpen || e.Kind == pawl.EventCommit || e.Kind == pawl.EventCheckpoint
		if durable && e.Err == nil {
			rec.Note(flight.Durable, e.Seq)
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := put(db, "key", "value"); err != nil {
		log.Fatal(err)
	}
	rec.Mark("the first key is stored")
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	if err := rec.Err(); err != nil {
		log.Print("the recording ends before the program does: ", err)
	}
	if err := rec.Shutdown(); err != nil {
		log.Fatal(err)
	}

	for _, part := range rec.Paths() {
		fmt.Println(filepath.Base(part))
	}
	// Output: app.flight.1
}
