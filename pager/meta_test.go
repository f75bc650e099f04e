package pager

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

func metaForTest(write uint64) metaBlock {
	m := metaBlock{
		PageSize: 4096, Write: write, Generation: 3, Covered: 77, Blocks: 1000,
		MapRoot: 12, MapSum: 0x1122334455667788, MapHeight: 2,
		BitmapRoot: 500<<1 | 1, BitmapSum: 0x99aabbccddeeff00,
		Globals: Globals{Root: 1, Sequence: 9, NextPage: 400, Pages: 300},
		Log: wal.Start{Epoch: 0xe1, Serial: 5, Place: 2, Offset: 1 << 20, Chain: 0xc4a1,
			FirstSegment: 64 << 10, Segment: 512 << 10, Places: 3},
	}
	for i := range m.Database {
		m.Database[i] = byte(0xd0 + i)
	}
	return m
}

// reseal gives changed bytes a right checksum.
func reseal(buf []byte) []byte {
	binary.LittleEndian.PutUint64(buf[metaChecksumOff:], xxhash.Sum64(buf[:metaChecksumOff]))
	return buf
}

func TestMetaBytes(t *testing.T) {
	m := metaForTest(8)
	buf := m.encode()
	want := strings.Join([]string{
		"5041574c44420001" + "00100000" + "02000000",
		"d0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
		"0800000000000000" + "0300000000000000",
		"4d00000000000000" + "e803000000000000",
		"0c00000000010000" + "8877665544332211",
		"02000000" + "00000000" + "e903000000000000",
		"00ffeeddccbbaa99",
		"0100000000000000" + "0900000000000000" + "9001000000000000" + "2c01000000000000",
		"e100000000000000" + "0500000000000000" + "0000100000000000" + "a1c4000000000000",
		"02000000" + "00000100" + "00000800" + "03000000",
	}, "")
	if got := hex.EncodeToString(buf[:metaZeroOff]); got != want {
		t.Errorf("encoded\n%s\nwant\n%s", got, want)
	}
	if len(buf) != metaSlotSize || !allZero(buf[metaZeroOff:metaChecksumOff]) || !allZero(buf[metaSize:]) {
		t.Errorf("%d bytes, or not zero where it should be", len(buf))
	}
	if got, err := decodeMeta(buf, "db", 0); err != nil || got != m {
		t.Errorf("decoded %+v, %v", got, err)
	}
	clean := metaForTest(9)
	clean.Clean, clean.Log = true, wal.Start{}
	if got, err := decodeMeta(clean.encode(), "db", 1); err != nil || got != clean {
		t.Errorf("clean: decoded %+v, %v", got, err)
	}
}

func TestMetaRefuses(t *testing.T) {
	le := binary.LittleEndian
	for name, tc := range map[string]struct {
		change func(b []byte)
		want   error
		text   string
	}{
		"no magic":       {func(b []byte) { b[0] = 'Q' }, types.ErrNotDatabase, "no magic"},
		"version":        {func(b []byte) { b[7] = 9 }, types.ErrVersion, "version 9"},
		"page size":      {func(b []byte) { le.PutUint32(b[metaPageSizeOff:], 3000) }, types.ErrCorrupt, "page size 3000"},
		"page size huge": {func(b []byte) { le.PutUint32(b[metaPageSizeOff:], 1<<31) }, types.ErrCorrupt, "page size"},
		"page size 0":    {func(b []byte) { le.PutUint32(b[metaPageSizeOff:], 0) }, types.ErrCorrupt, "page size 0"},
		"state":          {func(b []byte) { b[metaStateOff] = 3 }, types.ErrCorrupt, "state 3"},
		"clean with log": {func(b []byte) { b[metaStateOff] = 1 }, types.ErrCorrupt, "clean, but"},
		"no log":         {func(b []byte) { clear(b[metaLogEpochOff:metaZeroOff]) }, types.ErrCorrupt, "needs its log"},
		"log offset":     {func(b []byte) { b[metaLogOffsetOff+7] = 0x80 }, types.ErrCorrupt, "log starts"},
		"write 0":        {func(b []byte) { b[metaWriteOff] = 0 }, types.ErrCorrupt, "write number 0"},
		"slot":           {func(b []byte) { b[metaWriteOff] = 7 }, types.ErrCorrupt, "in slot 0"},
		"generation":     {func(b []byte) { b[metaGenerationOff] = 0 }, types.ErrCorrupt, "generation 0"},
		"no blocks":      {func(b []byte) { le.PutUint64(b[metaBlocksOff:], 1) }, types.ErrCorrupt, "length"},
		"blocks":         {func(b []byte) { le.PutUint64(b[metaBlocksOff:], 1<<41) }, types.ErrCorrupt, "length"},
		"map root":       {func(b []byte) { b[metaMapRootOff] = 1 }, types.ErrCorrupt, "map root at block 1"},
		"map root far":   {func(b []byte) { b[metaMapRootOff+2] = 1 }, types.ErrCorrupt, "map root at"},
		"map root run":   {func(b []byte) { b[metaMapRootOff+5] = 2 }, types.ErrCorrupt, "run of 2"},
		"map root count": {func(b []byte) { b[metaMapRootOff+5] = 0 }, types.ErrCorrupt, "run of 0"},
		"map root none":  {func(b []byte) { le.PutUint64(b[metaMapRootOff:], 0) }, types.ErrCorrupt, "no map root"},
		"map height 0":   {func(b []byte) { b[metaMapHeightOff] = 0 }, types.ErrCorrupt, "map height 0"},
		"map height":     {func(b []byte) { b[metaMapHeightOff] = 20 }, types.ErrCorrupt, "map height 20"},
		"map height -1":  {func(b []byte) { le.PutUint32(b[metaMapHeightOff:], 1<<32-1) }, types.ErrCorrupt, "map height"},
		"map too low":    {func(b []byte) { b[metaMapHeightOff] = 1 }, types.ErrCorrupt, "300 pages"},
		"bitmap height":  {func(b []byte) { b[metaBitmapHeightOff] = 5 }, types.ErrCorrupt, "bitmap height"},
		"free blocks":    {func(b []byte) { le.PutUint64(b[metaBitmapRootOff:], 2000) }, types.ErrCorrupt, "free blocks"},
		"root page":      {func(b []byte) { le.PutUint64(b[metaGlobalsOff:], 400) }, types.ErrCorrupt, "root page id"},
		"pages":          {func(b []byte) { le.PutUint64(b[metaGlobalsOff+24:], 401) }, types.ErrCorrupt, "more pages"},
		"next page":      {func(b []byte) { b[metaGlobalsOff+23] = 1 }, types.ErrCorrupt, "out of range"},
		"zeroes":         {func(b []byte) { b[metaZeroOff+100] = 1 }, types.ErrCorrupt, "not zero"},
		"zeroes behind":  {func(b []byte) { b[4095] = 1 }, types.ErrCorrupt, "not zero"},
		"root, no pages": {func(b []byte) { le.PutUint64(b[metaGlobalsOff+24:], 0) }, types.ErrCorrupt, "no pages in use"},
	} {
		m := metaForTest(8)
		buf := m.encode()
		tc.change(buf)
		_, err := decodeMeta(reseal(buf), "db", 0)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), "db") {
			t.Errorf("%s: %v, want %v with %q", name, err, tc.want, tc.text)
		}
	}
	m := metaForTest(8)
	buf := m.encode()
	buf[metaCoveredOff]++
	if _, err := decodeMeta(buf, "db", 0); !errors.Is(err, types.ErrCorrupt) {
		t.Errorf("flipped bit: %v", err)
	}
	if _, err := decodeMeta(buf[:600], "db", 0); !errors.Is(err, types.ErrCorrupt) {
		t.Errorf("short: %v", err)
	}
}

