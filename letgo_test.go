package pawl

import (
	"testing"

	"github.com/pawldb/pawl/io"
	"github.com/stretchr/testify/require"
)

// Whoever gets Open's error can open at once: the lock is free.
func TestOpenFailsWithTheLockFree(t *testing.T) {
	m := io.NewMemory()
	db, err := Open("db", &Options{IO: m})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	m.SetManual(true)
	open := OpenAsync("db", &Options{IO: m, LockTimeout: -1})
	failed, closed := false, false
	for {
		res, err := open.Step()
		if err != nil {
			require.ErrorIs(t, err, errInjected)
			break
		}
		require.NotNil(t, res.Pending)
		op := m.Queue()[0]
		switch {
		case op.Name() == "read":
			failed = true
			op.Fail(errInjected)
		case op.Name() == "close":
			closed = true
			fallthrough
		default:
			op.Complete()
		}
	}
	require.True(t, failed && closed)
	require.Empty(t, m.Queue())
	m.SetManual(false)
	db, err = Open("db", &Options{IO: m, LockTimeout: -1})
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// An Open that is given up while it closes what it could not open says why it could not.
func TestOpenGivenUpBehindItsFailure(t *testing.T) {
	m := io.NewMemory()
	m.SetBytes("db", make([]byte, 1<<14))
	m.SetManual(true)
	open := OpenAsync("db", &Options{IO: m})
	for {
		res, err := open.Step()
		require.NoError(t, err)
		require.NotNil(t, res.Pending)
		if op := m.Queue()[0]; op.Name() != "close" {
			op.Complete()
			continue
		}
		require.ErrorIs(t, open.Abort(nil), ErrNotDatabase)
		break
	}
	m.Queue()[0].Complete()
	require.Zero(t, m.InFlight())
}
