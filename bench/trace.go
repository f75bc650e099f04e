package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/report"
	"github.com/pawldb/pawl/bench/internal/work"
)

const (
	syncMark    = "/pawl-bench-mark/" // a path that is asked for to mark a place in a trace
	syncCommits = 200
	syncCalls   = "fsync,fdatasync,msync,sync_file_range"
)

// commits makes durable commits between two marks.
func (u *running) commits() error {
	return u.with(func() error {
		if err := u.world.Fill(); err != nil {
			return err
		}
		os.Stat(syncMark + "begin")
		err := work.Commit(u.world, syncCommits)
		os.Stat(syncMark + "end")
		return err
	})
}

// countSyncs counts, by strace, the calls with which an engine asks for its commits to be on stable storage.
func countSyncs(e engines.Engine, dir string, cache int64) report.SyncCount {
	count := report.SyncCount{Engine: e.Name, Commits: syncCommits}
	strace, err := exec.LookPath("strace")
	if err != nil {
		count.Failed = "strace is not installed"
		return count
	}
	own, err := os.MkdirTemp(dir, "syncs-")
	if err == nil {
		defer os.RemoveAll(own)
		trace := filepath.Join(own, "trace")
		store := filepath.Join(own, "store")
		err = os.Mkdir(store, 0o777)
		if err == nil {
			c := childRun{Workload: "commit", Engine: e.Name, Phase: commits, Dir: store, Keys: 1000, Cache: cache}
			_, err = c.start(strace, "-f", "-qq", "-e", "signal=none", "-e", "trace=%file,"+syncCalls, "-o", trace)
		}
		if err == nil {
			count.Calls, err = readSyncs(trace)
		}
	}
	if err != nil {
		count.Failed = err.Error()
	}
	return count
}

// callLine finds the name of a call at its start; one that is resumed was counted then.
var callLine = regexp.MustCompile(`^\d+ +(\w+)\((.*)`)

// readSyncs counts the calls between the marks by name.
func readSyncs(file string) (map[string]int, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	calls := map[string]int{}
	in, marks := false, 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := callLine.FindStringSubmatch(lines.Text())
		switch {
		case m == nil:
		case strings.Contains(m[2], syncMark):
			marks++
			in = strings.Contains(m[2], syncMark+"begin")
		case in && strings.Contains(","+syncCalls+",", ","+m[1]+","):
			calls[m[1]]++
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if marks != 2 {
		return nil, errors.New("the trace lacks its marks")
	}
	return calls, nil
}
