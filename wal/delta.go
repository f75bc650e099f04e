package wal

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

const (
	deltaBaseOff    = 0
	deltaBaseSumOff = 8
	deltaSumOff     = 16
	deltaHeaderSize = 24

	rangeLengthOff  = 2
	rangeHeaderSize = 4

	// rangeApart is how many bytes that did not change end a range: a new one costs less than they do.
	rangeApart = 8
)

// DeltasMax is how many deltas may follow one another: then comes a full frame, so that a version is rebuilt of so many
// frames and one image at the most.
const DeltasMax = 8

// Delta stages what Diff has found to have changed from a page's version before, whose image has the XXH64 baseSum, to one that has
// sum. It copies ranges.
func (c *Commit) Delta(page types.PageID, before types.Seq, ranges []byte, baseSum, sum uint64) {
	if page == 0 || before >= c.seq {
		panic(invariant.Failf("wal: delta of page %d from version %d to %d", page, before, c.seq))
	}
	n := deltaHeaderSize + len(ranges)
	if cap(c.deltas)-len(c.deltas) < n { // payloads are slices of it: it does not move
		c.deltas = make([]byte, 0, max(n, min(2*cap(c.deltas), deltaChunk)))
	}
	from := len(c.deltas)
	c.deltas = c.deltas[:from+n]
	payload := c.deltas[from : from+n : from+n]
	le := binary.LittleEndian
	le.PutUint64(payload[deltaBaseOff:], uint64(before))
	le.PutUint64(payload[deltaBaseSumOff:], baseSum)
	le.PutUint64(payload[deltaSumOff:], sum)
	copy(payload[deltaHeaderSize:], ranges)
	f := plainFrame(KindDelta, c.seq, payload)
	f.header.page = page
	c.stage(f)
	c.deltaBytes += n
}

// deltaChunk is the most memory that is taken at a time for payloads.
const deltaChunk = 64 << 10

// DeltaBytes returns the memory that the payloads of deltas take.
func (c *Commit) DeltaBytes() int64 { return int64(c.deltaBytes) }

// Diff appends the ranges in which image differs from base to dst, as Delta wants them. It reports false if the frame of the delta
// would take more than limit bytes, or if nothing differs.
func Diff(dst, base, image []byte, limit int) (ranges []byte, ok bool) {
	if len(base) != len(image) {
		panic(invariant.Failf("wal: delta of %d bytes to %d", len(base), len(image)))
	}
	begin := len(dst)
	limit += begin - frameHeaderSize - deltaHeaderSize - (frameAlign - 1)
	le := binary.LittleEndian
	for at := 0; ; {
		for at+8 <= len(image) && le.Uint64(base[at:]) == le.Uint64(image[at:]) {
			at += 8
		}
		for at < len(image) && base[at] == image[at] {
			at++
		}
		if at == len(image) {
			return dst, len(dst) > begin
		}
		from, end := at, at+1
		for at = end; at < len(image) && at-end < rangeApart; at++ {
			if base[at] != image[at] {
				end = at + 1
			}
		}
		if len(dst)+rangeHeaderSize+end-from > limit || end-from > 1<<16-1 {
			return dst, false
		}
		dst = le.AppendUint16(dst, uint16(from))
		dst = le.AppendUint16(dst, uint16(end-from))
		dst = append(dst, image[from:end]...)
	}
}

// deltaProblem returns what is wrong with the payload of a delta frame, whatever its base is, or "".
func deltaProblem(b []byte, version types.Seq, pageSize int) string {
	if len(b) < deltaHeaderSize || types.Seq(binary.LittleEndian.Uint64(b[deltaBaseOff:])) >= version {
		return "delta frame out of range"
	}
	end := -1
	for b = b[deltaHeaderSize:]; len(b) > 0; {
		if len(b) < rangeHeaderSize {
			return "range of a delta breaks off"
		}
		le := binary.LittleEndian
		from, n := int(le.Uint16(b)), int(le.Uint16(b[rangeLengthOff:]))
		if n == 0 || from <= end || from+n > pageSize || n > len(b)-rangeHeaderSize {
			return "range of a delta is out of range"
		}
		end, b = from+n, b[rangeHeaderSize+n:]
	}
	return ""
}

// Apply verifies raw, the delta frame that was read from where Locate said, and makes image, the page's version just before, the one
// that e is about. image is of version before, and has the XXH64 baseSum; Apply returns the one that it has then. What does not
// fit is damage if the frame's segment is still in the same use, else ErrMoved; image is of no use then.
func (l *Log) Apply(e Entry, raw, image []byte, before types.Seq, baseSum uint64) (sum uint64, err error) {
	body, ok := l.verified(e, raw)
	if !ok {
		return 0, l.damaged(e, notWritten)
	}
	if problem := deltaProblem(body, e.Version, len(image)); problem != "" {
		return 0, l.damaged(e, problem)
	}
	le := binary.LittleEndian
	if base := types.Seq(le.Uint64(body[deltaBaseOff:])); base != before {
		return 0, l.damaged(e, fmt.Sprintf("delta of version %d is based on version %d, the page is of version %d", e.Version, base, before))
	}
	if want := le.Uint64(body[deltaBaseSumOff:]); baseSum != want {
		return 0, l.damaged(e, fmt.Sprintf("delta of version %d is based on checksum %016x, version %d has %016x",
			e.Version, want, before, baseSum))
	}
	for b := body[deltaHeaderSize:]; len(b) > 0; {
		from, n := int(le.Uint16(b)), int(le.Uint16(b[rangeLengthOff:]))
		copy(image[from:from+n], b[rangeHeaderSize:])
		b = b[rangeHeaderSize+n:]
	}
	sum = xxhash.Sum64(image)
	if want := le.Uint64(body[deltaSumOff:]); sum != want {
		return 0, l.damaged(e, fmt.Sprintf("delta of version %d makes checksum %016x, %016x expected", e.Version, sum, want))
	}
	return sum, nil
}

// Deltas returns how many deltas the newest version of a page is rebuilt of, and the bytes of their frames.
func (l *Log) Deltas(page types.PageID) (count, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.before(page, ^types.Seq(0))
	return int(e.deltas), int(e.deltaBytes)
}

// before returns the newest entry of a page at or below s, over all layers; zero if there is none. The caller holds the lock, or
// nobody else has the log yet.
func (l *Log) before(page types.PageID, s types.Seq) indexEntry {
	for i := len(l.index.layers) - 1; i >= 0; i-- {
		if e, ok := l.index.layers[i].lookup(page, s); ok {
			return e
		}
	}
	return indexEntry{}
}

// follow counts the deltas that an entry is rebuilt of, itself included. The entry is not in the index; the caller is as for before.
func (l *Log) follow(e *indexEntry) {
	if e.kind == KindDelta {
		was := l.before(e.page, e.version-1)
		e.deltas, e.deltaBytes = was.deltas+1, was.deltaBytes+e.length
	}
}
