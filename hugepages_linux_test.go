package pawl

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/hugepage"
)

// hugeBytes returns how much memory of the process lies on huge pages.
func hugeBytes(t *testing.T) (n int) {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		if _, err := fmt.Sscanf(string(line), "AnonHugePages: %d kB", &n); err == nil {
			return n << 10
		}
	}
	t.Fatal("no AnonHugePages")
	return 0
}

// Pages that were read lie on huge pages before long, unless the options say that they shall not.
func TestHugePages(t *testing.T) {
	if !hugepage.Available() {
		t.Skip("the kernel does not do this")
	}
	path := filepath.Join(t.TempDir(), "db")
	db, err := Open(path, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *Tx) error {
		for i := range 40_000 {
			if err := tx.Root().Put(fmt.Appendf(nil, "%06d", i), make([]byte, 800)); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, db.Close())
	read := func(o *Options) *DB {
		db, err := Open(path, o)
		require.NoError(t, err)
		require.NoError(t, db.View(func(tx *Tx) error {
			for range tx.Root().All() {
			}
			return tx.Err()
		}))
		return db
	}
	const most = 8 << 20

	before := hugeBytes(t)
	db = read(&Options{NoHugePages: true})
	time.Sleep(100 * time.Millisecond)
	require.Less(t, hugeBytes(t), before+most)
	require.NoError(t, db.Close())

	db = read(nil)
	require.Eventually(t, func() bool { return hugeBytes(t) > before+most }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, db.Close())
}
