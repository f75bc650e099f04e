package pawl

import (
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/pawldb/pawl/types"
)

// handed is, with Options.Debug, the slices of page images that a transaction has handed to its caller. They are read-only:
// others read the same memory, and what is written to it can come to be stored.
type handed struct {
	mu     sync.Mutex
	seed   maphash.Seed
	slices map[handedSlice]handedSum
}

// handedSlice is where a slice lies.
type handedSlice struct {
	first *byte
	size  int
}

// handedSum is what it held.
type handedSum struct {
	data []byte
	page types.PageID
	sum  uint64
}

// hand returns a slice of a page's image that is about to be the caller's.
func (tx *Tx) hand(page types.PageID, data []byte) []byte {
	if tx.handed != nil && len(data) > 0 {
		tx.handed.add(page, data)
	}
	return data
}

// add keeps what a slice holds.
func (h *handed) add(page types.PageID, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.slices == nil {
		h.seed, h.slices = maphash.MakeSeed(), map[handedSlice]handedSum{}
	}
	at := handedSlice{&data[0], len(data)}
	if _, ok := h.slices[at]; !ok {
		h.slices[at] = handedSum{data, page, maphash.Bytes(h.seed, data)}
	}
}

// verify panics if a caller has written to a slice that it was handed. It looks once.
func (tx *Tx) verify() {
	h := tx.handed
	if h == nil {
		return
	}
	h.mu.Lock()
	slices := h.slices
	h.slices = nil
	h.mu.Unlock()
	for _, was := range slices {
		if maphash.Bytes(h.seed, was.data) != was.sum {
			panic(fmt.Sprintf("pawl: %d bytes of page %d were written to by who had read them", len(was.data), was.page))
		}
	}
}
