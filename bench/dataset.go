package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pawldb/pawl/bench/internal/engines"
	"github.com/pawldb/pawl/bench/internal/work"
)

// dataPrefix is what names of shared data sets begin with.
const dataPrefix = "data-"

// dataDir is the directory of an engine's shared data set: one for each number of keys and size of values.
func (r *runner) dataDir(w work.Workload, e engines.Engine) string {
	return filepath.Join(r.dir, fmt.Sprintf(dataPrefix+"%s-%d-%d", e.Name, r.keysOf(w), w.ValueSize()))
}

// makeData makes an engine's shared data set, unless it is there. It is verified once, and then only read.
func (r *runner) makeData(w work.Workload, e engines.Engine) error {
	if e.Volatile {
		return nil
	}
	dir := r.dataDir(w, e)
	made := dir + ".made" // the set is whole; what made it
	if by, err := os.ReadFile(made); err == nil && string(by) == r.version {
		return nil
	}
	if err := errors.Join(os.RemoveAll(made), os.RemoveAll(dir), os.MkdirAll(dir, 0o777)); err != nil {
		return err
	}
	run := childRun{Workload: w.Name, Engine: e.Name, Phase: build, Dir: dir, Keys: r.keysOf(w), Cache: r.Cache}
	res, err := run.start()
	if err == nil && res.NA != "" {
		err = errors.New(res.NA)
	}
	if err != nil {
		return fmt.Errorf("data set: %w", err)
	}
	return os.WriteFile(made, []byte(r.version), 0o666)
}

// largestFile returns the largest file below a directory.
func largestFile(dir string) (largest string, err error) {
	size := int64(-1)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err == nil && largest == "" {
		err = fmt.Errorf("%s has no files", dir)
	}
	return largest, err
}
