package pager

import (
	_ "github.com/pawldb/pawl/btree" // up, and a test is no excuse
	_ "github.com/pawldb/pawl/internal/golden"
	_ "github.com/pawldb/pawl/io/iotest"
)
