//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/work"
)

// syscalls runs the test that traces system calls: go test -run Syscalls -v -syscalls .
var syscalls = flag.Bool("syscalls", false, "trace pawl's system calls; strace must be installed")

const (
	traceEnv     = "PAWL_BENCH_TRACE" // the variable that makes the test's binary the traced process: its directory
	traceMark    = "/pawl-bench-mark/"
	traceCommits = 1000
	traceWriters = 16
	traceIdle    = 10 * time.Second
)

func init() { otherMains[traceEnv] = tracedMain }

// traceFigures are what the database says of each phase, beside what the trace shows.
type traceFigures struct {
	Phase                                          string
	Commits, Groups, Syncs, FileSyncs, Checkpoints uint64
	Segments                                       int
	LogBytes, FileBytes                            int64 // at its end
	GrewLog                                        int64
	CheckpointBytes, LogWrites                     uint64 // bytes
}

// tracedMain is the traced process: three phases, each between two marks in the trace.
func tracedMain(dir string) error {
	db, err := pawl.Open(filepath.Join(dir, "trace.pawl"), &pawl.Options{CheckpointBytes: 1 << 20})
	if err != nil {
		return err
	}
	t := tracer{db: db, out: json.NewEncoder(os.Stdout)}
	if err := t.steady("commit", func() error { return t.commits(0, traceCommits) }); err != nil {
		return err
	}
	if err := t.steady("commit-16", t.manyCommits); err != nil {
		return err
	}
	if err := t.phase("idle", func() error { time.Sleep(traceIdle); return nil }); err != nil {
		return err
	}
	return db.Close()
}

// tracer is the traced process.
type tracer struct {
	db  *pawl.DB
	out *json.Encoder
}

// commits makes n commits of a key each.
func (t tracer) commits(g, n int) error {
	key, value, dice := make([]byte, work.KeySize), make([]byte, work.ValueSize), rand.New(rand.NewPCG(1, uint64(g)))
	for i := range n {
		work.FillKey(key, dice.IntN(2000)*traceWriters+g)
		work.FillValue(value, key, uint64(i))
		err := t.db.Update(func(tx *pawl.Tx) error { return tx.Root().Put(key, value) })
		if err != nil {
			return err
		}
	}
	return nil
}

