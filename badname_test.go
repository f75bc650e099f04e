//go:build unix

package pawl

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// Links lead to the file: it is made, opened and locked where they end, and its log is beside it there.
func TestOpenLinks(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, dir string) string // in dir/a; returns the path to open
	}{
		{"to the file", func(t *testing.T, dir string) string {
			require.NoError(t, os.Symlink(filepath.Join(dir, "b", "real"), filepath.Join(dir, "a", "link")))
			return filepath.Join(dir, "a", "link")
		}},
		{"relative", func(t *testing.T, dir string) string {
			require.NoError(t, os.Symlink("../b/real", filepath.Join(dir, "a", "link")))
			return filepath.Join(dir, "a", "link")
		}},
		{"to a link", func(t *testing.T, dir string) string {
			require.NoError(t, os.Symlink("second", filepath.Join(dir, "a", "link")))
			require.NoError(t, os.Symlink("../b/real", filepath.Join(dir, "a", "second")))
			return filepath.Join(dir, "a", "link")
		}},
		{"to the directory", func(t *testing.T, dir string) string {
			require.NoError(t, os.Symlink("../b", filepath.Join(dir, "a", "link")))
			return filepath.Join(dir, "a", "link", "real")
		}},
	} {
		for _, there := range []bool{false, true} {
			name := c.name + ", missing"
			if there {
				name = c.name + ", there"
			}
			t.Run(name, func(t *testing.T) {
				dir, err := filepath.EvalSymlinks(t.TempDir())
				require.NoError(t, err)
				for _, sub := range []string{"a", "b"} {
					require.NoError(t, os.Mkdir(filepath.Join(dir, sub), 0o700))
				}
				real := filepath.Join(dir, "b", "real")
				before := 0
				if there {
					db, err := Open(real, nil)
					require.NoError(t, err)
					commits(t, db, 0, 1)
					require.NoError(t, db.Close())
					before = 1
				}
				path := c.make(t, dir)
				links, err := os.ReadDir(filepath.Join(dir, "a"))
				require.NoError(t, err)
				db, err := Open(path, nil)
				require.NoError(t, err)
				require.Equal(t, real, db.Path())
				commits(t, db, before, 2)
				_, err = os.Stat(real + "-wal")
				require.NoError(t, err, "the log is beside the file")
				_, err = Open(real, &Options{LockTimeout: -1})
				require.ErrorIs(t, err, ErrLocked)
				require.NoError(t, db.Close())
				left, err := os.ReadDir(filepath.Join(dir, "a"))
				require.NoError(t, err)
				require.Len(t, left, len(links), "nothing but the links is here")
				db, err = Open(real, &Options{MustExist: true})
				require.NoError(t, err)
				require.Equal(t, before+2, countCommits(t, db))
				require.NoError(t, db.Close())
			})
		}
	}
}

// Names that lead to no file, or to something else.
func TestOpenBadNames(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Symlink("loop", at("loop")))
	require.NoError(t, os.Symlink("pong", at("ping")))
	require.NoError(t, os.Symlink("ping", at("pong")))
	require.NoError(t, os.Symlink("nowhere/at/all", at("dangling")))
	require.NoError(t, os.Mkdir(at("directory"), 0o700))
	require.NoError(t, os.Symlink("directory", at("to directory")))
	require.NoError(t, os.WriteFile(at("file"), []byte("text"), 0o600))
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o600))
	anyError := errors.New("any")
	for _, c := range []struct {
		path     string
		want     error
		readOnly error
	}{
		{"", ErrOptions, ErrOptions},
		{at("loop"), anyError, anyError},
		{at("ping"), anyError, anyError},
		{at("dangling"), fs.ErrNotExist, fs.ErrNotExist}, // its directory is missing too
		{at("missing/db"), fs.ErrNotExist, fs.ErrNotExist},
		{at("directory"), ErrNotDatabase, ErrNotDatabase},
		{at("to directory"), ErrNotDatabase, ErrNotDatabase},
		{at("directory") + "/", ErrNotDatabase, ErrNotDatabase},
		{at("pipe"), ErrNotDatabase, ErrNotDatabase},
		{at("file/db"), anyError, anyError},
		{"/dev/null", ErrNotDatabase, ErrNotDatabase},
		{at("nul\x00byte"), anyError, anyError},
		{at(string(make([]byte, 300))), anyError, anyError},
	} {
		for i, o := range []*Options{nil, {ReadOnly: true}} {
			want := []error{c.want, c.readOnly}[i]
			_, err := Open(c.path, o)
			if want == anyError {
				require.Error(t, err, "%q", c.path)
				require.NotErrorIs(t, err, ErrCorrupt)
				continue
			}
			require.ErrorIs(t, err, want, "%q", c.path)
		}
	}
	_, err := Open(at("absent"), &Options{MustExist: true})
	require.ErrorIs(t, err, fs.ErrNotExist)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 8, "nothing was made")
}

