package btree

import "bytes"

// fences are the bounds of a node: low <= key < high. Without bounded there is no upper one, and high is empty.
type fences struct {
	low, high []byte
	bounded   bool
}

// prefixLen returns how many bytes all keys between the fences share.
func (f fences) prefixLen() int {
	if !f.bounded {
		return 0
	}
	return commonPrefix(f.low, f.high)
}

// size returns the bytes that the fences take in a node.
func (f fences) size() int { return len(f.low) + len(f.high) }

// hold reports whether key lies between the fences.
func (f fences) hold(key []byte) bool {
	return bytes.Compare(f.low, key) <= 0 && (!f.bounded || bytes.Compare(key, f.high) < 0)
}

// commonPrefix returns how many bytes a and b share at the start.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// separatorLen returns how many bytes of right are needed to tell it from left, which is below it: that many are the shortest
// string s with left < s <= right (Bayer and Unterauer, Prefix B-trees, 1977).
func separatorLen(left, right []byte) int { return commonPrefix(left, right) + 1 }