func TestChooseMeta(t *testing.T) {
	meta := func(write uint64, change func(b []byte)) []byte {
		m := metaForTest(write)
		buf := m.encode()
		if change != nil {
			change(buf)
		}
		return buf
	}
	torn := func(b []byte) { b[metaCoveredOff]++ }
	newer := func(b []byte) { b[7] = 2; reseal(b) }
	other := func(b []byte) { b[metaDatabaseOff]++; reseal(b) }
	for name, tc := range map[string]struct {
		a, b []byte
		slot int
		want error
	}{
		"second newer":       {meta(8, nil), meta(9, nil), 1, nil},
		"first newer":        {meta(10, nil), meta(9, nil), 0, nil},
		"newer one torn":     {meta(10, torn), meta(9, nil), 1, nil},
		"older one torn":     {meta(10, nil), meta(9, torn), 0, nil},
		"only the second":    {make([]byte, 4096), meta(1, nil), 1, nil},
		"second cut off":     {meta(2, nil), nil, 0, nil},
		"both torn":          {meta(10, torn), meta(9, torn), 0, types.ErrCorrupt},
		"torn and nothing":   {make([]byte, 4096), meta(9, torn), 0, types.ErrCorrupt},
		"torn and cut off":   {meta(8, torn), nil, 0, types.ErrCorrupt},
		"empty file":         {nil, nil, 0, types.ErrNotDatabase},
		"text":               {[]byte("hello"), nil, 0, types.ErrNotDatabase},
		"zeroes":             {make([]byte, 4096), make([]byte, 4096), 0, types.ErrNotDatabase},
		"one went ahead":     {meta(10, nil), meta(9, newer), 0, types.ErrVersion},
		"both went ahead":    {meta(10, newer), meta(9, newer), 0, types.ErrVersion},
		"ahead, torn":        {meta(10, func(b []byte) { newer(b); torn(b) }), meta(9, nil), 1, nil},
		"another database's": {meta(10, nil), meta(9, other), 0, types.ErrCorrupt},
	} {
		m, slot, err := chooseMeta(tc.a, tc.b, "db")
		if !errors.Is(err, tc.want) || err == nil && (slot != tc.slot || m.slot() != slot) {
			t.Errorf("%s: slot %d, %v, want %d, %v", name, slot, err, tc.slot, tc.want)
		}
	}
}

func TestMetaEncodeChecks(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a meta block with a log start was encoded as clean")
		}
	}()
	m := metaForTest(8)
	m.Clean = true
	m.encode()
}

func FuzzDecodeMeta(f *testing.F) {
	m := metaForTest(8)
	f.Add(m.encode(), false)
	f.Add([]byte("PAWLDB\x00\x01"), true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, buf []byte, seal bool) {
		if seal && len(buf) >= metaSize {
			reseal(buf)
		}
		for slot := range 2 {
			m, err := decodeMeta(buf, "db", slot)
			if err == nil && string(m.encode()) != string(buf) {
				t.Errorf("decoded to %+v, which encodes differently", m)
			}
		}
		if _, _, err := chooseMeta(buf, buf, "db"); err == nil && len(buf) != metaSlotSize {
			t.Errorf("accepted %d bytes", len(buf))
		}
	})
}
