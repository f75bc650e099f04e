package wal

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// TestRotInEveryByte flips one bit of each byte of a log of several groups and segments. Opening it is an error that says
// where, or finds every commit, or all but those of the newest group, and then says so.
func TestRotInEveryByte(t *testing.T) {
	w := newLogWorld(t, io.MemoryConfig{})
	for _, step := range []func(*logWorld) error{
		full(1, 2), full(3), many(3, full(1, 2, 3, 4)), checkpoint, many(3, full(4, 2)), batch(3, 1, 3), full(1, 2, 3, 4), full(2),
	} {
		require.NoError(t, step(w))
	}
	bytes, err := w.m.Bytes("db-wal")
	require.NoError(t, err)
	whole, lost, damage := 0, 0, 0
	for i := 0; i < len(bytes); i += effort.Of(13, 1, 1) {
		bit := byte(1) << (i * 5 % 8)
		m := w.m.Crash(func(int, io.Change) bool { return false })
		bytes[i] ^= bit
		m.SetBytes("db-wal", bytes)
		bytes[i] ^= bit
		r, got, err := reopen(t, m)
		if err != nil {
			var corrupt *types.CorruptError
			if errors.As(err, &corrupt) {
				require.NotEmpty(t, corrupt.File)
			} else if !errors.Is(err, types.ErrVersion) {
				t.Fatalf("byte %d: %v", i, err)
			}
			damage++
			continue
		}
		switch got.Last {
		case w.started:
			whole++
		case w.started - 1:
			lost++
			require.NotNil(t, got.Discarded, "byte %d: the newest group vanished without a word", i)
			require.Equal(t, w.started, got.Discarded.First)
		default:
			t.Fatalf("byte %d: recovered commit %d of %d", i, got.Last, w.started)
		}
		if err := r.verify(got, w.states, w.started-1, w.started); err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	t.Logf("%d bytes: %d harmless, %d lost the newest group, %d errors", len(bytes), whole, lost, damage)
	require.Greater(t, damage, effort.Of(100, 1000, 1000))
	require.Greater(t, lost, effort.Of(10, 100, 100))
}

// TestCleanBesideLog shows what a clean database makes of the log file beside it.
func TestCleanBesideLog(t *testing.T) {
	clean := func(w *logWorld, write uint64) error {
		meta := testMeta{gen: 1, write: write}
		w.m.SetBytes("db", meta.encode())
		_, _, err := reopen(t, w.m)
		return err
	}
	w := newLogWorld(t, io.MemoryConfig{})
	require.NoError(t, many(4, full(1, 2, 3))(w))
	require.NoError(t, clean(w, w.meta.write+1), "a log from before the database was made clean is ignored")
	require.ErrorIs(t, clean(w, w.meta.write-1), types.ErrLogMismatch, "one from after that is not")
	other := newLogWorld(t, io.MemoryConfig{})
	other.database = [16]byte{9}
	other.log = New(other.config(), 1, 0)
	require.NoError(t, full(1)(other))
	theirs, err := other.m.Bytes("db-wal")
	require.NoError(t, err)
	w.m.SetBytes("db-wal", theirs)
	require.ErrorIs(t, clean(w, 1000), types.ErrLogMismatch, "nor is another database's")
	w.m.SetBytes("db-wal", make([]byte, 30000))
	require.NoError(t, clean(w, 1), "zeroes are ignored")
	w.m.SetBytes("db-wal", nil)
	require.NoError(t, clean(w, 1), "an empty file is ignored")
}

// TestLogOfAnother shows the errors for a log that is missing, too short, or not the one that the meta block names.
func TestLogOfAnother(t *testing.T) {
	w := newLogWorld(t, io.MemoryConfig{})
	require.NoError(t, many(3, full(1, 2, 3))(w))
	whole, err := w.m.Bytes("db-wal")
	require.NoError(t, err)

	var c io.Completion
	m := w.m.Crash(func(int, io.Change) bool { return false })
	m.Remove(&c, "db-wal")
	_, _, err = reopen(t, m)
	require.ErrorIs(t, err, types.ErrLogMissing)

	m.SetBytes("db-wal", whole[:4096])
	_, _, err = reopen(t, m)
	require.ErrorIs(t, err, types.ErrLogMismatch)

	other := newLogWorld(t, io.MemoryConfig{Seed: 7})
	require.NoError(t, many(3, full(1, 2, 3))(other))
	theirs, err := other.m.Bytes("db-wal")
	require.NoError(t, err)
	m.SetBytes("db-wal", theirs)
	_, _, err = reopen(t, m)
	require.ErrorIs(t, err, types.ErrLogMismatch, "the same database id, another open's log")

	for n := 4096; n < len(whole); n += 4096 {
		m.SetBytes("db-wal", whole[:n])
		r, got, err := reopen(t, m)
		if err == nil {
			// A cut log may only have lost what was not proven.
			err = r.verify(got, w.states, w.started-1, w.started)
			require.NoError(t, err, fmt.Sprintf("%d bytes", n))
		}
	}
}
