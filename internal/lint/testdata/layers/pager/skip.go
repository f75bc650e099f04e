package pager

import (
	_ "github.com/pawldb/pawl"                   // up, to the root
	_ "github.com/pawldb/pawl/internal/golden"   // for tests
	_ "github.com/pawldb/pawl/internal/hugepage" // of the root package alone
	_ "github.com/pawldb/pawl/io"
	_ "github.com/pawldb/pawl/io/iotest" // for tests
	_ "github.com/pawldb/pawl/odd"       // no layer
	_ "github.com/pawldb/pawl/pager/inner"
)
