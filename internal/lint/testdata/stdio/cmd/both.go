package cmd

import (
	stdio "io"
	_ "io/fs"

	"github.com/pawldb/pawl/io"
)

var (
	_ = stdio.EOF
	_ io.File
)
