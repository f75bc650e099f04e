package wal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// where returns where the log has page's newest image.
func (w *logWorld) where(page types.PageID) Position {
	e, ok := w.log.Lookup(page, ^types.Seq(0), 0)
	require.True(w.t, ok)
	return e.Pos
}

// number returns the number of the log block that holds the frame.
func (p Position) number() int64 { return p.Offset / LogBlockSize }

// Groups without a sync between them share log blocks. Behind what may be durable a group starts on a block of its own: behind
// a sync, of the flush or of what the log has grown by, and when it has something new to say of the meta block, which is looked for
// at log blocks alone.
func TestGroupsShareLogBlocks(t *testing.T) {
	w := newLogWorld(t, io.MemoryConfig{Manual: true})
	cfg := w.config()
	cfg.FirstSegment = 64 << 10 // no growth
	w.log = New(cfg, 1, 0)
	require.NoError(t, w.begin())
	require.NoError(t, w.commit(false, true, 1))
	require.NoError(t, w.commit(false, true, 2))
	require.Equal(t, w.where(1).number(), w.where(2).number())
	require.Greater(t, w.where(2).Offset, w.where(1).Offset)

	require.NoError(t, w.commit(true, true, 3)) // a full one behind them, whose sync is theirs too
	require.Equal(t, w.where(1).number(), w.where(3).number())
	require.NoError(t, w.commit(false, true, 4))
	require.Equal(t, w.where(3).number()+1, w.where(4).number(), "behind a sync")

	w.log.SetMeta(w.meta.write + 1)
	require.NoError(t, w.commit(false, true, 1))
	require.Equal(t, w.where(4).number()+1, w.where(1).number(), "behind a meta write")
	require.NoError(t, w.commit(false, true, 2))
	require.Equal(t, w.where(1).number(), w.where(2).number())
}

// A group that is written while a sync of the log's growth is under way starts on a block of its own, and so does the first
// behind it: whichever of them that sync has met is durable.
func TestGroupsBesideSyncOfGrowth(t *testing.T) {
	w, _, growth := atGrowthSync(t)
	before := w.where(2).number()
	var wait Wait
	require.NoError(t, w.commit(false, false, 3))
	wait.StartVisible(w.log, 3)
	_, err := wait.Step()
	require.NoError(t, err)
	w.m.Queue()[1].Complete()
	_, err = wait.Step()
	require.NoError(t, err)
	require.Greater(t, w.where(3).number(), before)
	growth.Complete()
	require.NoError(t, w.commit(false, true, 4))
	require.Greater(t, w.where(4).number(), w.where(3).number())
}

// Recovery finds groups wherever they lie, writes each log block once, and goes on behind the last block; what is torn in the
// middle of a block ends the log there and stays torn.
func TestRecoveryOfSharedLogBlocks(t *testing.T) {
	w := newLogWorld(t, io.MemoryConfig{})
	for _, step := range []func(*logWorld) error{full(1), relaxed(2), relaxed(3), relaxed(4)} {
		require.NoError(t, step(w))
	}
	third, end := w.where(3), w.where(4)
	require.Equal(t, third.number(), end.number())

	open := func() (*logWorld, Recovery) {
		opened, got, err := reopen(t, w.m.Crash(func(int, io.Change) bool { return true }))
		require.NoError(t, err)
		return opened, got
	}
	_, got := open()
	require.Equal(t, types.Seq(4), got.Last)
	require.Equal(t, 4, got.Groups)
	require.Equal(t, (end.number()+1)*LogBlockSize, got.End.Offset)
	require.Equal(t, int64(2*LogBlockSize), got.Rewritten, "the blocks of the newest full commit, and of those behind it")

	b, err := w.m.Bytes("db-wal")
	require.NoError(t, err)
	b[end.Offset+frameHeaderSize] ^= 1
	w.m.SetBytes("db-wal", b)
	opened, got := open()
	require.Equal(t, types.Seq(3), got.Last)
	require.Equal(t, end.Offset-groupHeaderSize, got.Discarded.Offset)
	require.Equal(t, (end.number()+1)*LogBlockSize, got.End.Offset)
	opened.states = append([][4]uint64(nil), w.states[:4]...)
	require.NoError(t, relaxed(1)(opened))
	_, got, err = reopen(t, opened.m)
	require.NoError(t, err)
	require.Equal(t, types.Seq(4), got.Last)
}

// What proves that a commit was durable is found also where the group at the log block is gone that would say so first: any group
// behind it says it too, wherever it starts.
func TestProofInTheMiddleOfALogBlock(t *testing.T) {
	w := newLogWorld(t, io.MemoryConfig{})
	cfg := w.config()
	cfg.FirstSegment = 64 << 10
	w.log = New(cfg, 1, 0)
	require.NoError(t, full(1)(w))
	require.NoError(t, full(2)(w))
	acknowledged := w.where(2)
	for range 12 {
		require.NoError(t, relaxed(3)(w))
	}
	b, err := w.m.Bytes("db-wal")
	require.NoError(t, err)
	b[acknowledged.Offset+frameHeaderSize] ^= 1 // rot
	lost := (acknowledged.number() + 1) * LogBlockSize
	clear(b[lost : lost+LogBlockSize]) // the power went, and this block of those that were not synced was not written
	w.m.SetBytes("db-wal", b)
	_, _, err = reopen(t, w.m)
	var corrupt *types.CorruptError
	require.ErrorAs(t, err, &corrupt, "commit 2 was acknowledged")

	clean := w.meta // the same log beside a clean file of an earlier meta write
	clean.needsLog, clean.write = false, 0
	w.m.SetBytes("db", clean.encode())
	_, _, err = reopen(t, w.m)
	require.ErrorIs(t, err, types.ErrLogMismatch)
}

// headersIn finds what begins like a header on a multiple of 8 and fits in, and nothing else.
func TestHeadersIn(t *testing.T) {
	b := make([]byte, 4*groupHeaderSize)
	for _, at := range []int{0, 8, 20, 104, 3 * groupHeaderSize, 3*groupHeaderSize + 8} {
		copy(b[at:], groupMagic)
	}
	var found []int64
	for at := range headersIn(b, 8) {
		found = append(found, at)
	}
	require.Equal(t, []int64{8, 104, 3 * groupHeaderSize}, found)
}
