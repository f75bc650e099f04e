package machine

import "os"

// Group is a set of processes that share little memory, page cache included.
type Group struct {
	Dir string // of its control files
}

// Remove removes the group, once its processes have ended.
func (g *Group) Remove() error { return os.Remove(g.Dir) }
