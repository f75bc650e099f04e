package docs

import (
	"fmt"
	"log"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
)

// fiveMinutes is the program of the README.
func fiveMinutes() error {
	db, err := pawl.Open("my.pawl", nil)
	if err != nil {
		return err
	}
	defer db.Close()

	err = db.Update(func(tx *pawl.Tx) error {
		users, err := tx.CreateBucketIfNotExists([]byte("users"))
		if err != nil {
			return err
		}
		return users.Put([]byte("ada"), []byte("Lovelace"))
	})
	if err != nil {
		return err // nothing of it is in the database, unless errors.Is(err, pawl.ErrCommitUnknown)
	}

	return db.View(func(tx *pawl.Tx) error {
		for name, surname := range tx.Bucket([]byte("users")).All() {
			fmt.Printf("%s %s\n", name, surname)
		}
		return nil
	})
}

func Example_fiveMinutes() {
	dir, err := os.MkdirTemp("", "pawl-readme-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	was, err := os.Getwd()
	if err != nil {
		log.Fatal(err)
	}
	if err := os.Chdir(dir); err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.Chdir(was) }()
	if err := fiveMinutes(); err != nil {
		log.Fatal(err)
	}
	// Output: ada Lovelace
}

// A read-only open writes nothing, and shares the file.
func TestReadOnlyOpensShare(t *testing.T) {
	path := t.TempDir() + "/shared.pawl"
	db, err := pawl.Open(path, nil)
	require.NoError(t, err)
	_, err = pawl.Open(path, &pawl.Options{ReadOnly: true, LockTimeout: -1})
	require.ErrorIs(t, err, pawl.ErrLocked)
	require.NoError(t, db.Close())
	was, err := os.ReadFile(path)
	require.NoError(t, err)
	one, err := pawl.Open(path, &pawl.Options{ReadOnly: true, LockTimeout: -1})
	require.NoError(t, err)
	two, err := pawl.Open(path, &pawl.Options{ReadOnly: true, LockTimeout: -1})
	require.NoError(t, err)
	_, err = pawl.Open(path, &pawl.Options{LockTimeout: -1})
	require.ErrorIs(t, err, pawl.ErrLocked)
	require.NoError(t, one.Close())
	require.NoError(t, two.Close())
	is, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, was, is)
}