// manyCommits makes as many commits on each of many goroutines.
func (t tracer) manyCommits() error {
	errs := make([]error, traceWriters)
	var wg sync.WaitGroup
	for g := range traceWriters {
		wg.Go(func() { errs[g] = t.commits(g, traceCommits/4) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// warmCheckpoints recycle the log's segments, and settle how many there are for a load.
const warmCheckpoints = 12

// steady does the work until the log has the length that it needs, and then once more as a phase.
func (t tracer) steady(name string, work func() error) error {
	for base := t.db.Stats().Checkpoints; t.db.Stats().Checkpoints < base+warmCheckpoints; {
		if err := work(); err != nil {
			return err
		}
	}
	if err := t.quiet(); err != nil {
		return err
	}
	return t.phase(name, work)
}

// quiet waits until no checkpoint is under way or due.
func (t tracer) quiet() error {
	for range 500 {
		s := t.db.Stats()
		time.Sleep(20 * time.Millisecond)
		if t.db.Stats().Checkpoints == s.Checkpoints && s.UnsavedLog < 1<<20 && len(t.db.Waiting()) == 0 {
			return nil
		}
	}
	return fmt.Errorf("checkpoints go on after 10 s: %+v", t.db.Stats())
}

// phase runs fn between two marks, and prints the database's own figures.
func (t tracer) phase(name string, fn func() error) error {
	before := t.db.Stats()
	os.Stat(traceMark + name)
	if err := fn(); err != nil {
		return err
	}
	if err := t.quiet(); err != nil {
		return err
	}
	os.Stat(traceMark + "end")
	s := t.db.Stats()
	return t.out.Encode(traceFigures{
		Phase: name, Commits: s.Commits - before.Commits, Groups: s.Groups - before.Groups,
		Syncs: s.LogSyncs - before.LogSyncs, FileSyncs: s.FileSyncs - before.FileSyncs,
		Checkpoints: s.Checkpoints - before.Checkpoints, CheckpointBytes: s.CheckpointBytes - before.CheckpointBytes,
		LogWrites: s.LogWrites - before.LogWrites,
		Segments:  s.LogSegments, LogBytes: s.LogBytes, FileBytes: s.FileBytes, GrewLog: s.LogBytes - before.LogBytes,
	})
}

// traceLine finds the name of a call at its start, and the file of its first argument where strace -y shows one.
var traceLine = regexp.MustCompile(`^\d+ +(\w+)\((?:(\d+)<([^>]*)>)?(.*)`)

// readTrace counts the calls of each phase by name and file. A call that is resumed was counted when it began.
func readTrace(file string) (map[string]map[string]int, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	phases := map[string]map[string]int{}
	current := ""
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := traceLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if _, after, ok := strings.Cut(m[4], traceMark); ok {
			current, _, _ = strings.Cut(after, `"`)
			phases[current] = map[string]int{}
			continue
		}
		call := m[1]
		switch base := filepath.Base(m[3]); base {
		case "trace.pawl":
			call += " main"
		case "trace.pawl-wal":
			call += " log"
		default:
			if m[3] != "" {
				call += " of " + m[3]
			}
		}
		if current != "" {
			phases[current][call]++
		}
	}
	return phases, lines.Err()
}

// What a commit costs in system calls once the log's segments are recycled: one write and one sync, shared by those who
// commit at once; no growth by a lone writer; and nothing while nobody does anything.
func TestSyscalls(t *testing.T) {
	if !*syscalls {
		t.Skip("-syscalls is not set")
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-f", "-y", "-s", "40", "-o", trace, program)
	cmd.Env = append(os.Environ(), traceEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	phases, err := readTrace(trace)
	if err != nil {
		t.Fatal(err)
	}
	figures := map[string]traceFigures{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var f traceFigures
		if err := d.Decode(&f); err != nil {
			t.Fatal(err)
		}
		figures[f.Phase] = f
		t.Logf("%+v", f)
		t.Log(tableOf(phases[f.Phase]))
	}
	for _, name := range []string{"commit", "commit-16"} {
		calls, f := phases[name], figures[name]
		writes := calls["pwritev log"]
		syncs := calls["fdatasync log"] + calls["fsync log"]
		// A group that goes on in the next segment is two writes.
		segments := int64(f.LogWrites)/(f.LogBytes/int64(f.Segments)) + 1
		if split := int64(writes) - int64(f.Groups); split < 0 || split > 2*segments {
			t.Errorf("%s: %d writes of the log for %d groups in %d segments", name, writes, f.Groups, segments)
		}
		// Writers who are faster than a checkpoint make the log longer, up to twice CheckpointBytes; a lone one does not.
		growths := calls["pwrite64 log"] // of zeroes; one or more each time
		cuts := calls["fallocate log"] + calls["ftruncate log"]
		if name == "commit" && (growths+cuts > 0 || f.GrewLog != 0) {
			t.Errorf("%s: the log's length changed", name)
		}
		if uint64(syncs) < f.Syncs || uint64(syncs) > f.Syncs+uint64(growths) || f.Syncs > f.Groups {
			t.Errorf("%s: %d syncs of the log, %d by its own figures, for %d groups", name, syncs, f.Syncs, f.Groups)
		}
		if uint64(calls["fdatasync main"]+calls["fsync main"]) != f.FileSyncs || f.FileSyncs > 2*f.Checkpoints {
			t.Errorf("%s: %d syncs of the file for %d checkpoints", name, f.FileSyncs, f.Checkpoints)
		}
		if f.Checkpoints == 0 {
			t.Errorf("%s: no checkpoint, so nothing was recycled", name)
		}
	}
	if f := figures["commit"]; f.Commits != traceCommits || f.Groups != traceCommits || f.Syncs != traceCommits {
		t.Errorf("%d commits took %d writes and %d syncs", f.Commits, f.Groups, f.Syncs)
	}
	if f := figures["commit-16"]; f.Syncs > f.Commits/4 {
		t.Errorf("%d commits at once took %d syncs", f.Commits, f.Syncs)
	}
	for call, n := range phases["idle"] {
		if !slices.ContainsFunc(runtimeCalls, func(own string) bool { return strings.HasPrefix(call, own) }) {
			t.Errorf("idle: %d calls of %s", n, call)
		}
	}
}

// runtimeCalls are what Go's runtime does in a program that does nothing: its monitor sleeps, looks for I/O, and reads
// how many processors it may use; once in two minutes, at least, it collects garbage.
var runtimeCalls = []string{
	"nanosleep", "futex", "epoll_pwait of anon_inode:[eventpoll]", "sched_getaffinity", "pread64 of /sys/fs/cgroup/",
	"sched_yield", "madvise", "getpid", "read of anon_inode:[eventfd]",
	"write of anon_inode:[eventfd]", "tgkill", "rt_sig", "mmap", "munmap", "restart_syscall", "epoll_wait of anon_inode",
}

// Every engine asks for each commit to be on stable storage before it is acknowledged.
func TestEveryEngineSyncs(t *testing.T) {
	if !*syscalls {
		t.Skip("-syscalls is not set")
	}
	for _, e := range engines.All() {
		if e.Volatile {
			continue
		}
		count := countSyncs(e, t.TempDir(), 0)
		t.Logf("%+v", count)
		if count.Failed != "" || count.Syncs() < count.Commits {
			t.Errorf("%s: %d syncs for %d commits %s", e.Name, count.Syncs(), count.Commits, count.Failed)
		}
	}
}

// tableOf prints counts, the most frequent first.
func tableOf(calls map[string]int) string {
	var names []string
	for name := range calls {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return calls[b] - calls[a] })
	var s strings.Builder
	for _, name := range names {
		fmt.Fprintf(&s, "\n%8d %s", calls[name], name)
	}
	return s.String()
}
