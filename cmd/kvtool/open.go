package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// openFlags are the flags of commands that open a database.
type openFlags struct {
	lockTimeout time.Duration
	cacheSize   int64
	pageSize    int
	relaxed     bool
}

// add adds the flags that every such command has.
func (f *openFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.lockTimeout, "lock-timeout", time.Second, "how long to wait for another process")
	cmd.Flags().Int64Var(&f.cacheSize, "cache", 0, "bytes of cache (default a quarter of memory, 64 to 256 MiB)")
}

// addCreate adds the flags of commands that may make a database.
func (f *openFlags) addCreate(cmd *cobra.Command) {
	f.add(cmd)
	cmd.Flags().IntVar(&f.pageSize, "page-size", 0, "bytes of a page of a new database (default 4096)")
	cmd.Flags().BoolVar(&f.relaxed, "relaxed", false, "sync in the background, not at each commit")
}

// options returns what the flags say.
func (f *openFlags) options() *pawl.Options {
	o := &pawl.Options{LockTimeout: f.lockTimeout, CacheSize: f.cacheSize, PageSize: f.pageSize}
	if f.lockTimeout == 0 {
		o.LockTimeout = -1
	}
	if f.relaxed {
		o.Durability = pawl.Relaxed
	}
	return o
}

// read opens a database to read it, and calls fn with a transaction.
func (f *openFlags) read(cmd *cobra.Command, path string, fn func(db *pawl.DB, tx *pawl.Tx) error) (err error) {
	o := f.options()
	o.ReadOnly = true
	db, err := pawl.OpenContext(cmd.Context(), path, o)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, db.Close()) }()
	return db.ViewContext(cmd.Context(), func(tx *pawl.Tx) error { return fn(db, tx) })
}

// write opens a database to change it, and calls fn.
func (f *openFlags) write(cmd *cobra.Command, path string, create bool, fn func(db *pawl.DB) error) (err error) {
	o := f.options()
	o.MustExist = !create
	db, err := pawl.OpenContext(cmd.Context(), path, o)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, db.Close()) }()
	return fn(db)
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// bucketPath cuts a bucket's path into names. An empty one is the root bucket.
func bucketPath(path string) [][]byte {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	var names [][]byte
	for name := range strings.SplitSeq(path, "/") {
		names = append(names, []byte(name))
	}
	return names
}

// bucketAt returns the bucket at a path.
func bucketAt(tx *pawl.Tx, path string) (*pawl.Bucket, error) {
	b := tx.Root()
	if names := bucketPath(path); len(names) > 0 {
		b = tx.Bucket(names...)
	}
	return b, b.Err()
}
