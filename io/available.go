package io

import (
	"os"
	"path"
	"strconv"
	"strings"
)

// AvailableMemory returns how many bytes of memory this process may have: those of the machine, or fewer if the operating system
// bounds it, as containers do. 0: it can't be told.
func AvailableMemory() int64 { return availableMemory(platformMemory(), os.ReadFile) }

// availableMemory returns the least of the machine's memory and what control groups allow, with no more than readable files.
func availableMemory(machine uint64, read func(name string) ([]byte, error)) int64 {
	if machine == 0 || machine > 1<<62 {
		return 0
	}
	return min(int64(machine), groupMemory(read))
}

// groupMemory returns the least limit of the control groups that this process is in, of version 2 or 1, and of those above them;
// the largest number if there is none.
//
//	/proc/self/cgroup           limits are in                                    for each group from the named one up
//	0::/a/b                     /sys/fs/cgroup/a/b/memory.max                    a number of bytes, or "max"
//	4:cpu,memory:/a/b           /sys/fs/cgroup/memory/a/b/memory.limit_in_bytes  a number of bytes
//
// In a container the path may be one of the machine's, and its groups lie where it does not lead: then only the top is found.
func groupMemory(read func(name string) ([]byte, error)) int64 {
	least := int64(1<<63 - 1)
	groups, err := read("/proc/self/cgroup")
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(groups)) {
		field := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(field) < 3 {
			continue
		}
		top, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case field[0] == "0" && field[1] == "":
		case contains(field[1], "memory"):
			top, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Clean("/" + field[2]); ; group = path.Dir(group) {
			if text, err := read(path.Join(top, group, file)); err == nil {
				if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 {
					least = min(least, limit)
				}
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}

// contains reports whether a list with commas has a name.
func contains(list, name string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item == name {
			return true
		}
	}
	return false
}
