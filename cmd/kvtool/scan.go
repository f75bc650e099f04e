package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	stdio "io"
	"iter"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// scanFlags say what of a bucket is printed, and how.
type scanFlags struct {
	coding
	bucket           string
	prefix, from, to string
	reverse, keys    bool
	json             bool
	limit            int
}

// newScan prints keys and values.
func newScan() *cobra.Command {
	var f openFlags
	var s scanFlags
	cmd := &cobra.Command{
		Use: "scan FILE", Short: "Print the keys and values of a bucket", Args: exactArgs("FILE"),
		Long: `Scan prints a line for each key: key, tab, value, as text, quoted where it is not plain; in hexadecimal or base64;
or with --json an object as dump writes it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, args[0], func(_ *pawl.DB, tx *pawl.Tx) error {
				b, err := bucketAt(tx, s.bucket)
				if err != nil {
					return err
				}
				pairs, err := s.pairs(b)
				if err != nil {
					return err
				}
				out := bufio.NewWriter(cmd.OutOrStdout())
				if err := s.print(out, pairs); err != nil {
					return err
				}
				return out.Flush()
			})
		},
	}
	f.add(cmd)
	s.coding.add(cmd)
	fl := cmd.Flags()
	fl.StringVarP(&s.bucket, "bucket", "b", "", "path of the bucket")
	fl.StringVar(&s.prefix, "prefix", "", "only keys that begin so")
	fl.StringVar(&s.from, "from", "", "only this key and those behind it")
	fl.StringVar(&s.to, "to", "", "only keys before this one")
	fl.BoolVar(&s.reverse, "reverse", false, "last key first")
	fl.BoolVar(&s.keys, "keys", false, "no values")
	fl.BoolVar(&s.json, "json", false, "a JSON object a line")
	fl.IntVar(&s.limit, "limit", 0, "at most so many (0: all)")
	cmd.MarkFlagsMutuallyExclusive("prefix", "from")
	cmd.MarkFlagsMutuallyExclusive("prefix", "to")
	return cmd
}

// pairs returns what the flags ask for.
func (s *scanFlags) pairs(b *pawl.Bucket) (iter.Seq2[[]byte, []byte], error) {
	var ends [3][]byte
	for i, arg := range []string{s.prefix, s.from, s.to} {
		if arg == "" {
			continue
		}
		key, err := s.decode(arg)
		if err != nil {
			return nil, err
		}
		ends[i] = key
	}
	switch {
	case ends[0] != nil && s.reverse:
		return b.PrefixBackward(ends[0]), nil
	case ends[0] != nil:
		return b.Prefix(ends[0]), nil
	case s.reverse:
		return b.RangeBackward(ends[1], ends[2]), nil
	}
	return b.Range(ends[1], ends[2]), nil
}

// print writes a line for each pair.
func (s *scanFlags) print(out stdio.Writer, pairs iter.Seq2[[]byte, []byte]) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	n := 0
	for key, value := range pairs {
		var err error
		switch {
		case s.json:
			l := newLine(bucketPath(s.bucket), key, value)
			if s.keys {
				l.Value, l.Value64 = nil, nil
			}
			err = enc.Encode(l)
		case s.keys:
			_, err = fmt.Fprintln(out, s.encode(key))
		default:
			_, err = fmt.Fprintf(out, "%s\t%s\n", s.encode(key), s.encode(value))
		}
		if err != nil {
			return err
		}
		if n++; n == s.limit {
			break
		}
	}
	return nil
}
