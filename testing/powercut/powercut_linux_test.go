package powercut

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
)

var (
	cutSeed = flag.Uint64("cutseed", 0, "seed of TestPowerCuts; 0: the time")
	cuts    = flag.Int("cuts", 0, "cuts of TestPowerCuts on each file system; 0: 100, with -short 10, with -long 1000")
)

// kinds are the file systems.
var kinds = []string{"ext4", "xfs"}

// tally says what a row of eras was like.
type tally struct {
	cuts, hits [aims]int
	commits    uint64 // that were found
}

// cutting is a row of eras on one disk. The database goes on from one to the next.
type cutting struct {
	disk   *disk
	rng    *rand.Rand
	books  *books
	calm   bool            // without checkpoints
	makeIO func() *lyingIO // nil: the databases have their own
	tally
}

// next has one era and verifies what it leaves.
func (c *cutting) next(a aim) error {
	e := &era{books: c.books, disk: c.disk, aim: a, calm: c.calm, seed: c.rng.Uint64()}
	e.rng = rand.New(rand.NewPCG(e.seed, 100))
	if a == inBirth {
		e.books = newBooks(c.disk.name("birth"))
	}
	if c.makeIO != nil {
		e.io = c.makeIO()
	}
	err := e.run()
	if e.io != nil {
		err = errors.Join(err, e.io.Shutdown())
	}
	if err != nil {
		return err
	}
	before := e.model.n
	if err := e.check(); err != nil {
		return err
	}
	c.cuts[a]++
	if e.hit {
		c.hits[a]++
	}
	c.commits += e.model.n - before
	if a == inBirth {
		return c.disk.remove(e.path)
	}
	return nil
}

// remove deletes a database, if it is there, so that no cut brings it back.
func (d *disk) remove(path string) error {
	for _, name := range []string{path, path + "-wal"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return d.top.Sync()
}

// String says what was cut.
func (y *tally) String() string {
	text := fmt.Sprintf("%d commits", y.commits)
	for a := range aims {
		text += fmt.Sprintf("; %v: %d cuts, %d in it", a, y.cuts[a], y.hits[a])
	}
	return text
}

// newCutting returns a row of eras on a new disk, with draws from a seed.
func newCutting(t *testing.T, kind string) *cutting {
	d := newDisk(t, kind)
	seed := *cutSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("the same draws: go test ./testing/powercut -run '^%s$' -cutseed %d", strings.ReplaceAll(t.Name(), "/", "$/^"), seed)
	return &cutting{disk: d, rng: rand.New(rand.NewPCG(seed, 0)), books: newBooks(d.name("cut"))}
}

// Whenever the power goes, every commit that was acknowledged is there, with a prefix of the others, each whole, and the check
// is clean: with concurrent writers, inside checkpoints, recoveries, the making of a database and closes.
func TestPowerCuts(t *testing.T) {
	rounds := *cuts
	if rounds == 0 {
		rounds = effort.Of(10, 100, 1000)
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			c := newCutting(t, kind)
			t.Parallel()
			for i := range rounds {
				a := aim(i % int(aims))
				require.NoError(t, c.next(a), "cut %d, %v", i, a)
			}
			t.Log(&c.tally)
			require.Positive(t, c.commits)
		})
	}
}

// The cuts tell a store that does not sync from one that does: skipping the syncs of a file, all of them or those that come once
// a commit has returned, is found within a few cuts. Most often the database does not open, or is damaged. Where the log is whole
// up to the last true sync and nothing else was written, just the acknowledged commits behind it are missing.
func TestPowerCutsFindSkippedSyncs(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			c := newCutting(t, kind)
			t.Parallel()
			for _, skip := range []struct {
				name        string
				log, atOnce bool
				calm        bool
			}{
				{"log", true, true, false},
				{"log in use", true, false, false},
				{"log in use, no checkpoints", true, false, true},
				{"database file", false, true, false},
				{"database file in use", false, false, false},
			} {
				c.calm, c.makeIO = skip.calm, func() *lyingIO { return newLyingIO(skip.log, skip.atOnce) }
				t.Run(skip.name, c.hunt)
			}
		})
	}
}

// hunt cuts until something is lost; of a calm database that must be commits alone.
func (c *cutting) hunt(t *testing.T) {
	const enough = 50
	aims := []aim{afterCommits, afterCommits, inCheckpoint, inClose}
	if c.calm {
		aims = aims[:1]
	}
	for i := range enough {
		err := c.next(aims[c.rng.IntN(len(aims))])
		var found *lost
		if !errors.As(err, &found) {
			require.NoError(t, err, "cut %d", i)
			continue
		}
		t.Logf("found by cut %d: %v", i, err)
		c.books = newBooks(c.books.path)
		require.NoError(t, c.disk.remove(c.books.path))
		var commits *missingCommits
		if !c.calm || errors.As(err, &commits) {
			return
		}
	}
	require.Fail(t, "nothing is lost", "after %d cuts", enough)
}
