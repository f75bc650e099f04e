package btree

import (
	"encoding/binary"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// LargeWriter is a machine that writes a large value piece by piece, straight to extents that nothing refers to. It is armed
// by Add or Finish and then stepped to its end, over and over.
//
//	idle --Add--> write --a full extent--> write ... --> idle
//	idle --Finish--> write the rest --> write the list --> over: Large names the value
//
// The value becomes the tree's with a Put of KindLarge. Until then Abort, or Discard, frees the extents.
type LargeWriter struct {
	w     *Writer
	state largeState
	busy  bool // an extent is being written
	ext   pager.WriteExtent

	rest  []byte // pieces that do not fill an extent yet
	value []byte // what Add or whole gave and is not taken yet
	list  []types.PageID
	size  int64
	page  types.PageID
}

type largeState uint8

const (
	largeIdle   largeState = iota // armed by nothing
	largeAdd                      // await: full extents of what was added
	largeRest                     // await: the last extent
	largeList                     // await: the list
	largeOver                     // end, Large is known
	largeClosed                   // end, nothing is left
)

// Start readies the machine.
func (l *LargeWriter) Start(w *Writer) { *l = LargeWriter{w: w} }

// Add arms the machine to take a piece, of any length. It stays unchanged until the step's end.
func (l *LargeWriter) Add(piece []byte) {
	l.arm(largeAdd)
	l.value = piece
	l.size += int64(len(piece))
	if l.size > MaxValueSize {
		panic(invariant.Failf("btree: value of %d bytes", l.size))
	}
}

// Finish arms the machine to write what is left. At least one byte was added.
func (l *LargeWriter) Finish() {
	if l.size == 0 {
		panic(invariant.Failf("btree: large value of 0 bytes"))
	}
	l.arm(largeRest)
}

// whole arms a machine that was just started with all of a value.
func (l *LargeWriter) whole(value []byte) {
	l.arm(largeRest)
	l.value, l.size = value, int64(len(value))
}

// arm sets the machine going.
func (l *LargeWriter) arm(state largeState) {
	if l.state != largeIdle {
		panic(invariant.Failf("btree: LargeWriter armed in state %d", l.state))
	}
	l.state = state
}

// Size returns how many bytes were added.
func (l *LargeWriter) Size() int64 { return l.size }

// Large returns what was written, after Finish's end.
func (l *LargeWriter) Large() Large { return Large{Size: l.size, Page: l.page} }

// Step ends when what the machine was armed with is written, or taken.
func (l *LargeWriter) Step() (types.IOResult[struct{}], error) {
	unit := pager.MaxExtent
	for {
		if l.busy {
			pending, err := l.write()
			if err != nil {
				return types.Fail[struct{}](l.Abort(err))
			}
			if pending != nil {
				return types.Wait[struct{}](pending)
			}
			continue
		}
		switch l.state {
		case largeAdd:
			if len(l.rest)+len(l.value) <= unit {
				l.rest = append(l.rest, l.value...)
				l.value, l.state = nil, largeIdle
				return types.Done(struct{}{})
			}
			l.next(unit)

		case largeRest:
			if len(l.rest)+len(l.value) > 0 {
				l.next(unit)
				continue
			}
			l.rest, l.value, l.state = nil, nil, largeList
			if len(l.list) == 1 {
				l.page, l.state = l.list[0], largeOver
				return types.Done(struct{}{})
			}
			list := make([]byte, 8*len(l.list))
			for i, id := range l.list {
				binary.LittleEndian.PutUint64(list[8*i:], uint64(id))
			}
			l.ext.Start(l.w.tx, list)
			l.busy = true

		case largeList:
			l.page, l.state = l.list[len(l.list)-1], largeOver
			return types.Done(struct{}{})

		default:
			panic(invariant.Failf("btree: LargeWriter stepped in state %d", l.state))
		}
	}
}

// next begins to write the next extent, of at most unit bytes.
func (l *LargeWriter) next(unit int) {
	var piece []byte
	if len(l.rest) > 0 {
		n := min(unit-len(l.rest), len(l.value))
		l.rest = append(l.rest, l.value[:n]...)
		piece, l.value = l.rest, l.value[n:]
		l.rest = l.rest[:0] // the extent has its own copy
	} else {
		piece = l.value[:min(unit, len(l.value))]
		l.value = l.value[len(piece):]
	}
	l.ext.Start(l.w.tx, piece)
	l.busy = true
}

// write steps the extent that is being written.
func (l *LargeWriter) write() (*io.Completion, error) {
	res, err := l.ext.Step()
	if err != nil {
		l.busy = false
		return nil, err
	}
	if res.Pending != nil {
		return res.Pending, nil
	}
	l.list = append(l.list, res.Value)
	l.busy = false
	return nil, nil
}

// Abort frees what was written.
func (l *LargeWriter) Abort(cause error) error {
	if l.busy {
		cause = l.ext.Abort(cause)
		l.busy = false
	}
	l.discard()
	return cause
}

// Discard frees what was written of a value that no tree took.
func (l *LargeWriter) Discard() { l.discard() }

func (l *LargeWriter) discard() {
	if l.state == largeClosed {
		return
	}
	for _, id := range l.list {
		l.w.tx.Free(id)
	}
	*l = LargeWriter{w: l.w, state: largeClosed}
}
