package machine

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dataFrom returns where the next data of a file begins and ends, from an offset on; both are size if only a hole follows.
func dataFrom(f *os.File, at, size int64) (begin, end int64, err error) {
	begin, err = unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case err != nil:
		return at, size, nil // the file system knows of no holes
	}
	end, err = unix.Seek(int(f.Fd()), begin, unix.SEEK_HOLE)
	return begin, min(end, size), err
}
