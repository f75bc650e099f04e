package main

import (
	"bytes"
	"context"
	"fmt"
	stdio "io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawldb/pawl"
)

// newDemo loads a real source tree and shows what the store does with it.
func newDemo() *cobra.Command {
	var f openFlags
	var dir, file string
	cmd := &cobra.Command{
		Use: "demo", Short: "Load the Go standard library's source, read it back, check it, and print figures",
		Long: `Demo stores every file of the Go standard library's source tree, or of --dir, in a new database: one bucket a folder,
one key a file. It reads every file back and compares, makes a checkpoint, checks the database, and prints what that took.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				dir = filepath.Join(goRoot(cmd.Context()), "src")
			}
			if _, err := os.Stat(dir); err != nil {
				return fmt.Errorf("%w; name a directory tree with --dir", err)
			}
			if file == "" {
				temp, err := os.MkdirTemp("", "pawl-demo-")
				if err != nil {
					return err
				}
				file = filepath.Join(temp, "demo.pawl")
			}
			return demo(cmd, &f, dir, file)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&dir, "dir", "", "directory tree to store (default: the Go standard library's source)")
	cmd.Flags().StringVar(&file, "file", "", "database to make (default: a new one in a temporary directory)")
	return cmd
}

// goRoot returns where Go is installed, as the go command says.
func goRoot(ctx context.Context) string {
	if root := os.Getenv("GOROOT"); root != "" {
		return root
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "" // the error that follows says what to do
	}
	return strings.TrimSpace(string(out))
}

// demo runs the demonstration.
func demo(cmd *cobra.Command, f *openFlags, dir, file string) (err error) {
	db, err := pawl.OpenContext(cmd.Context(), file, f.options())
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, db.Close()) }()
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "storing %s in %s\n", dir, file)
	l := &loader{ctx: cmd.Context(), db: db}
	began := time.Now()
	b := newBar(cmd, "loading", -1, true)
	err = l.tree(dir, b)
	b.end()
	if err != nil {
		return err
	}
	loaded := time.Since(began)

	began = time.Now()
	files, read, err := compareTree(cmd, db, dir, l.bytes)
	if err != nil {
		return err
	}
	compared := time.Since(began)

	began = time.Now()
	checkpoint, err := db.Checkpoint(cmd.Context(), pawl.Truncate)
	if err != nil {
		return err
	}
	moved := time.Since(began)

	began = time.Now()
	var report pawl.CheckReport
	err = db.ViewContext(cmd.Context(), func(tx *pawl.Tx) error {
		report, err = tx.Check(cmd.Context())
		return firstError(err, report.Err())
	})
	if err != nil {
		return err
	}
	checked := time.Since(began)

	s := db.Stats()
	t := newTable(out)
	t.row("loaded", "%d files, %d folders, %s in %v: %s, durable", l.keys, l.buckets, size(l.bytes), round(loaded), rate(l.bytes, loaded))
	t.row("compared", "%d files, %s in %v: %s", files, size(read), round(compared), rate(read, compared))
	t.row("checkpoint", "%d pages, %s in %v", checkpoint.Pages, size(checkpoint.Bytes), round(moved))
	t.row("check", "%d buckets, %d keys, %d pages in %v: no damage", report.Trees, report.Keys, report.Pages, round(checked))
	t.row("file", "%s, %s of the data; log %s", size(s.FileBytes), percent(s.FileBytes, l.bytes), size(s.LogBytes))
	t.row("log", "%d commits in %d groups, %d syncs, %s written", s.Commits, s.Groups, s.LogSyncs, size(int64(s.LogWrites)))
	t.row("cache", "%s of %s, %d pages, %d reads, %d evictions", size(s.CacheBytes), size(s.CacheLimit), s.CacheImages, s.CacheMisses, s.CacheEvictions)
	if err := t.end(); err != nil {
		return err
	}
	fmt.Fprintf(out, `
The database is %s. Try
    kvtool buckets %[1]s
    kvtool scan %[1]s --bucket errors --keys
    kvtool get %[1]s --bucket errors errors.go
    kvtool stats %[1]s --bucket net/http
`, file)
	return nil
}

// round returns a duration as people say it.
func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// compareTree reads every value back and compares it with its file.
func compareTree(cmd *cobra.Command, db *pawl.DB, dir string, total int64) (files, read int64, err error) {
	b := newBar(cmd, "comparing", total, true)
	defer b.end()
	err = db.ViewContext(cmd.Context(), func(tx *pawl.Tx) error {
		var walk func(path string, bucket *pawl.Bucket) error
		walk = func(path string, bucket *pawl.Bucket) error {
			for name, value := range bucket.All() {
				file := filepath.Join(path, string(name))
				if err := sameFile(file, value); err != nil {
					return err
				}
				files, read = files+1, read+int64(len(value))
				b.add(int64(len(value)))
			}
			for name, below := range bucket.Buckets() {
				if err := walk(filepath.Join(path, string(name)), below); err != nil {
					return err
				}
			}
			return nil
		}
		return walk(dir, tx.Root())
	})
	return files, read, err
}

// sameFile compares a value with a file.
func sameFile(path string, value []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	want, err := stdio.ReadAll(f)
	if err != nil {
		return err
	}
	if !bytes.Equal(want, value) {
		return fmt.Errorf("%s: the database has %d bytes, the file %d, and they differ", path, len(value), len(want))
	}
	return nil
}
