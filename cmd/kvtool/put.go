package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// newPut stores a value.
func newPut() *cobra.Command {
	var f openFlags
	var c coding
	var bucket string
	var absent bool
	cmd := &cobra.Command{
		Use: "put FILE KEY VALUE", Short: "Store a value under a key; - reads it from stdin",
		Args: exactArgs("FILE", "KEY", "VALUE"),
		Long: "Put stores a value in one durable transaction. Database and bucket are made if they are missing.",
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := c.decode(args[1])
			if err != nil {
				return err
			}
			stream := args[2] == "-" && !c.hex && !c.base64 && !absent
			var value []byte
			if !stream {
				if value, err = c.value(cmd, args[2]); err != nil {
					return err
				}
			}
			return f.write(cmd, args[0], true, func(db *pawl.DB) error {
				return db.UpdateContext(cmd.Context(), func(tx *pawl.Tx) error {
					b, err := makeBucket(tx, bucket)
					if err != nil {
						return err
					}
					switch {
					case stream:
						_, err = b.PutReader(key, interruptible(cmd.Context(), cmd.InOrStdin()))
					case absent:
						_, err = b.PutIfAbsent(key, value)
					default:
						_, err = b.PutReader(key, bytes.NewReader(value))
					}
					return err
				})
			})
		},
	}
	f.addCreate(cmd)
	c.add(cmd)
	cmd.Flags().StringVarP(&bucket, "bucket", "b", "", "path of the bucket")
	cmd.Flags().BoolVar(&absent, "if-absent", false, "leave a value that is there alone")
	return cmd
}

// makeBucket returns the bucket at a path, made if it is missing.
func makeBucket(tx *pawl.Tx, path string) (*pawl.Bucket, error) {
	names := bucketPath(path)
	if len(names) == 0 {
		return tx.Root(), nil
	}
	return tx.CreateBucketIfNotExists(names...)
}
