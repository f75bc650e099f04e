package pager

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/wal"
)

// found returns page 1 as tx sees it.
func (w *pagerWorld) found(tx *Tx) Page {
	pg, ok := tx.Find(1)
	require.True(w.t, ok)
	return pg
}

// poke changes a byte of page 1 and records more than that: what the log has tells whether it took what was recorded.
func (w *pagerWorld) poke(tx *Tx, at int) {
	pg := w.found(tx)
	first := pg.Image != nil
	data := tx.Edit(pg)
	data[at] ^= 0xff
	if first {
		tx.Record(1, []Change{{At: at - 100, Len: 200}})
	}
}

// logged returns how many bytes the newest frame of page 1 has.
func (w *pagerWorld) logged() int {
	newest, ok := w.p.log.Newest(1)
	require.True(w.t, ok)
	e, ok := w.p.log.Lookup(1, newest, 0)
	require.True(w.t, ok)
	require.Equal(w.t, wal.KindDelta, e.Kind)
	return int(e.Length)
}

// A commit logs what was recorded of a transaction's only change of a page, and looks for what has changed by itself where there were
// more, whether a savepoint was between them or not.
func TestRecordedChanges(t *testing.T) {
	w := newPagerWorld(t, io.NewMemory(), bigCache)
	w.pageSize = 4096
	require.NoError(t, w.open())
	require.NoError(t, w.update(false, 1, 0, 0))
	const long, short = 200, 150
	for _, c := range []struct {
		name   string
		change func(tx *Tx)
		long   bool
	}{
		{"once", func(tx *Tx) { w.poke(tx, 3000) }, true},
		{"twice", func(tx *Tx) { w.poke(tx, 3000); w.poke(tx, 2500) }, false},
		{"twice, the second under a savepoint", func(tx *Tx) {
			w.poke(tx, 3000)
			tx.Savepoint()
			w.poke(tx, 2500)
			tx.Release(1)
		}, false},
		{"twice, the second is taken back", func(tx *Tx) {
			w.poke(tx, 3000)
			tx.Savepoint()
			w.poke(tx, 2500)
			tx.RollbackTo(1)
		}, true},
		{"once, behind one that was taken back", func(tx *Tx) {
			tx.Savepoint()
			w.poke(tx, 2500)
			tx.RollbackTo(1)
			w.poke(tx, 3000)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx, err := w.begin()
			require.NoError(t, err)
			c.change(tx)
			want := append([]byte(nil), w.found(tx).Data...)
			require.NoError(t, w.commit(tx, false))
			if c.long {
				require.Greater(t, w.logged(), long)
			} else {
				require.Less(t, w.logged(), short)
			}
			w.cold()
			var r Reader
			r.Start(w.p)
			defer r.Close()
			var g Get
			g.Start(&r, 1)
			pg, err := drivePager(w, &g)
			require.NoError(t, err)
			require.Equal(t, want, pg.Data)
		})
	}
	require.Zero(t, w.p.recorded.bytes, "memory is free for the next transaction")
}
