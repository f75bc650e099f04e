package btree

import (
	"errors"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// ErrBusy means that a machine that changes a transaction's trees is under way, and a second one was stepped.
var ErrBusy = errors.New("pawl: the transaction is busy with another change")

// Source is where a tree's pages come from: a reader's snapshot, or a transaction with what it has changed. It is a value,
// good for as long as what it was made of.
type Source struct {
	reader *pager.Reader
	writer *Writer
}

// FromReader returns the source for a reader, which goroutines may share.
func FromReader(r *pager.Reader) Source { return Source{reader: r} }

// Root returns the root bucket's tree, 0 if nothing was ever written to it.
func (s Source) Root() types.PageID {
	if s.writer != nil {
		return s.writer.tx.Globals().Root
	}
	return s.reader.Globals().Root
}

// rootOr returns the tree that a root of a machine's Start means: 0 is the root bucket's.
func (s Source) rootOr(root types.PageID) types.PageID {
	if root == 0 {
		return s.Root()
	}
	return root
}

// pages returns how many page ids are in use.
func (s Source) pages() uint64 {
	if s.writer != nil {
		return s.writer.tx.Globals().Pages
	}
	return s.reader.Globals().Pages
}

// pager returns the database.
func (s Source) pager() *pager.Pager {
	if s.writer != nil {
		return s.writer.tx.Pager()
	}
	return s.reader.Pager()
}

// mutations counts the changes of the source's trees.
func (s Source) mutations() uint64 {
	if s.writer != nil {
		return s.writer.mutations
	}
	return 0
}

// corrupt returns an error for damage in a page.
func (s Source) corrupt(id types.PageID, detail string) error {
	return s.pager().CorruptPage(id, detail)
}

// findPage returns a page that is in memory and holds a valid node; ok is false if load has to tell.
func (s Source) findPage(id types.PageID) (pg pager.Page, ok bool) {
	if s.writer != nil {
		pg, ok = s.writer.tx.Find(id)
	} else if img := s.reader.Find(id); img != nil {
		pg, ok = pager.Page{ID: id, Data: img.Bytes(), Image: img}, true
	}
	if ok && pg.Image != nil && !pg.Image.Checked() {
		ok = s.check(pg.Image) == nil
	}
	return pg, ok
}

// ahead tells the processor that children of a node are about to be read one after the other, from child i on in the direction
// of step: the page of the first, and what leads to the page of the second, should be near by then.
func (s Source) ahead(n node, i, step int) {
	if s.writer != nil {
		return
	}
	if i >= 0 && i < n.count() {
		s.reader.Hint(n.child(i), true)
	}
	if i += step; i >= 0 && i < n.count() {
		s.reader.Hint(n.child(i), false)
	}
}

// check looks at what an image holds, once.
func (s Source) check(img *pager.Image) error {
	if problem := checkNode(img.Bytes()); problem != "" {
		return s.corrupt(img.ID(), problem)
	}
	img.SetChecked()
	return nil
}

// load is a machine that gets a node. Its zero value is ready.
type load struct {
	get  pager.Get
	busy bool
}

// step ends with the page, which is a valid node. The same id comes until it ends.
func (l *load) step(s Source, id types.PageID) (pg pager.Page, pending *io.Completion, err error) {
	if !l.busy {
		if s.writer != nil {
			if pg, ok := s.writer.tx.Find(id); ok {
				return pg, nil, l.verify(s, pg)
			}
			l.get.StartTx(s.writer.tx, id)
		} else {
			if img := s.reader.Find(id); img != nil {
				pg = pager.Page{ID: id, Data: img.Bytes(), Image: img}
				return pg, nil, l.verify(s, pg)
			}
			l.get.Start(s.reader, id)
		}
		l.busy = true
	}
	res, err := l.get.Step()
	switch {
	case err != nil:
		l.busy = false
		return pager.Page{}, nil, err
	case res.Pending != nil:
		return pager.Page{}, res.Pending, nil
	}
	l.busy = false
	return res.Value, nil, l.verify(s, res.Value)
}

// verify checks a page that was found.
func (l *load) verify(s Source, pg pager.Page) error {
	if pg.Image != nil && !pg.Image.Checked() {
		return s.check(pg.Image)
	}
	return nil
}

// abort leaves the read.
func (l *load) abort(cause error) error {
	if l.busy {
		l.busy = false
		return l.get.Abort(cause)
	}
	return cause
}
