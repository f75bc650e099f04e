package cmd

import "github.com/pawldb/pawl/io"

func run(loop io.IO) { loop.Poll() }

var _ = run
