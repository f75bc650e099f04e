package io

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestHolderIn(t *testing.T) {
	const text = `1: POSIX  ADVISORY  WRITE 11 08:1f:100 0 EOF
2: FLOCK  ADVISORY  WRITE 12 08:1f:101 0 EOF
2: -> FLOCK  ADVISORY  WRITE 13 08:1f:100 0 EOF
3: FLOCK  ADVISORY  READ  0 08:1f:102 0 EOF
3: FLOCK  ADVISORY  READ  14 08:1f:102 0 EOF
4: FLOCK  ADVISORY  WRITE 15 00:1f:100 0 EOF
5: FLOCK
6: FLOCK  ADVISORY  WRITE 16 08:1f:100 0 EOF
`
	for _, test := range []struct {
		major, minor uint32
		inode        uint64
		want         int
	}{{8, 31, 100, 16}, {8, 31, 101, 12}, {8, 31, 102, 14}, {0, 31, 100, 15}, {8, 31, 103, 0}, {8, 30, 100, 0}} {
		id := FileID{Device: unix.Mkdev(test.major, test.minor), Inode: test.inode}
		if got := holderIn(text, id); got != test.want {
			t.Errorf("holder of %d:%d inode %d is %d, want %d", test.major, test.minor, test.inode, got, test.want)
		}
	}
}
