package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
)

// A recording is clean, or tells of what is wrong, or is damaged: the exit code says which.
func TestRecordings(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "recording")
	rec, err := flight.Record(io.NewMemory(io.MemoryConfig{RealTime: true}), name, flight.Options{})
	require.NoError(t, err)
	db, err := pawl.Open("app.pawl", &pawl.Options{IO: rec, OnEvent: func(e pawl.Event) {
		if e.Kind == pawl.EventCommit && e.Err == nil {
			rec.Note(flight.Durable, e.Seq)
		}
	}})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte("k"), []byte("v")) }))
	require.NoError(t, rec.Flush())
	clean, err := os.ReadFile(name)
	require.NoError(t, err)
	rec.Note(flight.Durable, 9) // a promise that nobody kept
	require.NoError(t, db.Close())
	require.NoError(t, rec.Shutdown())
	broken, err := os.ReadFile(name)
	require.NoError(t, err)
	damaged := bytes.Clone(clean)
	damaged[len(damaged)/2] ^= 4

	run := func(content []byte) int {
		name := filepath.Join(dir, "copy")
		require.NoError(t, os.WriteFile(name, content, 0o600))
		c := command{flight: name, cuts: 50, workers: 1, profile: "mixed"}
		return c.run()
	}
	require.Equal(t, 0, run(clean))
	require.Equal(t, 0, run(clean[:len(clean)-3]), "the program died")
	require.Equal(t, 1, run(broken))
	require.Equal(t, 2, run(damaged))
	require.Equal(t, 2, run([]byte("something else")))
	c := command{flight: filepath.Join(dir, "missing"), workers: 1, profile: "mixed"}
	require.Equal(t, 2, c.run())
}
