package world

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/testing/simulator/oracle"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// When both files are as they were before, only what was there then can be found: what came later is in neither. When it is one of
// them, either state can be.
func TestTimelines(t *testing.T) {
	commit := func(h *oracle.History, db *pawl.DB, key string) {
		tx, err := h.Begin(h.Last() + 1)
		require.NoError(t, err)
		require.NoError(t, tx.Put(nil, key, "v"))
		c, err := h.Offer(h.Last()+1, tx)
		require.NoError(t, err)
		require.NoError(t, h.Visible(c, true))
		require.NoError(t, db.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte(key), []byte("v")) }))
	}
	// found is what an open of a database with the newest state says that it has found at the least: more than there is if that must not be.
	found := func(file plan.TamperFile) (seq, least uint64) {
		p := &plan.Plan{Seed: 1, PageSize: 512, Eras: []plan.Era{{}, {}, {Tamper: &plan.Tamper{Kind: plan.TamperOlder, File: file}}}}
		w := newWorld(p, Options{})
		db, err := pawl.OpenMemory(nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		w.keepFiles()
		commit(w.hist, db, "a")
		w.keepFiles()
		commit(w.hist, db, "b")
		w.keepFiles()
		w.tamper(p.Eras[2].Tamper)
		require.NoError(t, db.View(func(tx *pawl.Tx) error {
			seq, least = tx.Seq(), w.timeline(tx)
			return nil
		}))
		return seq, least
	}
	seq, least := found(plan.TamperBoth)
	require.Less(t, seq, least, "the newest state is found in older files")
	for _, file := range []plan.TamperFile{plan.TamperDB, plan.TamperLog} {
		seq, least = found(file)
		require.GreaterOrEqual(t, seq, least, file)
	}
}
