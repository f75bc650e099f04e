package replay

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/io/flight"
)

// killDir tells the test binary that it is the program that is killed, and where its files are.
const killDir = "PAWL_FLIGHT_KILL_DIR"

// TestKillChild is the program that is killed: it records, commits, and tells of each commit.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("for TestKill")
	}
	rec, err := flight.Record(io.NewSystem(), filepath.Join(dir, fmt.Sprintf("recording-%d", os.Getpid())), flight.Options{})
	require.NoError(t, err)
	o := options(rec, rec)
	o.LockTimeout = time.Minute
	db, err := pawl.Open(filepath.Join(dir, "app.pawl"), o)
	require.NoError(t, err)
	for i := range 1_000_000 {
		require.NoError(t, db.Update(func(tx *pawl.Tx) error {
			return tx.Root().Put(fmt.Appendf(nil, "%d", i%97), make([]byte, i%400))
		}))
		fmt.Println(tellsOf, db.Stats().Durable)
	}
}

const tellsOf = "durable"

// The recording of a program that is killed has all that its files have: every commit that they hold, and that it told of.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	last := uint64(0)
	for round := range effort.Of(1, 2, 40) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		told := uint64(0)
		for n := 0; n < 30+round*17 && lines.Scan(); n++ {
			_, err := fmt.Sscanf(lines.Text(), tellsOf+" %d", &told)
			require.NoError(t, err, lines.Text())
		}
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() { // what it told before it died
			_, _ = fmt.Sscanf(lines.Text(), tellsOf+" %d", &told)
		}
		require.Error(t, cmd.Wait())

		name := filepath.Join(dir, fmt.Sprintf("recording-%d", cmd.Process.Pid))
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		res, err := replayed(t, content, 100)
		require.NoError(t, err)
		require.True(t, res.Clean(), "%s", res)
		require.Empty(t, res.Stopped)
		require.Positive(t, res.Images)
		require.GreaterOrEqual(t, res.Durable, told)
		require.Greater(t, res.Durable, last)
		last = res.Durable

		// What the files hold now is what this disk could: the next recording begins with it.
		db, err := pawl.Open(filepath.Join(dir, "app.pawl"), nil)
		require.NoError(t, err)
		seq := db.Stats().Seq
		require.GreaterOrEqual(t, seq, told)
		require.LessOrEqual(t, seq, submitted(t, content), "the recording lacks a commit that the files have")
		require.NoError(t, db.Close())
	}
}

// submitted returns the newest commit that a disk holds on which everything has ended that the recording tells of.
func submitted(t *testing.T, content []byte) uint64 {
	r, err := flight.NewReader(bytes.NewReader(content), int64(len(content)), "recording")
	require.NoError(t, err)
	p, err := run(r, "recording", Options{Cuts: 1})
	require.NoError(t, err)
	for len(p.disk.Queue()) > 0 {
		p.disk.Queue()[0].Complete()
	}
	seq := uint64(0)
	for _, name := range p.databases {
		db, err := pawl.Open(name, &pawl.Options{IO: p.disk.Crash(func(int, io.Change) bool { return true }), MustExist: true})
		require.NoError(t, err)
		seq = max(seq, db.Stats().Seq)
		require.NoError(t, db.Close())
	}
	return seq
}
