package wal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// lateObserver steps a second wait for the commit in the moment in which the watermarks have moved and readers don't know yet.
type lateObserver struct {
	t     *testing.T
	other *Wait
	early *io.Completion // what the other one was told to wait for
}

func (o *lateObserver) Written([]*Commit) {}
func (o *lateObserver) Failed(error)      {}

func (o *lateObserver) Advanced(_, _ types.Seq) {
	if o.early != nil {
		return
	}
	res, err := o.other.Step()
	require.NoError(o.t, err)
	require.NotNil(o.t, res.Pending, "the commit is acknowledged, and who reads next does not see it")
	o.early = res.Pending
}

// Whoever is told that a commit is done sees it when it reads next: also who steps while another one leads the flush.
func TestNobodyIsAheadOfTheObserver(t *testing.T) {
	for _, full := range []bool{true, false} {
		w := newLogWorld(t, io.MemoryConfig{Manual: true})
		require.NoError(t, w.begin())
		require.NoError(t, w.commit(full, false, 1))
		var other Wait
		other.StartVisible(w.log, 1)
		o := &lateObserver{t: t, other: &other}
		w.log.cfg.Observer = o
		require.NoError(t, w.wait(1, full))
		require.NotNil(t, o.early, "the observer was told")
		require.True(t, o.early.Done(), "the other is woken")
		_, err := drive(w, &other)
		require.NoError(t, err)
	}
}

// A relaxed commit that leads ends when it is written, and not behind the sync that another one wants, which leads on. When that
// sync fails the one who leads it is in doubt, also if the log is closed in between: the file may have its commit or not.
func TestLeaderOfAFailedSync(t *testing.T) {
	for _, closed := range []bool{false, true} {
		w := newLogWorld(t, io.MemoryConfig{Manual: true})
		require.NoError(t, w.begin())
		require.NoError(t, w.commit(true, true, 1))
		require.NoError(t, w.commit(false, false, 1))
		var lead, durable Wait
		lead.StartVisible(w.log, 2)
		durable.StartDurable(w.log, 2)
		for _, wait := range []*Wait{&lead, &durable} {
			res, err := wait.Step()
			require.NoError(t, err)
			require.NotNil(t, res.Pending)
		}
		w.m.Queue()[0].Complete()
		res, err := lead.Step()
		require.NoError(t, err)
		require.Nil(t, res.Pending, "it is written")
		require.Equal(t, "sync", w.m.Queue()[0].Name())
		res, err = durable.Step()
		require.NoError(t, err)
		require.Equal(t, io.KindSync, res.Pending.Kind(), "it leads on")
		w.m.Queue()[0].Fail(errInjected)
		if closed {
			w.log.release()
		}
		require.ErrorIs(t, durable.Abort(res.Pending.Err()), types.ErrCommitUnknown, "closed: %v", closed)
		require.Equal(t, types.Seq(2), w.log.Queued())
	}
}
