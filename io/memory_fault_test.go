package io

import (
	"bytes"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

// faultWorld is a manual Memory with a file of 2048 bytes, all 'a', synced.
type faultWorld struct {
	*testing.T
	m *Memory
	f File
}

func newFaultWorld(t *testing.T) *faultWorld {
	w := &faultWorld{T: t, m: NewMemory()}
	w.m.SetBytes("f", bytes.Repeat([]byte{'a'}, 2048))
	o := Opening{Path: "f", Flag: OpenWrite}
	var c Completion
	w.m.Open(&c, &o)
	require.NoError(t, c.Err())
	w.f = o.File
	w.m.SetManual(true)
	return w
}

// do submits and lets end say how the I/O ends, which must be a success.
func (w *faultWorld) do(submit func(c *Completion), end func(op *Op)) {
	w.Helper()
	var c Completion
	submit(&c)
	end(w.m.Queue()[0])
	require.True(w, c.Retired())
	require.NoError(w, c.Err())
}

func (w *faultWorld) read(offset int64, n int, end func(op *Op)) string {
	buf := make([]byte, n)
	w.do(func(c *Completion) { w.f.Read(c, buf, offset) }, end)
	return string(buf)
}

func (w *faultWorld) write(data string, offset int64, end func(op *Op)) {
	w.do(func(c *Completion) { w.f.Write(c, [][]byte{[]byte(data[:1]), []byte(data[1:])}, offset) }, end)
}

func (w *faultWorld) durable() string {
	b, err := w.m.Crash(nil).Bytes("f")
	require.NoError(w, err)
	return string(b)
}

func TestLostIO(t *testing.T) {
	w := newFaultWorld(t)
	w.write("xyz", 10, (*Op).Lose)
	require.Equal(t, "aaa", w.read(10, 3, (*Op).Complete))
	require.Empty(t, w.m.Unsynced())
	w.write("xyz", 10, (*Op).Complete)
	w.do(func(c *Completion) { w.f.Sync(c) }, (*Op).Lose)
	require.NotContains(t, w.durable(), "xyz")
	w.do(func(c *Completion) { w.f.Sync(c) }, (*Op).Complete)
	require.Contains(t, w.durable(), "xyz")
	w.do(func(c *Completion) { w.f.Truncate(c, 100) }, (*Op).Lose)
	b, err := w.m.Bytes("f")
	require.NoError(t, err)
	require.Len(t, b, 2048)
	require.Panics(t, func() { w.read(0, 1, (*Op).Lose) })
}

func TestDivertedIO(t *testing.T) {
	w := newFaultWorld(t)
	w.write("xyz", 10, func(op *Op) { op.Divert(1000) })
	require.Equal(t, "aaa", w.read(10, 3, (*Op).Complete))
	require.Equal(t, "xyz", w.read(1000, 3, (*Op).Complete))
	require.Equal(t, "xyz", w.read(50, 3, func(op *Op) { op.Divert(1000) }))
}

func TestFlippedIO(t *testing.T) {
	w := newFaultWorld(t)
	require.Equal(t, "aca", w.read(0, 3, func(op *Op) { op.CompleteFlipped(9) }))
	require.Equal(t, "aaa", w.read(0, 3, (*Op).Complete))
	w.write("aaa", 0, func(op *Op) {
		require.Equal(t, [][]byte{[]byte("a"), []byte("aa")}, op.Buffers())
		op.CompleteFlipped(3*8 + 17)
		require.Equal(t, [][]byte{[]byte("a"), []byte("aa")}, op.Buffers())
	})
	require.Equal(t, "aac", w.read(0, 3, (*Op).Complete))
}

func TestFlipAtRest(t *testing.T) {
	w := newFaultWorld(t)
	require.NoError(t, w.m.Flip("f", 5, 1))
	require.Equal(t, "c", w.read(5, 1, (*Op).Complete))
	require.Equal(t, "aaaaaca", w.durable()[:7])
	require.Empty(t, w.m.Unsynced())

	// What is written later goes to the volatile side alone.
	w.write("zz", 4, (*Op).Complete)
	require.Equal(t, "aaaaaca", w.durable()[:7])
	before := w.m.Crash(nil)
	require.NoError(t, w.m.Flip("f", 5, 0))
	require.Equal(t, "z{", w.read(4, 2, (*Op).Complete))
	require.Equal(t, "aaaaaba", w.durable()[:7])
	b, err := before.Bytes("f")
	require.NoError(t, err)
	require.Equal(t, "aaaaaca", string(b[:7]))

	require.ErrorIs(t, w.m.Flip("g", 0, 0), fs.ErrNotExist)
	require.ErrorIs(t, w.m.Flip("f", 2048, 0), fs.ErrInvalid)
}
