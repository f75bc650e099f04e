package powercut

import (
	"strings"
	"sync/atomic"

	"github.com/pawldb/pawl/io"
)

// lyingIO is the platform's backend, but syncs of some files succeed without doing anything once it is told to lie. It is for
// databases whose opens nobody cancels.
type lyingIO struct {
	io.IO
	about func(path string) bool
	lies  atomic.Bool
}

// newLyingIO returns one that lies about the log or about the database file, from the start or not yet.
func newLyingIO(log, atOnce bool) *lyingIO {
	l := &lyingIO{IO: io.NewSystem(), about: func(path string) bool { return isLog(path) == log }}
	l.lies.Store(atOnce)
	return l
}

// isLog tells the log from the database file, also while it has a temporary name.
func isLog(path string) bool { return strings.Contains(path, "-wal") }

// Open opens a file, and puts another one in front of it if it is to lie.
func (l *lyingIO) Open(c *io.Completion, o *io.Opening) {
	if !l.about(o.Path) {
		l.IO.Open(c, o)
		return
	}
	c.ArmSubmitted(io.KindOpen, o.Path)
	opened := new(io.Completion)
	opened.OnDone(func(*io.Completion) {
		if opened.Err() == nil {
			o.File = &lyingFile{o.File, &l.lies}
		}
		c.Finish(0, opened.Err())
	})
	l.IO.Open(opened, o)
}

// lyingFile is a file whose syncs do nothing while it lies.
type lyingFile struct {
	io.File
	lies *atomic.Bool
}

// Sync succeeds, or syncs.
func (f *lyingFile) Sync(c *io.Completion) {
	if !f.lies.Load() {
		f.File.Sync(c)
		return
	}
	c.ArmSubmitted(io.KindSync, f.Name())
	c.Finish(0, nil)
}
