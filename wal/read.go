package wal

import (
	"errors"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// ErrMoved means that the segment of a frame has been recycled since the frame was looked up: look the page up again.
var ErrMoved = errors.New("pawl: log frame has moved")

// Locate returns where the frame of e, an image or a delta, lies. ok is false when its segment has been recycled since e was looked up.
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

// verified returns the payload of the frame that e is about, if raw is what was written; the caller's raw is read from where Locate
// said.
func (l *Log) verified(e Entry, raw []byte) (body []byte, ok bool) {
	if len(raw) != int(e.Length) || len(raw) < frameHeaderSize {
		return nil, false
	}
	h, ok := decodeFrameHeader(raw)
	if !ok || h.kind != e.Kind || h.page != e.Page || h.version != e.Version || h.size() != int64(len(raw)) {
		return nil, false
	}
	body = raw[frameHeaderSize : frameHeaderSize+int(h.length)]
	var d xxhash.Digest
	return body, frameSum(&d, e.Pos, raw, body) == h.sum
}

// Decode verifies raw, the full frame that was read from where Locate said, and rebuilds the page's image into dst, which has the
// size of a page. A frame that is not what e says is damage if its segment is still in the same use, else ErrMoved.
func (l *Log) Decode(e Entry, raw, dst []byte) error {
	if body, ok := l.verified(e, raw); ok {
		if start, end, ok := fullGap(body, len(dst)); ok {
			body = body[fullHeaderSize:]
			copy(dst, body[:start])
			clear(dst[start:end])
			copy(dst[end:], body[start:])
			return nil
		}
	}
	return l.damaged(e, notWritten)
}

// notWritten is what is wrong with a frame whose own checksum, or name, is.
const notWritten = "frame is not what was written"

// damaged returns the error for a frame with something wrong in it: ErrMoved if its segment has been recycled.
func (l *Log) damaged(e Entry, detail string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.inUse(e.Pos) {
		return ErrMoved
	}
	return &types.CorruptError{File: l.name, Offset: e.Pos.Offset, Page: e.Page, Detail: detail}
}
