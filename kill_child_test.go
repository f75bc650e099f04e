package pawl

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pawldb/pawl/io"
)

// killEnv names the variable that makes the test binary the child: seed and path, with a space between.
const killEnv = "PAWL_KILL_CHILD"

// killUringEnv is set in a child that works through io_uring.
const killUringEnv = "PAWL_KILL_URING"

// killChildLife is when a child ends by itself, should nobody kill it.
const killChildLife = 30 * time.Second

// killChild is the process that is killed. Everything that it tells is a line of its own, written at once:
//
//	u      it is up
//	R r    a recovery begins, ends
//	C c    a checkpoint begins, ends
//	o      the database is open
//	s n    commit n is made, and may be handed to the log from here on
//	a n    commit n is acknowledged
//	E ...  an error, which is the test's failure
type killChild struct {
	rng *rand.Rand
	db  *DB
}

// tell writes a line. If nobody reads it any more the child ends.
func (c *killChild) tell(format string, args ...any) {
	if _, err := fmt.Fprintf(os.Stdout, format+"\n", args...); err != nil {
		os.Exit(4)
	}
}

// must ends the child with an error.
func (c *killChild) must(err error) {
	if err != nil {
		c.tell("E %s", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(3)
	}
}

// runKillChild commits until it is killed.
func runKillChild(env string) {
	seedText, path, _ := strings.Cut(env, " ")
	seed, err := strconv.ParseUint(seedText, 10, 64)
	c := &killChild{rng: rand.New(rand.NewPCG(seed, 3))}
	c.must(err)
	time.AfterFunc(killChildLife, func() { os.Exit(5) })
	killPool()
	backend := io.NewSystem()
	if os.Getenv(killUringEnv) != "" {
		backend, err = io.NewUring(io.UringOptions{})
		c.must(err)
	}
	c.tell("u")
	lines := map[EventKind]string{
		EventRecoveryBegin: "R", EventRecovery: "r", EventCheckpointBegin: "C", EventCheckpoint: "c",
	}
	c.db, err = Open(path, &Options{
		IO: backend, PageSize: 1024, CacheSize: 1,
		CheckpointBytes: 32 << 10 << c.rng.IntN(6),
		Durability:      Durability(c.rng.IntN(4) / 3),
		SyncInterval:    time.Duration(1+c.rng.IntN(20)) * time.Millisecond,
		OnEvent: func(e Event) {
			if line := lines[e.Kind]; line != "" {
				c.tell("%s", line)
			}
			c.must(e.Err)
		},
	})
	c.must(err)
	c.tell("o")
	writers, async, tend := 1, c.rng.IntN(4) == 0, c.rng.IntN(3) == 0
	if c.rng.IntN(3) == 0 {
		writers = 4
	}
	var all sync.WaitGroup
	for i := range writers {
		rng := rand.New(rand.NewPCG(seed, uint64(10+i)))
		all.Go(func() {
			for {
				c.commit(rng, async)
			}
		})
	}
	if tend {
		all.Go(func() { c.tend(rand.New(rand.NewPCG(seed, 4))) })
	}
	all.Wait()
}

// commit makes the next commit, in one of the ways. Its number is the root bucket's sequence.
func (c *killChild) commit(rng *rand.Rand, async bool) {
	var n uint64
	body := func(tx *Tx) error {
		var err error
		if n, err = tx.Root().NextSequence(); err != nil {
			return err
		}
		if err := killApply(tx, n); err != nil {
			return err
		}
		c.tell("s %d", n)
		return nil
	}
	switch {
	case async:
		tx, err := c.db.Begin(true)
		c.must(err)
		c.must(body(tx))
		p := tx.CommitAsync()
		if rng.IntN(8) == 0 {
			c.must(p.Wait(context.Background()))
			c.tell("a %d", n)
		}
		return
	case rng.IntN(2) == 0:
		c.must(c.db.Batch(body))
	default:
		c.must(c.db.Update(body))
	}
	c.tell("a %d", n)
}

// tend makes checkpoints that cut the file, and syncs, and reads a snapshot for a while.
func (c *killChild) tend(rng *rand.Rand) {
	for {
		tx, err := c.db.Begin(false)
		c.must(err)
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		switch rng.IntN(3) {
		case 0:
			_, err = c.db.Checkpoint(context.Background(), Truncate)
		case 1:
			_, err = c.db.Checkpoint(context.Background(), Complete)
		default:
			err = c.db.Sync()
		}
		c.must(err)
		_, err = tx.Check(context.Background())
		c.must(err)
		c.must(tx.Rollback())
	}
}
