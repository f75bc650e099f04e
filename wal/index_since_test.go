package wal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/types"
)

// TestChangedSince looks for what snapshots find in the log, in one layer and over several, before and after a split.
func TestChangedSince(t *testing.T) {
	l := &Log{}
	l.index.layers = []*layer{newLayer(3)}
	add := func(page types.PageID, version types.Seq, kind Kind) {
		l.index.top().add(indexEntry{page: page, version: version, kind: kind})
	}
	add(7, 10, KindFull)
	add(5, 10, KindFull)
	add(7, 11, KindFreed)
	add(9, 12, KindReference)
	add(7, 12, KindFull)
	type found struct {
		Page    types.PageID
		Version types.Seq
		Kind    Kind
	}
	look := func(from types.Generation, s types.Seq) (list []found) {
		for _, e := range l.ChangedSince(from, s) {
			list = append(list, found{e.Page, e.Version, e.Kind})
		}
		return list
	}
	check := func() {
		t.Helper()
		require.Empty(t, look(3, 9))
		require.Equal(t, []found{{5, 10, KindFull}, {7, 10, KindFull}}, look(3, 10))
		require.Equal(t, []found{{5, 10, KindFull}, {7, 11, KindFreed}}, look(3, 11))
		require.Equal(t, []found{{5, 10, KindFull}, {7, 12, KindFull}, {9, 12, KindReference}}, look(3, 12))
	}
	check()
	l.Split(11, 4)
	check()
	require.Equal(t, []found{{7, 12, KindFull}, {9, 12, KindReference}}, look(4, 12))
	add(5, 13, KindFreed)
	check()
	require.Equal(t, []found{{5, 13, KindFreed}, {7, 12, KindFull}, {9, 12, KindReference}}, look(3, 13))
	l.Unsplit(4)
	check()
}
