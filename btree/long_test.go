package btree

import "flag"

// long asks for more operations: go test ./btree -long
var long = flag.Bool("long", false, "run the long forms of random tests")
