package pawl_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
)

// The event of a commit that changed nothing tells of the commit that it was based on: the next number is the next commit's.
func TestCommitEventOfNothing(t *testing.T) {
	var seqs []uint64
	db, err := pawl.OpenMemory(&pawl.Options{OnEvent: func(e pawl.Event) {
		if e.Kind == pawl.EventCommit {
			require.NoError(t, e.Err)
			seqs = append(seqs, e.Seq)
		}
	}})
	require.NoError(t, err)
	defer db.Close()
	for _, key := range []string{"a", "", "b"} {
		require.NoError(t, db.Update(func(tx *pawl.Tx) error {
			if key == "" {
				return tx.Root().Delete([]byte("absent"))
			}
			return tx.Root().Put([]byte(key), nil)
		}))
	}
	require.Equal(t, []uint64{1, 1, 2}, seqs)
}
