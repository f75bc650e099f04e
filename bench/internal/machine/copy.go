package machine

import (
	"errors"
	"fmt"
	stdio "io"
	"io/fs"
	"os"
	"path/filepath"
)

// Copy copies a directory of files to one that is there and empty. All of it is on stable storage afterwards, so that
// nothing is written back while something is measured. Blocks are copied, not shared with the original as some file
// systems can: the first write to a shared block costs more than one to a block of one's own.
func Copy(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == from {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rest)
		switch {
		case d.IsDir():
			return os.Mkdir(target, 0o777)
		case d.Type().IsRegular():
			return copyFile(target, path)
		}
		return fmt.Errorf("%s is neither a file nor a directory", path)
	})
}

// copyFile copies a file, but not its holes.
func copyFile(to, from string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := dst.Truncate(info.Size()); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for at := int64(0); at < info.Size(); {
		begin, end, err := dataFrom(src, at, info.Size())
		if err != nil {
			return err
		}
		// The wrapper hides what makes a copy of shared blocks.
		w := struct{ stdio.Writer }{stdio.NewOffsetWriter(dst, begin)}
		if _, err := stdio.CopyBuffer(w, stdio.NewSectionReader(src, begin, end-begin), buf); err != nil {
			return err
		}
		at = end
	}
	return dst.Sync()
}
