package oracle

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// commit makes a commit that sets one key.
func commit(t *testing.T, h *History, key string, durable bool) {
	tx, err := h.Begin(h.Last() + 1)
	require.NoError(t, err)
	require.NoError(t, tx.Put(nil, key, "v"))
	c, err := h.Offer(h.Last()+1, tx)
	require.NoError(t, err)
	require.NoError(t, h.Visible(c, durable))
}

// What a power cut and the death of the process may lose.
func TestWhatSurvives(t *testing.T) {
	h := NewHistory()
	commit(t, h, "a", true)
	commit(t, h, "b", false)
	require.Equal(t, []uint64{1, 2, 1}, []uint64{h.Safe(), h.Seen(), h.Alive()})
	h.Killed()
	require.EqualValues(t, 2, h.Alive(), "what was visible stays")
	h.PowerCut()
	require.EqualValues(t, 1, h.Alive(), "until the power fails")
	require.ErrorContains(t, h.Recovered(0, h.Alive(), true), "commit 1 was promised")
	require.ErrorContains(t, h.Recovered(3, h.Alive(), true), "commits 0 to 2 are known")
	require.NoError(t, h.Recovered(1, h.Alive(), true))
	require.EqualValues(t, 1, h.Last())
	require.NotNil(t, h.At(1).Get("a"))

	commit(t, h, "c", false)
	h.Killed()
	require.NoError(t, h.Recovered(2, h.Alive(), false)) // by an open that changes nothing
	require.EqualValues(t, 1, h.Safe())
	h.PowerCut()
	require.NoError(t, h.Recovered(1, h.Alive(), true))
}

// States share what they have in common, and an older one does not change.
func TestStates(t *testing.T) {
	h := NewHistory()
	tx, err := h.Begin(1)
	require.NoError(t, err)
	require.NoError(t, tx.CreateBucket([]string{"b"}))
	require.NoError(t, tx.Put([]string{"b"}, "k", "1"))
	_, err = h.Offer(1, tx)
	require.NoError(t, err)
	tx, err = h.Begin(2)
	require.NoError(t, err)
	tx.Savepoint()
	require.NoError(t, tx.Put([]string{"b"}, "k", "2"))
	before := h.At(1).Get("b").Bucket
	require.Equal(t, "1", before.Get("k").Value)
	require.Equal(t, "2", tx.Root().Get("b").Bucket.Get("k").Value)
	tx.Rollback()
	require.Same(t, before, tx.Root().Get("b").Bucket)
}
