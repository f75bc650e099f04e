package io

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A clone shows and leaves behind a power cut what the original does, and neither sees what becomes of the other.
func TestMemoryClone(t *testing.T) {
	m := NewMemory(MemoryConfig{Seed: 3})
	var c Completion
	do := func(m *Memory, submit func(*Completion)) {
		c = Completion{}
		submit(&c)
		require.NoError(t, m.Wait(t.Context(), &c))
	}
	open := func(m *Memory) File {
		o := Opening{Path: "dir/file", Flag: OpenWrite | OpenCreate, Mode: 0o600}
		do(m, func(c *Completion) { m.Open(c, &o) })
		return o.File
	}
	f := open(m)
	do(m, func(c *Completion) { f.Write(c, [][]byte{make([]byte, 5000)}, 0) })
	do(m, f.Sync)
	do(m, func(c *Completion) { m.SyncDir(c, "dir/file") })
	do(m, func(c *Completion) { f.Write(c, [][]byte{{1, 2, 3}}, 600) })
	do(m, func(c *Completion) { f.Truncate(c, 7000) })
	require.Panics(t, func() { m.Clone() }, "a file is open")
	do(m, f.Close)
	do(m, func(c *Completion) { m.Rename(c, "dir/file", "dir/other") })
	do(m, func(c *Completion) { m.Rename(c, "dir/other", "dir/file") })

	clone := m.Clone()
	require.Equal(t, len(m.Unsynced()), len(clone.Unsynced()))
	for i, ch := range m.Unsynced() {
		require.Equal(t, ch.String(), clone.Unsynced()[i].String())
	}
	images := func(m *Memory) (list [][]byte) {
		for _, image := range m.CrashImages(1) {
			content, err := image.Bytes("dir/file")
			if err != nil {
				content = []byte(err.Error())
			}
			list = append(list, content)
		}
		return list
	}
	before := images(m)
	require.Equal(t, before, images(clone))

	g := open(clone)
	do(clone, func(c *Completion) { g.Write(c, [][]byte{{9}}, 601) })
	do(clone, g.Sync)
	require.Equal(t, before, images(m), "the original does not see it")
	now, err := m.Bytes("dir/file")
	require.NoError(t, err)
	require.Equal(t, []byte{1, 2, 3}, now[600:603])
	now, err = clone.Bytes("dir/file")
	require.NoError(t, err)
	require.Equal(t, []byte{1, 9, 3}, now[600:603])

	f = open(m)
	do(m, func(c *Completion) { f.Write(c, [][]byte{{8}}, 602) })
	now, err = clone.Bytes("dir/file")
	require.NoError(t, err)
	require.Equal(t, []byte{1, 9, 3}, now[600:603], "nor the clone the original")
	require.Equal(t, []byte{1, 9, 3}, clone.Peek("dir/file", 600, 3))
	require.Len(t, clone.Peek("dir/file", 6990, 100), 10)
	require.Empty(t, clone.Peek("dir/file", 7000, 1))
	require.Empty(t, clone.Peek("dir/no", 0, 1))
	var a, b [16]byte
	second := m
	second.Random(a[:])
	clone.Random(b[:])
	require.Equal(t, a, b, "chance goes on in the same way")
}
