package hugepage

import (
	"maps"
	"slices"
	"unsafe"
)

// Size is the size of a huge page, in bytes, and what it lies on a multiple of.
const Size = 2 << 20

// leastUsed is the part of a region that has to be in use, in percent.
const leastUsed = 75

// Census counts how much of each region is in use. Its zero value is ready.
type Census struct{ used map[uintptr]int }

// Add counts an object of n bytes at p.
func (c *Census) Add(p *byte, n int) {
	if c.used == nil {
		c.used = map[uintptr]int{}
	}
	c.used[uintptr(unsafe.Pointer(p))/Size] += n
}

// Regions returns the regions that are worth a huge page, by address.
func (c *Census) Regions() []Region {
	var list []Region
	for _, at := range slices.Sorted(maps.Keys(c.used)) {
		if c.used[at] >= Size/100*leastUsed {
			list = append(list, Region(at))
		}
	}
	return list
}

// Region is memory for one huge page: its address in units of Size.
type Region uintptr
