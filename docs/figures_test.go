package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/btree"
)

// The figures that the manual states are those of the code.
func TestFiguresOfTheManual(t *testing.T) {
	content, err := os.ReadFile("manual.md")
	require.NoError(t, err)
	manual := func(says string) {
		t.Helper()
		require.True(t, strings.Contains(string(content), says), "docs/manual.md does not say %q", says)
	}
	for _, page := range []int{512, 4096, 8192, 16384, 65536} {
		row := fmt.Sprintf("| %d | %d | %d |\n", page, pawl.MaxKeySize(page), btree.MaxInline(page, 16))
		manual(row)
	}
	require.Equal(t, int64(100<<30), int64(pawl.MaxValueSize))
	manual("The longest value is 100 GiB")

	path := filepath.Join(t.TempDir(), "new.pawl")
	db, err := pawl.Open(path, nil)
	require.NoError(t, err)
	defer db.Close()
	size := func(name string) int64 {
		fi, err := os.Stat(name)
		require.NoError(t, err)
		return fi.Size()
	}
	manual(fmt.Sprintf("A new database takes %d KiB", size(path)>>10))
	require.NoError(t, put(db, "k", "v"))
	require.LessOrEqual(t, size(path)+size(path+"-wal"), int64(1<<20))
	manual(fmt.Sprintf("behind a first piece of %d KiB", size(path+"-wal")>>10))
	before := db.Stats().LogWrites
	require.NoError(t, put(db, "k", "w"))
	manual(fmt.Sprintf("rounded up to\n%d bytes", db.Stats().LogWrites-before))
}

// The manual speaks of every error that has a name.
func TestErrorsOfTheManual(t *testing.T) {
	content, err := os.ReadFile("../errors.go")
	require.NoError(t, err)
	manual, err := os.ReadFile("manual.md")
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(content)) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "Err") {
			n++
			require.True(t, strings.Contains(string(manual), "`"+name+"`"), "docs/manual.md does not speak of %s", name)
		}
	}
	require.Greater(t, n, 25)
}
