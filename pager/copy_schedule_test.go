package pager

import (
	"errors"
	"fmt"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// copier is a reader of a random schedule that copies its snapshot while others go on, to a stream or to a file.
func (s *pagerSchedule) copier(r *Reader) {
	seq, models := r.Seq(), s.models
	fail := func(err error) {
		if err != nil && !errors.Is(err, errInjected) && !errors.Is(err, io.ErrCancelled) {
			s.t.Fatalf("%s: copy of commit %d: %v", s.label, seq, err)
		}
	}
	var file []byte
	var err error
	if s.rng.IntN(2) == 0 {
		file, err = s.stream(r)
	} else {
		s.names++
		name := fmt.Sprintf("copy-%d", s.names)
		var f CopyFile
		f.Start(r, name)
		if _, err = drivePager[int64](s.pagerWorld, &f); err == nil {
			file, err = s.m.Bytes(name)
		}
	}
	if s.held > 0 && errors.Is(err, types.ErrSnapshotExpired) {
		s.expired++
		return
	}
	fail(err)
	if err != nil {
		return
	}
	s.copies++
	m := io.NewMemory()
	m.SetBytes("db", file)
	c := newPagerWorld(s.t, m, bigCache)
	for _, step := range []func() error{
		c.open, func() error { return c.verify(models[: seq+1 : seq+1]) }, c.fsck, c.close,
	} {
		if err := step(); err != nil {
			s.t.Fatalf("%s: copy of commit %d: %v", s.label, seq, err)
		}
	}
}
