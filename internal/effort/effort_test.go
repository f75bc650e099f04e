package effort

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

func TestOf(t *testing.T) {
	want := 2
	switch {
	case Long():
		want = 3
	case UnderRace, testing.Short():
		want = 1
	}
	require.Equal(t, want, Of(1, 2, 3))
	require.Equal(t, want == 1, Short())
	require.False(t, Long() && Short())
}
