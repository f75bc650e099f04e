// Package pawl is an example that keeps every rule.
package pawl

import (
	stdio "io"
	"time"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/wal"
)

var (
	_ io.IO
	_ wal.Log
	_ = stdio.EOF
	_ = time.Now
)
