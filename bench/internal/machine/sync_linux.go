package machine

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dataSync puts a file's data on stable storage.
func dataSync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
