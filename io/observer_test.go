package io_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// witness is an observer that counts.
type witness struct {
	before io.Observer
	ended  []string
}

func (w *witness) Ended(c *io.Completion, n int, err error) {
	w.ended = append(w.ended, fmt.Sprint(c.State(), n, err))
	if w.before != nil {
		w.before.Ended(c, n, err)
	}
}

// An observer is told once of the end of an I/O, before it resolves, also of one that was cancelled; those further out are
// told by it; a Reset ends it.
func TestObserver(t *testing.T) {
	var c io.Completion
	var outer, inner witness
	for _, cancel := range []bool{false, true} {
		outer, inner = witness{}, witness{}
		outer.before = c.Observe(&outer)
		inner.before = c.Observe(&inner)
		require.Nil(t, outer.before)
		c.ArmSubmitted(io.KindRead, "file")
		require.Panics(t, func() { c.Observe(&outer) })
		if cancel {
			c.Cancel()
		}
		require.Empty(t, inner.ended)
		require.Equal(t, !cancel, c.Finish(7, nil))
		require.False(t, c.Finish(8, nil))
		want := []string{"pending 7 <nil>"}
		if cancel {
			want = []string{"cancelled 7 <nil>"}
		}
		require.Equal(t, want, inner.ended)
		require.Equal(t, want, outer.ended)
		c.Reset()
	}
	c.ArmSubmitted(io.KindRead, "file")
	c.Finish(0, nil)
	require.Len(t, inner.ended, 1)
}
