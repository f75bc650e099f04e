package wal

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/types"
)

// FuzzHeaders decodes headers with right checksums and otherwise any bytes: what is accepted is what encoding it gives.
func FuzzHeaders(f *testing.F) {
	g := geometry{first: 8192, size: 12288}
	for _, place := range []uint32{0, 1} {
		var block [LogBlockSize]byte
		h := segmentHeader{firstSize: 8192, size: 12288, database: testDatabase, epoch: 3, serial: 9, place: place, metaWrite: 4}
		h.previous, h.carry = link{3, 8, 8192, 77}, 96
		h.encode(block[:])
		f.Add(block[:segHeaderSize])
	}
	var group [segHeaderSize]byte
	h := groupHeader{commits: 1, epoch: 3, serial: 9, offset: 4096, length: 4096, first: 8, durable: 7, metaWrite: 4, previous: 5, places: 2}
	h.encode(group[:])
	f.Add(group[:])
	f.Fuzz(func(t *testing.T, input []byte) {
		var block [LogBlockSize]byte
		copy(block[:segHeaderSize], input)
		le := binary.LittleEndian

		le.PutUint64(block[segChecksumOff:], xxhash.Sum64(block[:segChecksumOff]))
		if h, ok, err := decodeSegmentHeader(block[:], le.Uint32(block[segPlaceOff:]), g); ok {
			require.NoError(t, err)
			require.GreaterOrEqual(t, h.carry, int64(0))
			var again [LogBlockSize]byte
			h.encode(again[:])
			require.Equal(t, block[:segHeaderSize], again[:segHeaderSize])
		}

		sealGroup(block[:], le.Uint64(block[groupChainOff:]), testDatabase)
		if h, ok, err := decodeGroupHeader(block[:], testDatabase); ok {
			require.NoError(t, err)
			var again [groupHeaderSize]byte
			h.encode(again[:])
			sealGroup(again[:], h.chain, testDatabase)
			require.Equal(t, block[:groupHeaderSize], again[:])
			_, foreign, _ := decodeGroupHeader(block[:], [16]byte{9})
			require.False(t, foreign)
		}

		if h, ok := decodeFrameHeader(block[:]); ok {
			var again [frameHeaderSize]byte
			h.encode(again[:])
			le.PutUint64(again[frameChecksumOff:], h.sum)
			require.Equal(t, block[:frameHeaderSize], again[:])
			require.GreaterOrEqual(t, h.size(), int64(frameHeaderSize)+int64(h.length))
		}
	})
}

// FuzzGroup parses groups whose checksums are right and whose frames say anything, in pieces of any size. What counts in
// the end is in bounds.
func FuzzGroup(f *testing.F) {
	body := make([]byte, 0, 4096)
	add := func(kind Kind, page types.PageID, payload []byte) {
		h := frameHeader{kind: kind, page: page, version: 7, length: uint32(len(payload))}
		at := len(body)
		body = append(body, make([]byte, h.size())...)
		h.encode(body[at:])
		copy(body[at+frameHeaderSize:], payload)
	}
	image := append([]byte{16, 0, 0, 0, 200, 1, 0, 0}, make([]byte, 16+testPage-456)...)
	add(KindFull, 3, image)
	delta := binary.LittleEndian.AppendUint64(nil, 3)
	delta = append(delta, make([]byte, 16)...)
	delta = append(delta, 10, 2<<2, 1, 2, 5, 8<<2|1, 250, 1, 0, 6<<2|2, 7, 1<<2, 9)
	add(KindDelta, 5, delta)
	reference := make([]byte, referenceEntrySize)
	reference[0], reference[8], reference[13] = 4, 20, 1
	add(KindReference, 0, reference)
	freed := make([]byte, freedEntrySize)
	freed[0], freed[8] = 9, 2
	add(KindFreed, 0, freed)
	add(kindCommit, 0, []byte("record"))
	f.Add(uint16(0), uint8(1), body)
	f.Add(uint16(200), uint8(1), body)
	f.Add(uint16(64), uint8(2), append(body, body...))
	f.Fuzz(func(t *testing.T, cut uint16, commits uint8, input []byte) {
		const first, freedMax = types.Seq(7), 1000
		pos := Position{Epoch: 2, Serial: 5, Offset: LogBlockSize}
		group := append(make([]byte, groupHeaderSize), input...)
		fixFrames(group, pos)
		p := groupParser{pageSize: testPage, freedMax: freedMax}
		h := groupHeader{commits: max(1, uint32(commits)), length: int64(len(group)), first: first, offset: pos.Offset}
		h.encode(group)
		p.start(h)
		end := len(group)
		if int(cut) > groupHeaderSize && int(cut) < end && cut%8 == 0 {
			end = int(cut)
		}
		p.piece(pos, 1, group[:end])
		if end < len(group) {
			p.piece(Position{2, 6, 5 * LogBlockSize}, 2, group[end:])
		}
		require.Zero(t, p.left)
		require.Equal(t, xxhash.Sum64(slices.Concat(group[:groupChainOff], group[groupPlacesOff:groupChecksumOff], group[groupHeaderSize:])), p.sum)
		if problem, _ := p.parsed(); problem != "" {
			return
		}
		require.Equal(t, first+types.Seq(h.commits), p.next)
		last := first
		for _, e := range p.entries {
			require.NotZero(t, e.page)
			require.GreaterOrEqual(t, e.version, last)
			require.Less(t, e.version, p.next)
			last = e.version
			if e.kind.Image() {
				require.LessOrEqual(t, int(e.length), len(group))
				require.GreaterOrEqual(t, int64(e.c), pos.Offset)
			}
		}
		require.LessOrEqual(t, len(p.entries), len(group)/8+freedMax)
		for _, s := range p.spans {
			require.LessOrEqual(t, s.min, s.max)
			require.Less(t, s.max, p.next)
		}
	})
}

// fixFrames makes the checksums and versions of a group's frames right, as far as they lie one behind the other.
func fixFrames(group []byte, pos Position) {
	le := binary.LittleEndian
	version := uint64(7)
	for at := groupHeaderSize; at+frameHeaderSize <= len(group); {
		b := group[at:]
		length := int64(le.Uint32(b[frameLengthOff:]))
		size := alignUp(frameHeaderSize+length, frameAlign)
		if size > int64(len(b)) {
			return
		}
		le.PutUint64(b[frameVersionOff:], version)
		if Kind(b[frameKindOff]) == kindCommit {
			version++
		}
		clear(b[frameHeaderSize+length : size])
		var d xxhash.Digest
		where := Position{pos.Epoch, pos.Serial, pos.Offset + int64(at)}
		le.PutUint64(b[frameChecksumOff:], frameSum(&d, where, b, b[frameHeaderSize:frameHeaderSize+length]))
		at += int(size)
	}
}
