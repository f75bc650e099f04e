//go:build !linux

package machine

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

var errUnknown = errors.New("not known on this system")

func openDirect(string) (*os.File, error) { return nil, errUnknown }

func aligned(n int) []byte { return make([]byte, n) }

// CPU returns the processor time that this process has used: not known here.
func CPU() time.Duration { return 0 }

// RSS returns this process's memory, now and at its highest: not known here.
func RSS() (now, peak int64) { return 0, 0 }

// ResetPeak has RSS's highest begin anew.
func ResetPeak() error { return errUnknown }

// Written returns the bytes that a directory's device has written: not known here.
func Written(string) (int64, error) { return 0, errUnknown }

// OnDisk returns the length of a file: what it takes on the disk is not known here.
func OnDisk(info fs.FileInfo) int64 { return info.Size() }

// Forget has the system drop what it has of a directory's files in its page cache.
func Forget(string) error { return errUnknown }

// Describe says what machine this is.
func Describe(string) string { return "" }

// NewGroup makes a group of processes with little memory: not here.
func NewGroup(int64) (*Group, error) { return nil, errUnknown }

// Join makes this process part of a group.
func Join(string) error { return errUnknown }
