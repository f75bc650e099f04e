package pager

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/pawldb/pawl/types"
)

func TestGlobalsBytes(t *testing.T) {
	g := Globals{Root: 2, Sequence: 0x0102030405060708, NextPage: 0x10, Pages: 7}
	buf := g.encode([]byte{0xaa})
	want := "aa" + "0200000000000000" + "0807060504030201" + "1000000000000000" + "0700000000000000"
	if got := hex.EncodeToString(buf); got != want {
		t.Errorf("encoded %s, want %s", got, want)
	}
	if got, err := decodeGlobals(buf[1:], "wal", 5); err != nil || got != g {
		t.Errorf("decoded %+v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, buf, buf[1:32]} {
		if _, err := decodeGlobals(bad, "wal", 5); !errors.Is(err, types.ErrCorrupt) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	if got, err := decodeGlobals(make([]byte, globalsSize), "wal", 0); err != nil || got != (Globals{}) {
		t.Errorf("new database: %+v, %v", got, err)
	}
}

func FuzzDecodeGlobals(f *testing.F) {
	g := Globals{Root: 2, NextPage: 16, Pages: 7}
	f.Add(g.encode(nil))
	f.Add(make([]byte, globalsSize))
	f.Fuzz(func(t *testing.T, buf []byte) {
		g, err := decodeGlobals(buf, "wal", 0)
		if err == nil && string(g.encode(nil)) != string(buf) {
			t.Errorf("decoded to %+v, which encodes differently", g)
		}
	})
}
