package pawl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	stdio "io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lockChild names, in the environment, the database that the process is to hold open; lockChildMode says how.
const (
	lockChild     = "PAWL_TEST_HOLD"
	lockChildMode = "PAWL_TEST_HOLD_READONLY"
)

// TestLockChild is the process that holdElsewhere starts: it makes a commit, unless it is read-only, says so, and keeps the
// database open until stdin ends; then it dies without closing it.
func TestLockChild(t *testing.T) {
	path := os.Getenv(lockChild)
	if path == "" {
		t.Skip("only for a process that another test starts")
	}
	db, err := Open(path, &Options{ReadOnly: os.Getenv(lockChildMode) != ""})
	require.NoError(t, err)
	if os.Getenv(lockChildMode) == "" {
		commits(t, db, countCommits(t, db), 1)
	}
	fmt.Println("holds")
	_, _ = stdio.Copy(stdio.Discard, os.Stdin)
	os.Exit(0)
}

// holdElsewhere has another process open the database. end ends it.
func holdElsewhere(t *testing.T, path string, readOnly bool) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockChild$")
	cmd.Env = append(os.Environ(), lockChild+"="+path)
	if readOnly {
		cmd.Env = append(cmd.Env, lockChildMode+"=1")
	}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	out := bufio.NewReader(stdout)
	for {
		line, err := out.ReadString('\n')
		if strings.HasPrefix(line, "holds") {
			break
		}
		require.NoError(t, err, "the other process ended without the lock")
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		stdin.Close()
		_, _ = stdio.Copy(stdio.Discard, out)
		_ = cmd.Wait()
	}
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

// Two opens of one database: readers share, a writer is alone, and who is refused learns by whom.
func TestSecondOpen(t *testing.T) {
	for _, c := range []struct {
		first, second bool // read-only
		locked        bool
	}{
		{false, false, true},
		{false, true, true},
		{true, false, true},
		{true, true, false},
	} {
		for _, elsewhere := range []bool{false, true} {
			t.Run(fmt.Sprintf("read-only %t, then %t, in another process %t", c.first, c.second, elsewhere), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "db")
				db, err := Open(path, nil)
				require.NoError(t, err)
				commits(t, db, 0, 3)
				require.NoError(t, db.Close())

				pid, end := os.Getpid(), func() { require.NoError(t, db.Close()) }
				if elsewhere {
					pid, end = holdElsewhere(t, path, c.first)
				} else {
					db, err = Open(path, &Options{ReadOnly: c.first})
					require.NoError(t, err)
				}
				second, err := Open(path, &Options{ReadOnly: c.second, LockTimeout: -1})
				if !c.locked {
					require.NoError(t, err)
					require.Equal(t, 3, countCommits(t, second))
					require.NoError(t, second.Close())
					end()
					return
				}
				require.ErrorIs(t, err, ErrLocked)
				var locked *LockedError
				require.ErrorAs(t, err, &locked)
				require.True(t, strings.HasSuffix(locked.Path, "db"), locked.Path)
				if !elsewhere || runtime.GOOS == "linux" && locked.PID != 0 { // not every file system tells
					require.Equal(t, pid, locked.PID)
					require.ErrorContains(t, err, fmt.Sprint(pid))
				}
				end()
				second, err = Open(path, &Options{ReadOnly: c.second, LockTimeout: -1})
				require.NoError(t, err, "the lock goes with its process, or with Close")
				require.GreaterOrEqual(t, countCommits(t, second), 3)
				require.NoError(t, second.Close())
			})
		}
	}
}

// A process that dies with the database open leaves its commits.
func TestOtherProcessDies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	for i := range 3 {
		_, end := holdElsewhere(t, path, false)
		end()
		db, err := Open(path, nil)
		require.NoError(t, err)
		require.Equal(t, i+1, countCommits(t, db))
		require.Equal(t, 1, db.Stats().Recovered)
		require.NoError(t, db.Close())
	}
}

// LockTimeout waits for the lock, the context ends the wait, and a timeout over says so.
func TestLockTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	first, err := Open(path, nil)
	require.NoError(t, err)

	began := time.Now()
	_, err = Open(path, &Options{LockTimeout: 60 * time.Millisecond})
	require.ErrorIs(t, err, ErrLocked)
	require.GreaterOrEqual(t, time.Since(began), 60*time.Millisecond)

	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error)
	go func() {
		_, err := OpenContext(ctx, path, &Options{LockTimeout: time.Hour})
		ended <- err
	}()
	cancel(errors.New("enough"))
	require.ErrorIs(t, <-ended, context.Canceled)

	go func() {
		second, err := Open(path, &Options{LockTimeout: time.Hour})
		if err == nil {
			err = second.Close()
		}
		ended <- err
	}()
	require.NoError(t, first.Close())
	require.NoError(t, <-ended)
}
