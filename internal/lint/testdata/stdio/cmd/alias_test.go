package cmd

import (
	_ "io"

	pawlio "github.com/pawldb/pawl/io"
)

var _ pawlio.File
