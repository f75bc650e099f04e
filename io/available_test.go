package io

import (
	"errors"
	"io/fs"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// The least counts: of the machine, and of the groups from the process's own up to the top, be they of one version or the other.
func TestAvailableMemory(t *testing.T) {
	const machine = 1 << 34
	cases := []struct {
		name    string
		machine uint64
		files   map[string]string
		want    int64
	}{
		{"no groups", machine, nil, machine},
		{"unknown", 0, map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "1000\n"}, 0},
		{"nonsense", math.MaxUint64, nil, 0},
		{"version 2, no limit", machine, map[string]string{
			"/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "max\n"}, machine},
		{"version 2, its own", machine, map[string]string{
			"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "1000\n", "/sys/fs/cgroup/a/memory.max": "max\n"}, 1000},
		{"version 2, one above", machine, map[string]string{
			"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "2000\n"}, 2000},
		{"version 2, the least", machine, map[string]string{
			"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "3000\n", "/sys/fs/cgroup/a/memory.max": "2000\n"}, 2000},
		{"version 2, a path of the machine's", machine, map[string]string{
			"/proc/self/cgroup": "0::/../../b\n", "/sys/fs/cgroup/memory.max": "4000\n"}, 4000},
		{"version 1", machine, map[string]string{
			"/proc/self/cgroup":                             "5:cpu:/x\n4:hugetlb,memory:/a/b\n",
			"/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "5000\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"/sys/fs/cgroup/cpu/x/memory.limit_in_bytes": "1\n"}, 5000},
		{"both", machine, map[string]string{
			"/proc/self/cgroup": "4:memory:/a\n0::/b\n", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "7000\n",
			"/sys/fs/cgroup/b/memory.max": "6000\n"}, 6000},
		{"more than the machine has", machine, map[string]string{
			"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "99999999999999\n"}, machine},
		{"no numbers", machine, map[string]string{
			"/proc/self/cgroup": "\n0:\n0::/a\n:::\n", "/sys/fs/cgroup/a/memory.max": "", "/sys/fs/cgroup/memory.max": "-7"}, machine},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			read := func(name string) ([]byte, error) {
				text, ok := c.files[name]
				if !ok {
					return nil, fs.ErrNotExist
				}
				return []byte(text), nil
			}
			require.Equal(t, c.want, availableMemory(c.machine, read))
		})
	}
	denied := func(string) ([]byte, error) { return nil, errors.New("denied") }
	require.Equal(t, int64(machine), availableMemory(machine, denied))
}

// Where databases lie on files, the memory is known.
func TestAvailableMemoryHere(t *testing.T) {
	switch runtime.GOOS {
	case "linux", "darwin", "freebsd", "windows":
		require.Greater(t, AvailableMemory(), int64(1<<20))
	}
}
