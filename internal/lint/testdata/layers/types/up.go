package types

import (
	_ "github.com/pawldb/pawl/internal/invariant"
	_ "github.com/pawldb/pawl/io"
	_ "github.com/pawldb/pawl/wal" // up
)
