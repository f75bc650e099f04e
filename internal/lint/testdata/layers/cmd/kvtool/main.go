package main

import (
	_ "github.com/pawldb/pawl"
	_ "github.com/pawldb/pawl/cmd/kvtool/script"
	_ "github.com/pawldb/pawl/testing/simulator" // sideways
)

func main() {}
