package wal

import (
	"bytes"
	"encoding/binary"
)

// The parts of a delta say, in the order of the page's bytes, what of it is not what the base has in the same place. Numbers
// are uvarints of encoding/binary, of three bytes at the most.
//
//	skip    bytes since the end of the part before, or the page's start, that are as in the base
//	length  of the part, at least 1, times 4, plus its kind
//	        kind 0, literal: so many bytes follow
//	        kind 1, move:    from follows: where the base has the part's bytes
//	        kind 2, zero:    the part is zero
//
// A part ends within the page, and what a move takes lies within the base. Moves may take the same bytes several times, and
// bytes that other parts change: they mean the base as it was.
const (
	partLiteral partKind = 0
	partMove    partKind = 1
	partZero    partKind = 2

	partKindBits = 2
)

type partKind uint8

// deltaPart is a decoded part.
type deltaPart struct {
	kind    partKind
	at      int // in the page
	length  int
	literal []byte // of a literal part
	from    int    // of a move
}

// Parts makes the parts of a delta, which are added in the order of the page's bytes. Its zero value is ready.
type Parts struct {
	b     []byte
	count int
	end   int // of the part before, in the page
}

// Reset empties p and keeps its memory.
func (p *Parts) Reset() { p.b, p.count, p.end = p.b[:0], 0, 0 }

// Bytes returns the parts, as Commit.Delta wants them. They are good until p changes.
func (p *Parts) Bytes() []byte { return p.b }

// Literal adds a part: the page has bytes at at. If there are none it adds nothing.
func (p *Parts) Literal(at int, bytes []byte) {
	if len(bytes) > 0 {
		p.add(partLiteral, at, len(bytes))
		p.b = append(p.b, bytes...)
	}
}

// Move adds a part: the page has n bytes at at that the base has at from.
func (p *Parts) Move(at, n, from int) {
	p.add(partMove, at, n)
	p.b = binary.AppendUvarint(p.b, uint64(from))
}

// Zero adds a part: the page has n zeroes at at.
func (p *Parts) Zero(at, n int) { p.add(partZero, at, n) }

// add begins a part.
func (p *Parts) add(kind partKind, at, n int) {
	p.count++
	p.b = binary.AppendUvarint(p.b, uint64(at-p.end))
	p.b = binary.AppendUvarint(p.b, uint64(n)<<partKindBits|uint64(kind))
	p.end = at + n
}

// nextPart decodes the part that b begins with, behind one that ended at end in a page of pageSize. It returns what is behind it.
// ok is false if there is no sound part.
func nextPart(b []byte, end, pageSize int) (p deltaPart, rest []byte, ok bool) {
	skip, b := partNumber(b)
	what, b := partNumber(b)
	if skip < 0 || what < 0 {
		return p, nil, false
	}
	p = deltaPart{kind: partKind(what & (1<<partKindBits - 1)), at: end + skip, length: what >> partKindBits}
	if p.length == 0 || p.at+p.length > pageSize {
		return p, nil, false
	}
	switch p.kind {
	case partLiteral:
		if p.length > len(b) {
			return p, nil, false
		}
		p.literal, b = b[:p.length], b[p.length:]
	case partMove:
		if p.from, b = partNumber(b); p.from < 0 || p.from+p.length > pageSize {
			return p, nil, false
		}
	case partZero:
	default:
		return p, nil, false
	}
	return p, b, true
}

// partNumber decodes the number that b begins with, and returns what is behind it; -1 if there is none.
func partNumber(b []byte) (n int, rest []byte) {
	if len(b) > 1 { // most are short
		if b[0] < 0x80 {
			return int(b[0]), b[1:]
		}
		if b[1] < 0x80 {
			return int(b[0]&0x7f) | int(b[1])<<7, b[2:]
		}
	}
	return longPartNumber(b)
}

func longPartNumber(b []byte) (n int, rest []byte) {
	v, width := binary.Uvarint(b)
	if width <= 0 || width > 3 {
		return -1, nil
	}
	return int(v), b[width:]
}

// applyParts makes image, which is a copy of base, what sound parts say.
func applyParts(image, base, parts []byte) {
	end := 0
	for len(parts) > 0 {
		p, rest, _ := nextPart(parts, end, len(base))
		end, parts = p.at+p.length, rest
		switch part := image[p.at:end]; p.kind {
		case partLiteral:
			copy(part, p.literal)
		case partMove:
			copy(part, base[p.from:])
		case partZero:
			clear(part)
		}
	}
}

// Makes reports whether parts are sound and make image out of base.
func Makes(parts, base, image []byte) bool {
	end := 0
	for b := parts; len(b) > 0; {
		p, rest, ok := nextPart(b, end, len(base))
		if !ok {
			return false
		}
		end, b = p.at+p.length, rest
	}
	made := bytes.Clone(base)
	applyParts(made, base, parts)
	return bytes.Equal(made, image)
}
