package pawl

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// commits makes n small commits behind the first: key i of commit i, which readers of a prefix can count.
func commits(t testing.TB, db *DB, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		require.NoError(t, db.Update(func(tx *Tx) error {
			return tx.Root().Put(fmt.Appendf(nil, "%06d", i), bytes.Repeat([]byte{byte(i)}, 200))
		}))
	}
}

// countCommits returns how many commits of commits are there. Anything but a prefix of them fails the test.
func countCommits(t testing.TB, db *DB) int {
	t.Helper()
	n := 0
	require.NoError(t, db.View(func(tx *Tx) error {
		for k, v := range tx.Root().All() {
			require.Equal(t, fmt.Sprintf("%06d", n), string(k))
			require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(n)}, 200), v), "value of %s", k)
			n++
		}
		report, err := tx.Check(tx.Context())
		require.NoError(t, err)
		return report.Err()
	}))
	return n
}

// files are the bytes of a database; a nil log: there is none.
type files struct{ file, log []byte }

// readFiles reads the files at path.
func readFiles(t testing.TB, path string) files {
	t.Helper()
	var f files
	var err error
	f.file, err = os.ReadFile(path)
	require.NoError(t, err)
	if f.log, err = os.ReadFile(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return f
}

// write puts the files at path, where nothing else is then.
func (f files) write(t testing.TB, path string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, f.file, 0o600))
	if f.log != nil {
		require.NoError(t, os.WriteFile(path+"-wal", f.log, 0o600))
		return
	}
	if err := os.Remove(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
}

// livesOf returns the files of one database over its life: clean with 10 commits; in use with 20, of which a checkpoint has
// covered 15; in use with 30, of which it has covered 25; clean with 40.
func livesOf(t testing.TB) (lives [4]files) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := Open(path, nil)
	require.NoError(t, err)
	commits(t, db, 0, 10)
	require.NoError(t, db.Close())
	lives[0] = readFiles(t, path)
	db, err = Open(path, nil)
	require.NoError(t, err)
	for i := range 2 {
		commits(t, db, 10+10*i, 5)
		_, err = db.Checkpoint(t.Context(), Complete)
		require.NoError(t, err)
		commits(t, db, 15+10*i, 5)
		lives[1+i] = readFiles(t, path) // what a crash would leave: nothing is under way
	}
	commits(t, db, 30, 10)
	require.NoError(t, db.Close())
	lives[3] = readFiles(t, path)
	return lives
}

// openBoth opens the files read-only, then for writing, and returns how many commits each found, or its error. Each open
// begins with the files as they are given. A database that opens for writing takes a commit, closes, and has it.
func openBoth(t testing.TB, f files) (counts [2]int, errs [2]error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	for i, o := range []*Options{{ReadOnly: true}, {}} {
		f.write(t, path)
		db, err := Open(path, o)
		if errs[i] = err; err != nil {
			continue
		}
		counts[i] = countCommits(t, db)
		if i == 1 {
			commits(t, db, counts[i], 1)
		}
		require.NoError(t, db.Close())
		if i == 0 {
			require.Equal(t, f, readFiles(t, path), "a read-only open writes nothing")
			continue
		}
		db, err = Open(path, nil)
		require.NoError(t, err)
		require.Equal(t, counts[i]+1, countCommits(t, db))
		require.NoError(t, db.Close())
	}
	return counts, errs
}

// What is no database is said to be none, by both ways to open, and stays as it is.
func TestOpenForeignFiles(t *testing.T) {
	pad := func(head string, n int) []byte { return append([]byte(head), make([]byte, n-len(head))...) }
	bbolt := make([]byte, 65536) // a bbolt meta page: a page header of 16 bytes, then its magic
	copy(bbolt[16:], "\xed\xda\x0c\xed\x02\x00\x00\x00\x00\x10\x00\x00")
	for name, content := range map[string][]byte{
		"empty":             {},
		"one byte":          {'P'},
		"magic alone":       []byte("PAWLDB\x00\x01"),
		"text":              []byte("Dear diary, today was a bad day.\n"),
		"long text":         bytes.Repeat([]byte("Dear diary, today was a bad day.\n"), 1000),
		"PNG":               pad("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", 20000),
		"SQLite":            pad("SQLite format 3\x00\x10\x00\x01\x01", 16384),
		"bbolt":             bbolt,
		"zeroes":            make([]byte, 65536),
		"one byte too few":  make([]byte, 8191),
		"a log":             livesOf(t)[1].log,
		"JSON":              pad(`{"bucket":["users"],"key":"ada"}`, 8192),
		"magic of a letter": pad("pawldb\x00\x01", 8192),
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := openBoth(t, files{file: content})
			for _, err := range errs {
				require.ErrorIs(t, err, ErrNotDatabase)
				require.ErrorContains(t, err, "db", "it names the file")
			}
			path := filepath.Join(t.TempDir(), "db")
			files{file: content}.write(t, path)
			_, err := Open(path, &Options{MustExist: true})
			require.ErrorIs(t, err, ErrNotDatabase)
			require.True(t, bytes.Equal(content, readFiles(t, path).file))
			names, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			require.Len(t, names, 1)
		})
	}
}

