package pawl

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
)

// BenchmarkOpenCrash opens a database of a million keys that nobody has closed, with a log that is as full as one gets before it is
// checkpointed: of relaxed commits of one key, which share log blocks, and of commits of 100 keys. Besides the time it reports the
// processor time, and how many groups the log has.
func BenchmarkOpenCrash(b *testing.B) {
	for _, c := range []struct {
		name string
		keys int
	}{{"one key", 1}, {"100 keys", 100}} {
		b.Run(c.name, func(b *testing.B) {
			path := fullLog(b, c.keys)
			var info pager.OpenInfo
			b.ReportAllocs()
			spent := time.Duration(0)
			for b.Loop() {
				before := processorTime()
				m := openKilled(b, path, &info)
				spent += processorTime() - before
				b.StopTimer()
				require.Error(b, m.abandon())
				b.StartTimer()
			}
			b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(info.Recovery.Groups), "groups")
			b.ReportMetric(float64(info.Recovery.Bytes)/(1<<20), "log-MiB")
		})
	}
}

// fullLog returns the path of a copy of a database that was open, with 60 MiB in its log, of relaxed commits of so many keys.
func fullLog(b *testing.B, keys int) string {
	dir := b.TempDir()
	db, err := Open(filepath.Join(dir, "db"), &Options{Durability: Relaxed})
	require.NoError(b, err)
	name, key, value := []byte("bucket"), make([]byte, 16), make([]byte, 100)
	for i := uint64(0); i < benchKeys; {
		require.NoError(b, db.Update(func(tx *Tx) error {
			at, err := tx.CreateBucketIfNotExists(name)
			for end := i + 10_000; err == nil && i < end; i++ {
				err = at.Put(benchKey(key, i), value)
			}
			return err
		}))
	}
	_, err = db.Checkpoint(b.Context(), Truncate)
	require.NoError(b, err)
	for n := uint64(0); db.Stats().UnsavedLog < 60<<20; {
		require.NoError(b, db.Update(func(tx *Tx) error {
			for range keys {
				n = n*6364136223846793005 + 1442695040888963407
				for i := range value {
					value[i] = byte(n >> (i % 57))
				}
				if err := tx.Bucket(name).Put(benchKey(key, n>>32*benchKeys>>32), value); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, "db"+suffix))
		require.NoError(b, err)
		require.NoError(b, os.WriteFile(filepath.Join(dir, "killed"+suffix), content, 0o600))
	}
	require.NoError(b, db.Close())
	return filepath.Join(dir, "killed")
}

// killed is a database that was opened, and is left as a process leaves it that is killed.
type killed struct {
	pager.Open
	io io.IO
}

// openKilled opens what is at path.
func openKilled(b *testing.B, path string, info *pager.OpenInfo) *killed {
	opts, err := (&Options{MustExist: true}).withDefaults()
	require.NoError(b, err)
	k := &killed{io: io.NewSystem()}
	k.Start((&DB{opts: opts, io: k.io, path: path}).config())
	for {
		res, err := k.Step()
		require.NoError(b, err)
		if res.Pending == nil {
			*info = res.Value.Info
			return k
		}
		require.NoError(b, k.io.Wait(context.Background(), res.Pending))
	}
}

// abandon closes the files.
func (k *killed) abandon() error {
	return errors.Join(k.Abort(errors.New("killed")), k.io.Wait(context.Background(), k.Closing()), k.io.Shutdown())
}

// processorTime is what the process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
