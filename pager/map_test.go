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

func TestMapNodeBytes(t *testing.T) {
	leaf := newMapNode(512, 0, 3)
	setMapRun(leaf, 1, types.Run{First: 0x123456789a, Count: 0x0b0c0d}, 0x1112131415161718)
	want := "504d4e01" + "00000000" + "0300000000000000" + strings.Repeat("00", 16) + "9a785634120d0c0b" + "1817161514131211"
	if got := hex.EncodeToString(leaf[:48]); got != want {
		t.Errorf("leaf %s, want %s", got, want)
	}
	if run, sum := mapRun(leaf, 1); run != (types.Run{First: 0x123456789a, Count: 0x0b0c0d}) || sum != 0x1112131415161718 {
		t.Errorf("read back %+v, %x", run, sum)
	}
	above := newMapNode(512, 2, 0)
	setMapChild(above, 30, 77, mapFreeMany, 5)
	want = "504d4e01" + "02000000" + "0000000000000000"
	if got := hex.EncodeToString(above[:16]); got != want {
		t.Errorf("node %s, want %s", got, want)
	}
	if child, free, sum := mapChild(above, 30); child != 77 || free != mapFreeMany || sum != 5 {
		t.Errorf("read back %d, %d, %d", child, free, sum)
	}
	setMapChild(above, 30, 0, 0, 0)
	if !mapEmpty(above) || mapEmpty(leaf) {
		t.Error("empty nodes are not told from others")
	}
}

func TestMapGeometry(t *testing.T) {
	for _, tc := range []struct {
		pageSize int
		next     types.PageID
		height   int
	}{
		{512, 0, 0}, {512, 1, 0}, {512, 2, 1}, {512, 31, 1}, {512, 32, 2}, {512, 31 * 31, 2}, {512, 31*31 + 1, 3},
		{4096, 255, 1}, {4096, 256, 2}, {512, pageIDLimit, 10}, {4096, pageIDLimit, 7}, {65536, pageIDLimit, 5},
	} {
		if got := mapHeightFor(mapFanout(tc.pageSize), tc.next); got != tc.height {
			t.Errorf("page size %d, next id %d: height %d, want %d", tc.pageSize, tc.next, got, tc.height)
		}
	}
	for _, tc := range []struct {
		id    types.PageID
		level int
		index uint64
		entry int
	}{
		{0, 0, 0, 0}, {30, 0, 0, 30}, {31, 0, 1, 0}, {31, 1, 0, 1}, {1000, 0, 32, 8}, {1000, 1, 1, 1}, {1000, 2, 0, 1},
	} {
		if index, entry := mapStep(31, tc.id, tc.level); index != tc.index || entry != tc.entry {
			t.Errorf("page %d level %d: node %d entry %d, want %d, %d", tc.id, tc.level, index, entry, tc.index, tc.entry)
		}
	}
}

func TestMapFree(t *testing.T) {
	leaf := newMapNode(512, 0, 0)
	setMapRun(leaf, 5, types.Run{First: 50, Count: 1}, 1)
	last := newMapNode(512, 0, 2)
	parent := newMapNode(512, 1, 0)
	setMapChild(parent, 1, 60, 7, 1)
	many := newMapNode(512, 5, 0)
	setMapChild(many, 0, 60, mapFreeMany, 1)
	for name, tc := range map[string]struct {
		node  []byte
		level int
		index uint64
		next  types.PageID
		want  uint32
	}{
		"all ids but 0 and 5":     {leaf, 0, 0, 31, 29},
		"below the next id":       {leaf, 0, 0, 10, 8},
		"nothing below":           {leaf, 0, 0, 1, 0},
		"new database":            {leaf, 0, 0, 0, 0},
		"empty node":              {last, 0, 2, 1 << 40, 31},
		"partly beyond next":      {last, 0, 2, 65, 3},
		"wholly beyond next":      {last, 0, 2, 62, 0},
		"counts of children":      {parent, 1, 0, 62, 30 + 7},
		"and of absent children":  {parent, 1, 0, 70, 30 + 7 + 8},
		"more than can be said":   {many, 5, 0, 2, mapFreeMany},
		"saturates by absentees":  {newMapNode(512, 6, 0), 6, 0, pageIDLimit, mapFreeMany},
		"saturates exactly there": {newMapNode(512, 6, 0), 6, 0, mapFreeMany + 1, mapFreeMany},
		"one less does not":       {newMapNode(512, 6, 0), 6, 0, mapFreeMany, mapFreeMany - 1},
	} {
		if got := mapFree(tc.node, tc.level, tc.index, tc.next); got != tc.want {
			t.Errorf("%s: %d free, want %d", name, got, tc.want)
		}
	}
}

