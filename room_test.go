package pawl

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// That the disk is full is not forgotten because one of the files has grown by a little since: the other may have no room, and a
// deletion on the full disk needs the checkpoint before it.
func TestFullIsRemembered(t *testing.T) {
	db := memory(t, nil)
	require.NoError(t, put(db, "a", make([]byte, 2*roomAgain)))
	db.foundFull(ErrFull)
	now := db.p.Room().Bytes
	require.Equal(t, now, db.full.Load())
	db.full.Store(now - 64<<10)
	db.needsRoom()
	require.NotZero(t, db.full.Load())
	db.full.Store(now - roomAgain)
	db.needsRoom()
	require.Zero(t, db.full.Load())
}