// Files that are renamed, replaced or removed while they are open.
func TestFilesChangeWhileOpen(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, path string)
		crash  error // of an open after a crash: as found at the same path
		close  error // of an open after Close
		found  int   // commits, if close is nil
	}{
		{"log removed", func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path+"-wal"))
		}, ErrLogMissing, nil, 20},
		{"log replaced by text", func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path+"-wal"))
			require.NoError(t, os.WriteFile(path+"-wal", make([]byte, 70000), 0o600))
		}, ErrCorrupt, nil, 20},
		{"file renamed", func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, path+".moved"))
		}, fs.ErrNotExist, fs.ErrNotExist, 0},
		{"file removed", func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
		}, fs.ErrNotExist, fs.ErrNotExist, 0},
		{"file replaced by another database", func(t *testing.T, path string) {
			other, err := Open(path+".other", nil)
			require.NoError(t, err)
			commits(t, other, 0, 3)
			require.NoError(t, other.Close())
			require.NoError(t, os.Rename(path+".other", path))
		}, ErrLogMismatch, nil, 3},
		{"both replaced by another database in use", func(t *testing.T, path string) {
			livesOf(t)[1].write(t, path+".other")
			require.NoError(t, os.Rename(path+".other", path))
			require.NoError(t, os.Rename(path+".other-wal", path+"-wal"))
		}, nil, nil, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			db, err := Open(path, nil)
			require.NoError(t, err)
			commits(t, db, 0, 10)
			c.change(t, path)
			commits(t, db, 10, 10) // goes on in the files that are open
			require.Equal(t, 20, countCommits(t, db))
			crashed := filepath.Join(t.TempDir(), "db")
			if _, err := os.Stat(path); err == nil {
				readFiles(t, path).write(t, crashed)
			}
			open := func(path string, want error, count int) {
				db, err := Open(path, &Options{MustExist: true, LockTimeout: -1})
				require.ErrorIs(t, err, want)
				if err == nil {
					require.Equal(t, count, countCommits(t, db))
					require.NoError(t, db.Close())
				}
			}
			open(crashed, c.crash, 20)
			require.NoError(t, db.Close())
			open(path, c.close, c.found)
			if c.name == "file renamed" {
				open(path+".moved", nil, 20)
			}
		})
	}
}

// The file of one open is not the file that a second one finds: both may go on.
func TestReplacedFileIsNotLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	first, err := Open(path, nil)
	require.NoError(t, err)
	require.NoError(t, os.Rename(path, path+".moved"))
	second, err := Open(path, &Options{LockTimeout: -1})
	require.NoError(t, err)
	require.True(t, second.Stats().Created)
	_, err = Open(path+".moved", &Options{LockTimeout: -1})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, second.Close())
	require.NoError(t, first.Close())
}

