package pawl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
)

// uringIO returns an io_uring backend, or skips the test with the reason why there is none.
func uringIO(t *testing.T) io.IO {
	t.Helper()
	ring, err := io.NewUring(io.UringOptions{})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		require.Zero(t, ring.InFlight())
		require.NoError(t, ring.Shutdown())
	})
	return ring
}

const (
	uringKeys    = 500
	uringWriters = 4
)

// uringKey is a key of a writer.
func uringKey(writer, i int) []byte { return fmt.Appendf(nil, "%d/%04d", writer, i) }

// uringCommit writes the writer's round: the round is in some of its keys, and in its entry of the bucket "rounds".
func uringCommit(db *DB, rng *rand.Rand, writer, round int) error {
	value := make([]byte, 8+rng.IntN(300))
	if rng.IntN(20) == 0 {
		value = make([]byte, 20_000)
	}
	binary.LittleEndian.PutUint64(value, uint64(round))
	return db.Update(func(tx *Tx) error {
		rounds, err := tx.CreateBucketIfNotExists(b("rounds"))
		if err != nil {
			return err
		}
		for range 10 {
			if err := tx.Root().Put(uringKey(writer, rng.IntN(uringKeys)), value); err != nil {
				return err
			}
		}
		return rounds.Put(fmt.Append(nil, writer), value[:8])
	})
}

// uringLook sees no round of a writer that is newer than its entry says, by scans, gets, and many gets at a time.
func uringLook(tx *Tx, rng *rand.Rand) error {
	for writer := range uringWriters {
		newest, err := tx.Bucket(b("rounds")).Get(fmt.Append(nil, writer))
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrBucketNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		keys := make([][]byte, 100)
		for i := range keys {
			keys[i] = uringKey(writer, rng.IntN(uringKeys))
		}
		values := make([][]byte, len(keys))
		if err := tx.Root().GetMany(keys, values); err != nil {
			return err
		}
		if rng.IntN(4) == 0 {
			for _, v := range tx.Root().Prefix(fmt.Appendf(nil, "%d/", writer)) {
				values = append(values, v)
			}
		}
		for _, v := range values {
			if v != nil && binary.LittleEndian.Uint64(v) > binary.LittleEndian.Uint64(newest) {
				return fmt.Errorf("writer %d: a value of a round that has not come", writer)
			}
		}
	}
	return nil
}

// A database on io_uring, with writers, readers, readers whose contexts end, and checkpoints; it is read with the other backend too.
func TestUringDatabase(t *testing.T) {
	ring := uringIO(t)
	path := filepath.Join(t.TempDir(), "ring.pawl")
	rounds, opens := 60, 3
	if effort.Short() {
		rounds, opens = 15, 2
	}
	for open := range opens {
		db, err := Open(path, &Options{
			IO: ring, PageSize: 1024, CacheSize: 1, CheckpointBytes: 64 << 10, Durability: Durability(open % 2),
			SyncInterval: 2 * time.Millisecond, LockTimeout: -1,
		})
		require.NoError(t, err)
		_, err = Open(path, &Options{IO: ring, LockTimeout: -1})
		require.ErrorIs(t, err, ErrLocked)
		var writers, readers sync.WaitGroup
		done := make(chan struct{})
		for w := range uringWriters {
			writers.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(w), uint64(open)))
				for i := range rounds {
					if err := uringCommit(db, rng, w, open*rounds+i+1); err != nil {
						t.Errorf("writer %d, round %d: %v", w, i, err)
						return
					}
				}
			})
		}
		for r := range 4 {
			readers.Go(func() { uringRead(t, db, rand.New(rand.NewPCG(uint64(r), 77)), r%2 == 0, done) })
		}
		writers.Wait()
		close(done)
		readers.Wait()
		require.NoError(t, db.Close())
		require.Zero(t, ring.InFlight())
		for _, backend := range []io.IO{ring, nil} {
			uringVerify(t, path, backend, uint64((open+1)*rounds))
		}
	}
}

// uringRead reads until done is closed, under contexts that end at any time if it is so.
func uringRead(t *testing.T, db *DB, rng *rand.Rand, impatient bool, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		ctx, cancel := context.Background(), func() {}
		if impatient {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(2000))*time.Microsecond)
		}
		err := db.ViewContext(ctx, func(tx *Tx) error { return uringLook(tx, rng) })
		cancel()
		if err != nil && !(impatient && errors.Is(err, context.DeadlineExceeded)) {
			t.Error(err)
			return
		}
	}
}

// uringVerify finds every writer's last round, and nothing wrong.
func uringVerify(t *testing.T, path string, backend io.IO, rounds uint64) {
	db, err := Open(path, &Options{IO: backend, MustExist: true})
	require.NoError(t, err)
	require.NoError(t, db.View(func(tx *Tx) error {
		for w := range uringWriters {
			newest, err := tx.Bucket(b("rounds")).Get(fmt.Append(nil, w))
			require.NoError(t, err)
			require.Equal(t, rounds, binary.LittleEndian.Uint64(newest), "writer %d", w)
		}
		_, err := tx.Check(context.Background())
		return err
	}))
	require.NoError(t, db.Close())
}

// What TestKill says holds for a process that works through io_uring, whose I/O the kernel does.
func TestKillUring(t *testing.T) {
	uringIO(t)
	rounds := 60
	if effort.Short() {
		rounds = 10
	}
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay: go test -run '^TestKillUring$' -killseed %d; %s", seed, runtime.GOOS)
	r := &killRun{
		T: t, rng: rand.New(rand.NewPCG(seed, 0)), path: filepath.Join(t.TempDir(), "kill.pawl"), model: new(modelBucket),
		env: []string{killUringEnv + "=1"},
	}
	for r.rounds < rounds {
		r.round(killAim(r.rng.IntN(3)))
	}
	if _, err := os.Stat(r.path); err == nil {
		db, err := Open(r.path, &Options{IO: uringIO(t)})
		require.NoError(t, err)
		require.NoError(t, db.View(r.verify))
		require.NoError(t, db.Close())
	}
	t.Logf("%d commits", r.model.seq)
}
