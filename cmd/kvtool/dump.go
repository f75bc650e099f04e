package main

import (
	"bufio"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// newDump writes a database as JSON Lines.
func newDump() *cobra.Command {
	var f openFlags
	var bucket string
	cmd := &cobra.Command{
		Use: "dump FILE", Short: "Write all buckets, keys and values as JSON Lines", Args: exactArgs("FILE"),
		Long: `Dump writes an object a line, which load reads: {"bucket":["users"],"key":"ada","value":"Lovelace"}. Bytes that are
no UTF-8 are in base64, as key64 and value64. A line without a key is a bucket, with its sequence.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, args[0], func(_ *pawl.DB, tx *pawl.Tx) error {
				b, err := bucketAt(tx, bucket)
				if err != nil {
					return err
				}
				out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
				enc := json.NewEncoder(out)
				enc.SetEscapeHTML(false)
				if err := dumpBucket(enc, bucketPath(bucket), b); err != nil {
					return err
				}
				return out.Flush()
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVarP(&bucket, "bucket", "b", "", "only this bucket and those in it")
	return cmd
}

// dumpBucket writes a bucket and all that is in it.
func dumpBucket(enc *json.Encoder, path [][]byte, b *pawl.Bucket) error {
	if len(path) > 0 || b.Sequence() > 0 {
		if err := enc.Encode(line{Bucket: names(path), Sequence: b.Sequence()}); err != nil {
			return err
		}
	}
	for key, value := range b.All() {
		if err := enc.Encode(newLine(path, key, value)); err != nil {
			return err
		}
	}
	for name, below := range b.Buckets() {
		if err := dumpBucket(enc, append(path[:len(path):len(path)], name), below); err != nil {
			return err
		}
	}
	return nil
}