func TestDecodeMapNode(t *testing.T) {
	node := func(level int, index uint64, change func(b []byte)) []byte {
		b := newMapNode(512, level, index)
		change(b)
		return b
	}
	set := func(level, entry int, first types.Block, count uint32, sum uint64) []byte {
		return node(level, 1, func(b []byte) { setMapEntry(b, entry, types.Run{First: first, Count: count}.Pack(), sum) })
	}
	for name, tc := range map[string]struct {
		buf   []byte
		level int
		index uint64
		text  string // "": valid
	}{
		"empty":             {newMapNode(512, 0, 1), 0, 1, ""},
		"page":              {set(0, 0, 16, 1, 9), 0, 1, ""},
		"extent to the end": {set(0, 30, 90, 10, 9), 0, 1, ""},
		"child":             {set(1, 3, 99, 30, 9), 1, 1, ""},
		"child of many":     {set(6, 3, 99, mapFreeMany, 9), 6, 1, ""},
		"other level":       {newMapNode(512, 1, 1), 0, 1, "is node 1 of level 1"},
		"other index":       {newMapNode(512, 0, 2), 0, 1, "is node 2 of level 0"},
		"magic":             {node(0, 1, func(b []byte) { b[0] = 0 }), 0, 1, "no magic"},
		"zero":              {node(0, 1, func(b []byte) { b[6] = 1 }), 0, 1, "is node"},
		"in the meta":       {set(0, 0, 15, 1, 9), 0, 1, "entry 0: 1 blocks at 15"},
		"behind the end":    {set(0, 2, 100, 1, 9), 0, 1, "entry 2: 1 blocks at 100 in a file of 100"},
		"over the end":      {set(0, 2, 91, 10, 9), 0, 1, "10 blocks at 91"},
		"far away":          {set(0, 2, types.RunBlockMax, types.RunCountMax, 9), 0, 1, "blocks at"},
		"no length":         {set(0, 2, 50, 0, 9), 0, 1, "0 blocks"},
		"sum alone":         {set(0, 2, 0, 0, 9), 0, 1, "entry 2"},
		"child far":         {set(1, 2, 100, 0, 9), 1, 1, "entry 2: 1 blocks at 100"},
		"all ids free":      {set(1, 2, 50, 31, 9), 1, 1, "31 free ids of 31"},
		"too many free":     {set(1, 2, 50, mapFreeMany, 9), 1, 1, "free ids of 31"},
		"count, no child":   {set(1, 2, 0, 5, 0), 1, 1, "entry 2"},
		"page 0":            {node(0, 0, func(b []byte) { setMapRun(b, 0, types.Run{First: 50, Count: 1}, 9) }), 0, 0, "page id 0"},
	} {
		err := decodeMapNode(tc.buf, tc.level, tc.index, xxhash.Sum64(tc.buf), 100, "db", 512)
		if tc.text == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var damage *types.CorruptError
		if !errors.As(err, &damage) || !strings.Contains(damage.Detail, tc.text) || damage.File != "db" || damage.Offset != 512 {
			t.Errorf("%s: %v, want %q", name, err, tc.text)
		}
	}
	buf := newMapNode(512, 0, 1)
	if err := decodeMapNode(buf, 0, 1, xxhash.Sum64(buf)+1, 100, "db", 512); !errors.Is(err, types.ErrCorrupt) {
		t.Errorf("wrong checksum: %v", err)
	}
	if err := decodeMapNode(nil, 0, 1, xxhash.Sum64(nil), 100, "db", 512); !errors.Is(err, types.ErrCorrupt) {
		t.Errorf("no bytes: %v", err)
	}
}

func FuzzDecodeMapNode(f *testing.F) {
	leaf := newMapNode(512, 0, 1)
	setMapRun(leaf, 4, types.Run{First: 20, Count: 3}, 7)
	f.Add(leaf, 0, uint64(1), uint64(100))
	f.Add(newMapNode(512, 1, 0), 1, uint64(0), uint64(1)<<41)
	f.Fuzz(func(t *testing.T, buf []byte, level int, index, blocks uint64) {
		level, index = level&15, index&(uint64(pageIDLimit)-1)
		if len(buf) > mapIndexOff+8 {
			buf[mapLevelOff] = byte(level)
			binary.LittleEndian.PutUint64(buf[mapIndexOff:], index)
		}
		if decodeMapNode(buf, level, index, xxhash.Sum64(buf), types.Block(blocks), "db", 0) != nil {
			return
		}
		if free := mapFree(buf, level, index, pageIDLimit); free > mapFreeMany {
			t.Errorf("%d free", free)
		}
		for i := range int(mapFanout(len(buf))) {
			if run, _ := mapRun(buf, i); level == 0 && run.Count > 0 && uint64(run.End()) > blocks {
				t.Errorf("entry %d: run %+v in %d blocks", i, run, blocks)
			}
		}
	})
}
