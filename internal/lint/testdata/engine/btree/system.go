//go:build windows || plan9

package btree

import _ "golang.org/x/sys/windows"
