package flight_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
	"github.com/pawldb/pawl/io/iotest"
)

// recorded returns a recorder of inner, which has recorded everything at the end of the test.
func recorded(t *testing.T, inner io.IO, o flight.Options) *flight.Recorder {
	rec, err := flight.Record(inner, filepath.Join(t.TempDir(), "recording"), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, rec.Close()) // the suite has shut it down, unless it skipped the test
		for _, path := range rec.Paths() {
			readAll(t, path)
		}
	})
	return rec
}

// The recorder is a backend like those that it records.
func TestSuite(t *testing.T) {
	for name, o := range map[string]flight.Options{"Whole": {ReadData: true}, "Parts": {History: 3000}} {
		t.Run(name, func(t *testing.T) {
			t.Run("System", func(t *testing.T) {
				iotest.Run(t, func(t *testing.T) iotest.Backend {
					return iotest.Backend{IO: recorded(t, io.NewSystem(), o), Dir: t.TempDir(), Symlink: os.Symlink}
				})
			})
			t.Run("Uring", func(t *testing.T) {
				iotest.Run(t, func(t *testing.T) iotest.Backend {
					u, err := io.NewUring(io.UringOptions{})
					if err != nil {
						t.Skip(err)
					}
					return iotest.Backend{IO: recorded(t, u, o), Dir: t.TempDir(), Symlink: os.Symlink}
				})
			})
			t.Run("Memory", func(t *testing.T) {
				iotest.Run(t, func(t *testing.T) iotest.Backend {
					b := memoryBackend(io.NewMemory())
					b.IO = recorded(t, b.IO, o)
					return b
				})
			})
			if o.History == 0 {
				return
			}
			t.Run("Twice", func(t *testing.T) {
				iotest.Run(t, func(t *testing.T) iotest.Backend {
					b := memoryBackend(io.NewMemory())
					b.IO = recorded(t, recorded(t, b.IO, o), o)
					return b
				})
			})
		})
	}
}

// memoryBackend makes the suite's hooks out of manual mode.
func memoryBackend(m *io.Memory) iotest.Backend {
	b := iotest.Backend{IO: m, Dir: "dir", Advance: m.Advance}
	b.Hold = iotest.HoldMemory(m)
	return b
}
