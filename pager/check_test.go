package pager

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// checkedWorld returns a world with a few map nodes, checkpointed.
func checkedWorld(t *testing.T) *pagerWorld {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.strict = true
	require.NoError(t, w.open())
	for range 4 {
		require.NoError(t, w.update(false, 40, 0, 5))
	}
	require.NoError(t, w.checkpoint(CheckpointFull))
	require.NoError(t, w.fsck())
	return w
}

// Each fact that CheckMap compares, made wrong in memory: a checksum can't tell, only a bug or malice leads there.
func TestCheckMapTells(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(gen *generation)
		want  string
	}{
		{"count", func(gen *generation) { gen.globals.Pages++ }, "are in use"},
		{"next page", func(gen *generation) { gen.globals.NextPage = 3 }, "ids are below 3"},
		{"leaked block", func(gen *generation) {
			e := gen.used.edit()
			for b := gen.blocks - 1; ; b-- {
				if !gen.used.has(b) {
					e.set(types.Run{First: b, Count: 1})
					break
				}
			}
			gen.used = e.freeze()
		}, "by the map false, by the bitmaps true"},
		{"block marked free", func(gen *generation) {
			e := gen.used.edit()
			e.clear(types.Run{First: gen.root, Count: 1})
			gen.used = e.freeze()
		}, "by the map true, by the bitmaps false"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := checkedWorld(t)
			gen := *w.p.gen
			c.spoil(&gen)
			snap := *w.p.published.Load()
			snap.gen = &gen
			r := &Reader{p: w.p, snap: &snap}
			var m CheckMap
			m.Start(r)
			report, err := drivePager(w, &m)
			require.NoError(t, err)
			require.NotEmpty(t, report.Problems)
			require.ErrorIs(t, report.Problems[0], types.ErrCorrupt)
			require.Contains(t, report.Problems[0].Error(), c.want)
		})
	}
}

// A node that can't be read for damage is a problem, and the rest is looked at; any other failure is an error.
func TestCheckMapReads(t *testing.T) {
	w := checkedWorld(t)
	gen := w.p.gen
	require.Greater(t, gen.height, 1)
	child, _, _ := mapChild(w.p.cache.node(gen.root, gen.sum), 0)
	require.NoError(t, w.close())
	bytes, err := w.m.Bytes("db")
	require.NoError(t, err)
	require.NoError(t, w.open())
	damaged := append([]byte(nil), bytes...)
	damaged[int(child)*testPageSize+20] ^= 4
	w.m.SetBytes("db", damaged)
	var corrupt *types.CorruptError
	require.ErrorAs(t, w.fsck(), &corrupt)
	require.Equal(t, int64(child)*testPageSize, corrupt.Offset)

	w.m.SetBytes("db", bytes)
	broken := errors.New("broken")
	w.m.SetFault(func(op *io.Op) error {
		if op.Kind == io.KindRead {
			return broken
		}
		return nil
	})
	err = w.fsck()
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, types.ErrCorrupt)
}
