package world

import (
	"github.com/pawldb/pawl/testing/simulator/disk"
)

// held is a slice that a read has returned, and what it must go on to hold.
type held struct {
	got  []byte
	want string
}

// heldMost is how many are kept: the next one takes the place of the oldest.
const heldMost = 64

// hold keeps a slice that a read has returned. It may not change for as long as it is held, past the end of its transaction.
func (w *World) hold(got []byte, want string) {
	if len(got) == 0 {
		return
	}
	if cap(got) != len(got) {
		disk.Violate("a slice of %d bytes from a read has room for %d behind it", len(got), cap(got)-len(got))
	}
	h := held{got, want}
	if len(w.held) < heldMost {
		w.held = append(w.held, h)
		return
	}
	w.held[w.heldNext].compare()
	w.held[w.heldNext] = h
	w.heldNext = (w.heldNext + 1) % heldMost
}

func (h *held) compare() {
	if string(h.got) != h.want {
		disk.Violate("a slice from a read was %.40q, and is %.40q", h.want, h.got)
	}
}

// compareHeld looks at all that are held.
func (w *World) compareHeld() {
	for i := range w.held {
		w.held[i].compare()
	}
}
