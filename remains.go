package pawl

import (
	"sync"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// remains are completions of what was given up and is still being deleted. Close waits for them: a backend that was shut down
// deletes nothing.
type remains struct {
	mu   sync.Mutex
	list []*io.Completion
}

// add adds one.
func (r *remains) add(c *io.Completion) {
	r.next() // forgets those that are over
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, c)
}

// next returns one that is not over, or nil.
func (r *remains) next() *io.Completion {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.list) > 0 && r.list[0].Done() {
		r.list = r.list[1:]
	}
	if len(r.list) == 0 {
		return nil
	}
	return r.list[0]
}

// copyFile is the machine of CopyFile, which leaves what it has to delete to Close.
type copyFile struct {
	db *DB
	c  pager.CopyFile
}

// Step goes on with the copy.
func (f *copyFile) Step() (types.IOResult[int64], error) {
	res, err := f.c.Step()
	if err != nil {
		f.left()
	}
	return res, err
}

// Abort gives the copy up.
func (f *copyFile) Abort(cause error) error {
	cause = f.c.Abort(cause)
	f.left()
	return cause
}

func (f *copyFile) left() {
	if c := f.c.Gone(); !c.Idle() {
		f.db.remains.add(c)
	}
}
