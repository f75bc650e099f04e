package pawl

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
)

var killSeed = flag.Uint64("killseed", 0, "seed of TestKill; 0: the time")

// killAim says what the parent waits for before it kills.
type killAim uint8

const (
	killAnytime      killAim = iota
	killInCheckpoint         // one has begun
	killInRecovery           // it has begun
)

// killRun is the parent's side.
type killRun struct {
	*testing.T
	rng  *rand.Rand
	path string
	env  []string // of the children, besides

	model             *modelBucket // of the newest commit that was found
	acked, started    uint64       // newest commit that was acknowledged, that was begun
	rounds            int
	checkpoints       int // children that were killed in one
	recoveries        int
	anywhere, nothing int // children that were killed elsewhere, before the database was open
}

// killTold is what a child has told.
type killTold struct {
	acked, started uint64
	begun          int // checkpoints
	checkpoints    int // of them that have not ended
	recovering     bool
	open           bool
	err            string
}

// hear takes a line from the child.
func (told *killTold) hear(line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "R":
		told.recovering = true
	case "r":
		told.recovering = false
	case "C":
		told.checkpoints++
		told.begun++
	case "c":
		told.checkpoints--
	case "o":
		told.open = true
	case "s", "a":
		var n uint64
		if _, err := fmt.Sscan(rest, &n); err != nil {
			told.err = "garbled: " + line
			return
		}
		if word == "s" {
			told.started = max(told.started, n)
		} else {
			told.acked = max(told.acked, n)
		}
	case "E":
		told.err = rest
	}
}

// child runs one and kills it. The seed fixes what it does and when it is to be killed; the machine decides how far it is then.
func (r *killRun) child(aim killAim) *killTold {
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1", fmt.Sprintf("%s=%d %s", killEnv, r.rng.Uint64(), r.path))
	cmd.Env = append(cmd.Env, r.env...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(r, err)
	require.NoError(r, cmd.Start())
	nth := 1 + r.rng.IntN(3) // of the checkpoints
	delay := time.Duration(r.rng.IntN(60)) * time.Millisecond
	if aim != killAnytime {
		delay = time.Duration(r.rng.IntN(100<<r.rng.IntN(7))) * time.Microsecond
	}
	late := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	told, armed := new(killTold), false
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		told.hear(lines.Text())
		hit := aim == killAnytime || aim == killInCheckpoint && told.begun == nth ||
			aim == killInRecovery && (told.recovering || told.open)
		if armed || !hit {
			continue
		}
		armed = true
		if delay == 0 {
			_ = cmd.Process.Kill()
		} else {
			time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
		}
	}
	require.NoError(r, lines.Err())
	err = cmd.Wait()
	require.Empty(r, told.err, "the child's error")
	var exit *exec.ExitError
	require.ErrorAs(r, err, &exit, "the child ended by itself")
	require.Equal(r, -1, exit.ExitCode(), "the child ended by itself")
	return told
}

// round kills a child and verifies what it leaves.
func (r *killRun) round(aim killAim) {
	told := r.child(aim)
	r.rounds++
	switch {
	case told.recovering:
		r.recoveries++
	case told.checkpoints > 0:
		r.checkpoints++
	case told.open:
		r.anywhere++
	default:
		r.nothing++
	}
	r.acked, r.started = max(r.acked, told.acked), max(r.started, told.started)
	if _, err := os.Stat(r.path); errors.Is(err, os.ErrNotExist) && r.acked == 0 {
		return // killed before it made the file
	}
	// A read-only open leaves the log to the next child's recovery.
	db, err := Open(r.path, &Options{ReadOnly: r.rng.IntN(5) > 0, MustExist: true, CacheSize: 1 << 20})
	require.NoError(r, err)
	require.NoError(r, db.View(r.verify))
	require.NoError(r, db.Close())
}

// verify makes sure that a transaction sees a commit from the newest that was acknowledged to the newest that was begun, whole
// and with nothing else.
func (r *killRun) verify(tx *Tx) error {
	n := tx.Root().Sequence()
	require.GreaterOrEqual(r, n, r.acked, "an acknowledged commit is lost")
	require.LessOrEqual(r, n, r.started, "a commit that was never begun")
	for i := r.model.seq + 1; i <= n; i++ {
		killModel(r.model, i)
	}
	r.acked, r.started = n, n // what was found stays
	if err := r.model.same(tx.Root(), r.rng.IntN(2) == 0); err != nil {
		return fmt.Errorf("commit %d: %w", n, err)
	}
	return sameCounts(tx, r.model)
}

// A process that dies at any moment, inside a checkpoint and inside the recovery from its last death too, leaves every commit
// that it acknowledged, and a prefix of the others.
func TestKill(t *testing.T) {
	if env := os.Getenv(killEnv); env != "" {
		runKillChild(env)
		return
	}
	switch runtime.GOOS {
	case "linux", "darwin", "freebsd":
	default:
		t.Skip("a process of this binary can't be started and killed here, or there are no files: ", runtime.GOOS)
	}
	rounds, each := 200, 20
	if effort.Short() {
		rounds, each = 30, 3
	}
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay: go test -run '^TestKill$' -killseed %d", seed)
	r := &killRun{
		T: t, rng: rand.New(rand.NewPCG(seed, 0)), path: filepath.Join(t.TempDir(), "kill.pawl"), model: new(modelBucket),
	}
	for r.rounds < 5*rounds && (r.rounds < rounds || r.checkpoints < each || r.recoveries < each) {
		aim := killAim(r.rng.IntN(3))
		if r.rounds >= rounds { // what is missing
			aim = killInCheckpoint
			if r.recoveries < each && r.rng.IntN(2) == 0 {
				aim = killInRecovery
			}
		}
		r.round(aim)
	}
	t.Logf("%d kills: %d in a checkpoint, %d in a recovery, %d elsewhere, %d before the database was open; %d commits",
		r.rounds, r.checkpoints, r.recoveries, r.anywhere, r.nothing, r.model.seq)
	require.GreaterOrEqual(t, r.checkpoints, each)
	require.GreaterOrEqual(t, r.recoveries, each)
	require.Positive(t, r.anywhere)
	db, err := Open(r.path, nil)
	require.NoError(t, err)
	require.NoError(t, db.View(r.verify))
	_, err = db.Checkpoint(context.Background(), Truncate)
	require.NoError(t, err)
	require.NoError(t, db.View(r.verify))
	require.NoError(t, db.Close())
}
