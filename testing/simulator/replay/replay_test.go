package replay

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
)

// options are those of a program that records.
func options(rec *flight.Recorder, use io.IO) *pawl.Options {
	return &pawl.Options{IO: use, PageSize: 512, CacheSize: 64 * 512, CheckpointBytes: 32 << 10, OnEvent: func(e pawl.Event) {
		if e.Err == nil && (e.Kind == pawl.EventOpen || e.Kind == pawl.EventCommit || e.Kind == pawl.EventCheckpoint) {
			rec.Note(flight.Durable, e.Seq)
		}
	}}
}

// work lets goroutines change a database, and read it.
func work(t *testing.T, db *pawl.DB, writers, commits int, seed uint64) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := range commits {
				err := db.Update(func(tx *pawl.Tx) error {
					b := tx.Root()
					for range 1 + rng.IntN(4) {
						k := fmt.Appendf(nil, "%d-%03d", w, rng.IntN(200))
						if rng.IntN(5) == 0 {
							if err := b.Delete(k); err != nil {
								return err
							}
						} else if err := b.Put(k, bytes.Repeat(k, 1+rng.IntN(90))); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				err = db.View(func(tx *pawl.Tx) error {
					for range tx.Root().Range(fmt.Appendf(nil, "%d-%03d", w, i%200), nil) {
						break
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// replayed replays a recording.
func replayed(t *testing.T, content []byte, cuts int) (*Result, error) {
	r, err := flight.NewReader(bytes.NewReader(content), int64(len(content)), "recording")
	require.NoError(t, err)
	return Run(r, "recording", Options{Cuts: cuts})
}

// A program with many goroutines, on files of the operating system, that reopens its database.
func TestRealProgram(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.flight")
	rec, err := flight.Record(io.NewSystem(), path, flight.Options{})
	require.NoError(t, err)
	for round := range 3 {
		db, err := pawl.Open(filepath.Join(dir, "app.pawl"), options(rec, rec))
		require.NoError(t, err)
		work(t, db, 4, effort.Of(10, 40, 400), uint64(round))
		require.NoError(t, db.Close())
	}
	require.NoError(t, rec.Shutdown())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	res, err := replayed(t, content, effort.Of(100, 600, 5000))
	require.NoError(t, err)
	t.Logf("%d bytes\n%s", len(content), res)
	require.True(t, res.Clean(), "%s", res)
	require.Equal(t, int64(-1), res.Torn)
	require.True(t, res.Stopped)
	require.Positive(t, res.Reads)
	require.Greater(t, res.Images, effort.Of(50, 300, 300))
	require.Zero(t, res.Skipped)
	require.GreaterOrEqual(t, res.Durable, uint64(3*4*effort.Of(10, 40, 400)))
	require.Len(t, res.Databases, 1)
}
