package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// newCheckpoint moves the log into the file.
func newCheckpoint() *cobra.Command {
	var f openFlags
	cmd := &cobra.Command{
		Use: "checkpoint FILE", Short: "Move the log into the file and give free space at its end back", Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.write(cmd, args[0], false, func(db *pawl.DB) error {
				res, err := db.Checkpoint(cmd.Context(), pawl.Truncate)
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "commits up to %d are in the file; %d pages, %s written\n",
						res.Covered, res.Pages, size(res.Bytes))
				}
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

// newCopy copies a database.
func newCopy() *cobra.Command {
	var f openFlags
	cmd := &cobra.Command{
		Use: "copy FILE NEW", Short: "Copy a database, verified on the way; - writes it to stdout", Args: exactArgs("FILE", "NEW"),
		Long: "Copy makes a complete database of its own, without a log. NEW must not exist; it appears when it is complete.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, args[0], func(_ *pawl.DB, tx *pawl.Tx) error {
				if args[1] == "-" {
					_, err := tx.WriteTo(cmd.OutOrStdout())
					return err
				}
				n, err := tx.CopyFile(cmd.Context(), args[1])
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[1], size(n))
				}
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

// newCompact copies the content of a database into a new one.
func newCompact() *cobra.Command {
	var f openFlags
	var pageSize int
	cmd := &cobra.Command{
		Use: "compact FILE NEW", Short: "Write all keys in order into a new database, as small as it gets",
		Args: exactArgs("FILE", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Lstat(args[1]); !errors.Is(err, fs.ErrNotExist) {
				return firstError(err, fmt.Errorf("%s: %w", args[1], fs.ErrExist))
			}
			src, err := pawl.OpenContext(cmd.Context(), args[0], &pawl.Options{ReadOnly: true, LockTimeout: f.lockTimeout})
			if err != nil {
				return err
			}
			defer src.Close()
			o := f.options()
			o.PageSize, o.Durability = pageSize, pawl.Relaxed // nothing is lost: the source stays
			if pageSize == 0 {
				o.PageSize = src.Stats().PageSize
			}
			dst, err := pawl.OpenContext(cmd.Context(), args[1], o)
			if err != nil {
				return err
			}
			err = pawl.Compact(cmd.Context(), dst, src)
			if err = firstError(err, dst.Close()); err != nil {
				return fmt.Errorf("%w (%s is incomplete: delete it)", err, args[1])
			}
			before, after := src.Stats().FileBytes, int64(0)
			if fi, err := os.Stat(args[1]); err == nil {
				after = fi.Size()
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, was %s\n", args[1], size(after), size(before))
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&pageSize, "page-size", 0, "bytes of a page of the new database (default: as the old one)")
	return cmd
}

// newVersion prints versions.
func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			version := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "kvtool %s, %s, %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