// cuts returns the lengths to which to cut n bytes: at each block, and a byte before or behind it.
func cuts(n int) []int {
	var at []int
	for b := 0; b <= n; b += 4096 {
		for _, c := range []int{b, b + 1 - b/4096%2*2} {
			if c >= 0 && c < n {
				at = append(at, c)
			}
		}
	}
	return at
}

// A database file that was cut off is an error that says so, or whole: what was cut off was free.
func TestOpenCutFile(t *testing.T) {
	lives := livesOf(t)
	for life, want := range map[int]int{1: 20, 3: 40} {
		whole := 0
		for _, n := range cuts(len(lives[life].file)) {
			f := lives[life]
			f.file = f.file[:n]
			counts, errs := openBoth(t, f)
			for i, err := range errs {
				if err == nil {
					require.Equal(t, want, counts[i], "cut to %d bytes", n)
					whole++
					continue
				}
				if n < 8192 {
					require.ErrorIs(t, err, ErrNotDatabase, "cut to %d bytes", n)
				} else {
					require.ErrorIs(t, err, ErrCorrupt, "cut to %d bytes", n)
				}
			}
		}
		t.Logf("life %d: %d of %d cuts took nothing", life, whole/2, len(cuts(len(lives[life].file))))
	}
}

// A log that was cut off is an error, or what it has lost is its newest group alone.
func TestOpenCutLog(t *testing.T) {
	f := livesOf(t)[1]
	whole := f.log
	for _, n := range cuts(len(whole)) {
		f.log = whole[:n]
		counts, errs := openBoth(t, f)
		for i, err := range errs {
			if err == nil {
				require.GreaterOrEqual(t, counts[i], 19, "cut to %d bytes", n)
				continue
			}
			known := errors.Is(err, ErrCorrupt) || errors.Is(err, ErrLogMismatch) || errors.Is(err, ErrLogMissing)
			require.True(t, known, "cut to %d bytes: %v", n, err)
			require.ErrorContains(t, err, "db-wal")
		}
	}
}

// A database and a log that do not belong together are told apart, whichever is the older one, and nothing is lost by it:
// the right log put back opens.
func TestOpenWrongLog(t *testing.T) {
	lives, other := livesOf(t), livesOf(t)
	foreign := files{log: bytes.Repeat([]byte("no log at all "), 5000)}
	for _, c := range []struct {
		name      string
		file, log files
		want      error
		commits   int // if want is nil
	}{
		{"its own", lives[1], lives[1], nil, 20},
		{"clean without a log", lives[3], files{}, nil, 40},
		{"the log is missing", lives[1], files{}, ErrLogMissing, 0},
		{"of another database, needed", lives[1], other[1], ErrLogMismatch, 0},
		{"of another database, beside a clean one", lives[3], other[1], ErrLogMismatch, 0},
		{"no log at all, needed", lives[1], foreign, ErrCorrupt, 0},
		{"no log at all, beside a clean one", lives[3], foreign, nil, 40},
		{"empty, needed", lives[1], files{log: []byte{}}, ErrLogMismatch, 0},
		{"empty, beside a clean one", lives[3], files{log: []byte{}}, nil, 40},
		{"the older file, clean, beside a newer log", lives[0], lives[1], ErrLogMismatch, 0},
		{"the newer file, clean, beside an older log", lives[3], lives[2], nil, 40},
		{"the newer file beside the log of an older checkpoint", lives[2], lives[1], ErrCorrupt, 0},
		{"the older file beside the log of a newer checkpoint", lives[1], lives[2], ErrLogMismatch, 0},
		{"a log without a database", files{file: []byte{}}, lives[1], ErrNotDatabase, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			counts, errs := openBoth(t, files{file: c.file.file, log: c.log.log})
			for i, err := range errs {
				if c.want == nil {
					require.NoError(t, err)
					require.Equal(t, c.commits, counts[i])
					continue
				}
				require.ErrorIs(t, err, c.want)
				t.Log(err)
			}
		})
	}
}

// A log whose database is gone is not silently taken over by a new one.
func TestOpenLogWithoutDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	live := livesOf(t)[1]
	live.write(t, path)
	require.NoError(t, os.Remove(path))
	_, err := Open(path, &Options{ReadOnly: true})
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Open(path, nil)
	require.ErrorIs(t, err, ErrLogMismatch)
	log, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	require.True(t, bytes.Equal(live.log, log), "its commits are still there")
	live.write(t, path)
	db, err := Open(path, nil)
	require.NoError(t, err)
	require.Equal(t, 20, countCommits(t, db))
	require.NoError(t, db.Close())
}
