package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// newInfo prints what a database is.
func newInfo() *cobra.Command {
	var f openFlags
	cmd := &cobra.Command{
		Use: "info FILE", Short: "Say what a database is and how it was closed", Args: exactArgs("FILE"),
		Long: "Info opens the database without writing anything: a log is replayed in memory, and what lies behind its end is told.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, args[0], func(db *pawl.DB, tx *pawl.Tx) error {
				s := db.Stats()
				t := newTable(cmd.OutOrStdout())
				t.row("file", "%s", s.Path)
				t.row("page size", "%d bytes", s.PageSize)
				t.row("longest key", "%d bytes", pawl.MaxKeySize(s.PageSize))
				t.row("size", "%s, and %s of log", size(s.FileBytes), size(s.LogBytes))
				t.row("newest commit", "%d; the file has all up to %d, by %d checkpoints", s.Seq, s.Covered, s.Generation)
				t.row("pages", "%d", s.Pages)
				switch {
				case s.Clean:
					t.row("closed", "yes: the file alone is complete")
				default:
					t.row("closed", "no: %d commits are in the log", s.Recovered)
				}
				if s.Dropped != "" {
					t.row("dropped", "%s", s.Dropped)
				}
				return t.end()
			})
		},
	}
	f.add(cmd)
	return cmd
}

// newBuckets lists buckets.
func newBuckets() *cobra.Command {
	var f openFlags
	var c coding
	var bucket string
	var deep bool
	cmd := &cobra.Command{
		Use: "buckets FILE", Short: "List the buckets", Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, args[0], func(_ *pawl.DB, tx *pawl.Tx) error {
				b, err := bucketAt(tx, bucket)
				if err != nil {
					return err
				}
				var list func(prefix string, b *pawl.Bucket) error
				list = func(prefix string, b *pawl.Bucket) error {
					for name, below := range b.Buckets() {
						path := prefix + c.encode(name)
						if _, err := fmt.Fprintln(cmd.OutOrStdout(), path); err != nil {
							return err
						}
						if deep {
							if err := list(path+"/", below); err != nil {
								return err
							}
						}
					}
					return nil
				}
				return list("", b)
			})
		},
	}
	f.add(cmd)
	c.add(cmd)
	cmd.Flags().StringVarP(&bucket, "bucket", "b", "", "only those in this bucket")
	cmd.Flags().BoolVarP(&deep, "recursive", "r", false, "those inside of them too, with their paths")
	return cmd
}

// newStats measures a bucket.
func newStats() *cobra.Command {
	var f openFlags
	var bucket string
	cmd := &cobra.Command{
		Use: "stats FILE", Short: "Count keys, pages and bytes of a bucket", Args: exactArgs("FILE"),
		Long: "Stats reads the whole bucket, those inside of it left out.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, args[0], func(db *pawl.DB, tx *pawl.Tx) error {
				b, err := bucketAt(tx, bucket)
				if err != nil {
					return err
				}
				s, err := b.Stats()
				if err != nil {
					return err
				}
				page := int64(db.Stats().PageSize)
				t := newTable(cmd.OutOrStdout())
				t.row("keys", "%d, %s and %s of values", s.Keys, size(s.KeyBytes), size(s.ValBytes))
				t.row("buckets", "%d", s.Buckets)
				t.row("depth", "%d", s.Depth)
				t.row("leaves", "%d, %s full", s.Leaves, percent(s.LeafBytesUsed, s.Leaves*page))
				t.row("interior pages", "%d, %s full", s.Interiors, percent(s.InteriorBytesUsed, s.Interiors*page))
				t.row("extents", "%d, %s", s.Extents, size(s.ExtentBytes))
				t.row("sequence", "%d", b.Sequence())
				return t.end()
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVarP(&bucket, "bucket", "b", "", "path of the bucket")
	return cmd
}

// percent returns a part of a whole.
func percent(part, whole int64) string {
	if whole == 0 {
		return "0%"
	}
	return fmt.Sprintf("%.0f%%", 100*float64(part)/float64(whole))
}

// newCheck reads everything.
func newCheck() *cobra.Command {
	var f openFlags
	cmd := &cobra.Command{
		Use: "check FILE", Short: "Read everything and report damage", Args: exactArgs("FILE"),
		Long: `Check reads every page and holds all together: checksums, the order of keys, the reach of every page, free space.
It writes nothing. Damage is exit code 5.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, args[0], func(_ *pawl.DB, tx *pawl.Tx) error {
				r, err := tx.Check(cmd.Context())
				if err != nil {
					return err
				}
				for _, p := range r.Problems {
					fmt.Fprintln(cmd.OutOrStdout(), p)
				}
				if r.More {
					fmt.Fprintln(cmd.OutOrStdout(), "and more")
				}
				if len(r.Problems) > 0 {
					return fmt.Errorf("%w: %d problems", pawl.ErrCorrupt, len(r.Problems))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "no damage: %d buckets, %d keys, %d pages\n", r.Trees, r.Keys, r.Pages)
				return nil
			})
		},
	}
	f.add(cmd)
	return cmd
}
