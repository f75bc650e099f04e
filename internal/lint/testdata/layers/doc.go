// Package pawl is an example for the house rules.
package pawl

import (
	_ "github.com/pawldb/pawl/btree"
	_ "github.com/pawldb/pawl/cmd/kvtool/script" // up
	_ "github.com/pawldb/pawl/io"
)
