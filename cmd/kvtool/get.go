package main

import (
	"fmt"
	stdio "io"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// newGet prints a value.
func newGet() *cobra.Command {
	var f openFlags
	var c coding
	var bucket string
	cmd := &cobra.Command{
		Use: "get FILE KEY", Short: "Print the value under a key", Args: exactArgs("FILE", "KEY"),
		Long: "Get prints the value as it is, or encoded with --hex or --base64. A key that is not there is exit code 3.",
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := c.decode(args[1])
			if err != nil {
				return err
			}
			return f.read(cmd, args[0], func(_ *pawl.DB, tx *pawl.Tx) error {
				b, err := bucketAt(tx, bucket)
				if err != nil {
					return err
				}
				r, err := b.Reader(key)
				if err != nil {
					return fmt.Errorf("%s: %w", c.encode(key), err)
				}
				if !c.hex && !c.base64 {
					_, err = stdio.Copy(cmd.OutOrStdout(), r)
					return err
				}
				value, err := stdio.ReadAll(r)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), c.encode(value))
				return err
			})
		},
	}
	f.add(cmd)
	c.add(cmd)
	cmd.Flags().StringVarP(&bucket, "bucket", "b", "", "path of the bucket")
	return cmd
}
