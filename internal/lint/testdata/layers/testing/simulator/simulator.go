package simulator

import (
	_ "github.com/pawldb/pawl"
	_ "github.com/pawldb/pawl/internal/golden"
	_ "github.com/pawldb/pawl/wal"
)
