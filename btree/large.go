package btree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// A large value lies in extents: pages of several blocks, see page.go of the pager. An extent takes at most MaxExtent bytes,
// 1 MiB.
//
//	size <= MaxExtent     page -> the value
//	else                  page -> page ids of extents, 8 bytes each: all but the last are full
//
// What is behind the bytes in an extent's last block is zero.

// ErrValueTooLarge means a value of more than MaxValueSize bytes, or one that is read as a whole and longer than a slice can be.
var ErrValueTooLarge = errors.New("pawl: value is too large")

// MaxValueSize is the length of the longest value: as many extents as one list of them can name, at the smallest page size.
const MaxValueSize = 100 << 30

// parts returns how many extents hold the value's bytes, and whether there is a list of them.
func (l Large) parts() (count int, listed bool) {
	unit := int64(pager.MaxExtent)
	return int((l.Size + unit - 1) / unit), l.Size > unit
}

// extentBytes returns the owner's first size bytes of an extent, or an error if it is none, or shorter.
func extentBytes(s Source, pg pager.Page, size int) ([]byte, error) {
	if pg.Data[0] != byte(pager.PageKindExtent) || len(pg.Data) < pager.PageHeaderSize+size {
		return nil, s.corrupt(pg.ID, fmt.Sprintf("%d bytes of kind %d where an extent of %d should be", len(pg.Data), pg.Data[0], size))
	}
	end := pager.PageHeaderSize + size
	return pg.Data[pager.PageHeaderSize:end:end], nil
}

// extentLoad is a machine that gets an extent.
type extentLoad struct {
	get  pager.Get
	busy bool
}

// step ends with the extent's first size bytes. shared tells that they belong to a committed image.
func (l *extentLoad) step(s Source, id types.PageID, size int) (data []byte, shared bool, pending *io.Completion, err error) {
	if !l.busy {
		if s.writer != nil {
			l.get.StartTx(s.writer.tx, id)
		} else {
			l.get.Start(s.reader, id)
		}
		l.busy = true
	}
	res, err := l.get.Step()
	if res.Pending != nil {
		return nil, false, res.Pending, nil
	}
	l.busy = false
	if err != nil {
		return nil, false, nil, err
	}
	data, err = extentBytes(s, res.Value, size)
	return data, res.Value.Image != nil, nil, err
}

// abort leaves the read.
func (l *extentLoad) abort(cause error) error {
	if l.busy {
		l.busy = false
		return l.get.Abort(cause)
	}
	return cause
}

// extents are the pages of a large value, known before they are freed.
type extents struct {
	entry Entry
	list  []types.PageID
	load  extentLoad
	ready bool
}

// start readies x for what an entry names; other kinds have none.
func (x *extents) start(e Entry) {
	e.Value = nil
	*x = extents{entry: e, ready: e.Kind != KindLarge}
}

// step finds out which pages they are.
func (x *extents) step(s Source) (*io.Completion, error) {
	if x.ready {
		return nil, nil
	}
	l := x.entry.Large
	count, listed := l.parts()
	if listed {
		data, _, pending, err := x.load.step(s, l.Page, 8*count)
		if pending != nil || err != nil {
			return pending, err
		}
		x.list = x.list[:0]
		for i := range count {
			x.list = append(x.list, types.PageID(binary.LittleEndian.Uint64(data[8*i:])))
		}
	}
	x.list = append(x.list, l.Page)
	if err := freeable(s, x.list); err != nil {
		return nil, err
	}
	x.ready = true
	return nil, nil
}

// freeable checks that pages can be freed, each once.
func freeable(s Source, list []types.PageID) error {
	seen := make(map[types.PageID]struct{}, len(list))
	for _, id := range list {
		if _, twice := seen[id]; twice || !s.writer.tx.CanFree(id) {
			return s.corrupt(id, "an extent that is free, or of two values")
		}
		seen[id] = struct{}{}
	}
	return nil
}

// spared checks that pages which a change frees are none of those that it needs itself: a file may say so.
func spared(s Source, gone []types.PageID, p *path, near ...neighbour) error {
	if len(gone) == 0 {
		return nil
	}
	node := func(at *pathStep) error {
		if slices.Contains(gone, at.page.ID) {
			return s.corrupt(at.page.ID, "a node that is an extent of a value too")
		}
		return nil
	}
	for i := range p.steps {
		if err := node(&p.steps[i]); err != nil {
			return err
		}
	}
	for i := range near {
		if near[i].loaded {
			if err := node(&near[i].at); err != nil {
				return err
			}
		}
	}
	return nil
}

// free gives the pages up.
func (x *extents) free(w *Writer) {
	if !x.ready {
		panic(invariant.Failf("btree: extents of page %d are freed before they are known", x.entry.Large.Page))
	}
	for _, id := range x.list {
		w.tx.Free(id)
	}
}

// abort leaves a read.
func (x *extents) abort(cause error) error { return x.load.abort(cause) }
