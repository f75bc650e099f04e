package hugepage

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A region is worth a huge page if most of it is in use; what is in no region costs nothing.
func TestCensus(t *testing.T) {
	var c Census
	require.Empty(t, c.Regions())
	memory := make([]byte, 4*Size)
	const most = Size / 4096 * leastUsed / 100
	regions := map[Region]int{}
	for at := 0; at < len(memory); at += 4096 {
		var one Census
		one.Add(&memory[at], Size)
		r := one.Regions()[0]
		if regions[r]++; regions[r] <= most {
			c.Add(&memory[at], 4096)
		}
	}
	whole := 0
	for _, n := range regions {
		if n >= most {
			whole++
		}
	}
	require.Len(t, c.Regions(), whole)
	require.GreaterOrEqual(t, whole, 3)
	for _, r := range c.Regions() {
		require.True(t, Available() || !r.Back())
	}
	require.Equal(t, byte(0), memory[Size])
}
