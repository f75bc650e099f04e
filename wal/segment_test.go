package wal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The default segments are as much smaller as pages below 4 KiB are; those of larger pages hold a few of them. Sizes asked for are
// taken, if they are large enough.
func TestDefaultGeometry(t *testing.T) {
	cases := []struct {
		page        int
		first, size uint32 // asked for
		want        geometry
	}{
		{512, 0, 0, geometry{8 << 10, 64 << 10}},
		{1024, 0, 0, geometry{16 << 10, 128 << 10}},
		{2048, 0, 0, geometry{32 << 10, 256 << 10}},
		{4096, 0, 0, geometry{64 << 10, 512 << 10}},
		{8192, 0, 0, geometry{64 << 10, 512 << 10}},
		{65536, 0, 0, geometry{200 << 10, 512 << 10}},
		{512, 64 << 10, 0, geometry{64 << 10, 64 << 10}},
		{512, 1, 12289, geometry{8 << 10, 16 << 10}},
		{4096, 1, 1, geometry{20 << 10, 20 << 10}},
	}
	for _, c := range cases {
		g := defaultGeometry(c.page, c.first, c.size)
		require.Equal(t, c.want, g, "%+v", c)
		require.True(t, g.valid(c.page), "%+v", c)
	}
}
