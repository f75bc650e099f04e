package pager

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/types"
)

func TestPageBytes(t *testing.T) {
	page := make([]byte, 512)
	initPage(page, PageKindNode, 0x0102, 0x0304)
	SetGap(page, 40, 500)
	want := "0100000028000000f401000000000000" + "02010000000000000403000000000000"
	if got := hex.EncodeToString(page[:32]); got != want || !allZero(page[32:]) {
		t.Errorf("page %s, want %s", got, want)
	}
	if start, end := pageGap(page); start != 40 || end != 500 || pageID(page) != 0x102 || pageVersion(page) != 0x304 {
		t.Errorf("read back gap %d, %d, id %d, version %d", start, end, pageID(page), pageVersion(page))
	}
	extent := make([]byte, 1536)
	initPage(extent, PageKindExtent, 7, 9)
	want = "02000000000000000000000000000000" + "07000000000000000900000000000000"
	if got := hex.EncodeToString(extent[:32]); got != want || pageKind(extent) != PageKindExtent {
		t.Errorf("extent %s, want %s", got, want)
	}
}

func TestVerifyPage(t *testing.T) {
	node := func(change func(b []byte)) []byte {
		b := make([]byte, 512)
		initPage(b, PageKindNode, 5, 10)
		SetGap(b, 64, 256)
		b[63], b[256] = 1, 2
		if change != nil {
			change(b)
		}
		return b
	}
	extent := func(change func(b []byte)) []byte {
		b := make([]byte, 1024)
		initPage(b, PageKindExtent, 5, 10)
		if change != nil {
			change(b)
		}
		return b
	}
	put := binary.LittleEndian.PutUint32
	for name, tc := range map[string]struct {
		buf   []byte
		count uint32
		text  string // "": valid
	}{
		"page":            {node(nil), 1, ""},
		"extent":          {extent(nil), 2, ""},
		"extent of one":   {extent(nil)[:512], 1, ""},
		"full page":       {node(func(b []byte) { put(b[4:], 256) }), 1, ""},
		"page in a run":   {node(nil), 2, "run of 2"},
		"kind":            {node(func(b []byte) { b[0] = 3 }), 1, "kind 3"},
		"zero byte":       {node(func(b []byte) { b[1] = 1 }), 1, "kind 1, 1"},
		"id":              {node(func(b []byte) { b[16] = 6 }), 1, "is page 6"},
		"version":         {node(func(b []byte) { b[24] = 11 }), 1, "version 11, newer than 10"},
		"gap in header":   {node(func(b []byte) { put(b[4:], 31) }), 1, "gap [31, 256)"},
		"gap reversed":    {node(func(b []byte) { put(b[4:], 257) }), 1, "gap [257, 256)"},
		"gap past end":    {node(func(b []byte) { put(b[8:], 513) }), 1, "gap [64, 513)"},
		"gap huge":        {node(func(b []byte) { put(b[8:], 1<<32-1) }), 1, "free gap"},
		"gap not zero":    {node(func(b []byte) { b[255] = 1 }), 1, "not zero"},
		"extent with gap": {extent(func(b []byte) { b[8] = 40 }), 2, "gap [0, 40) in an extent"},
		"empty":           {nil, 1, "page of 0 bytes"},
	} {
		err := verifyPage(tc.buf, types.Run{First: 8, Count: tc.count}, 5, 10, xxhash.Sum64(tc.buf), "db", 4096)
		if tc.text == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var damage *types.CorruptError
		if !errors.As(err, &damage) || !strings.Contains(damage.Detail, tc.text) ||
			damage.File != "db" || damage.Page != 5 || damage.Offset != 4096 {
			t.Errorf("%s: %v, want %q", name, err, tc.text)
		}
	}
	buf := node(nil)
	sum := xxhash.Sum64(buf)
	buf[300] ^= 4
	if err := verifyPage(buf, types.Run{First: 8, Count: 1}, 5, 10, sum, "db", 0); !errors.Is(err, types.ErrCorrupt) {
		t.Errorf("flipped bit: %v", err)
	}
}

func TestAllZero(t *testing.T) {
	for size := range 40 {
		buf := make([]byte, size)
		if !allZero(buf) {
			t.Errorf("%d zeroes are not all zero", size)
		}
		for i := range buf {
			buf[i] = 0x80
			if allZero(buf) {
				t.Errorf("byte %d of %d was not seen", i, size)
			}
			buf[i] = 0
		}
	}
}

func FuzzVerifyPage(f *testing.F) {
	b := make([]byte, 512)
	initPage(b, PageKindNode, 5, 10)
	f.Add(b, uint32(1))
	e := make([]byte, 1024)
	initPage(e, PageKindExtent, 5, 10)
	f.Add(e, uint32(2))
	f.Fuzz(func(t *testing.T, buf []byte, count uint32) {
		err := verifyPage(buf, types.Run{First: 8, Count: count}, 5, 10, xxhash.Sum64(buf), "db", 0)
		if err != nil && !errors.Is(err, types.ErrCorrupt) {
			t.Errorf("damage reported as %v", err)
		}
		if err == nil && (pageID(buf) != 5 || pageVersion(buf) > 10) {
			t.Errorf("accepted page %d version %d", pageID(buf), pageVersion(buf))
		}
	})
}
