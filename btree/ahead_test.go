package btree

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// coldWorld returns a world with n keys, none of whose pages are in memory, and what of the file is read.
func coldWorld(t *testing.T, cache int64, n int) *world {
	x := newWorld(t, 512, 1<<20)
	x.begin()
	for i := range n {
		x.put(0, fmt.Appendf(nil, "%06d", i), make([]byte, 60))
	}
	x.commit()
	x.close()
	x.cache = cache
	x.open()
	x.m.SetManual(true)
	return x
}

// reads counts what a cursor's moves read.
type reads struct{ all, most int }

// moved drives a move to its end and counts; all that is in flight completes together.
func (x *world) moved(c *Cursor, r *reads) (bool, error) {
	m := types.NewStateMachine[bool](c)
	for {
		res, err := m.Step()
		if err != nil || res.Pending == nil {
			return res.Value, err
		}
		q := x.m.Queue()
		r.all += len(q)
		r.most = max(r.most, len(q))
		for _, op := range q {
			op.Complete()
		}
	}
}

// A scan of what has to be read has many reads under way, and reads each leaf once, however small the cache.
func TestReadAhead(t *testing.T) {
	const n = 2000
	for _, back := range []bool{false, true} {
		for _, cache := range []int64{1, 1 << 20} {
			x := coldWorld(t, cache, n)
			x.view(func(src Source) {
				var c Cursor
				var r reads
				c.Start(src, 0)
				seen := 0
				for {
					if c.Next(); back {
						c.state = cursorIdle
						c.Prev()
					}
					on, err := x.moved(&c, &r)
					require.NoError(t, err)
					if !on {
						break
					}
					want := seen
					if back {
						want = n - 1 - seen
					}
					require.Equal(t, fmt.Sprintf("%06d", want), string(c.Key()))
					seen++
				}
				require.Equal(t, n, seen)
				require.GreaterOrEqual(t, r.most, aheadMost/2)
				pages := int(x.p.Snapshot().Globals.NextPage)
				if cache > 1 {
					require.LessOrEqual(t, r.all, pages+pages/20, "each page, and the map")
				} else {
					require.LessOrEqual(t, r.all, 2*pages, "the map again and again, but no leaf twice")
				}
			})
		}
	}
}

// Who reads little reads little in vain.
func TestReadAheadBeginsSmall(t *testing.T) {
	x := coldWorld(t, 1<<20, 2000)
	x.view(func(src Source) {
		var c Cursor
		var first, rest reads
		c.Start(src, 0)
		c.Seek([]byte("000500"))
		_, err := x.moved(&c, &first)
		require.NoError(t, err)
		leaves := map[types.PageID]bool{c.Entry().Page: true}
		for range 20 {
			c.Next()
			_, err := x.moved(&c, &rest)
			require.NoError(t, err)
			leaves[c.Entry().Page] = true
		}
		require.LessOrEqual(t, rest.all, 2*len(leaves))
	})
}

// A leaf that can't be read fails the move that gets there, not those before.
func TestReadAheadMeetsAnError(t *testing.T) {
	x := coldWorld(t, 1<<20, 2000)
	broken := errors.New("broken")
	failed := 0
	x.m.SetFault(func(op *io.Op) error {
		if op.Kind != io.KindRead {
			return nil
		}
		if failed++; failed%40 != 0 {
			return nil
		}
		return broken
	})
	x.view(func(src Source) {
		var c Cursor
		var r reads
		c.Start(src, 0)
		errs := 0
		for i := 0; i < 2000; {
			c.Next()
			_, err := x.moved(&c, &r)
			if err != nil {
				require.ErrorIs(t, err, broken)
				errs++
				continue // again
			}
			require.Equal(t, fmt.Sprintf("%06d", i), string(c.Key()))
			i++
		}
		require.Positive(t, errs)
		require.Less(t, errs, failed/40, "some were met again when the cursor got there, and read")
	})
}

// A move that is given up leaves no read behind, and the cursor goes on from where it was.
func TestReadAheadIsGivenUp(t *testing.T) {
	x := coldWorld(t, 1<<20, 2000)
	x.view(func(src Source) {
		var c Cursor
		var r reads
		c.Start(src, 0)
		given := 0
		for i := 0; i < 2000; {
			c.Next()
			if res, err := c.Step(); err == nil && res.Pending != nil && c.state == cursorAhead && i%3 == 0 {
				_ = c.Abort(errors.New("given up"))
				given++
				for _, op := range x.m.Queue() {
					op.Complete()
				}
				require.Zero(t, x.m.InFlight())
				c.Next()
			}
			if c.state != cursorIdle {
				_, err := x.moved(&c, &r)
				require.NoError(t, err)
			}
			require.Equal(t, fmt.Sprintf("%06d", i), string(c.Key()))
			i++
		}
		require.Positive(t, given)
	})
}
