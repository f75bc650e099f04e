//go:build freebsd && !arm

package io

// alignedPairs says that a 64-bit argument of a system call begins at an even register.
const alignedPairs = false
