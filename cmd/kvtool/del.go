package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// newDel removes keys or a bucket.
func newDel() *cobra.Command {
	var f openFlags
	var c coding
	var bucket, from, to string
	var whole, ranged bool
	cmd := &cobra.Command{
		Use: "del FILE [KEY...]", Short: "Remove keys, a range of keys, or a bucket",
		Long: `Del removes in one durable transaction: the keys given; with --from and --to the keys between, buckets left alone;
or with --whole the bucket named by --bucket and all that is in it. A key that is not there is no error.`,
		Args: func(cmd *cobra.Command, args []string) error {
			ranged = cmd.Flags().Changed("from") || cmd.Flags().Changed("to")
			if len(args) < 1 || (len(args) == 1) != (ranged || whole) || ranged && whole || whole && bucket == "" {
				return fmt.Errorf("%w: del wants FILE and keys, or --from and --to, or --whole with --bucket", errUsage)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.write(cmd, args[0], false, func(db *pawl.DB) error {
				return db.UpdateContext(cmd.Context(), func(tx *pawl.Tx) error {
					if whole {
						return tx.DeleteBucket(bucketPath(bucket)...)
					}
					b, err := bucketAt(tx, bucket)
					if err != nil {
						return err
					}
					if ranged {
						return delRange(b, &c, from, to)
					}
					for _, arg := range args[1:] {
						key, err := c.decode(arg)
						if err != nil {
							return err
						}
						if err := b.Delete(key); err != nil {
							return fmt.Errorf("%s: %w", arg, err)
						}
					}
					return nil
				})
			})
		},
	}
	f.add(cmd)
	c.add(cmd)
	cmd.Flags().StringVarP(&bucket, "bucket", "b", "", "path of the bucket")
	cmd.Flags().StringVar(&from, "from", "", "first key of a range")
	cmd.Flags().StringVar(&to, "to", "", "first key behind a range")
	cmd.Flags().BoolVar(&whole, "whole", false, "remove the bucket itself")
	return cmd
}

// delRange removes a range.
func delRange(b *pawl.Bucket, c *coding, from, to string) error {
	var ends [2][]byte
	for i, arg := range []string{from, to} {
		if arg == "" {
			continue
		}
		key, err := c.decode(arg)
		if err != nil {
			return err
		}
		ends[i] = key
	}
	return b.DeleteRange(ends[0], ends[1])
}
