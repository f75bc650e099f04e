package iotest_test

import (
	"testing"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/iotest"
)

func TestMemory(t *testing.T) {
	for name, config := range map[string]io.MemoryConfig{
		"Virtual":     {},
		"RealTime":    {RealTime: true},
		"Volatile":    {RealTime: true, Volatile: true},
		"SmallSector": {SectorSize: 8},
	} {
		t.Run(name, func(t *testing.T) {
			iotest.Run(t, func(t *testing.T) iotest.Backend { return memoryBackend(io.NewMemory(config), !config.RealTime) })
		})
	}
}

// memoryBackend makes the suite's hooks out of manual mode.
func memoryBackend(m *io.Memory, virtual bool) iotest.Backend {
	b := iotest.Backend{IO: m, Dir: "dir"}
	if virtual {
		b.Advance = m.Advance
	}
	b.Short = func(n int) {
		m.SetManual(n > 0)
		m.SetOnStall(func() bool {
			for _, op := range m.Queue() {
				transfer := op.Kind == io.KindRead || op.Kind == io.KindWrite
				for left := op.Length; transfer && left > int64(n); left -= int64(n) {
					op.CompleteShort(n)
				}
				op.Complete()
			}
			return true
		})
	}
	b.Hold = iotest.HoldMemory(m)
	return b
}
