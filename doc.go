// Package pawl is an embedded, ordered key-value store: one B+tree file, one write-ahead log, no server, no cgo, no mmap.
//
//	db, err := pawl.Open("my.pawl", nil)
//	...
//	defer db.Close()
//
//	err = db.Update(func(tx *pawl.Tx) error {
//		users, err := tx.CreateBucketIfNotExists([]byte("users"))
//		if err != nil {
//			return err
//		}
//		return users.Put([]byte("ada"), []byte("Lovelace"))
//	})
//
//	err = db.View(func(tx *pawl.Tx) error {
//		name, err := tx.Bucket([]byte("users")).Get([]byte("ada"))
//		...
//	})
//
// # Promises
//
// Transactions are serializable: one writer at a time, any number of readers on snapshots. Readers never block the writer,
// nor the writer readers. With Full durability, the default, Update returns nil only when the commit is on stable storage,
// and readers see only such commits; after any crash the file holds a prefix of the commits with every acknowledged one.
// With Relaxed durability a commit survives the death of the process when Update returns, and a power cut once
// Options.SyncInterval has passed.
//
// Damage on disk is an error that names file, page and offset, never wrong bytes. An error leaves a transaction as it was
// before the call, and usable, unless it says otherwise.
//
// # Slices
//
// Keys and values that reads return belong to immutable page images: read-only, valid and unchanged for as long as they are
// held, past the end of the transaction too. Each keeps its page in memory. Those from pages that a write transaction
// has changed itself are copies.
//
// # Concurrency
//
// A DB may be used by any number of goroutines. So may a read transaction and its buckets; a write transaction, its buckets
// and any cursor belong to one goroutine at a time. A transaction that was closed answers everything with ErrTxClosed.
//
// # More
//
// The manual, docs/manual.md in the repository, has a tutorial, what is assumed of the disk, how to tune, and kvtool.
package pawl
