package wal

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/pawldb/pawl/internal/invariant"
)

const (
	// moveLeast is the length of the shortest move that is found by content: a shorter one costs as much as its bytes.
	moveLeast = 12

	// searchFrom and searchParts are how many bytes and parts the changes get before bytes are looked for that have moved to anywhere
	// in the page: a few new cells take less, and are found without.
	searchFrom  = 640
	searchParts = 16

	// skipFrom is after how many bytes in a row that are found nowhere the search looks at fewer of them: the longer new bytes go on,
	// the longer is what comes behind them.
	skipFrom = 32

	// shiftMost is how many words in a row are looked for that were put into an array, or taken out of it.
	shiftMost = 8

	word = 8
)

// Differ finds what has changed from one image of a page to another. What is there already is not logged again, wherever it was:
//
//	base   | header | slots a b c d e     |  gap          | cells                      |
//	image  | header | slots a b N c d e       |  gap  | N | cells                      |
//	         literal            ^ ^ moved by a word     ^ literal, the rest is the same
//
// It first compares at the same place, and for arrays of words that were shifted. Only if the changes get long, as in a node whose
// cells were moved together, it looks everywhere in the base. It keeps its memory from one use to the next.
type Differ struct {
	base, image []byte
	parts       Parts
	limit       int // of parts, in bytes
	shift       int // by which the move before went up

	search bool     // places is filled
	places []uint16 // by content of a word of the base, of which place takes the upper bits: where it is, in words, plus 1
	less   int      // 64 less those bits
}

// Diff returns the parts of a delta that makes image out of base, as Commit.Delta wants them; they are good until the next use. It
// reports false if the frame of the delta would take more than limit bytes, or if nothing differs.
func (d *Differ) Diff(base, image []byte, limit int) (parts []byte, ok bool) {
	if len(base) != len(image) || len(base) > maxDeltaPage {
		panic(invariant.Failf("wal: delta of %d bytes to %d", len(base), len(image)))
	}
	limit -= DeltaSize(nil)
	d.base, d.image, d.search = base, image, false
	ok = d.scan(min(limit, searchFrom))
	if !ok && limit > 0 {
		d.notePlaces()
		ok = d.scan(limit)
	}
	d.base, d.image = nil, nil
	return d.parts.Bytes(), ok && d.parts.count > 0
}

// scan collects the changes. It reports false, having given up, if they take more than limit bytes.
func (d *Differ) scan(limit int) bool {
	d.parts.Reset()
	d.limit, d.shift = limit, 0
	for at := 0; len(d.parts.b) <= limit && (d.search || d.parts.count <= searchParts); {
		at += same(d.base[at:], d.image[at:])
		if at == len(d.image) {
			return true
		}
		at = d.difference(at)
	}
	return false
}

// difference adds parts for what is different from at on, and returns where the image is to be looked at next.
func (d *Differ) difference(at int) int {
	if !d.search {
		if next := d.shifted(at); next > 0 {
			return next
		}
	}
	le := binary.LittleEndian
	base, image := d.base, d.image
	last := min(len(image)-word, at+d.limit-len(d.parts.b)) // a longer literal is too long
	q := at
	for q <= last {
		v := le.Uint64(image[q:])
		switch {
		case uint32(v) == le.Uint32(base[q:]): // four bytes: a new part costs less than they do
			for q > at && image[q-1] == base[q-1] {
				q--
			}
			d.literal(at, q)
			return q
		case v == 0:
			end := q + word + zeroRun(image[q+word:])
			for q > at && image[q-1] == 0 {
				q--
			}
			d.literal(at, q)
			d.parts.Zero(q, end-q)
			return end
		case d.search:
			if from, to, n := d.find(v, at, q); n > 0 {
				d.literal(at, to)
				d.parts.Move(to, n, from)
				return to + n
			}
			q += 1 + (q-at)/skipFrom
		case byte(v>>24) != 0 && byte(v>>24) != base[q+3]: // none of the above begins before it
			q += 4
		default:
			q++
		}
	}
	if q+word > len(image) {
		q = len(image)
	}
	d.literal(at, q)
	return q
}

// shifted looks whether words were put into an array at at, or taken out of it, so that those behind them have moved. If so it
// adds parts for them and returns their end, else 0.
func (d *Differ) shifted(at int) int {
	le := binary.LittleEndian
	base, image := d.base, d.image
	to := at &^ (word - 1)
	from := to - d.shift
	if from < 0 || max(from, to)+word > len(image) {
		return 0
	}
	was, is := le.Uint64(base[from:]), le.Uint64(image[to:])
	for k := 0; k <= shiftMost*word; k += word {
		switch {
		case was != 0 && to+k+word <= len(image) && le.Uint64(image[to+k:]) == was:
			to += k
		case is != 0 && k > 0 && from+k+word <= len(base) && le.Uint64(base[from+k:]) == is:
			from += k
		default:
			continue
		}
		if from == to { // the same place: no move
			return 0
		}
		if to < at { // the bytes before at are as they were
			from, to = from+at-to, at
		}
		n := same(base[from:], image[to:])
		d.literal(at, to)
		d.parts.Move(to, n, from)
		d.shift = to - from
		return to + n
	}
	return 0
}

// notePlaces notes where each word of the base is, but for zeroes.
func (d *Differ) notePlaces() {
	d.search = true
	n := bits.Len(uint(len(d.base) / word))
	if d.less = 64 - n; len(d.places) != 1<<n {
		d.places = make([]uint16, 1<<n)
	}
	clear(d.places)
	for i := range len(d.base) / word {
		if v := binary.LittleEndian.Uint64(d.base[i*word:]); v != 0 {
			d.places[d.place(v)] = uint16(i + 1)
		}
	}
}

// place returns where places has a word of that content.
func (d *Differ) place(v uint64) uint64 { return v * 0x9e3779b97f4a7c15 >> d.less }

// find looks in the base for what the image has around q, not before at, where it has v. n is 0 if it is not there.
func (d *Differ) find(v uint64, at, q int) (from, to, n int) {
	i := d.places[d.place(v)]
	if i == 0 {
		return 0, 0, 0
	}
	from, to = (int(i)-1)*word, q
	n = same(d.base[from:], d.image[to:])
	for n > 0 && to > at && from > 0 && d.base[from-1] == d.image[to-1] {
		from, to, n = from-1, to-1, n+1
	}
	if n < moveLeast || from == to {
		return 0, 0, 0
	}
	return from, to, n
}

// same returns how many bytes a and b begin with that are the same.
func same(a, b []byte) int {
	const stride = 256 // as many at once as pay for the call
	n := min(len(a), len(b))
	a, b = a[:n], b[:n]
	at := 0
	for at+word <= n {
		if x := binary.LittleEndian.Uint64(a[at:]) ^ binary.LittleEndian.Uint64(b[at:]); x != 0 {
			return at + bits.TrailingZeros64(x)/8
		}
		at += word
		for at+stride <= n && bytes.Equal(a[at:at+stride], b[at:at+stride]) {
			at += stride
		}
	}
	for at < n && a[at] == b[at] {
		at++
	}
	return at
}

// zeroRun returns how many zeroes b begins with.
func zeroRun(b []byte) int {
	n := 0
	for n+word <= len(b) && binary.LittleEndian.Uint64(b[n:]) == 0 {
		n += word
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

// literal adds a part with the image's bytes from from to end.
func (d *Differ) literal(from, end int) { d.parts.Literal(from, d.image[from:end]) }
