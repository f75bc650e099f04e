package io_test

import (
	"os"
	"testing"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/iotest"
)

// newUring makes the backend, or skips the test with the reason why there is none.
func newUring(t testing.TB, o io.UringOptions) io.IO {
	t.Helper()
	u, err := io.NewUring(o)
	if err != nil {
		t.Skip(err)
	}
	return u
}

// The backend as programs get it: what is awaited alone does not go through the ring.
func TestUringSuite(t *testing.T) {
	iotest.Run(t, func(t *testing.T) iotest.Backend {
		return iotest.Backend{IO: newUring(t, io.UringOptions{}), Dir: t.TempDir(), Symlink: os.Symlink}
	})
}

// Everything goes through the ring, which is far too small.
func TestUringSmallSuite(t *testing.T) {
	iotest.Run(t, func(t *testing.T) iotest.Backend {
		u := newUring(t, io.UringOptions{Entries: 2})
		io.ThroughRing(u)
		return iotest.Backend{IO: u, Dir: t.TempDir(), Symlink: os.Symlink}
	})
}

// The kernel is the test's: it finishes in an order of its own, cuts transfers, interrupts, holds back, and finds the queue of results
// full.
func TestUringFakeSuite(t *testing.T) {
	for name, entries := range map[string]int{"entries=2": 2, "entries=64": 64} {
		t.Run(name, func(t *testing.T) {
			seed := uint64(0)
			iotest.Run(t, func(t *testing.T) iotest.Backend {
				seed++
				u, k := io.NewFakeUring(seed, entries)
				return iotest.Backend{
					IO: u, Dir: t.TempDir(), Symlink: os.Symlink, Short: k.Short, Interrupt: k.Interrupt,
					Hold: func() iotest.Hold {
						started, release := k.Hold()
						return iotest.Hold{Started: started, Release: release}
					},
				}
			})
		})
	}
}
