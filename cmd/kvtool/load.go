package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	stdio "io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// loadBytes is how much load puts into a transaction.
const loadBytes = 4 << 20

// newLoad reads JSON Lines, or a directory tree.
func newLoad() *cobra.Command {
	var f openFlags
	var dir, bucket string
	cmd := &cobra.Command{
		Use: "load FILE [LINES]", Short: "Read JSON Lines, or a directory tree, into a database",
		Long: `Load reads what dump writes, from the file LINES or from stdin, or with --dir every file of a directory tree: one
bucket a folder, one key a file. It commits every 4 MiB. Database and buckets are made if they are missing.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 || len(args) == 2 && dir != "" {
				return fmt.Errorf("%w: load wants FILE, and LINES or --dir or neither", errUsage)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := readable(args[1:], dir); err != nil {
				return err // before a database is made for it
			}
			return f.write(cmd, args[0], true, func(db *pawl.DB) error {
				l := &loader{ctx: cmd.Context(), db: db, into: bucketPath(bucket)}
				var err error
				if dir != "" {
					b := newBar(cmd, "loading", -1, true)
					err = l.tree(dir, b)
					b.end()
				} else {
					err = loadLines(cmd, args, l)
				}
				if err != nil {
					return fmt.Errorf("%w (%d keys were loaded before)", err, l.done)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d keys, %d buckets, %s\n", l.keys, l.buckets, size(l.bytes))
				return nil
			})
		},
	}
	f.addCreate(cmd)
	cmd.Flags().StringVar(&dir, "dir", "", "store the files of this directory tree")
	cmd.Flags().StringVarP(&bucket, "bucket", "b", "", "load into this bucket")
	return cmd
}

// readable returns an error if what is to be loaded is not there.
func readable(lines []string, dir string) error {
	for _, name := range append(lines, dir) {
		if name == "" || name == "-" {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// loader puts keys into a database, in transactions of a few megabytes.
type loader struct {
	ctx  context.Context
	db   *pawl.DB
	into [][]byte

	tx      *pawl.Tx
	pending int64

	keys, buckets, bytes int64
	done                 int64 // keys that are committed
}

// begin begins a transaction if none is open.
func (l *loader) begin() (err error) {
	if l.tx == nil {
		l.tx, err = l.db.BeginContext(l.ctx, true)
		l.pending = 0
	}
	return err
}

// end commits, or after an error rolls back, what is open.
func (l *loader) end(err error) error {
	if l.tx == nil {
		return err
	}
	tx := l.tx
	l.tx = nil
	if err != nil {
		return firstError(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	l.done = l.keys
	return nil
}

// wrote counts a key, and commits when there is enough.
func (l *loader) wrote(n int64) error {
	l.keys, l.bytes, l.pending = l.keys+1, l.bytes+n, l.pending+n
	if l.pending < loadBytes {
		return nil
	}
	return l.end(nil)
}

// bucket returns a bucket below the one that is loaded into, made if it is missing.
func (l *loader) bucket(path [][]byte) (*pawl.Bucket, error) {
	if err := l.begin(); err != nil {
		return nil, err
	}
	full := append(l.into[:len(l.into):len(l.into)], path...)
	if len(full) == 0 {
		return l.tx.Root(), nil
	}
	if b := l.tx.Bucket(full...); b.Exists() {
		return b, nil
	}
	l.buckets++
	return l.tx.CreateBucketIfNotExists(full...)
}

// loadLines reads JSON Lines.
func loadLines(cmd *cobra.Command, args []string, l *loader) error {
	in := cmd.InOrStdin()
	total := int64(-1)
	if len(args) == 2 && args[1] != "-" {
		file, err := os.Open(args[1])
		if err != nil {
			return err
		}
		defer file.Close()
		if fi, err := file.Stat(); err == nil {
			total = fi.Size()
		}
		in = file
	}
	b := newBar(cmd, "loading", total, true)
	defer b.end()
	return l.lines(stdio.TeeReader(interruptible(l.ctx, in), b))
}

// lines reads JSON Lines.
func (l *loader) lines(in stdio.Reader) error {
	r := bufio.NewReaderSize(in, 1<<16)
	for n := 1; ; n++ {
		text, read := r.ReadBytes('\n')
		var one *line
		err := read
		if err == nil || errors.Is(err, stdio.EOF) {
			err = nil
			if len(bytes.TrimSpace(text)) > 0 {
				one, err = parseLine(text)
			}
		}
		if one != nil {
			err = l.line(one)
		}
		if err != nil {
			return l.end(fmt.Errorf("line %d: %w", n, err))
		}
		if read != nil {
			return l.end(nil)
		}
	}
}

// line stores one line.
func (l *loader) line(one *line) error {
	b, err := l.bucket(one.path())
	if err != nil {
		return err
	}
	key, ok := join(one.Key, one.Key64)
	if !ok {
		return b.SetSequence(one.Sequence)
	}
	value, _ := join(one.Value, one.Value64)
	if err := b.Put(key, value); err != nil {
		return err
	}
	return l.wrote(int64(len(key) + len(value)))
}

// tree stores a directory tree. The database itself, if it lies in there, is left out.
func (l *loader) tree(dir string, progress *bar) error {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if fi, err := os.Stat(root); err != nil {
		return err
	} else if !fi.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	var own []fs.FileInfo
	for _, name := range []string{l.db.Path(), l.db.Path() + "-wal"} {
		if fi, err := os.Stat(name); err == nil {
			own = append(own, fi)
		}
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		var names [][]byte
		if rel != "." {
			for name := range strings.SplitSeq(filepath.ToSlash(rel), "/") {
				names = append(names, []byte(name))
			}
		}
		switch {
		case d.IsDir():
			if _, err = l.bucket(names); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			return nil
		case !d.Type().IsRegular():
			return nil // links, devices, sockets
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if path == l.db.Path()+"-wal" || slices.ContainsFunc(own, func(o fs.FileInfo) bool { return os.SameFile(o, fi) }) {
			return nil
		}
		return l.file(path, names, progress)
	})
	return l.end(err)
}

// file stores one file.
func (l *loader) file(path string, names [][]byte, progress *bar) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	b, err := l.bucket(names[:len(names)-1])
	if err != nil {
		return err
	}
	n, err := b.PutReader(names[len(names)-1], stdio.TeeReader(in, progress))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return l.wrote(n)
}