// A file without the permission to write, and a read-only medium: reading works, writing is an error by name.
func TestOpenWithoutPermission(t *testing.T) {
	for life, want := range map[int]int{1: 20, 3: 40} {
		dir := t.TempDir()
		path := filepath.Join(dir, "db")
		livesOf(t)[life].write(t, path)
		medium := io.NewMemory()
		f := readFiles(t, path)
		medium.SetBytes("db", f.file)
		if f.log != nil {
			medium.SetBytes("db-wal", f.log)
		}
		medium.SetReadOnly(true)
		_, err := Open("db", &Options{IO: medium})
		require.ErrorIs(t, err, ErrReadOnly)
		_, err = Open("new", &Options{IO: medium})
		require.ErrorIs(t, err, ErrReadOnly)
		db, err := Open("db", &Options{IO: medium, ReadOnly: true})
		require.NoError(t, err)
		require.Equal(t, want, countCommits(t, db))
		require.ErrorIs(t, db.Update(func(*Tx) error { return nil }), ErrReadOnly)
		require.ErrorIs(t, db.Batch(func(*Tx) error { return nil }), ErrReadOnly)
		_, err = db.Begin(true)
		require.ErrorIs(t, err, ErrReadOnly)
		_, err = db.Checkpoint(t.Context(), Passive)
		require.ErrorIs(t, err, ErrReadOnly)
		require.NoError(t, db.View(func(tx *Tx) error {
			require.ErrorIs(t, tx.Root().Put(b("k"), nil), ErrReadOnly)
			_, err := tx.CreateBucketIfNotExists(b("k"))
			require.ErrorIs(t, err, ErrReadOnly)
			return nil
		}))
		require.NoError(t, db.Sync())
		require.NoError(t, db.Close())
		require.Equal(t, 0, medium.InFlight())

		if os.Getuid() == 0 {
			continue // permissions bind nobody here
		}
		require.NoError(t, os.Chmod(path, 0o400))
		require.NoError(t, os.Chmod(dir, 0o500))
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
		_, err = Open(path, nil)
		require.ErrorIs(t, err, fs.ErrPermission)
		_, err = Open(filepath.Join(dir, "new"), nil)
		require.ErrorIs(t, err, fs.ErrPermission)
		db, err = Open(path, &Options{ReadOnly: true})
		require.NoError(t, err)
		require.Equal(t, want, countCommits(t, db))
		require.NoError(t, db.Close())
	}
}

// A medium that becomes read-only while the database is open fails what wants to write, and reads go on.
func TestMediumBecomesReadOnly(t *testing.T) {
	medium := io.NewMemory()
	db, err := Open("db", &Options{IO: medium})
	require.NoError(t, err)
	commits(t, db, 0, 10)
	medium.SetReadOnly(true)
	err = db.Update(func(tx *Tx) error { return tx.Root().Put(b("k"), b("v")) })
	require.ErrorIs(t, err, ErrReadOnly)
	require.Equal(t, 10, countCommits(t, db))
	require.NoError(t, db.Close(), "it has told of its failure")
	medium.SetReadOnly(false)
	db, err = Open("db", &Options{IO: medium})
	require.NoError(t, err)
	require.Equal(t, 10, countCommits(t, db))
	require.NoError(t, db.Close())
}

// Format versions, past and future, are told by name even if only one of the two meta blocks has them.
func TestOpenOtherVersions(t *testing.T) {
	for _, life := range []int{1, 3} {
		whole := livesOf(t)[life]
		for _, version := range []byte{0, 2, 255} {
			for _, slots := range [][]int{{0}, {1}, {0, 1}} {
				f := files{file: append([]byte(nil), whole.file...), log: whole.log}
				for _, slot := range slots {
					block := f.file[slot*4096:]
					block[7] = version
					binary.LittleEndian.PutUint64(block[504:], xxhash.Sum64(block[:504]))
				}
				_, errs := openBoth(t, f)
				for _, err := range errs {
					require.ErrorIs(t, err, ErrVersion)
				}
			}
		}
	}
}
