package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/pawldb/pawl/io/flight"
	"github.com/pawldb/pawl/testing/simulator/replay"
)

// recording replays the part of a recording in a file and returns the exit code.
func (c *command) recording() int {
	if c.cuts < 0 {
		return wrong(errors.New("-cuts is at least 0"))
	}
	f, err := os.Open(c.flight)
	if err != nil {
		return wrong(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return wrong(err)
	}
	r, err := flight.NewReader(f, info.Size(), c.flight)
	if err != nil {
		return wrong(err)
	}
	res, err := replay.Run(r, c.flight, replay.Options{Cuts: c.cuts, Seed: c.seed, Log: c.log()})
	if err != nil {
		return wrong(err)
	}
	fmt.Print(res)
	if !res.Clean() {
		return 1
	}
	fmt.Println("clean")
	return 0
}
