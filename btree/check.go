package btree

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pager"
	"github.com/pawldb/pawl/types"
)

// CheckReport is what a Check found.
type CheckReport struct {
	Pages    int64   // pages and extents that were read
	Trees    int64   // the root bucket and all others
	Keys     int64   // values
	Problems []error // *types.CorruptError, the first checkProblems of them
	More     bool    // there were more
}

// checkProblems bounds how many problems are kept.
const checkProblems = 100

// Check is a machine that goes through all trees: every page in use is reached once, every tree is ordered and hangs
// together, every large value is whole. Damage is reported and what hangs from it left out; other errors end it. Its memory
// is one bit for each page id, and what is still to be looked at of the current branch.
//
//	node --leaf with large values--> extents --> node ... --end of the tree--> the next bucket ... --> ended
type Check struct {
	src     Source
	report  CheckReport
	trees   []types.PageID // still to be walked
	walk    walk
	walking bool
	large   []Large // of the leaf, still to be read
	ext     extentLoad
	listing bool           // the list was read, parts are being read
	parts   []types.PageID // of the value that is being read
	left    int64          // its bytes that are not read yet
	seen    map[uint64]*[64]uint64
}

// Start readies the machine to check all that a reader's snapshot has.
func (c *Check) Start(src Source) {
	*c = Check{src: src, seen: map[uint64]*[64]uint64{}}
	if root := src.Root(); root != 0 {
		c.trees = append(c.trees, root)
	}
}

// Step ends with what was found.
func (c *Check) Step() (types.IOResult[CheckReport], error) {
	for {
		var pending *io.Completion
		var err error
		switch {
		case len(c.large) > 0:
			pending, err = c.readLarge()
		case c.walking:
			pending, err = c.readNode()
		case len(c.trees) > 0:
			c.walk.start(c.src, c.trees[len(c.trees)-1])
			c.trees = c.trees[:len(c.trees)-1]
			c.walking = true
			c.report.Trees++
		default:
			c.total()
			return types.Done(c.report)
		}
		if err != nil {
			return types.Fail[CheckReport](err)
		}
		if pending != nil {
			return types.Wait[CheckReport](pending)
		}
	}
}

// readNode looks at the next node of the tree.
func (c *Check) readNode() (*io.Completion, error) {
	pg, ok, pending, err := c.walk.step()
	switch {
	case pending != nil:
		return pending, nil
	case err != nil:
		c.walk.skip()
		return nil, c.problem(err)
	case !ok:
		c.walking = false
		return nil, nil
	}
	if !c.visit(pg.ID) {
		c.walk.climb()
		return nil, nil
	}
	n := node(pg.Data)
	if problem := checkNode(n); problem != "" {
		return nil, c.problem(c.src.corrupt(pg.ID, problem))
	}
	if steps := c.walk.path.steps; len(steps) > 1 {
		if up := &steps[len(steps)-2]; n.paged()&^up.node().below(up.index) != 0 {
			_ = c.problem(c.src.corrupt(pg.ID, fmt.Sprintf("has large values or buckets that page %d does not tell of", up.page.ID)))
		}
	}
	for i := range n.count() {
		if !n.leaf() {
			break
		}
		switch e := n.entry(i); e.Kind {
		case KindBucket:
			c.trees = append(c.trees, e.Bucket.Root)
		case KindLarge:
			c.large = append(c.large, e.Large)
			c.report.Keys++
		default:
			c.report.Keys++
		}
	}
	return nil, nil
}

// readLarge reads the next extent of the last large value.
func (c *Check) readLarge() (*io.Completion, error) {
	l := c.large[len(c.large)-1]
	count, listed := l.parts()
	if !c.listing {
		c.left, c.parts = l.Size, append(c.parts[:0], l.Page)
		if listed {
			if c.twice(l.Page) {
				c.large = c.large[:len(c.large)-1]
				return nil, nil
			}
			data, _, pending, err := c.ext.step(c.src, l.Page, 8*count)
			if pending != nil {
				return pending, nil
			}
			if err != nil {
				c.large = c.large[:len(c.large)-1]
				return nil, c.problem(err)
			}
			c.visit(l.Page)
			c.parts = c.parts[:0]
			for i := range count {
				c.parts = append(c.parts, types.PageID(binary.LittleEndian.Uint64(data[8*i:])))
			}
		}
		c.listing = true
	}
	for len(c.parts) > 0 {
		size := min(c.left, int64(pager.MaxExtent))
		if c.twice(c.parts[0]) {
			c.parts, c.left = c.parts[1:], c.left-size
			continue
		}
		_, _, pending, err := c.ext.step(c.src, c.parts[0], int(size))
		if pending != nil {
			return pending, nil
		}
		if err != nil {
			if err := c.problem(err); err != nil {
				return nil, err
			}
		} else {
			c.visit(c.parts[0])
		}
		c.parts, c.left = c.parts[1:], c.left-size
	}
	c.listing = false
	c.large = c.large[:len(c.large)-1]
	return nil, nil
}

// twice reports whether a page was reached before, which is a problem: it needn't be read again, and a file can name one a
// great many times.
func (c *Check) twice(id types.PageID) bool {
	chunk := c.seen[uint64(id)/64/64]
	if chunk == nil || chunk[uint64(id)/64%64]&(1<<(id%64)) == 0 {
		return false
	}
	_ = c.problem(c.src.corrupt(id, "the page is reached twice"))
	return true
}

// visit notes that a page is reached, and reports whether that was for the first time.
func (c *Check) visit(id types.PageID) bool {
	if c.twice(id) {
		return false
	}
	word := uint64(id) / 64
	chunk := c.seen[word/64]
	if chunk == nil {
		chunk = new([64]uint64)
		c.seen[word/64] = chunk
	}
	chunk[word%64] |= 1 << (id % 64)
	c.report.Pages++
	return true
}

// total compares what was reached with what is in use.
func (c *Check) total() {
	want := c.src.pages()
	if len(c.report.Problems) == 0 && c.report.Pages != int64(want) {
		_ = c.problem(c.src.corrupt(0, fmt.Sprintf("%d pages are in use, the trees have %d", want, c.report.Pages)))
	}
}

// problem keeps damage, and returns any other error.
func (c *Check) problem(err error) error {
	if !errors.Is(err, types.ErrCorrupt) {
		return err
	}
	if len(c.report.Problems) == checkProblems {
		c.report.More = true
		return nil
	}
	c.report.Problems = append(c.report.Problems, err)
	return nil
}

// Abort leaves the read.
func (c *Check) Abort(cause error) error { return c.walk.abort(c.ext.abort(cause)) }
