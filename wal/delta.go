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

	// maxDeltaPage is the size of the largest page that a delta can be of.
	maxDeltaPage = 64 << 10
)

// DeltasMax is how many deltas may follow one another: then comes a full frame, so that a version is rebuilt of so many
// frames and one image at the most. The reads of all of them are under way at once. With 8, a random load logs a fourth more.
const DeltasMax = 16

// Delta stages what has changed, as a Differ has found it or Parts has it, from a page's version before, whose image has the XXH64 baseSum, to one that
// has sum. It copies parts.
func (c *Commit) Delta(page types.PageID, before types.Seq, parts []byte, baseSum, sum uint64) {
	if page == 0 || before >= c.seq {
		panic(invariant.Failf("wal: delta of page %d from version %d to %d", page, before, c.seq))
	}
	n := deltaHeaderSize + len(parts)
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
	copy(payload[deltaHeaderSize:], parts)
	f := plainFrame(KindDelta, c.seq, payload)
	f.header.page = page
	c.stage(f)
	c.deltaBytes += n
}

// DeltaSize returns what a delta with those parts takes in the log at the most.
func DeltaSize(parts []byte) int {
	return frameHeaderSize + deltaHeaderSize + len(parts) + frameAlign - 1
}

// deltaChunk is the most memory that is taken at a time for payloads.
const deltaChunk = 64 << 10

// DeltaBytes returns the memory that the payloads of deltas take.
func (c *Commit) DeltaBytes() int64 { return int64(c.deltaBytes) }

// deltaProblem returns what is wrong with the payload of a delta frame, whatever its base is, or "".
func deltaProblem(b []byte, version types.Seq, pageSize int) string {
	if len(b) < deltaHeaderSize || types.Seq(binary.LittleEndian.Uint64(b[deltaBaseOff:])) >= version {
		return "delta frame out of range"
	}
	end := 0
	for b = b[deltaHeaderSize:]; len(b) > 0; {
		p, rest, ok := nextPart(b, end, pageSize)
		if !ok {
			return "part of a delta is out of range"
		}
		end, b = p.at+p.length, rest
	}
	return ""
}

// Apply verifies raw, the delta frame that was read from where Locate said, and makes image, which is of the same size, the version
// that e is about out of base, the page's version just before. base is of version before, and has the XXH64 baseSum; Apply returns the
// one that image has. What does not fit is damage if the frame's segment is still in the same use, else ErrMoved; image is of no use
// then.
func (l *Log) Apply(e Entry, raw, base, image []byte, before types.Seq, baseSum uint64) (sum uint64, err error) {
	body, ok := l.verified(e, raw)
	if !ok {
		return 0, l.damaged(e, notWritten)
	}
	if problem := deltaProblem(body, e.Version, len(base)); problem != "" {
		return 0, l.damaged(e, problem)
	}
	le := binary.LittleEndian
	if named := types.Seq(le.Uint64(body[deltaBaseOff:])); named != before {
		return 0, l.damaged(e, fmt.Sprintf("delta of version %d is based on version %d, the page is of version %d", e.Version, named, before))
	}
	if want := le.Uint64(body[deltaBaseSumOff:]); baseSum != want {
		return 0, l.damaged(e, fmt.Sprintf("delta of version %d is based on checksum %016x, version %d has %016x",
			e.Version, want, before, baseSum))
	}
	copy(image, base)
	applyParts(image, base, body[deltaHeaderSize:])
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
		e.on(&was)
	}
}

// on counts the deltas of an entry that is one itself, and changes the version that was is about.
func (e *indexEntry) on(was *indexEntry) {
	e.deltas, e.deltaBytes = was.deltas+1, was.deltaBytes+e.length
}
