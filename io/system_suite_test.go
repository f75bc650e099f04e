package io_test

import (
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/iotest"
)

func TestSystemSuite(t *testing.T) {
	iotest.Run(t, func(t *testing.T) iotest.Backend {
		backend, hooks := io.NewHookedSystem()
		b := iotest.Backend{
			IO:      backend,
			Dir:     t.TempDir(),
			Short:   hooks.Short,
			Symlink: os.Symlink,
			Hold: func() iotest.Hold {
				started, release := hooks.Hold()
				return iotest.Hold{Started: started, Release: release}
			},
		}
		if runtime.GOOS != "windows" {
			b.Interrupt = func(n int) {
				failed := 0
				hooks.SetFail(func() error {
					failed++
					switch {
					case failed > n:
						return nil
					case failed%2 == 0:
						return syscall.EAGAIN
					}
					return syscall.EINTR
				})
			}
		}
		return b
	})
}

// The backend as programs get it, without hooks.
func TestNewSystemSuite(t *testing.T) {
	iotest.Run(t, func(t *testing.T) iotest.Backend {
		return iotest.Backend{IO: io.NewSystem(), Dir: t.TempDir(), Symlink: os.Symlink}
	})
}
