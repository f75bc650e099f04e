package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// NewGroup makes a control group for processes that get so many bytes of memory: in version 2's hierarchy, or in version
// 1's below this process's own group. It needs the rights to do so.
func NewGroup(bytes int64) (*Group, error) {
	name := fmt.Sprintf("pawl-bench-%d", os.Getpid())
	const root = "/sys/fs/cgroup"
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	parent, limit := root, "memory.max"
	if err != nil {
		if parent, err = oldParent(root); err != nil {
			return nil, err
		}
		limit = "memory.limit_in_bytes"
	} else if !strings.Contains(string(controllers), "memory") {
		return nil, errors.New("there is no memory controller")
	} else if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
		return nil, err
	}
	g := &Group{Dir: filepath.Join(parent, name)}
	if err := os.Mkdir(g.Dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(g.Dir, limit), []byte(strconv.FormatInt(bytes, 10)), 0); err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	// Where there is swap, it is no memory to have besides.
	os.WriteFile(filepath.Join(g.Dir, "memory.swap.max"), []byte("0"), 0)
	os.WriteFile(filepath.Join(g.Dir, "memory.swappiness"), []byte("0"), 0)
	return g, nil
}

// oldParent returns this process's own group of version 1.
func oldParent(root string) (string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && f[1] == "memory" {
			return filepath.Join(root, "memory", f[2]), nil
		}
	}
	return "", errors.New("there is no memory controller")
}

// Join makes this process part of a group.
func Join(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}
