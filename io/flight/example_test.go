package flight_test

import (
	"bytes"
	"fmt"
	stdio "io"
	"log"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
)

// A file in memory is written through a recorder, and the recording read.
func ExampleRecordTo() {
	var recording bytes.Buffer
	rec, err := flight.RecordTo(io.NewMemory(), &recording, flight.Options{})
	if err != nil {
		log.Fatal(err)
	}
	var open, write io.Completion
	o := io.Opening{Path: "file", Flag: io.OpenWrite | io.OpenCreate | io.OpenExclusive}
	rec.Open(&open, &o)
	o.File.Write(&write, [][]byte{[]byte("hello")}, 100)
	rec.Mark("written")
	if err := rec.Shutdown(); err != nil {
		log.Fatal(err)
	}

	r, err := flight.NewReader(bytes.NewReader(recording.Bytes()), int64(recording.Len()), "recording")
	if err != nil {
		log.Fatal(err)
	}
	for {
		e, err := r.Next()
		if err == stdio.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		switch e.Kind {
		case flight.Submit:
			fmt.Printf("#%d %v at %d, %d bytes %q\n", e.Op, e.Code, e.Offset, e.Length, e.Data)
		case flight.End:
			fmt.Printf("#%d has ended\n", e.Op)
		case flight.Mark:
			fmt.Println(e.Text)
		}
	}
	// Output:
	// #1 open at -1, 0 bytes ""
	// #1 has ended
	// #2 write at 100, 5 bytes "hello"
	// #2 has ended
	// written
}
