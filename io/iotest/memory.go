package iotest

import (
	"sync"

	"github.com/pawldb/pawl/io"
)

// HoldMemory returns a Backend.Hold for a Memory, by its manual mode: reads and writes stay under way until they are released.
func HoldMemory(m *io.Memory) func() Hold {
	return func() Hold {
		released := make(chan struct{})
		var once sync.Once
		m.SetOnStall(func() bool {
			<-released
			return true
		})
		m.SetTrace(func(ev io.MemoryEvent) {
			if !ev.Completed && ev.Op.Kind != io.KindRead && ev.Op.Kind != io.KindWrite {
				ev.Op.Complete()
			}
		})
		m.SetManual(true)
		return Hold{
			Started: func() {
				for _, op := range m.Queue() {
					op.Start()
				}
			},
			Release: func() {
				once.Do(func() {
					m.SetManual(false)
					m.SetTrace(nil)
					for _, op := range m.Queue() {
						op.Complete()
					}
					close(released)
				})
			},
		}
	}
}
