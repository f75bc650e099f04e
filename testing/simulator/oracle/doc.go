// Package oracle says what a database must hold: nested ordered maps, one state for each commit.
//
// States share what they have in common. A bucket is changed only in the epoch that made it, and copied in a later one, so
// that beginning a transaction or a savepoint costs nothing and a change costs a copy of the buckets on its path.
package oracle
