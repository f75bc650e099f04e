package btree

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// ReadLargeAt is a machine that reads a part of a large value. Extents are read one behind the other.
//
//	list --> part --> part ... --> ended       (a value of one extent has no list)
type ReadLargeAt struct {
	src    Source
	large  Large
	dst    []byte
	offset int64

	listed bool
	have   bool // the list
	count  int
	list   []byte
	at     int // bytes of dst that are filled
	load   extentLoad
}

// Start readies the machine to fill dst with the value's bytes from offset on, fewer at its end.
func (r *ReadLargeAt) Start(src Source, l Large, dst []byte, offset int64) {
	*r = ReadLargeAt{src: src, large: l, dst: dst, offset: offset}
	r.dst = dst[:max(min(int64(len(dst)), l.Size-offset), 0)]
	r.count, r.listed = l.parts()
}

// Step ends with the number of bytes that were read.
func (r *ReadLargeAt) Step() (types.IOResult[int], error) {
	unit := int64(pager.MaxExtent)
	if r.listed && !r.have && len(r.dst) > 0 {
		data, shared, pending, err := r.load.step(r.src, r.large.Page, 8*r.count)
		switch {
		case err != nil:
			return types.Fail[int](err)
		case pending != nil:
			return types.Wait[int](pending)
		}
		if !shared {
			data = append([]byte(nil), data...)
		}
		r.list, r.have = data, true
	}
	for r.at < len(r.dst) {
		at := r.offset + int64(r.at)
		part := at / unit
		id := r.large.Page
		if r.listed {
			id = types.PageID(binary.LittleEndian.Uint64(r.list[8*part:]))
		}
		size := min(unit, r.large.Size-part*unit)
		data, _, pending, err := r.load.step(r.src, id, int(size))
		switch {
		case err != nil:
			return types.Fail[int](err)
		case pending != nil:
			return types.Wait[int](pending)
		}
		r.at += copy(r.dst[r.at:], data[at-part*unit:])
	}
	return types.Done(r.at)
}

// Abort leaves the read.
func (r *ReadLargeAt) Abort(cause error) error { return r.load.abort(cause) }

// ReadLarge is a machine that reads a whole large value. Of one extent of a committed image it is a slice, else a copy. A
// copy grows as it is read, so that a damaged file can't make it take memory that is not there to be read.
type ReadLarge struct {
	src   Source
	large Large
	one   bool
	load  extentLoad
	part  ReadLargeAt
	value []byte
	busy  bool

	checked bool // the list of extents
	shared  bool // the value is a slice of an image
}

// readLargeFirst is the memory that a copy begins with. It doubles when so much has been read.
const readLargeFirst = 16 << 20

// Start readies the machine.
func (r *ReadLarge) Start(src Source, l Large) {
	*r = ReadLarge{src: src, large: l}
	_, listed := l.parts()
	r.one = !listed
}

// Step ends with the value; its capacity is its length.
func (r *ReadLarge) Step() (types.IOResult[[]byte], error) {
	if r.one {
		data, shared, pending, err := r.load.step(r.src, r.large.Page, int(r.large.Size))
		switch {
		case err != nil:
			return types.Fail[[]byte](err)
		case pending != nil:
			return types.Wait[[]byte](pending)
		}
		if r.shared = shared; !shared {
			data = append(make([]byte, 0, len(data)), data...)
		}
		return types.Done(data)
	}
	if r.large.Size > math.MaxInt {
		return types.Fail[[]byte](fmt.Errorf("%w: %d bytes don't fit into this machine's memory", ErrValueTooLarge, r.large.Size))
	}
	for int64(len(r.value)) < r.large.Size {
		if !r.busy {
			if len(r.value) == cap(r.value) {
				r.value = append(make([]byte, 0, min(r.large.Size, max(2*int64(len(r.value)), readLargeFirst))), r.value...)
			}
			r.part.Start(r.src, r.large, r.value[len(r.value):cap(r.value)], int64(len(r.value)))
			r.busy = true
		}
		res, err := r.part.Step()
		switch {
		case err != nil:
			r.busy = false
			return types.Fail[[]byte](err)
		case res.Pending != nil:
			return types.Wait[[]byte](res.Pending)
		}
		r.busy = false
		r.value = r.value[:len(r.value)+res.Value]
		if err := r.distinct(); err != nil {
			return types.Fail[[]byte](err)
		}
	}
	return types.Done(r.value[:len(r.value):len(r.value)])
}

// distinct checks, once, that no extent is listed twice: that would make a small file a long value.
func (r *ReadLarge) distinct() error {
	if r.checked {
		return nil
	}
	r.checked = true
	seen := make(map[types.PageID]struct{}, r.part.count)
	for i := range r.part.count {
		id := types.PageID(binary.LittleEndian.Uint64(r.part.list[8*i:]))
		if _, twice := seen[id]; twice {
			return r.src.corrupt(id, "an extent that is twice in one value")
		}
		seen[id] = struct{}{}
	}
	return nil
}

// Shared reports whether the value that Step has ended with is a slice of an immutable image, else it is a copy.
func (r *ReadLarge) Shared() bool { return r.shared }

// Abort leaves the read.
func (r *ReadLarge) Abort(cause error) error {
	if r.busy {
		r.busy = false
		return r.part.Abort(cause)
	}
	return r.load.abort(cause)
}
