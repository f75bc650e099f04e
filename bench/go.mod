module github.com/pawldb/pawl/bench

go 1.26.0

replace github.com/pawldb/pawl => ../

require (
	github.com/pawldb/pawl v0.0.0-00010101000000-000000000000
	go.etcd.io/bbolt v1.5.0
	golang.org/x/sys v0.49.0
)

require github.com/cespare/xxhash/v2 v2.3.0 // indirect
