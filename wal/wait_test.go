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

// writtenObserver looks at a wait for what is being written in the moment in which the observer is told, and begins another.
type writtenObserver struct {
	lateObserver
	again Wait
}

func (o *writtenObserver) Advanced(_, _ types.Seq) {}
func (o *writtenObserver) Written([]*Commit) {
	if o.early != nil {
		return
	}
	require.True(o.t, o.again.StartWritten(o.other.log))
	for _, w := range []*Wait{o.other, &o.again} {
		res, err := w.Step()
		require.NoError(o.t, err)
		require.NotNil(o.t, res.Pending, "the observer does not know yet")
		o.early = res.Pending
	}
}

// A wait for the next group ends when that is written and the observer knows, and not behind its sync.
func TestWaitForWritten(t *testing.T) {
	w := newLogWorld(t, io.MemoryConfig{Manual: true})
	require.NoError(t, w.begin())
	var other, none Wait
	require.False(t, none.StartWritten(w.log))
	require.NoError(t, w.commit(true, false, 1))
	require.True(t, other.StartWritten(w.log))
	o := &writtenObserver{lateObserver: lateObserver{t: t, other: &other}}
	w.log.cfg.Observer = o
	var lead Wait
	lead.StartVisible(w.log, 1)
	res, err := lead.Step()
	require.NoError(t, err)
	require.NotNil(t, res.Pending)
	w.m.Queue()[0].Complete()
	res, err = lead.Step()
	require.NoError(t, err)
	require.Equal(t, io.KindSync, res.Pending.Kind())
	require.NotNil(t, o.early)
	require.True(t, o.early.Done(), "it is woken")
	for _, wait := range []*Wait{&other, &o.again} {
		res, err = wait.Step()
		require.NoError(t, err)
		require.Nil(t, res.Pending)
	}
	require.False(t, none.StartWritten(w.log))
	_, err = drive(w, &lead)
	require.NoError(t, err)
}

// It leads like any other, and when the write fails its error is the log's: no commit of its own is in doubt.
func TestWaitForWrittenFails(t *testing.T) {
	w := newLogWorld(t, io.MemoryConfig{Manual: true})
	require.NoError(t, w.begin())
	require.NoError(t, w.commit(true, false, 1))
	var wait Wait
	require.True(t, wait.StartWritten(w.log))
	res, err := wait.Step()
	require.NoError(t, err)
	require.NotNil(t, res.Pending)
	w.m.Queue()[0].Fail(errInjected)
	err = wait.Abort(res.Pending.Err())
	require.ErrorIs(t, err, types.ErrFailed)
	require.ErrorIs(t, err, errInjected)
	require.NotErrorIs(t, err, types.ErrCommitUnknown)
}
