package wal

import (
	"errors"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// ErrMoved means that the segment of a frame has been recycled since the frame was looked up: look the page up again.
var ErrMoved = errors.New("pawl: log frame has moved")

// Locate returns where the full frame of e lies. ok is false when its segment has been recycled since e was looked up.
func (l *Log) Locate(e Entry) (f io.File, offset int64, length int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file, e.Pos.Offset, int(e.Length), l.inUse(e.Pos)
}

// inUse reports whether the segment at pos is still in the use that pos names. The caller holds the lock.
func (l *Log) inUse(pos Position) bool {
	place := l.geo.place(pos.Offset)
	return place < len(l.segments) && l.segments[place].serial == pos.Serial && l.segments[place].epoch == pos.Epoch
}

// Decode verifies raw, read from where Locate said, and rebuilds the page's image into dst, which has the size of a page.
// A frame that is not what e says is damage if its segment is still in the same use, else ErrMoved.
func (l *Log) Decode(e Entry, raw, dst []byte) error {
	h, ok := frameHeader{}, len(raw) == int(e.Length) && len(raw) >= frameHeaderSize
	if ok {
		h, ok = decodeFrameHeader(raw)
		ok = ok && h.kind == KindFull && h.page == e.Page && h.version == e.Version && h.size() == int64(len(raw))
	}
	var d xxhash.Digest
	if ok {
		ok = frameSum(&d, e.Pos, raw, raw[frameHeaderSize:frameHeaderSize+int(h.length)]) == h.sum
	}
	if ok {
		var start, end int
		body := raw[frameHeaderSize : frameHeaderSize+int(h.length)]
		if start, end, ok = fullGap(body, len(dst)); ok {
			body = body[fullHeaderSize:]
			copy(dst, body[:start])
			clear(dst[start:end])
			copy(dst[end:], body[start:])
			return nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.inUse(e.Pos) {
		return ErrMoved
	}
	err := l.corruptf(e.Pos.Offset, "frame of version %d is not what was written", e.Version).(*types.CorruptError)
	err.Page = e.Page
	return err
}
